"""The frames that an archiver keeps of one universe, with their rows and their bounds."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import takewhile

from starling.protocol.distributed.policy import MIB, FrameQuota
from starling.protocol.engine.context import Context
from starling.protocol.exchange.feed import FrameKind, ListedFrame
from starling.protocol.exchange.listing import Listing
from starling.protocol.packed import Blob, Uint, pack, shape, unpack

DEFAULT_QUOTA = FrameQuota(131_072, 512 * MIB)  # as of members (policy.FRAMES_OF_UNIVERSE)

MAX_SIBLINGS = 8
"""How many commits on one epoch are kept: members follow at most four."""

_ROW = (
    Blob.of(32), Blob(64, 1), Uint(), Blob(64, 1), Uint(2), Uint(2**32), Blob(64), Uint(), Uint(), Uint(2),
)  # fmt: skip


def quota_of(mebibytes: int) -> FrameQuota:
    """A quota of so many MiB, and as many frames as take that with their records in memory."""
    return FrameQuota(max(1024, 256 * mebibytes), mebibytes * MIB)


class Opening(enum.IntEnum):
    """What an archiver could do with a frame; the numbers are in its store."""

    CLOSED = 0
    """A message, or a commit that is not sealed to this archiver."""
    OPENED = 1
    """A commit that opened and changes leaves as it may: unauthenticated, as without the GroupContext (S-8)."""
    BAD = 2
    """A commit that the owner signed and that does not open here, or breaks a rule for this archiver. Members see
    other keys and perhaps another content, and may depend on it: so it is kept, and told."""


@dataclass(frozen=True, slots=True)
class ArchivedFrame:
    """One kept frame. `number` and `dmls_epoch` are of the epoch that it says it was sent in, `forwarder` the peer that
    brought it first, `place` that in the list."""

    frame_id: bytes
    group_id: bytes
    number: int
    dmls_epoch: bytes
    kind: FrameKind
    size: int
    forwarder: bytes
    stored_at: int
    place: int = 0
    opening: Opening = Opening.CLOSED

    @property
    def is_commit(self) -> bool:
        return self.kind is not FrameKind.MESSAGE

    def listed(self) -> ListedFrame:
        """What the list says of it."""
        return ListedFrame(self.frame_id, self.group_id, self.number, self.dmls_epoch, self.kind)


class KeptFrames:
    """All frames of one universe, in the order in which they came.

    A forwarder may fill half of what is kept, and messages seven eighths, commits an eighth more: so what one peer
    makes up does not keep the others' out, and messages never keep commits out, without which they are of no use.
    """

    def __init__(self, universe_id: bytes, quota: FrameQuota = DEFAULT_QUOTA) -> None:
        self.universe_id = universe_id
        self.quota = quota
        self.listing = Listing()
        self.size = 0
        self.crowded: set[bytes] = set()
        """The forwarders of whom something had to be refused, until there is room again."""
        self._frames: dict[bytes, ArchivedFrame] = {}
        self._epochs: dict[bytes, dict[int, dict[bytes, None]]] = {}
        """Frame ids by group and number of the epoch."""
        self._brought: Counter[bytes] = Counter()
        self._brought_bytes: Counter[bytes] = Counter()

    def __len__(self) -> int:
        return len(self._frames)

    def __contains__(self, frame_id: bytes) -> bool:
        return frame_id in self._frames

    def get(self, frame_id: bytes) -> ArchivedFrame | None:
        return self._frames.get(frame_id)

    def __iter__(self) -> Iterator[ArchivedFrame]:
        """Oldest first."""
        return iter(tuple(self._frames.values()))

    @property
    def commits(self) -> int:
        return sum(frame.is_commit for frame in self._frames.values())

    @property
    def opened(self) -> int:
        return sum(frame.opening is Opening.OPENED for frame in self._frames.values())

    # bounds

    def has_room(self, frame: ArchivedFrame) -> bool:
        """Whether a frame fits into what its forwarder and its kind may have."""
        all_kept, forwarded = (8, 5) if frame.is_commit else (7, 4)
        brought = self._brought[frame.forwarder] + 1, self._brought_bytes[frame.forwarder] + frame.size
        return self._of_quota(all_kept, 8).holds(len(self) + 1, self.size + frame.size) and self._of_quota(
            forwarded, 8
        ).holds(*brought)

    @property
    def full(self) -> bool:
        """Whether anybody's frames are refused for want of room."""
        return bool(self.crowded)

    def forget_crowded(self) -> bool:
        """Let those bring more again for whom there is so much room that it lasts a while; whether it was any."""
        if not self._of_quota(6, 8).holds(len(self), self.size):
            return False
        share = self._of_quota(3, 8)
        relieved = {
            peer_id
            for peer_id in self.crowded
            if share.holds(self._brought[peer_id], self._brought_bytes[peer_id])
        }
        self.crowded -= relieved
        return bool(relieved)

    def _of_quota(self, part: int, whole: int) -> FrameQuota:
        return FrameQuota(self.quota.frames * part // whole, self.quota.size * part // whole)

    def has_siblings(self, frame: ArchivedFrame) -> bool:
        """Whether as many commits on the epoch of this one are kept as may be."""
        ids = self._epochs.get(frame.group_id, {}).get(frame.number, {})
        on_epoch = (
            held for held in map(self._frames.__getitem__, ids) if held.dmls_epoch == frame.dmls_epoch
        )
        return sum(held.is_commit for held in on_epoch) >= MAX_SIBLINGS

    # changes, each with its rows

    def add(self, ctx: Context, frame: ArchivedFrame, data: bytes) -> None:
        """Keep a frame. Its place is a time where the list allows it: so places rise even after a restart from an old
        state, and what members have noted stays true."""
        placed = self.load(frame, self.listing.add(frame.frame_id, ctx.now))
        row = [
            self.universe_id, placed.group_id, placed.number, placed.dmls_epoch, int(placed.kind), placed.size,
            placed.forwarder, placed.stored_at, placed.place, int(placed.opening),
        ]  # fmt: skip
        ctx.put("archived", placed.frame_id, pack(row))
        ctx.put("frame", placed.frame_id, data)

    def load(self, frame: ArchivedFrame, place: int) -> ArchivedFrame:
        """Take in a frame that is in the list."""
        placed = replace(frame, place=place)
        self._frames[placed.frame_id] = placed
        self._epochs.setdefault(placed.group_id, {}).setdefault(placed.number, {})[placed.frame_id] = None
        self.size += placed.size
        self._brought[placed.forwarder] += 1
        self._brought_bytes[placed.forwarder] += placed.size
        return placed

    def remove(self, ctx: Context, frame: ArchivedFrame) -> None:
        if self._frames.pop(frame.frame_id, None) is None:
            return
        epochs = self._epochs[frame.group_id]
        del epochs[frame.number][frame.frame_id]
        if not epochs[frame.number]:
            del epochs[frame.number]
        if not epochs:
            del self._epochs[frame.group_id]
        self.listing.remove(frame.frame_id)
        self.size -= frame.size
        self._brought[frame.forwarder] -= 1
        self._brought_bytes[frame.forwarder] -= frame.size
        if not self._brought[frame.forwarder]:
            del self._brought[frame.forwarder], self._brought_bytes[frame.forwarder]
        ctx.delete("archived", frame.frame_id)
        ctx.delete("frame", frame.frame_id)

    # looking

    def groups(self) -> tuple[bytes, ...]:
        return tuple(self._epochs)

    def below(self, group_id: bytes, floor: int) -> list[ArchivedFrame]:
        """What was sent in epochs with lower numbers than the floor, but the newest commits of the group: they can show
        an owner that was put back that it is so (B3)."""
        newest = self._newest_commits(group_id)
        return [
            self._frames[frame_id]
            for number, ids in self._epochs.get(group_id, {}).items()
            if number < floor
            for frame_id in ids
            if frame_id not in newest
        ]

    def up_to(self, place: int) -> list[ArchivedFrame]:
        """What has no higher place in the list, but the newest commits of each group."""
        newest = frozenset().union(*map(self._newest_commits, self._epochs))
        until = takewhile(lambda item: item[0] <= place, self.listing.after(0))
        return [self._frames[frame_id] for _, frame_id in until if frame_id not in newest]

    def _newest_commits(self, group_id: bytes) -> frozenset[bytes]:
        """The ids of the commits on the newest number that has any: of as many as an epoch may have, since an owner can
        sign commits on any number of epochs that never were."""
        epochs = self._epochs.get(group_id, {})
        for number in sorted(epochs, reverse=True):
            commits = [frame_id for frame_id in epochs[number] if self._frames[frame_id].is_commit]
            if commits:
                return frozenset(commits[:MAX_SIBLINGS])
        return frozenset()


def load_archived(frame_id: bytes, row: bytes) -> tuple[bytes, ArchivedFrame]:
    """The universe and the frame of a stored row."""
    universe_id, group_id, number, dmls_epoch, kind, size, forwarder, stored_at, place, opening = shape(
        unpack(row, max_bytes=4096), _ROW
    )
    return universe_id, ArchivedFrame(
        frame_id,
        group_id,
        number,
        dmls_epoch,
        FrameKind(kind),
        size,
        forwarder,
        stored_at,
        place,
        Opening(opening),
    )
