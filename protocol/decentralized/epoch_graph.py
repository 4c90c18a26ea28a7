"""The epochs of one send group as one node knows them, and who is past which (PROTOCOL K-14).

Pure bookkeeping, keyed by `dmls_epoch`: no key material. An epoch is *past* for a node when it holds a
child commit and every application message of the epoch, or has given up the missing ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

MAX_AHEAD = 8
"""A node processes no commit more than this many epochs beyond its oldest incomplete one."""

MAX_SUPERSEDED = 8
"""Superseded epochs retained of which the node itself is past."""

RETENTION = 7 * 24 * 3600 * 1000
"""T_fork: no superseded epoch's secrets are kept longer, in milliseconds."""

GIVE_UP = 24 * 3600 * 1000
"""How long a missing message is asked for, in milliseconds."""


@dataclass(slots=True)
class EpochInfo:
    """One epoch: `number` is the MLS epoch, `members` the identities of its leaves.

    `application_count` is how many application generations were sent in it, stated by its child
    (`epoch_end`; with several children the highest counts). `next_generation` and `missing` say which of them
    this node holds; `user_count` is one more than the highest generation of a user message seen. `ended_by` is
    the signed statement of the commit that led on from here: a second one for another commit proves a fork.
    """

    dmls_epoch: bytes
    number: int
    parent: bytes | None
    entered_at: int
    members: frozenset[bytes]
    with_path: bool
    children: tuple[bytes, ...] = ()
    application_count: int | None = None
    superseded_at: int | None = None
    given_up: bool = False
    next_generation: int = 0
    missing: set[int] = field(default_factory=set)
    user_count: int = 0
    ended_by: bytes = b""

    @property
    def contiguous(self) -> int:
        """How many generations are held without a hole."""
        return min(self.missing) if self.missing else self.next_generation

    def holds(self, generation: int) -> bool:
        return generation < self.next_generation and generation not in self.missing

    def hold(self, generation: int) -> None:
        """Note that the message of this generation is held."""
        if generation >= self.next_generation:
            self.missing.update(range(self.next_generation, generation))
            self.next_generation = generation + 1
        else:
            self.missing.discard(generation)

    @property
    def is_whole(self) -> bool:
        """Whether nothing of the epoch is missing as far as its end is known."""
        if self.missing:
            return False
        return self.application_count is None or self.next_generation >= self.application_count

    @property
    def is_past(self) -> bool:
        return bool(self.children) and (self.given_up or self.is_whole)


