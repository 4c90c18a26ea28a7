"""The epochs of one send group as one node knows them, and who is past which (PROTOCOL K-14).

Pure bookkeeping, keyed by `dmls_epoch`: no key material. An epoch is *past* for a node when it holds a
child commit and every application message of the epoch, or has given up the missing ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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


class EpochChain:
    """The known epochs of one send group, oldest first along every branch."""

    def __init__(self) -> None:
        self.epochs: dict[bytes, EpochInfo] = {}
        self.head: bytes = b""

    def __contains__(self, dmls_epoch: bytes) -> bool:
        return dmls_epoch in self.epochs

    def __getitem__(self, dmls_epoch: bytes) -> EpochInfo:
        return self.epochs[dmls_epoch]

    def get(self, dmls_epoch: bytes) -> EpochInfo | None:
        return self.epochs.get(dmls_epoch)

    @property
    def head_info(self) -> EpochInfo:
        return self.epochs[self.head]

    def enter(self, info: EpochInfo) -> None:
        """Add an epoch; it becomes the head where it is the newest child of the head or the first."""
        self.epochs[info.dmls_epoch] = info
        parent = self.epochs.get(info.parent) if info.parent else None
        if parent is not None and info.dmls_epoch not in parent.children:
            parent.children = (*parent.children, info.dmls_epoch)
        if not self.head or info.parent == self.head:
            self.head = info.dmls_epoch

    def lineage(self, dmls_epoch: bytes) -> Iterator[EpochInfo]:
        """The epoch and its known ancestors, newest first."""
        info = self.epochs.get(dmls_epoch)
        while info is not None:
            yield info
            info = self.epochs.get(info.parent) if info.parent else None

    def branch(self) -> list[EpochInfo]:
        """From the oldest known epoch to the head."""
        return list(self.lineage(self.head))[::-1] if self.head else []

    def is_at_or_after(self, dmls_epoch: bytes, ancestor: bytes) -> bool:
        """Whether the first is the second or one of its descendants, as far as known."""
        target = self.epochs.get(ancestor)
        if target is None:
            return False
        for info in self.lineage(dmls_epoch):
            if info.dmls_epoch == ancestor:
                return True
            if info.number <= target.number:
                return False
        return False

    def past(self) -> bytes:
        """The newest epoch up to which this node is past all, empty where it is past none."""
        newest = b""
        for info in self.branch():
            if not info.is_past:
                break
            newest = info.dmls_epoch
        return newest

    def incomplete(self) -> list[EpochInfo]:
        """The epochs of the branch to the head that this node is not past, oldest first (head included)."""
        branch = self.branch()
        for position, info in enumerate(branch):
            if not info.is_past:
                return [info for info in branch[position:] if not info.is_past]
        return []

    def is_too_far_ahead(self, parent: bytes) -> bool:
        """K-14: whether a commit on `parent` must wait until an older epoch is whole or given up."""
        holes = self.incomplete()
        info = self.epochs.get(parent)
        return bool(holes) and info is not None and info.number + 1 > holes[0].number + MAX_AHEAD

    def drop(self, dmls_epoch: bytes) -> None:
        """Forget an epoch that nobody needs; its children become roots."""
        self.epochs.pop(dmls_epoch, None)


@dataclass(frozen=True, slots=True)
class Reported:
    """What a member last reported of one group: its head, what it is past, generations held in the head."""

    head: bytes
    past: bytes
    count: int


def has_past(chain: EpochChain, report: Reported | None, dmls_epoch: bytes) -> bool:
    """Whether a member reported to be past this epoch, on a branch that descends from it."""
    return report is not None and bool(report.past) and chain.is_at_or_after(report.past, dmls_epoch)


def has_reached(chain: EpochChain, report: Reported | None, dmls_epoch: bytes) -> bool:
    """Whether a member's reported head is this epoch or descends from it."""
    return report is not None and chain.is_at_or_after(report.head, dmls_epoch)


def settled_epochs(chain: EpochChain, reports: Mapping[bytes, Reported | None], now: int) -> list[bytes]:
    """The superseded epochs whose secrets are to go now (K-14).

    `reports` has an entry for every current member of the group but the owner and this node, None where
    nothing was reported yet. Nothing goes while a reported head is unknown here, but by the limits.
    """
    known = all(report is None or report.head in chain for report in reports.values())
    settled: list[bytes] = []
    kept: list[EpochInfo] = []
    for info in chain.epochs.values():
        if not info.children or info.dmls_epoch == chain.head:
            continue
        expired = info.superseded_at is not None and now - info.superseded_at > RETENTION
        everybody = (
            known
            and info.is_past
            and all(has_past(chain, report, info.dmls_epoch) for report in reports.values())
        )
        if expired or everybody:
            settled.append(info.dmls_epoch)
        elif info.is_past:
            kept.append(info)
    kept.sort(key=lambda info: info.number)
    settled.extend(info.dmls_epoch for info in kept[: max(0, len(kept) - MAX_SUPERSEDED)])
    return settled
