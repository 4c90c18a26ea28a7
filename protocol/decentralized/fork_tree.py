"""The epochs of a group with several branches: who came from whom, and what each commit changed. No key material.

Epochs are keyed by `dmls_epoch` (K-13). An epoch stays in the tree after its secrets are gone, for as long as it
says how forks are ordered (K-16) or what is to be proposed again (K-18). Members are named by opaque ids.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from starling.protocol.mls.key_package import KeyPackage
from starling.protocol.mls.psk import PreSharedKeyID


@dataclass(slots=True)
class ForkEpoch:
    """One epoch.

    `members` is None where the epoch is known by name alone, from the lineage of a GroupInfo. `confirmation_tag` is
    that of the commit that started it, by `committer`, from outside where `external`; `added` and `psks` are what
    that commit added and mixed in. `held` says that its secrets are here, `removes_us` that they never can be: the
    commit removed us, and then the name is the confirmation tag. `present` are the members known to be in the
    epoch, since they made or used it; `messages` counts what they sent.
    """

    dmls_epoch: bytes
    number: int
    parent: bytes | None
    confirmation_tag: bytes
    external: bool = False
    members: frozenset[bytes] | None = None
    committer: bytes | None = None
    added: Mapping[bytes, KeyPackage] = field(default_factory=dict)
    psks: tuple[PreSharedKeyID, ...] = ()
    entered_at: int = 0
    superseded_at: int | None = None
    held: bool = False
    removes_us: bool = False
    present: set[bytes] = field(default_factory=set)
    messages: int = 0
    siblings_entered: int = 0
    """How many children were ever entered from here, evicted ones included."""
    children: list[bytes] = field(default_factory=list)


class ForkTree:
    """The known epochs. There are several roots only where a Welcome led to an epoch of unknown ancestry: the last
    one counts, since those who sent it are beyond what we knew."""

    def __init__(self) -> None:
        self.epochs: dict[bytes, ForkEpoch] = {}
        self.roots: list[bytes] = []

    def __contains__(self, dmls_epoch: bytes) -> bool:
        return dmls_epoch in self.epochs

    def __getitem__(self, dmls_epoch: bytes) -> ForkEpoch:
        return self.epochs[dmls_epoch]

    def __iter__(self) -> Iterator[ForkEpoch]:
        return iter(self.epochs.values())

    def add(self, epoch: ForkEpoch) -> None:
        """Put an epoch under its parent, or at the top where that is not known."""
        self.epochs[epoch.dmls_epoch] = epoch
        parent = self.epochs.get(epoch.parent) if epoch.parent is not None else None
        if parent is None:
            epoch.parent = None
            self.roots.append(epoch.dmls_epoch)
        else:
            parent.children.append(epoch.dmls_epoch)

    def children(self, epoch: ForkEpoch) -> list[ForkEpoch]:
        return [self.epochs[name] for name in epoch.children]

    def path(self, dmls_epoch: bytes) -> list[ForkEpoch]:
        """From the root to this epoch, both included."""
        found: list[ForkEpoch] = []
        name: bytes | None = dmls_epoch
        while name is not None:
            found.append(self.epochs[name])
            name = found[-1].parent
        return found[::-1]

    def subtree(self, dmls_epoch: bytes) -> list[ForkEpoch]:
        """This epoch and all that follow it, parents before children."""
        found = [self.epochs[dmls_epoch]]
        for epoch in found:
            found.extend(self.children(epoch))
        return found

    def is_live(self, epoch: ForkEpoch) -> bool:
        """Whether one can be in this epoch or one that follows it, or was removed there."""
        waiting = [epoch]
        while waiting:
            found = waiting.pop()
            if found.held or found.removes_us:
                return True
            waiting.extend(self.children(found))
        return False

    def drop(self, dmls_epoch: bytes) -> list[bytes]:
        """Forget an epoch and all that follow it; their names."""
        names = [epoch.dmls_epoch for epoch in self.subtree(dmls_epoch)]
        parent = self.epochs[dmls_epoch].parent
        (self.roots if parent is None else self.epochs[parent].children).remove(dmls_epoch)
        for name in names:
            del self.epochs[name]
        return names

    def drop_root(self, dmls_epoch: bytes) -> None:
        """Forget a root; its only child takes its place."""
        (child,) = self.epochs.pop(dmls_epoch).children
        self.epochs[child].parent = None
        self.roots[self.roots.index(dmls_epoch)] = child
