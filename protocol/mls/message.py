"""MLSMessage: the envelope of everything that travels (RFC 9420 §6)."""

from __future__ import annotations

from dataclasses import dataclass

from starling.protocol.errors import Unsupported
from starling.protocol.mls.group_info import GroupInfo
from starling.protocol.mls.key_package import KeyPackage
from starling.protocol.mls.private_external_message import PrivateExternalMessage
from starling.protocol.mls.private_message import PrivateMessage
from starling.protocol.mls.public_message import PublicMessage
from starling.protocol.mls.semi_private_message import SemiPrivateMessage
from starling.protocol.mls.targeted_message import TargetedMessage
from starling.protocol.mls.welcome import Welcome
from starling.protocol.mls.wire_format import MLS10, WireFormat
from starling.protocol.wire import Reader, Struct

_BODIES: dict[int, type[Struct]] = {
    WireFormat.MLS_PUBLIC_MESSAGE: PublicMessage,
    WireFormat.MLS_PRIVATE_MESSAGE: PrivateMessage,
    WireFormat.MLS_WELCOME: Welcome,
    WireFormat.MLS_GROUP_INFO: GroupInfo,
    WireFormat.MLS_KEY_PACKAGE: KeyPackage,
    WireFormat.MLS_TARGETED_MESSAGE: TargetedMessage,
    WireFormat.MLS_PRIVATE_EXTERNAL_MESSAGE: PrivateExternalMessage,
    WireFormat.MLS_SEMIPRIVATE_MESSAGE: SemiPrivateMessage,
}


@dataclass(frozen=True, slots=True)
class MLSMessage(Struct):
    """`body` is the structure that `wire_format` names. Decoding raises `Unsupported` for another version
    or wire format."""

    wire_format: int
    body: Struct

    @classmethod
    def of(cls, body: Struct) -> MLSMessage:
        """The message that carries this structure."""
        for wire_format, kind in _BODIES.items():
            if type(body) is kind:
                return cls(wire_format, body)
        raise TypeError(f"{type(body).__name__} is no body of an MLSMessage")

    def write(self, out: bytearray) -> None:
        out += MLS10.to_bytes(2) + self.wire_format.to_bytes(2)
        self.body.write(out)

    @classmethod
    def read(cls, reader: Reader) -> MLSMessage:
        version = reader.uint(2)
        if version != MLS10:
            raise Unsupported(f"MLS version {version}")
        wire_format = reader.uint(2)
        kind = _BODIES.get(wire_format)
        if kind is None:
            raise Unsupported(f"wire format {wire_format:#06x}")
        return cls(wire_format, kind.read(reader))
