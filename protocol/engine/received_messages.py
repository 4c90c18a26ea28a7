"""Another member's messages, in its order: what they tell this node, and what they bring its apps."""

from __future__ import annotations

from starling.protocol.decentralized.epoch_graph import EpochInfo
from starling.protocol.distributed.application import (
    AGAIN,
    DIRECT,
    HEADS,
    LOST,
    PROFILE,
    REPORT,
    ApplicationData,
)
from starling.protocol.distributed.roster import MemberInfo
from starling.protocol.distributed.roster_body import Heard
from starling.protocol.distributed.roster_rights import READER
from starling.protocol.engine import direct, readding, renaming, resending
from starling.protocol.engine.arrival import Arrival
from starling.protocol.engine.context import Context
from starling.protocol.engine.epochs import let_go_of_targeted, note_change
from starling.protocol.engine.forks import watch_lost_branches
from starling.protocol.engine.group_state import GroupState
from starling.protocol.engine.reporting import take_report
from starling.protocol.engine.universe import Universe
from starling.protocol.errors import DecodeError
from starling.protocol.exchange.waiting import Need, Wait


def receive_message(
    ctx: Context,
    universe: Universe,
    state: GroupState,
    info: EpochInfo,
    arrival: Arrival,
) -> list[Need]:
    """Messages are taken in the owner's order, across epochs too (I4); others wait for those before them."""
    group = state.state(info.dmls_epoch)
    if group is None:
        return []
    _, generation = group.peek_generation(arrival.message.message)
    if info.holds(generation):
        return []
    if state.graph.hole(info.dmls_epoch) is not None:
        raise Wait(Need("whole", state.group_id, b""))
    if generation != info.next_generation and not info.given_up:
        raise Wait(Need("progress", state.group_id, info.dmls_epoch, generation))
    received = group.unprotect(arrival.message.message)
    universe.standing.heard[state.owner] = ctx.now
    info.hold(generation)
    state.asked_in_vain.pop(info.dmls_epoch, None)  # they were asked for less
    state.save_ratchets(ctx, info.dmls_epoch)
    data = _application_data(universe, received.application_data)
    state.log_message(
        ctx,
        arrival.frame_id,
        arrival.data,
        dmls_epoch=info.dmls_epoch,
        generation=generation,
        is_user=data is not None and not data.is_control,
    )
    if data is not None:
        _take(ctx, universe, state, info, generation, data)
    needs = [Need("progress", state.group_id, info.dmls_epoch, info.next_generation)]
    if info.is_past:
        let_go_of_targeted(ctx, state, info)
        universe.sweep_soon(state.group_id, ctx.now)
        state.save_info(ctx, info)
        note_change(ctx, universe)
        needs.append(Need("whole", state.group_id, b""))
    elif info.dmls_epoch in state.graph.closed:
        # Nothing else comes there that would bring the count to the others, and all wait for the same (K-14).
        universe.sweep_soon(state.group_id, ctx.now)
        note_change(ctx, universe)
    return needs


def _application_data(universe: Universe, encoded: bytes) -> ApplicationData | None:
    """What a member said; None, and counted, where it is no application data of ours."""
    try:
        return ApplicationData.decode(encoded)
    except DecodeError:
        universe.refuse("application_data")
        return None


def _take(
    ctx: Context,
    universe: Universe,
    state: GroupState,
    info: EpochInfo,
    generation: int,
    data: ApplicationData,
) -> None:
    if data.is_control:
        # What comes late of a group that its owner has given up is older than what it says in the new one.
        counts = state.graph.counts(info, generation) and universe.is_current(state.group_id)
        if data.content_type == HEADS and counts:
            take_report(ctx, universe, state.owner, data.body)
            watch_lost_branches(ctx, universe, state)
        elif data.content_type == REPORT:
            readding.take_report(ctx, universe, state.owner, data.body)
        elif data.content_type == PROFILE:
            renaming.take_name(ctx, universe, state, data.body)
        elif data.content_type == LOST:
            resending.take_lost(ctx, universe, state, info.number, data.body)
        return
    info.user_count = generation + 1
    note_change(ctx, universe)
    if data.content_type == DIRECT:
        message = direct.open_message(ctx, universe, state, info.dmls_epoch, data.body)
        if message is not None:
            _deliver(ctx, universe, state, info, generation, message, is_direct=True)
    elif data.content_type == AGAIN:
        for message in resending.open_again(universe, state, info.dmls_epoch, data.body):
            _deliver(ctx, universe, state, info, generation, message)
    else:
        _deliver(ctx, universe, state, info, generation, data)


def _was_heard(state: GroupState, info: EpochInfo, generation: int, sender: MemberInfo) -> bool:
    """Whether all who made a member a reader had this message then. Of what they had not nobody can tell when it was
    written: who goes on writing in an epoch that it never ends would be read for ever."""

    def covers(heard: Heard) -> bool:
        if heard.group_id != state.group_id:
            return False
        if info.dmls_epoch == heard.dmls_epoch:
            return generation < heard.count
        if heard.dmls_epoch in state.graph:
            return state.graph.is_at_or_after(heard.dmls_epoch, info.dmls_epoch)
        return info.number < heard.epoch

    return bool(sender.heard) and all(map(covers, sender.heard))


def _deliver(
    ctx: Context,
    universe: Universe,
    state: GroupState,
    info: EpochInfo,
    generation: int,
    data: ApplicationData,
    *,
    is_direct: bool = False,
) -> None:
    """Hand a message to the apps, once per (sender, id) whatever brings it (5.2). Of who is blocked here none is shown,
    also not later; of a reader what those had who made it one."""
    sender = universe.roster.members.get(state.owner)
    if sender is not None and sender.role == READER and not _was_heard(state, info, generation, sender):
        universe.refuse("reader")
        return
    if not universe.delivered.is_new(ctx, state.owner, data.message_id):
        return
    if state.owner in universe.standing.blocked:
        return
    ctx.event(
        "message.received",
        universe.universe_id,
        {
            "sender": state.owner,
            "sender_name": universe.name_of(state.owner),
            "id": data.message_id,
            "to": universe.me if is_direct else None,
            "type": data.content_type,
            "body": data.body,
            "refs": list(data.refs),
            "epoch": info.number,
            "dmls_epoch": info.dmls_epoch,
        },
    )
