"""Which frames go: those that all who may want them have acknowledged, and those that are too old (5.4, X-18)."""

from __future__ import annotations

from starling.protocol.decentralized.epoch_graph import EpochInfo
from starling.protocol.decentralized.settling import (
    Reports,
    has_reached,
    held_generations,
)
from starling.protocol.distributed import policy
from starling.protocol.engine import frame_quota
from starling.protocol.engine.context import Context
from starling.protocol.engine.group_state import GroupState
from starling.protocol.engine.universe import Universe
from starling.protocol.exchange.frame_log import EpochFrames, LoggedFrame


def drop_frames(ctx: Context, universe: Universe, state: GroupState, reports: Reports) -> None:
    """Frames go when all who may want them have acknowledged them, or after 30 days.

    Oldest epoch first, on each branch up to the first one of which something stays: what follows it is younger, and
    whoever has not acknowledged all of one epoch has none of a later one.
    """
    frames, size = 0, 0
    graph = state.graph
    stuck: list[bytes] = []
    for dmls_epoch, held in list(state.log.epochs.items()):
        if any(graph.is_at_or_after(dmls_epoch, older) for older in stuck):
            continue
        for logged in _unwanted(state, dmls_epoch, held, reports, ctx.now):
            if ctx.now - logged.stored_at > policy.FRAME_RETENTION:
                frames, size = frames + 1, size + logged.size
            state.drop_frame(ctx, logged)
        if held.messages or any(logged.child not in graph.tips for logged in held.commits):
            if len(graph.tips) == 1:
                break
            stuck.append(dmls_epoch)
    if frames:
        frame_quota.tell(ctx, universe, state, frames, size, "age")


def _unwanted(
    state: GroupState, dmls_epoch: bytes, held: EpochFrames, reports: Reports, now: int
) -> list[LoggedFrame]:
    """The frames of one epoch that everybody has, or that are too old."""
    info = state.graph.get(dmls_epoch)
    least = _least_held(state, info, reports) if info is not None else 0
    unwanted = [
        logged
        for generation, logged in held.messages.items()
        if generation < least or now - logged.stored_at > policy.FRAME_RETENTION
    ]
    for logged in held.commits:
        if logged.child in state.graph.tips and not state.is_own:
            continue  # it can show an owner that was put back that it is so (B3)
        child = state.graph.get(logged.child)
        wanted_by = child.members if child is not None else frozenset()
        acknowledged = all(
            has_reached(state.graph, reports.get(identity), logged.child)
            for identity in wanted_by
            if identity in reports
        )
        if acknowledged or now - logged.stored_at > policy.FRAME_RETENTION:
            unwanted.append(logged)
    return unwanted


def _least_held(state: GroupState, info: EpochInfo, reports: Reports) -> int:
    """How many generations of an epoch all of its members hold, as far as they have reported. What no commit counts
    of one whose secrets are gone is of no use to anybody."""
    least = min(
        (
            held_generations(state.graph, reports[identity], info)
            for identity in info.members
            if identity in reports
        ),
        default=info.next_generation,
    )
    is_gone = info.has_uncounted and info.dmls_epoch not in state.retained()
    return info.next_generation if is_gone and least >= (info.application_count or 0) else least
