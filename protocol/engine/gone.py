"""Frames that are not held any more: saying so to who asks for them (PROTOCOL section 7, B7)."""

from __future__ import annotations

from starling.protocol.engine.group_state import GroupState
from starling.protocol.engine.universe import Universe
from starling.protocol.exchange.member_messages import WantedEpoch


def gone_row(
    universe: Universe, group_id: bytes, member: bytes, epochs: tuple[WantedEpoch, ...]
) -> tuple[bytes, int | None] | None:
    """What to say to a member that asks for what follows these epochs of a group, or without any for the frame that
    adds it: the oldest epoch from which this node can lead on, None where there is none. Nothing where it can help,
    or where its owner may yet know more."""
    state = universe.groups.get(group_id)
    if state is None or not universe.shares(state, member):
        is_former = group_id in universe.roster.send_groups and not universe.is_current(group_id)
        return (group_id, None) if is_former else None
    if not epochs:
        return (group_id, None) if state.log.adding(member) is None else None
    if not universe.is_current(group_id) and not _leads_on(state, epochs):
        return group_id, None
    oldest = max((_messages_from(state, epochs), _commits_from(state, epochs)), key=lambda found: found or -1)
    return (group_id, oldest) if oldest is not None else None


def _leads_on(state: GroupState, epochs: tuple[WantedEpoch, ...]) -> bool:
    """Whether this node holds any frame that follows these epochs. Where it is no further itself in a former member's
    group, it waits in vain for who waits for it: nobody commits there any more."""
    return any(any(True for _ in state.log.after(*epoch)) for epoch in epochs)


def _commits_from(state: GroupState, epochs: tuple[WantedEpoch, ...]) -> int | None:
    """The number of the oldest epoch from which the held commits lead to the newest, where none of them follows what
    the member has; None where it needs none, or one does."""
    newest = [dmls_epoch for dmls_epoch, _, children in epochs if not children]
    held = (state.log.epochs.get(dmls_epoch) for dmls_epoch in newest)
    if not newest or state.graph.head in newest or any(frames and frames.commits for frames in held):
        return None
    return floor(state)


def _messages_from(state: GroupState, epochs: tuple[WantedEpoch, ...]) -> int | None:
    """The number of the oldest epoch of which this node may still have all that is asked for, where it does not have
    some of it any more: what all have acknowledged is gone, also for one that was put back since."""
    graph = state.graph
    gone = [graph.oldest_number for dmls_epoch, _, _ in epochs if dmls_epoch not in graph]
    for dmls_epoch, contiguous, _ in epochs:
        info = graph.get(dmls_epoch)
        if info is not None and info.holds(contiguous) and not state.log.holds(dmls_epoch, contiguous):
            gone.append(info.number + 1)
    return max(gone, default=None)


def floor(state: GroupState) -> int:
    """The number of the oldest epoch from which the held commits lead to the newest."""
    parents = {frame.child: frame.dmls_epoch for frame in state.log.commits()}
    dmls_epoch, number = state.graph.head, state.graph.head_info.number
    while dmls_epoch in parents and number > 0:
        dmls_epoch, number = parents[dmls_epoch], number - 1
    return number