class EpochGraph:
    """The known epochs of one send group, oldest first along every branch.

    The branch to the head is indexed by number, and what this node is past on it is remembered: behind a silent
    member it grows for weeks, and it is asked about for every message.
    """

    def __init__(self) -> None:
        self.epochs: dict[bytes, EpochInfo] = {}
        self.head: bytes = b""
        self._trunk: dict[int, EpochInfo] = {}
        self._first = 0
        """The number of the oldest known epoch of the branch to the head."""
        self._open = 0
        """No epoch of that branch with a lower number is incomplete."""

    def __contains__(self, dmls_epoch: bytes) -> bool:
        return dmls_epoch in self.epochs

    def __getitem__(self, dmls_epoch: bytes) -> EpochInfo:
        return self.epochs[dmls_epoch]

    def get(self, dmls_epoch: bytes) -> EpochInfo | None:
        return self.epochs.get(dmls_epoch)

    @property
    def head_info(self) -> EpochInfo:
        return self.epochs[self.head]

    @property
    def oldest_number(self) -> int:
        """The MLS epoch from which on the branch to the head is known."""
        return self._first

    def enter(self, info: EpochInfo) -> None:
        """Add an epoch; it becomes the head where it is the newest child of the head or the first."""
        self.epochs[info.dmls_epoch] = info
        parent = self.epochs.get(info.parent) if info.parent else None
        if parent is not None:
            if info.members == parent.members:
                info.members = parent.members  # one set for thousands of epochs
            if info.dmls_epoch not in parent.children:
                parent.children = (*parent.children, info.dmls_epoch)
            if len(parent.children) > 1:
                self._open = self._first  # another child may tell of more messages
        if not self.head:
            self._first = self._open = info.number
        if not self.head or info.parent == self.head:
            self.head = info.dmls_epoch
            self._trunk[info.number] = info

    def finish_loading(self, head: bytes) -> None:
        """After the stored epochs were put into `epochs`, in any order."""
        shared: dict[frozenset[bytes], frozenset[bytes]] = {}
        self.epochs = dict(sorted(self.epochs.items(), key=lambda item: item[1].number))
        for info in self.epochs.values():
            info.members = shared.setdefault(info.members, info.members)
        self.head = head
        self._trunk = {info.number: info for info in self.lineage(head)}
        self._first = self._open = min(self._trunk)

    def lineage(self, dmls_epoch: bytes) -> Iterator[EpochInfo]:
        """The epoch and its known ancestors, newest first."""
        info = self.epochs.get(dmls_epoch)
        while info is not None:
            yield info
            info = self.epochs.get(info.parent) if info.parent else None

    def branch(self) -> list[EpochInfo]:
        """From the oldest known epoch to the head."""
        if not self.head:
            return []
        return [self._trunk[number] for number in range(self._first, self.head_info.number + 1)]

    def is_at_or_after(self, dmls_epoch: bytes, ancestor: bytes) -> bool:
        """Whether the first is the second or one of its descendants, as far as known."""
        info, target = self.epochs.get(dmls_epoch), self.epochs.get(ancestor)
        while info is not None and target is not None and info.number >= target.number:
            if info is target:
                return True
            if self._is_on_trunk(info):
                return self._is_on_trunk(target)
            info = self.epochs.get(info.parent) if info.parent else None
        return False

    def _is_on_trunk(self, info: EpochInfo) -> bool:
        return self._trunk.get(info.number) is info

    def past(self) -> bytes:
        """The newest epoch up to which this node is past all, empty where it is past none."""
        first_open = self._skip_past()
        return self._trunk[first_open - 1].dmls_epoch if first_open > self._first else b""

    def incomplete(self) -> list[EpochInfo]:
        """The epochs of the branch to the head that this node is not past, oldest first (head included)."""
        if not self.head:
            return []
        numbers = range(self._skip_past(), self.head_info.number + 1)
        return [self._trunk[number] for number in numbers if not self._trunk[number].is_past]

    def _skip_past(self) -> int:
        """The number of the oldest epoch that this node is not past: the head's at the latest."""
        last = self.head_info.number
        while self._open < last and self._trunk[self._open].is_past:
            self._open += 1
        return self._open

    def is_too_far_ahead(self, parent: bytes) -> bool:
        """K-14: whether a commit on `parent` must wait until an older epoch is whole or given up."""
        holes = self.incomplete()
        info = self.epochs.get(parent)
        return bool(holes) and info is not None and info.number + 1 > holes[0].number + MAX_AHEAD

    def drop(self, dmls_epoch: bytes) -> None:
        """Forget an epoch that nobody needs, not the head; its children become roots."""
        info = self.epochs.pop(dmls_epoch, None)
        if info is None or not self._is_on_trunk(info):
            return
        for number in range(self._first, info.number + 1):
            del self._trunk[number]
        self._first = info.number + 1
        self._open = max(self._open, self._first)


@dataclass(frozen=True, slots=True)
class Reported:
    """What a member last reported of one group: its head, what it is past, generations held in the head."""

    head: bytes
    past: bytes
    count: int


def has_past(graph: EpochGraph, report: Reported | None, dmls_epoch: bytes) -> bool:
    """Whether a member reported to be past this epoch, on a branch that descends from it."""
    return report is not None and bool(report.past) and graph.is_at_or_after(report.past, dmls_epoch)


def has_reached(graph: EpochGraph, report: Reported | None, dmls_epoch: bytes) -> bool:
    """Whether a member's reported head is this epoch or descends from it."""
    return report is not None and graph.is_at_or_after(report.head, dmls_epoch)


def settled_epochs(
    graph: EpochGraph, retained: Iterable[bytes], reports: Mapping[bytes, Reported | None], now: int
) -> list[bytes]:
    """The superseded epochs whose secrets are to go now (K-14), of those `retained`: that still have some.

    `reports` has an entry for every current member of the group but the owner and this node, None where
    nothing was reported yet. Nothing goes while a reported head is unknown here, but by the limits.
    """
    known = all(report is None or report.head in graph for report in reports.values())
    settled: list[bytes] = []
    kept: list[EpochInfo] = []
    for info in map(graph.__getitem__, retained):
        if not info.children or info.dmls_epoch == graph.head:
            continue
        expired = info.superseded_at is not None and now - info.superseded_at > RETENTION
        everybody = (
            known
            and info.is_past
            and all(has_past(graph, report, info.dmls_epoch) for report in reports.values())
        )
        if expired or everybody:
            settled.append(info.dmls_epoch)
        elif info.is_past:
            kept.append(info)
    kept.sort(key=lambda info: info.number)
    settled.extend(info.dmls_epoch for info in kept[: max(0, len(kept) - MAX_SUPERSEDED)])
    return settled
