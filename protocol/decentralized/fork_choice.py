"""Which fork wins (draft-kohbrok-mls-dmls-02 §6.1.1, §6.1.2; K-16), and which siblings are held (B11).

At the earliest fork the child with the lexicographically higher confirmation tag wins, and then again below it. Where
a member's commit and an external one start from one epoch the member's wins: who had entered it first has refused the
external one (K-10), and would otherwise stay on another fork for ever.
"""

from __future__ import annotations

from starling.protocol.decentralized.fork_tree import ForkEpoch, ForkTree

MAX_SIBLINGS = 4
"""Children of one parent whose secrets are held at the same time."""

MAX_EVICTING = 16
"""Children entered from one parent, beyond which only one that would win is entered at all."""


def rank(epoch: ForkEpoch) -> tuple[bool, bytes]:
    """Among siblings the highest wins."""
    return not epoch.external, epoch.confirmation_tag


def winning_path(tree: ForkTree) -> list[ForkEpoch]:
    """From the root that counts to the winning head, by way of epochs that lead to one that is held."""
    epoch = tree[tree.roots[-1]]
    path = [epoch]
    while following := [child for child in tree.children(epoch) if tree.is_live(child)]:
        epoch = max(following, key=rank)
        path.append(epoch)
    return path


def losing_forks(tree: ForkTree) -> list[tuple[ForkEpoch | None, ForkEpoch]]:
    """The first epochs of all losing forks, each with the epoch of the winning path that it left (None: unknown)."""
    path = winning_path(tree)
    winners = {epoch.dmls_epoch for epoch in path}
    found: list[tuple[ForkEpoch | None, ForkEpoch]] = [(None, tree[root]) for root in tree.roots[:-1]]
    for epoch in path:
        found.extend((epoch, child) for child in tree.children(epoch) if child.dmls_epoch not in winners)
    return found


def sibling_to_evict(tree: ForkTree, parent: ForkEpoch) -> ForkEpoch | None:
    """The child that has to go where more than `MAX_SIBLINGS` are live, None where there are not.

    The winning one never goes; first goes one in which nobody wrote and which nobody followed, then the lowest.
    """
    live = sorted((child for child in tree.children(parent) if tree.is_live(child)), key=rank)
    if len(live) <= MAX_SIBLINGS:
        return None
    return min(live[:-1], key=lambda child: (bool(child.messages or child.children), rank(child)))
