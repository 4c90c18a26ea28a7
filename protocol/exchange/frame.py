"""Frames: what nodes store, gossip and hand to each other (DESIGN, Between nodes).

A frame is a msgpack array `[version, kind, payload]`; its id is the SHA-256 hash of its bytes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from starling.protocol.errors import DecodeError
from starling.protocol.packed import Blob, Many, Uint, pack, shape, unpack

VERSION = 1
COMMIT = 1
MESSAGE = 2
ANNOUNCEMENT = 3

MAX_FRAME = 1024 * 1024
MAX_GOSSIP_FRAME = 60 * 1024
"""Longer frames are announced by id and pulled over a stream."""

MAX_STATEMENT = 256
"""An encoded head statement."""

_MAX_ANNOUNCED = 64
_ENVELOPE = (Uint(255), Uint(255), [object])
_COMMIT = (Blob(MAX_FRAME, 1), Blob(MAX_STATEMENT, 1), Blob(MAX_FRAME))
_MESSAGE = (Blob(MAX_FRAME, 1),)
_ANNOUNCEMENT = (Many((Blob(64, 1), Blob(64, 1), Uint(2**32 - 1)), _MAX_ANNOUNCED, 1),)


@dataclass(frozen=True, slots=True)
class CommitFrame:
    """A commit held whole: the DMLSMessage, the signed head statement (R4), and the Welcome where it adds.

    `welcome` is an encoded MLSMessage, empty where the commit adds nobody (R6: one frame).
    """

    dmls_message: bytes = field(repr=False)
    head_statement: bytes = field(repr=False)
    welcome: bytes = field(default=b"", repr=False)

    def encode(self) -> bytes:
        return pack([VERSION, COMMIT, [self.dmls_message, self.head_statement, self.welcome]])


@dataclass(frozen=True, slots=True)
class MessageFrame:
    """One application message, a DMLSMessage."""

    dmls_message: bytes = field(repr=False)

    def encode(self) -> bytes:
        return pack([VERSION, MESSAGE, [self.dmls_message]])


@dataclass(frozen=True, slots=True)
class Announcement:
    """Frames too large for gossip, by their places: `(group_id, dmls_epoch, generations held in it)`.

    For a commit that is the epoch that it starts and none.
    """

    places: tuple[tuple[bytes, bytes, int], ...]

    def encode(self) -> bytes:
        return pack([VERSION, ANNOUNCEMENT, [[list(place) for place in self.places]]])


Frame = CommitFrame | MessageFrame | Announcement


def frame_id(frame: bytes) -> bytes:
    """The id of an encoded frame: 32 bytes."""
    return hashlib.sha256(frame).digest()


def decode_frame(data: bytes) -> Frame:
    """Raises `DecodeError` for anything but a whole frame of a known kind and at most 1 MiB."""
    version, kind, payload = shape(unpack(data, max_bytes=MAX_FRAME), _ENVELOPE)
    if version != VERSION:
        raise DecodeError(f"frame version {version} is not known")
    if kind == COMMIT:
        return CommitFrame(*shape(payload, _COMMIT))
    if kind == MESSAGE:
        return MessageFrame(*shape(payload, _MESSAGE))
    if kind == ANNOUNCEMENT:
        (places,) = shape(payload, _ANNOUNCEMENT)
        return Announcement(tuple((group_id, epoch, count) for group_id, epoch, count in places))
    raise DecodeError(f"frame kind {kind} is not known")
