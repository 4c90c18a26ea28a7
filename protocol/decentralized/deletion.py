"""When the secrets of old epochs and of losing forks go (draft-kohbrok-mls-dmls-02 §7; K-14, K-18).

The draft's rule: an old epoch can be deleted once each member has sent a commit on at least one fork that descends from
it. It means descendants where it says "upstream". Members that the winning fork no longer has are not waited for, nor
are we: we send nothing in a superseded epoch.

While a netsplit lasts, or what was sent in it still arrives, the caller says so, as the draft's servers do (§6.1), and
the rules rest. The limits hold always: they bound what a silent member costs.
"""

from __future__ import annotations

from dataclasses import dataclass

from starling.protocol.decentralized.consolidation import is_consolidated
from starling.protocol.decentralized.fork_choice import losing_forks, winning_path
from starling.protocol.decentralized.fork_tree import ForkEpoch, ForkTree


@dataclass(frozen=True, slots=True)
class ForkLimits:
    """`age` is in milliseconds from when an epoch was superseded, or a losing head entered; `retained` is how many
    epochs are held beside the winning head; `remembered` how many epochs without secrets are known above it."""

    age: int = 7 * 24 * 3600 * 1000
    retained: int = 64
    remembered: int = 64


def settled_forks(tree: ForkTree, ourselves: bytes) -> list[ForkEpoch]:
    """The first epochs of the losing forks that can go."""
    return [first for point, first in losing_forks(tree) if is_consolidated(tree, point, first, ourselves)]


def settled_epochs(tree: ForkTree, ourselves: bytes) -> list[ForkEpoch]:
    """The superseded epochs whose secrets can go by the draft's rule."""
    winner = winning_path(tree)[-1].members or frozenset()
    committers: dict[bytes, frozenset[bytes]] = {}
    for epoch in reversed([epoch for root in tree.roots for epoch in tree.subtree(root)]):
        following = tree.children(epoch)
        committers[epoch.dmls_epoch] = frozenset[bytes]().union(
            *(committers[child.dmls_epoch] for child in following),
            *({child.committer} for child in following if child.committer is not None),
        )
    return [
        epoch
        for epoch in tree
        if epoch.held
        and epoch.superseded_at is not None
        and ((epoch.members or frozenset()) & winner) - {ourselves} <= committers[epoch.dmls_epoch]
    ]


def beyond_limits(tree: ForkTree, limits: ForkLimits, now: int) -> list[ForkEpoch]:
    """The epochs whose secrets have to go whatever else holds: too old, or too many; of these first those of losing
    forks, then the oldest."""
    path = winning_path(tree)
    on_path = {epoch.dmls_epoch for epoch in path}
    held = [epoch for epoch in tree if epoch.held and epoch is not path[-1]]
    old = [epoch for epoch in held if now - _counted_from(epoch) > limits.age]
    left = [epoch for epoch in held if epoch not in old]
    left.sort(key=lambda epoch: (epoch.dmls_epoch in on_path, epoch.number))
    return old + left[: max(0, len(left) - limits.retained)]


def _counted_from(epoch: ForkEpoch) -> int:
    return epoch.entered_at if epoch.superseded_at is None else epoch.superseded_at
