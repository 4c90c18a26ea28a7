"""What of a losing fork is proposed again on the winning one (draft-kohbrok-mls-dmls-00 §5.1; K-18).

Who was removed on a losing fork is removed, who was added there is added, and the PSKs that were mixed in there are
mixed in; nothing is taken from the losing fork's keys. The draft asks what is to happen where a member was removed on
both forks and added again on the winning one: here the winner, which has decided about that member, is left alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from starling.protocol.decentralized.fork_choice import losing_forks, winning_path
from starling.protocol.decentralized.fork_tree import ForkEpoch, ForkTree
from starling.protocol.mls.key_package import KeyPackage
from starling.protocol.mls.psk import PreSharedKeyID


@dataclass(frozen=True, slots=True)
class Due:
    """Changes to make on the winning fork: key packages by member, members, and PSKs without their nonces."""

    adds: dict[bytes, KeyPackage] = field(default_factory=dict)
    removes: frozenset[bytes] = frozenset()
    psks: frozenset[PreSharedKeyID] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.adds or self.removes or self.psks)


def due_changes(tree: ForkTree) -> Due:
    """What the losing forks changed and the winning one did not."""
    return _together([due_of_fork(tree, point, first) for point, first in losing_forks(tree)])


def due_of_fork(tree: ForkTree, point: ForkEpoch | None, first: ForkEpoch) -> Due:
    """The same of the fork that begins with `first`, a child of `point` on the winning path.

    Nothing where the members of `point` are not known here, or we are removed on the winning fork: then
    others see to it.
    """
    path = winning_path(tree)
    if point is None or point.members is None or path[-1].removes_us:
        return Due()
    after = path[path.index(point) + 1 :]
    gone: set[bytes] = set()
    added: dict[bytes, KeyPackage] = {}
    removed: set[bytes] = set()
    psks: set[PreSharedKeyID] = set()
    for head in _heads(tree, first):
        own = tree.path(head.dmls_epoch)
        fork = own[own.index(first) :]
        seen: dict[bytes, KeyPackage] = {}
        for epoch in fork:
            seen.update(epoch.added)
            psks.update(map(_without_nonce, epoch.psks))
        members = head.members or frozenset()
        removed |= point.members - members
        gone |= seen.keys() - members
        added.update({member: package for member, package in seen.items() if member in members})
    winner = path[-1].members or frozenset()
    decided_in = frozenset[bytes]().union(*(epoch.members or () for epoch in after))
    for before, epoch in zip([point, *after], after, strict=False):
        removed -= (before.members or frozenset()) - (epoch.members or frozenset())
    return Due(
        {
            member: package
            for member, package in added.items()
            if member not in gone | decided_in | point.members
        },
        frozenset(removed & winner),
        frozenset(psks - {_without_nonce(psk) for epoch in after for psk in epoch.psks}),
    )


def is_consolidated(tree: ForkTree, point: ForkEpoch | None, first: ForkEpoch, ourselves: bytes) -> bool:
    """Whether a losing fork can go (K-18): nothing of it is due, and all who ever were members of it and are on the
    winning fork are known there, since they made or used an epoch of it after the fork."""
    if due_of_fork(tree, point, first):
        return False
    path = winning_path(tree)
    after = path[path.index(point) + 1 :] if point is not None else path
    known = frozenset[bytes]().union(*(epoch.present for epoch in after)) | {ourselves}
    fork = frozenset[bytes]().union(*(epoch.members or () for epoch in tree.subtree(first.dmls_epoch)))
    return fork & (path[-1].members or frozenset()) <= known


def _heads(tree: ForkTree, first: ForkEpoch) -> list[ForkEpoch]:
    return [epoch for epoch in tree.subtree(first.dmls_epoch) if not epoch.children]


def _without_nonce(psk: PreSharedKeyID) -> PreSharedKeyID:
    return replace(psk, psk_nonce=b"")


def _together(parts: Sequence[Due]) -> Due:
    adds: dict[bytes, KeyPackage] = {}
    removes: frozenset[bytes] = frozenset()
    psks: frozenset[PreSharedKeyID] = frozenset()
    for part in parts:
        adds.update(part.adds)
        removes |= part.removes
        psks |= part.psks
    return Due({member: adds[member] for member in adds.keys() - removes}, removes, psks)
