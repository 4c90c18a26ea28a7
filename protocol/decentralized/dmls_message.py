"""DMLSMessage: an MLSMessage with the name of the epoch it was sent in (draft-kohbrok-mls-dmls-02 §4; K-13).

The MLS epoch number does not tell two forks apart; `dmls_epoch` does. It is an unauthenticated hint: a wrong one
leads to a message that does not decrypt. It is no MLSMessage and has no code point: the frame says what it is (C-7).
"""

from __future__ import annotations

from dataclasses import dataclass

from starling.protocol.errors import DecodeError, Unsupported
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.private_message import PrivateMessage
from starling.protocol.wire import Struct, encode_opaque, opaque

MAX_DMLS_EPOCH = 64


@dataclass(frozen=True, slots=True)
class DMLSMessage(Struct):
    """`dmls_epoch` has Nh bytes of the group's suite; for a commit it is the parent's."""

    message: MLSMessage
    dmls_epoch: opaque

    @property
    def group_id(self) -> bytes:
        return _private(self.message).group_id

    @property
    def epoch(self) -> int:
        """The MLS epoch number, which the sending epoch shares with its siblings."""
        return _private(self.message).epoch


def _private(message: MLSMessage) -> PrivateMessage:
    if not isinstance(message.body, PrivateMessage):
        raise Unsupported("a send group's messages are PrivateMessages")
    return message.body


def wrap(message: bytes, dmls_epoch: bytes) -> bytes:
    """The DMLSMessage of an encoded MLSMessage."""
    return message + encode_opaque(dmls_epoch)


def read_dmls_message(data: bytes) -> DMLSMessage:
    """Strict: raises `DecodeError` for trailing bytes or an impossible length, `Unsupported` for anything but a
    PrivateMessage inside (X-20)."""
    decoded = DMLSMessage.decode(data)
    _private(decoded.message)
    if not 32 <= len(decoded.dmls_epoch) <= MAX_DMLS_EPOCH:
        raise DecodeError("dmls_epoch has no possible length")
    return decoded
