"""Members of whom nothing is heard are suspended: each owner removes their leaf from its own send group, and the roster
entry stays. So who is away for long does not keep the others from letting go of old epochs and frames.

A suspended member is told when it comes back, and is added again by itself once it has raised its incarnation in its
own group, which the others have not left (B7): that is `rejoin`, one command.
"""

from __future__ import annotations

from typing import Any

from starling.protocol.distributed import policy
from starling.protocol.engine import readding, resending
from starling.protocol.engine.context import Context
from starling.protocol.engine.epochs import note_change
from starling.protocol.engine.giving_up import tell_since_backup
from starling.protocol.engine.group_state import GroupState
from starling.protocol.engine.standing import Left, Suspended
from starling.protocol.engine.universe import Universe
from starling.protocol.errors import UsageError
from starling.protocol.exchange.member_messages import Excluded


def look(ctx: Context, universe: Universe) -> None:
    """On the timer: suspend who was silent for too long.

    Only time counts in which this node heard somebody now and then: else nobody could tell who of them was away.
    """
    standing = universe.standing
    standing.look_at = ctx.now + policy.ABSENCE_INTERVAL
    for group_id in [group_id for group_id in standing.left if universe.owner_of(group_id) is None]:
        standing.enter(ctx, group_id)
    for group_id in universe.places:
        info = universe.roster.send_groups.get(group_id)
        if info is not None and universe.owner_of(group_id) is None:
            tell_since_backup(ctx, universe, group_id, info.identity)
    for peer_id in universe.links:
        member = universe.member_of_peer(peer_id)
        if member is not None:
            standing.heard[member.identity] = ctx.now
    others = frozenset(info.identity for info in universe.others())
    for identity in others:
        # A member that is new, or a clock that was set back.
        standing.heard[identity] = min(standing.heard.get(identity, ctx.now), ctx.now)
    if not any(standing.heard[identity] > standing.company_at for identity in others):
        return
    alone = ctx.now - standing.company_at
    standing.company_at = ctx.now
    if alone > policy.LATELY:
        standing.shift(alone, ctx.now)
    for identity in sorted(others - standing.suspended.keys()):
        if ctx.now - standing.heard[identity] > policy.SUSPENDED_AFTER:
            _suspend(ctx, universe, identity)
    standing.save_heard(ctx, others)


def _suspend(ctx: Context, universe: Universe, identity: bytes) -> None:
    """What it has not acknowledged is held for it, as far as there is room (B10)."""
    if identity in universe.own.members():
        resending.hold_back(ctx, universe, identity, resending.owed_to(universe, identity))
    last_heard = universe.standing.heard[identity]
    suspended = Suspended(last_heard, universe.incarnation_of(identity), universe.outbox.sent)
    universe.standing.suspend(ctx, identity, suspended)
    universe.agreed.clear()
    universe.timers.align = ctx.now
    ctx.event("member.suspended", universe.universe_id, {"identity": identity, "last_heard": last_heard})


def take_back(ctx: Context, universe: Universe) -> None:
    """Before the own group is brought in step: who has raised its incarnation is not suspended any more. What was sent
    meanwhile was not for it, and it is told how much that was."""
    for identity, suspended in list(universe.standing.suspended.items()):
        if identity not in universe.roster.members:
            universe.standing.end_suspension(ctx, identity)
        elif universe.incarnation_of(identity) > suspended.incarnation:
            universe.standing.end_suspension(ctx, identity)
            universe.standing.heard[identity] = ctx.now
            missed = universe.outbox.missed_since(suspended.messages)
            if missed:
                universe.outbox.lose(ctx, identity, missed, universe.own.graph.head_info.number)
            ctx.event("member.returned", universe.universe_id, {"identity": identity})


# the other side


def tell_excluded(ctx: Context, universe: Universe, peer_id: bytes, group_ids: set[bytes]) -> None:
    """A member names a place in our own group that has no leaf of it any more: it was away when it was removed."""
    member = universe.member_of_peer(peer_id)
    if member is None or universe.group_id not in group_ids:
        return
    if universe.standing.keeps_out(member.identity) and not universe.shares(universe.own, member.identity):
        absent = member.identity in universe.standing.suspended
        ctx.send(peer_id, Excluded(universe.universe_id, absent))


def take_excluded(ctx: Context, universe: Universe, peer_id: bytes, message: Excluded) -> None:
    """The owner itself says so: this node reads no further in its group (K-20)."""
    owner = universe.member_of_peer(peer_id)
    state = universe.groups.get(owner.send_group_id) if owner is not None else None
    if state is not None and not state.is_own:
        leave_group(ctx, universe, state, absent=message.absent)


def leave_group(ctx: Context, universe: Universe, state: GroupState, *, absent: bool = False) -> None:
    """This node was removed from a current member's group."""
    number = state.graph.head_info.number
    body = {"owner": state.owner, "epoch": number, "absent": absent}
    ctx.event("member.excluded", universe.universe_id, body)
    if universe.is_current(state.group_id):
        universe.standing.exclude(ctx, state.group_id, absent=absent)
    universe.stuck.free(ctx, state.group_id)
    drop_group(ctx, universe, state)
    note_change(ctx, universe)


def drop_group(ctx: Context, universe: Universe, state: GroupState) -> None:
    """Forget a group that this node is in no more, or not by the leaf that it had (K-20), but for when that was."""
    left = Left(state.graph.head_info.number, readding.own_incarnation_in(state))
    universe.standing.leave(ctx, state.group_id, left)
    universe.waiting.forget_group(state.group_id)
    state.delete(ctx)
    del universe.groups[state.group_id]
    universe.agreed.clear()


def rejoin(ctx: Context, universe: Universe) -> dict[str, Any]:
    """Ask everybody to be added again, because a person says so; raises `UsageError` where there is no need, or it was
    done too often."""
    if universe.silenced or not universe.boot.done:
        raise UsageError("this node has just started; try again in a moment", "busy")
    groups = {
        group_id for group_id in universe.standing.excluded if universe.is_current(group_id)
    } | universe.stuck.groups.keys()
    if not groups:
        raise UsageError(
            "nobody has removed this node from their group, as far as it knows", "rejoin.needless"
        )
    if universe.stuck.may_readd_at(universe.me, ctx.now) > ctx.now:
        raise UsageError(
            f"this node was added again {policy.READDS_PER_DAY} times in a day; try again tomorrow", "busy"
        )
    readding.ask_again(ctx, universe, groups)
    return {"groups": len(groups)}
