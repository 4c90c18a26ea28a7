"""Messages between a member and an archiver: their lists of frames, and what may go."""

from __future__ import annotations

from dataclasses import dataclass

from starling.protocol.distributed.floor import MAX_FLOORS
from starling.protocol.exchange.message import DIGEST, EPOCH, GROUP_ID, MAX_FRAMES, UNIVERSE_ID, Message
from starling.protocol.packed import Blob, Many, Uint

MAX_LISTED = 512
"""Frames in one `Listed`."""

ListedRow = tuple[bytes, int, bytes, tuple[tuple[bytes, int, int], ...]]


@dataclass(frozen=True, slots=True)
class ListPulse(Message):
    """Between a member and an archiver, on connect and every few seconds: the digest of the roster, and how far the
    sender's list of its frames goes. The list is named by a random `list_id`; with another one it begins anew.
    `read` is up to where the sender has all that it wants of the receiver's list `read_id` (empty: it knows none).
    An archiver that is `full` takes no more messages from the receiver."""

    kind = 32
    patterns = (UNIVERSE_ID, DIGEST, Blob.of(16), Uint(), Blob(16), Uint(), bool)
    universe_id: bytes
    roster_digest: bytes
    list_id: bytes
    last: int
    read_id: bytes
    read: int
    full: bool


@dataclass(frozen=True, slots=True)
class WantList(Message):
    """Asks for what a list has after a place in it."""

    kind = 33
    patterns = (UNIVERSE_ID, Blob.of(16), Uint())
    universe_id: bytes
    list_id: bytes
    after: int


@dataclass(frozen=True, slots=True)
class Listed(Message):
    """The answer to `WantList`: frames that are held after the place `after`, in order, up to the place `upto`.

    Each row is `(group_id, number of the epoch, dmls_epoch, frames)`, and each of its frames `(frame id, what it
    is, its place)`: see `feed.FrameKind`.
    """

    kind = 34
    max_bytes = 256 * 1024
    patterns = (
        UNIVERSE_ID,
        Blob.of(16),
        Uint(),
        Uint(),
        Many((GROUP_ID, Uint(), EPOCH, Many((Blob.of(32), Uint(2), Uint()), MAX_LISTED, 1)), MAX_LISTED),
    )
    universe_id: bytes
    list_id: bytes
    after: int
    upto: int
    rows: tuple[ListedRow, ...]


@dataclass(frozen=True, slots=True)
class WantFrames(Message):
    """Asks for frames by their ids; `Frames` answers, with as many of them as it may have."""

    kind = 35
    patterns = (UNIVERSE_ID, Many(Blob.of(32), MAX_FRAMES, 1))
    universe_id: bytes
    frame_ids: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class MemberFloors(Message):
    """A member's signed floors (`distributed.floor`), for an archiver."""

    kind = 36
    max_bytes = 64 * 1024
    patterns = (UNIVERSE_ID, Blob(MAX_FLOORS, 1))
    universe_id: bytes
    floors: bytes
