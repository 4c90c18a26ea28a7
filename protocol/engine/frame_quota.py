"""How much is kept of what others may want again: the quota of K-14.

A member that is silent, or an owner that says too much, would otherwise fill every disk for 30 days.
"""

from __future__ import annotations

from collections.abc import Iterable

from starling.protocol.distributed import policy
from starling.protocol.engine.context import Context
from starling.protocol.engine.group_state import GroupState
from starling.protocol.engine.universe import Universe


def watch(ctx: Context, universe: Universe) -> None:
    """Have those groups swept now that have grown beyond their quota; nothing to do where none has grown."""
    kept = universe.kept
    for group_id in kept.grown:
        state = universe.groups.get(group_id)
        if state is not None and not _quota(state).holds(len(state.log), state.log.size):
            universe.unswept.add(group_id)
            universe.timers.retention = ctx.now
    if kept.grown and not policy.FRAMES_OF_UNIVERSE.holds(kept.frames, kept.size):
        universe.unswept.update(universe.groups)
        universe.timers.retention = ctx.now
    kept.grown.clear()


def enforce(ctx: Context, universe: Universe) -> None:
    """After what is acknowledged is gone: let go of the oldest frames of whoever has too many.

    Each owner has a quota. What all have together has one too: it is met by those that have the most, and never by
    this node's own frames, which nobody else may hold yet.
    """
    for state in universe.groups.values():
        if not _quota(state).holds(len(state.log), state.log.size):
            _cut(ctx, universe, state, _less(_quota(state)))
    if not policy.FRAMES_OF_UNIVERSE.holds(universe.kept.frames, universe.kept.size):
        _cut_largest(ctx, universe)


def _quota(state: GroupState) -> policy.FrameQuota:
    return policy.OWN_FRAMES if state.is_own else policy.FRAMES_OF_OWNER


def tell(ctx: Context, universe: Universe, state: GroupState, frames: int, size: int, reason: str) -> None:
    """Frames are gone that not everybody has acknowledged: who lacks them may never get them."""
    body = {"owner": state.owner, "frames": frames, "bytes": size, "reason": reason}
    ctx.event("frames.dropped", universe.universe_id, body)


def _less(quota: policy.FrameQuota) -> policy.FrameQuota:
    """An eighth less, so that it happens, and is told, seldom."""
    return policy.FrameQuota(quota.frames * 7 // 8, quota.size * 7 // 8)


def _cut(ctx: Context, universe: Universe, state: GroupState, quota: policy.FrameQuota) -> None:
    frames, size = len(state.log), state.log.size
    for logged in list(state.log.oldest_first()):
        if quota.holds(len(state.log), state.log.size):
            break
        state.drop_frame(ctx, logged)
    if len(state.log) < frames:
        universe.sweep_soon(state.group_id, ctx.now)
        tell(ctx, universe, state, frames - len(state.log), size - state.log.size, "quota")


def _cut_largest(ctx: Context, universe: Universe) -> None:
    others = [state for state in universe.groups.values() if not state.is_own]
    own = universe.own.log
    target = _less(policy.FRAMES_OF_UNIVERSE)
    share = policy.FrameQuota(
        _share((len(state.log) for state in others), target.frames - len(own)),
        _share((state.log.size for state in others), target.size - own.size),
    )
    for state in others:
        _cut(ctx, universe, state, share)


def _share(held: Iterable[int], total: int) -> int:
    """The largest share that each may have so that together they have no more than the total."""
    amounts = sorted(held)
    for position, amount in enumerate(amounts):
        share = max(0, total) // (len(amounts) - position)
        if amount > share:
            return share
        total -= amount
    return max(amounts, default=0)
