"""The epochs of one send group as one node knows them, with all their branches (PROTOCOL K-14, B11).

Pure bookkeeping, keyed by `dmls_epoch`: no key material. An epoch is *past* for a node when it holds a
child commit and every application message of the epoch, or has given up the missing ones.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass, field

MAX_AHEAD = 8
"""A node processes no commit more than this many epochs beyond its oldest incomplete one."""

MAX_CHILDREN = 4
"""How many children of one epoch are followed (B11)."""

MAX_HEADS = 8
"""How many branches of one send group are followed at a time."""

MAX_CLOSED = 64
"""How many closed heads are remembered, those included of which nothing is kept any more."""


class Line:
    """Epochs in a row, by number: each the first child of the one before that was known. It begins at a root, or as a
    further child of epoch `fork` of another line."""

    __slots__ = ("epochs", "first", "fork", "parent")

    def __init__(self, first: int, parent: Line | None, fork: int) -> None:
        self.epochs: dict[int, EpochInfo] = {}
        self.first = first
        self.parent = parent
        self.fork = fork


@dataclass(slots=True, eq=False)
class EpochInfo:
    """One epoch: `number` is the MLS epoch, `members` the identities of its leaves.

    `started_by` is the signed statement of the commit that led here, and `parent_count` how many application
    generations the parent has according to that commit (`epoch_end`). `application_count` is the highest that any
    known child says of this epoch. `next_generation` and `missing` say which of them this node holds; `user_count` is
    one more than the highest generation of a user message seen. `superseded_at` is when the first child was
    entered, or the head closed.
    """

    dmls_epoch: bytes
    number: int
    parent: bytes | None
    entered_at: int
    members: frozenset[bytes]
    with_path: bool
    started_by: bytes = b""
    parent_count: int = 0
    superseded_at: int | None = None
    given_up: bool = False
    next_generation: int = 0
    missing: set[int] = field(default_factory=set)
    user_count: int = 0
    children: tuple[bytes, ...] = ()
    application_count: int | None = None
    line: Line = field(default_factory=lambda: Line(0, None, 0), repr=False)

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

    def skip_to(self, generation: int) -> None:
        """Give up what is missing before this generation: it counts as held."""
        self.next_generation = max(self.next_generation, generation)
        self.missing = {missing for missing in self.missing if missing >= generation}

    @property
    def is_whole(self) -> bool:
        """Whether nothing of the epoch is missing as far as its end is known."""
        if self.missing:
            return False
        return self.application_count is None or self.next_generation >= self.application_count

    @property
    def is_past(self) -> bool:
        return bool(self.children) and (self.given_up or self.is_whole)

    @property
    def has_uncounted(self) -> bool:
        """Whether messages are held that no known commit counts: the owner was put back to before it sent them."""
        return bool(self.children) and self.next_generation > (self.application_count or 0)

    def is_whole_for(self, child: EpochInfo) -> bool:
        """Whether what this child says its parent has is held, or given up."""
        return self.given_up or self.contiguous >= child.parent_count


class EpochGraph:
    """The known epochs of one send group.

    `head` is the epoch that counts: of the own group that of the own branch, of another's the newest of the branch
    that was entered first, until its owner resolves the fork. `closed` maps heads that the owner has closed, whether
    they are known here or not, to the epoch that says so.

    Behind a silent member a branch grows for weeks, and the graph is asked about for every message: so epochs are
    found by their numbers, and those with something missing are kept apart.
    """

    def __init__(self) -> None:
        self.epochs: dict[bytes, EpochInfo] = {}
        self.head: bytes = b""
        self.tips: dict[bytes, EpochInfo] = {}
        """The epochs without a child, oldest branch first."""
        self.roots: dict[bytes, EpochInfo] = {}
        """The epochs whose parent is not known."""
        self.closed: dict[bytes, bytes] = {}
        self._open: dict[bytes, EpochInfo] = {}
        """The epochs with a child that may not be past."""

    def __contains__(self, dmls_epoch: bytes) -> bool:
        return dmls_epoch in self.epochs

    def __getitem__(self, dmls_epoch: bytes) -> EpochInfo:
        return self.epochs[dmls_epoch]

    def get(self, dmls_epoch: bytes) -> EpochInfo | None:
        return self.epochs.get(dmls_epoch)

    def parent_of(self, info: EpochInfo) -> EpochInfo | None:
        return self.epochs.get(info.parent) if info.parent else None

    # heads

    @property
    def head_info(self) -> EpochInfo:
        return self.epochs[self.head]

    @property
    def heads(self) -> tuple[bytes, ...]:
        """The newest epoch of every branch, first the one that counts."""
        return (self.head, *(tip for tip in self.tips if tip != self.head))

    @property
    def open_heads(self) -> tuple[bytes, ...]:
        """The heads that the owner has not closed."""
        return tuple(head for head in self.heads if head not in self.closed)

    @property
    def is_forked(self) -> bool:
        """Whether there are several branches and the owner has not said which counts."""
        return len(self.tips) > 1 and len(self.open_heads) > 1

    @property
    def oldest_number(self) -> int:
        """The MLS epoch from which on the branch to the head is known."""
        line = self.head_info.line
        while line.parent is not None:
            line = line.parent
        return line.first

    # growing

    def enter(self, info: EpochInfo) -> None:
        """Add an epoch; it becomes the head where it is the newest child of the head or the first. A closed head that
        comes only now has its time from now on."""
        if info.dmls_epoch in self.closed:
            info.superseded_at = info.superseded_at or info.entered_at
        self.epochs[info.dmls_epoch] = info
        self._link(info)
        if not self.head or info.parent == self.head:
            self.head = info.dmls_epoch

    def _link(self, info: EpochInfo) -> None:
        parent = self.parent_of(info)
        self.tips[info.dmls_epoch] = info
        if parent is None:
            info.line = Line(info.number, None, 0)
            self.roots[info.dmls_epoch] = info
        else:
            if info.members == parent.members:
                info.members = parent.members  # one set for thousands of epochs
            parent.children = (*parent.children, info.dmls_epoch)
            parent.application_count = max(parent.application_count or 0, info.parent_count)
            is_first = self.tips.pop(parent.dmls_epoch, None) is not None
            info.line = parent.line if is_first else Line(info.number, parent.line, parent.number)
            self._open[parent.dmls_epoch] = parent
        info.line.epochs[info.number] = info

    def finish_loading(self, head: bytes) -> None:
        """After the stored epochs were put into `epochs`, in any order."""
        shared: dict[frozenset[bytes], frozenset[bytes]] = {}
        self.epochs = dict(sorted(self.epochs.items(), key=lambda item: (item[1].number, item[1].entered_at)))
        for info in self.epochs.values():
            info.members = shared.setdefault(info.members, info.members)
            self._link(info)
        self.head = head

    def close(self, head: bytes, resolving: bytes, now: int) -> None:
        """The owner says by the epoch `resolving` that this head is dead. Known or not, that is remembered; of too many
        those go that are no heads here, oldest first: a head without it would be an open one again."""
        self.closed.pop(head, None)
        self.closed[head] = resolving
        info = self.epochs.get(head)
        if info is not None:
            info.superseded_at = info.superseded_at or now
        excess = max(0, len(self.closed) - MAX_CLOSED)
        for old in [closed for closed in self.closed if closed not in self.tips][:excess]:
            del self.closed[old]

    def follow(self, dmls_epoch: bytes) -> None:
        """Let the branch of this epoch be the one that counts: its newest head."""
        if not self.is_at_or_after(self.head, dmls_epoch):
            self.head = next(tip for tip in self.tips if self.is_at_or_after(tip, dmls_epoch))

    def leave_closed(self) -> bool:
        """Where the head is closed by an epoch of another branch, let that branch count; whether the head is another.

        An owner that was put back twice closes a branch that closes others, and the two may come in any order.
        """
        resolving = self.closed.get(self.head)
        if resolving is None or resolving not in self.epochs or self.are_related(resolving, self.head):
            return False
        self.follow(resolving)
        return True

    # kinship

    def lineage(self, dmls_epoch: bytes) -> Iterator[EpochInfo]:
        """The epoch and its known ancestors, newest first."""
        info = self.epochs.get(dmls_epoch)
        while info is not None:
            yield info
            info = self.parent_of(info)

    def branch(self) -> list[EpochInfo]:
        """From the oldest known epoch to the head."""
        return list(self.lineage(self.head))[::-1]

    def is_at_or_after(self, dmls_epoch: bytes, ancestor: bytes) -> bool:
        """Whether the first is the second or one of its descendants, as far as known."""
        info, target = self.epochs.get(dmls_epoch), self.epochs.get(ancestor)
        return info is not None and target is not None and _follows(info, target)

    def counts(self, info: EpochInfo, generation: int) -> bool:
        """Whether a message was sent on the branch that counts: its epoch leads to the head and goes on as far there.
        What was sent beyond that its owner has forgotten."""
        if not _follows(self.head_info, info):
            return False
        child = _ancestor(self.head_info, info.number + 1)
        return child is None or generation < child.parent_count

    def are_related(self, one: bytes, other: bytes) -> bool:
        """Whether one of the two follows the other."""
        return self.is_at_or_after(one, other) or self.is_at_or_after(other, one)

    def descendants(self, dmls_epoch: bytes) -> list[EpochInfo]:
        """The epoch and all that follow it, parents first."""
        found = [self.epochs[dmls_epoch]] if dmls_epoch in self.epochs else []
        for info in found:
            found.extend(map(self.epochs.__getitem__, info.children))
        return found

    def alone(self, head: bytes) -> list[EpochInfo]:
        """The epochs that lead to this head and to no other, newest first."""
        found: list[EpochInfo] = []
        for info in self.lineage(head):
            if len(info.children) > 1:
                break
            found.append(info)
        return found

    # what is missing

    def incomplete(self) -> list[EpochInfo]:
        """The epochs that this node is not past, oldest first; the heads of all branches are among them."""
        return sorted((*self._holes(), *self.tips.values()), key=lambda info: info.number)

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing of the epochs that have ended, on any branch."""
        return not self._holes()

    def hole(self, dmls_epoch: bytes) -> EpochInfo | None:
        """The oldest ancestor of an epoch that lacks something on the way to it. What other branches say that an
        ancestor has does not count: a dead one would else hold up the living."""
        if not self._open:
            return None
        info = self.epochs[dmls_epoch]
        for older in sorted(self._holes(), key=lambda hole: hole.number):
            if older is not info and _follows(info, older):
                child = _ancestor(info, older.number + 1)
                if child is not None and not older.is_whole_for(child):
                    return older
        return None

    def is_too_far_ahead(self, parent: bytes) -> bool:
        """K-14: whether a commit on `parent` must wait until an older epoch is whole or given up."""
        hole = self.hole(parent) if parent in self.epochs else None
        return hole is not None and self.epochs[parent].number + 1 > hole.number + MAX_AHEAD

    def past(self, head: bytes = b"") -> bytes:
        """The newest epoch on the way to a head up to which this node is past all, empty where it is past none."""
        info = self.epochs[head or self.head]
        numbers = [hole.number for hole in self._holes() if _follows(info, hole)]
        found = _ancestor(info, min(numbers, default=info.number) - 1)
        return found.dmls_epoch if found is not None else b""

    def _holes(self) -> list[EpochInfo]:
        for dmls_epoch in [key for key, info in self._open.items() if info.is_past]:
            del self._open[dmls_epoch]
        return list(self._open.values())

    # forgetting

    def to_evict(self, parent: EpochInfo, needed: Container[bytes]) -> EpochInfo | None:
        """The child that gives way to a fifth one (B11): a closed one, else one without descendants or messages;
        never one on the way to the head, or with one of the epochs that are `needed`. None: all stay."""
        spare = [self.epochs[child] for child in parent.children]
        spare = [
            child
            for child in spare
            if not self.is_at_or_after(self.head, child.dmls_epoch)
            and not any(info.dmls_epoch in needed for info in self.descendants(child.dmls_epoch))
        ]
        for child in spare:
            tips = [info for info in self.descendants(child.dmls_epoch) if not info.children]
            if all(tip.dmls_epoch in self.closed for tip in tips):
                return child
        return next((child for child in spare if not child.children and not child.next_generation), None)

    def drop(self, dmls_epoch: bytes) -> None:
        """Forget an epoch that nobody needs, not the head: a root, whose children become roots, or the end of a
        branch, which its parent then does not know any more."""
        info = self.epochs.pop(dmls_epoch, None)
        if info is None:
            return
        for child in map(self.epochs.__getitem__, info.children):
            self.roots[child.dmls_epoch] = child
            if child.line is not info.line:
                child.line.parent = None
        parent = self.parent_of(info)
        if parent is not None:
            parent.children = tuple(child for child in parent.children if child != dmls_epoch)
            parent.application_count = max(
                (self.epochs[child].parent_count for child in parent.children), default=None
            )
        else:
            info.line.first = info.number + 1
        del info.line.epochs[info.number]
        for kept in (self.roots, self.tips, self._open):
            kept.pop(dmls_epoch, None)


def _follows(info: EpochInfo, target: EpochInfo) -> bool:
    line, number = info.line, info.number
    while line is not target.line:
        if line.parent is None:
            return False
        line, number = line.parent, line.fork
    return target.number <= number


def _ancestor(info: EpochInfo, number: int) -> EpochInfo | None:
    """The epoch with this number on the way to `info`."""
    line, newest = info.line, info.number
    while line.parent is not None and number < line.first:
        line, newest = line.parent, line.fork
    return line.epochs.get(number) if number <= newest else None
