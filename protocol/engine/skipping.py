"""Messages of a closed head that nobody has any more: what comes after them is read all the same (PROTOCOL K-14)."""

from __future__ import annotations

from starling.protocol.decentralized.epoch_graph import EpochInfo
from starling.protocol.decentralized.settling import Reports, gone_of_head
from starling.protocol.engine.context import Context
from starling.protocol.engine.giving_up import tell_unavailable
from starling.protocol.engine.group_state import GroupState
from starling.protocol.engine.receiving import receive
from starling.protocol.engine.universe import Universe
from starling.protocol.exchange.waiting import Need


def skip_gone(ctx: Context, universe: Universe, state: GroupState, reports: Reports) -> None:
    """All who hold more of a closed head were asked in vain: this node had it itself before it was put back, so the
    frames are gone. It acknowledges them once more, and the branch goes as soon as all agree on it."""
    for head, asked in list(state.asked_in_vain.items()):
        gone = gone_of_head(state.graph, head, reports, asked, ctx.now)
        if gone is not None:
            del state.asked_in_vain[head]
            _skip(ctx, universe, state, state.graph[head], gone)


def _skip(ctx: Context, universe: Universe, state: GroupState, info: EpochInfo, gone: int) -> None:
    """Go on with the oldest message that waits here; where none does, after what the least of the others hold."""
    held = info.contiguous
    waiting = universe.waiting.generations(state.group_id, info.dmls_epoch)
    info.skip_to(min(generation for generation in (*waiting, gone) if generation > held))
    state.save_info(ctx, info)
    tell_unavailable(ctx, universe, state.owner, info.number, held)
    need = Need("progress", state.group_id, info.dmls_epoch, info.next_generation)
    for frame in universe.waiting.release(need):
        receive(ctx, universe, frame.forwarder, frame.frame)
    universe.sweep_soon(state.group_id, ctx.now)
