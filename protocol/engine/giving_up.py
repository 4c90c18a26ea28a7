"""What is given up: messages and closed branches that were asked for, and that nobody can give any more (K-14)."""

from __future__ import annotations

from starling.protocol.decentralized.epoch_graph import EpochInfo
from starling.protocol.decentralized.settling import (
    GIVE_UP,
    Reports,
    held_generations,
    holders,
    is_out_of_reach,
)
from starling.protocol.distributed import policy
from starling.protocol.engine.context import Context
from starling.protocol.engine.epochs import let_go_of_targeted, note_change
from starling.protocol.engine.group_state import GroupState
from starling.protocol.engine.universe import Universe


def give_up(ctx: Context, universe: Universe, state: GroupState, reports: Reports) -> None:
    """After a day of asking the missing messages of a superseded epoch are unavailable (K-14), and so is a closed
    branch that never came; at once where nobody has them who could give them. So are messages of an epoch that is over
    which no commit counts, where all who hold them have been asked in vain: this node had them itself before it was put
    back, so their frames are gone."""
    graph = state.graph
    for head, since in list(state.awaited.items()):
        if ctx.now - since >= GIVE_UP or _nobody_gives(ctx.now, state, head, reports):
            del state.awaited[head]
            state.asked_in_vain.pop(head, None)
            state.save(ctx)
            resolving = graph.get(graph.closed.get(head, b"")) or graph.head_info
            tell_unavailable(ctx, universe, state.owner, resolving.number, 0)
    for info in graph.incomplete():
        if not info.children or info.superseded_at is None:
            continue
        if ctx.now - info.superseded_at >= GIVE_UP or is_out_of_reach(graph, info, reports):
            _give_up_messages(ctx, universe, state, info)
    for dmls_epoch, asked in state.asked_in_vain.items():
        past = graph.get(dmls_epoch)
        if past is None or not past.is_past or past.given_up:
            continue
        holding = {
            identity
            for identity, report in reports.items()
            if held_generations(graph, report, past) > past.contiguous
        }
        if holding and holding <= asked:
            _give_up_messages(ctx, universe, state, past)


def _give_up_messages(ctx: Context, universe: Universe, state: GroupState, info: EpochInfo) -> None:
    info.given_up = True
    state.save_info(ctx, info)
    let_go_of_targeted(ctx, state, info)
    tell_unavailable(ctx, universe, state.owner, info.number, info.contiguous)


def _nobody_gives(now: int, state: GroupState, head: bytes, reports: Reports) -> bool:
    """Whether nobody has a closed head, or for a minute all who do have been asked again and again: the frames on the
    way to it are gone, or cannot be opened here. Where that shows for a minute no more is waited for: who reports to
    have it may be far ahead, by epochs that wait here for what was imported from there."""
    if now - state.awaited[head] >= policy.GONE_WAIT and any(
        now - since >= policy.GONE_WAIT for since in state.closed_off.values()
    ):
        return True
    found = holders(state.graph, head, reports) if head in state.graph.closed else None
    if found is None:
        return False
    return not found or (
        now - state.awaited[head] >= policy.GONE_WAIT
        and state.asked_in_vain.get(head, set()).issuperset(found)
    )


def tell_unavailable(ctx: Context, universe: Universe, owner: bytes, epoch: int, held: int) -> None:
    """Tell the apps that of an epoch of an owner's group only the first `held` messages came."""
    note_change(ctx, universe)
    body = {"owner": owner, "epoch": epoch, "held": held, "count": None}
    ctx.event("messages.unavailable", universe.universe_id, body)


def tell_since_backup(ctx: Context, universe: Universe, group_id: bytes, owner: bytes) -> None:
    """B10: where this node came back by a backup, it is in a group again, or never will be: what was said in it
    meanwhile may be missing."""
    place = universe.places.leave(ctx, group_id)
    if place is not None:
        tell_unavailable(ctx, universe, owner, place.epoch, place.held)
