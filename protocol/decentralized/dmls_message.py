"""DMLSMessage: an MLSMessage with the name of the epoch it was sent in (draft-kohbrok-mls-dmls-02 §3; K-13).

The MLS epoch number does not tell two forks apart; `dmls_epoch` does. It is an unauthenticated hint: a wrong one
leads to a message that does not decrypt. It is no MLSMessage and has no code point: the frame says what it is (C-7).

What is sent in an epoch may be wrapped: a PublicMessage, a PrivateMessage, a SemiPrivateMessage, a
PrivateExternalMessage, a TargetedMessage. A Welcome, a GroupInfo and a KeyPackage belong to no epoch of the receiver's
and never are (K-13b). Send groups allow private and semi-private messages alone (X-20), and their owners a
PrivateExternalMessage of who wants to be added (X-9).
"""

from __future__ import annotations

from dataclasses import dataclass

from starling.protocol.errors import DecodeError, Unsupported
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.private_external_message import PrivateExternalMessage
from starling.protocol.mls.private_message import PrivateMessage
from starling.protocol.mls.public_message import PublicMessage
from starling.protocol.mls.semi_private_message import SemiPrivateMessage
from starling.protocol.mls.targeted_message import TargetedMessage
from starling.protocol.mls.wire_format import WireFormat
from starling.protocol.wire import Struct, encode_opaque, opaque

MAX_DMLS_EPOCH = 64

SEND_GROUP_FORMATS = frozenset({WireFormat.MLS_PRIVATE_MESSAGE, WireFormat.MLS_SEMIPRIVATE_MESSAGE})
"""What is wrapped in a send group."""

EXTERNAL_FORMATS = frozenset({WireFormat.MLS_PRIVATE_EXTERNAL_MESSAGE})
"""What is wrapped by who asks the owner of a send group to be added."""

SHARED_GROUP_FORMATS = (
    SEND_GROUP_FORMATS | EXTERNAL_FORMATS | {WireFormat.MLS_PUBLIC_MESSAGE, WireFormat.MLS_TARGETED_MESSAGE}
)
"""What is wrapped in a group with many committers."""


@dataclass(frozen=True, slots=True)
class DMLSMessage(Struct):
    """`dmls_epoch` has Nh bytes of the group's suite; for a commit it is the parent's."""

    message: MLSMessage
    dmls_epoch: opaque

    @property
    def group_id(self) -> bytes:
        return _place(self.message)[0]

    @property
    def epoch(self) -> int:
        """The MLS epoch number, which the sending epoch shares with its siblings."""
        return _place(self.message)[1]


def _place(message: MLSMessage) -> tuple[bytes, int]:
    body = message.body
    if isinstance(body, PrivateMessage | SemiPrivateMessage | PrivateExternalMessage | TargetedMessage):
        return body.group_id, body.epoch
    if isinstance(body, PublicMessage):
        return body.content.group_id, body.content.epoch
    raise Unsupported("what is wrapped belongs to no epoch")


def wrap(message: bytes, dmls_epoch: bytes) -> bytes:
    """The DMLSMessage of an encoded MLSMessage."""
    return message + encode_opaque(dmls_epoch)


def read_dmls_message(data: bytes, formats: frozenset[int] = SEND_GROUP_FORMATS) -> DMLSMessage:
    """Strict: raises `DecodeError` for trailing bytes or an impossible length, `Unsupported` for a wire format inside
    that is none of `formats`."""
    decoded = DMLSMessage.decode(data)
    if decoded.message.wire_format not in formats:
        raise Unsupported(f"wire format {decoded.message.wire_format:#06x} is not wrapped here")
    if not 32 <= len(decoded.dmls_epoch) <= MAX_DMLS_EPOCH:
        raise DecodeError("dmls_epoch has no possible length")
    return decoded
