"""The GroupContext: what all members agree on in an epoch (RFC 9420 §8.1)."""

from __future__ import annotations

from dataclasses import dataclass, field

from starling.protocol.errors import DecodeError
from starling.protocol.mls.extension import (
    REQUIRED_CAPABILITIES,
    Extension,
    RequiredCapabilities,
    find_extension,
)
from starling.protocol.mls.wire_format import MLS10
from starling.protocol.wire import Reader, Remembered, Vector, opaque, uint16, uint64


@dataclass(frozen=True, slots=True)
class GroupContext(Remembered):
    """`tree_hash` and `confirmed_transcript_hash` are Nh bytes, the latter empty in epoch 0. Among the extensions may
    be a private key (P-5), so they are not printed."""

    version: uint16
    cipher_suite: uint16
    group_id: opaque
    epoch: uint64
    tree_hash: opaque
    confirmed_transcript_hash: opaque
    extensions: Vector[Extension] = field(repr=False)

    @classmethod
    def read(cls, reader: Reader) -> GroupContext:
        context = super(GroupContext, cls).read(reader)
        if context.version != MLS10:
            raise DecodeError("a GroupContext of an unknown version")
        return context

    @property
    def required_capabilities(self) -> RequiredCapabilities | None:
        """What every member must support, None where the group does not say (§11.1)."""
        data = find_extension(self.extensions, REQUIRED_CAPABILITIES)
        return RequiredCapabilities.decode(data) if data is not None else None
