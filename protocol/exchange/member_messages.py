"""Messages between members: how far they are, frames, the roster and profiles (PROTOCOL section 7, Exchange)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from starling.protocol.exchange.message import (
    COUNT,
    DIGEST,
    ENTRY,
    EPOCH,
    GROUP_ID,
    MAX_ENTRIES,
    MAX_GROUPS,
    PROFILE,
    UNIVERSE_ID,
    Message,
)
from starling.protocol.packed import Blob, Either, Many, Uint

_HEAD = Blob(64, 1)
_MAX_POSITIONS = 2 * MAX_GROUPS
MAX_WANTED_EPOCHS = 32
"""Of one group in one `Want`."""

Position = tuple[bytes, bytes, int, int, bool, int]
WantedEpoch = tuple[bytes, int, tuple[bytes, ...]]
WantedGroup = tuple[bytes, tuple[WantedEpoch, ...]]


@dataclass(frozen=True, slots=True)
class Hello(Message):
    """Opens the exchange in one universe: the entry that makes the sender a member, last, after the newest of those
    that it follows."""

    kind = 1
    max_bytes = 64 * 1024
    patterns = (UNIVERSE_ID, Many(ENTRY, 512))
    universe_id: bytes
    entries: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Pulse(Message):
    """Every few seconds: digests of the roster and of all positions; equal digests end the talk."""

    kind = 2
    patterns = (UNIVERSE_ID, DIGEST, DIGEST)
    universe_id: bytes
    roster_digest: bytes
    positions_digest: bytes


@dataclass(frozen=True, slots=True)
class Summary(Message):
    """How far the sender is in each send group that the receiver is in too.

    `positions` holds, per group and branch, `(group_id, head, number of the head's epoch, contiguous
    generations held in it, whether all earlier epochs are whole, floor)`. A place in one writer's log names the frames
    up to it, so no list of ids is needed. The floor is the number of the oldest epoch that the sender could still
    enter another child of. `answer` asks for a summary in return.
    """

    kind = 3
    patterns = (
        UNIVERSE_ID,
        DIGEST,
        Many((GROUP_ID, _HEAD, Uint(), COUNT, bool, Uint()), _MAX_POSITIONS),
        bool,
    )
    universe_id: bytes
    roster_digest: bytes
    positions: tuple[Position, ...]
    answer: bool


@dataclass(frozen=True, slots=True)
class Want(Message):
    """Asks for what follows in some groups.

    Per group: `(group_id, epochs)`, where each epoch of which something may be lacking is `(dmls_epoch, contiguous
    generations held, its known children)`; no epoch at all asks for the frame that adds the asker.
    """

    kind = 4
    max_bytes = 256 * 1024  # of small numbers, which cost the most to check
    patterns = (
        UNIVERSE_ID,
        Many((GROUP_ID, Many((EPOCH, COUNT, Many(EPOCH, 4)), MAX_WANTED_EPOCHS)), MAX_GROUPS),
    )
    universe_id: bytes
    groups: tuple[WantedGroup, ...]


@dataclass(frozen=True, slots=True)
class Frames(Message):
    """The answer to `Want`. The frames are attached; whoever still lacks something asks again."""

    kind = 5
    patterns = (UNIVERSE_ID,)
    universe_id: bytes


@dataclass(frozen=True, slots=True)
class RosterEntries(Message):
    """Roster entries that the receiver may lack, predecessors first."""

    kind = 6
    patterns = (UNIVERSE_ID, Many(ENTRY, MAX_ENTRIES))
    universe_id: bytes
    entries: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class WantRoster(Message):
    """Asks for the roster entries that are not among these ids."""

    kind = 7
    patterns = (UNIVERSE_ID, Many(Blob.of(32), MAX_ENTRIES))
    universe_id: bytes
    held: tuple[bytes, ...]

    @classmethod
    def beside(cls, universe_id: bytes, held: Iterable[bytes]) -> WantRoster:
        """Of a roster that is too long to name, some is told again."""
        return cls(universe_id, tuple(sorted(held)[:MAX_ENTRIES]))


@dataclass(frozen=True, slots=True)
class Profiles(Message):
    """Of members: their newest KeyPackages (one a suite) and their signed addresses (empty if unknown)."""

    kind = 8
    patterns = (UNIVERSE_ID, Many(PROFILE, MAX_GROUPS))
    universe_id: bytes
    profiles: tuple[tuple[tuple[bytes, ...], bytes], ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class WantProfiles(Message):
    """Asks for the profiles of these members (identity keys)."""

    kind = 9
    patterns = (UNIVERSE_ID, Many(Blob.of(32), MAX_GROUPS))
    universe_id: bytes
    identities: tuple[bytes, ...]

    @classmethod
    def some(cls, universe_id: bytes, identities: Iterable[bytes]) -> WantProfiles:
        """Of as many as one message can name; whoever still lacks some asks again."""
        return cls(universe_id, tuple(dict.fromkeys(identities))[:MAX_GROUPS])


@dataclass(frozen=True, slots=True)
class Gone(Message):
    """The answer to `Want` where the frames are not held any more: per group the number of the oldest epoch from which
    the sender can lead on to the newest, None where it can from none."""

    kind = 10
    max_bytes = 128 * 1024
    patterns = (UNIVERSE_ID, Many((GROUP_ID, Either(None, Uint())), MAX_GROUPS, 1))
    universe_id: bytes
    groups: tuple[tuple[bytes, int | None], ...]


@dataclass(frozen=True, slots=True)
class Excluded(Message):
    """The sender has removed the receiver, still a member, from its own send group while it was away; `absent` where
    that was because nothing was heard of it."""

    kind = 11
    patterns = (UNIVERSE_ID, bool)
    universe_id: bytes
    absent: bool
