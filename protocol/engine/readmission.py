"""Starting anew: a member whose send group is of no use any more comes back with a new one (PROTOCOL 5.6 B4, B7).

It was put back to an old state that the others have gone by, lacks secrets of epochs that it has forgotten, or is
the one of two copies that is to stay. It gives up its send group at once and founds one that supersedes it, keeps
history, queue and what it can still read, and asks to be admitted again; by the roster entry that comes of it all
owners remove its old leaf and add the new one. Until then nothing is sent: what apps send is queued.
"""

from __future__ import annotations

from typing import Any

from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.distributed import policy
from starling.protocol.distributed.readmit_request import ReadmitRequestTBS
from starling.protocol.distributed.roster_rights import Right
from starling.protocol.distributed.send_group_id import new_send_group_id
from starling.protocol.distributed.universe_component import read_universe
from starling.protocol.engine import aligning, denying, own_group, resending, resolving, sponsoring
from starling.protocol.engine.context import Context
from starling.protocol.engine.epochs import forget_imports, forget_psk
from starling.protocol.engine.profile_exchange import profiles_of
from starling.protocol.engine.under_way import AsksAgain, Boot
from starling.protocol.engine.universe import Universe
from starling.protocol.errors import UsageError
from starling.protocol.exchange.member_messages import WantProfiles
from starling.protocol.exchange.readmission_messages import ReadmitRequest


def recover(ctx: Context, universe: Universe) -> dict[str, Any]:
    """Start anew because a person says so; raises `UsageError` where nobody could admit this node."""
    if universe.is_asking:
        _admit_self(ctx, universe)
    elif not begin(ctx, universe, "command"):
        raise UsageError("nobody is left in this universe who could admit this node again", "forbidden")
    state = "active" if universe.is_admitted else "asking"
    return {"state": state, "verification": verification(universe)}


def begin(ctx: Context, universe: Universe, reason: str) -> bool:
    """Give up the own send group and ask to be admitted with a new one. False where nobody could do that, or this
    node asks already, or was superseded: of two copies that would never end, so there a person decides.

    `reason` is a word for people; `command` is the person's own.
    """
    standing = universe.roster.members.get(universe.me)
    somebody_may = any(universe.roster.may(identity, Right.READMIT) for identity in universe.roster.members)
    if standing is None or not universe.is_active or universe.is_asking or not somebody_may:
        return False
    if not universe.is_admitted and reason != "command":
        return False
    shown = {identity: head for head, named in universe.foreign_heads.items() for identity in named}
    universe.given_up, universe.shown_heads = frozenset(universe.own.graph.epochs), shown
    _give_up_own_group(ctx, universe)
    come_back(ctx, universe, reason)
    return True


def come_back(ctx: Context, universe: Universe, reason: str) -> None:
    """Found a send group that supersedes the one that the roster names, for a node that has none, and ask to be
    admitted with it. Who may admit others admits itself: at once where a person says so, or nobody else is there; else
    when it was connected for a while, so that it knows whether it still may, and no other node with its keys denied to
    be it."""
    standing = universe.roster.members[universe.me]
    universe.group_id = new_send_group_id(universe.universe_id, universe.me, ctx.random)
    # In seconds, so that it rises for a node too that has forgotten what it was; and above what another copy of it may
    # make its own by then, as that asks to be added again (`readding`).
    least = (ctx.now + policy.MINUTE) // 1000
    universe.incarnation = max(least, universe.incarnation + 1, standing.incarnation + 1)
    universe.signature_private_key, _ = cipher_suite(universe.cipher_suite).signature_generate(ctx.random)
    universe.bundles.start_anew(ctx)
    own_group.make_bundles(ctx, universe)
    own_group.found_group(ctx, universe, supersedes=standing.send_group_id)
    universe.boot = Boot(deadline=ctx.now)
    universe.silenced = True
    universe.timers.readmit = ctx.now
    universe.timers.undenied = None
    universe.save(ctx)
    digits = verification(universe)
    ctx.event("universe.recovering", universe.universe_id, {"reason": reason, "verification": digits})
    if reason == "command" or len(universe.roster.members) == 1:
        _admit_self(ctx, universe)


def _admit_self(ctx: Context, universe: Universe) -> None:
    """Who may admit others asks nobody."""
    if universe.roster.may(universe.me, Right.READMIT):
        request = request_of(universe)
        profile = profiles_of(universe, [universe.me]).profiles[0]
        asked = AsksAgain(request, request.verification(), profile, ctx.now)
        sponsoring.readmit_self(ctx, universe, asked)


def _give_up_own_group(ctx: Context, universe: Universe) -> None:
    """Wipe the own send group, alarms about it included. What others imported from it stays until they have this
    node anew: their commits cannot be followed without."""
    own = universe.own
    universe.told_twice = own.frozen_by
    resending.hold_back_all(ctx, universe)
    universe.waiting.forget_group(own.group_id)
    universe.behind.pop(own.group_id, None)
    forget_imports(ctx, universe, own.group_id)
    own.delete(ctx)
    del universe.groups[own.group_id]
    universe.suspected.clear()
    universe.rollbacks.clear()
    universe.timers.resolve = None
    universe.agreed.clear()


def forget_given_up(ctx: Context, universe: Universe) -> None:
    """Wipe the PSKs of send groups that this node gave up, once no group that it reads has its old leaf."""
    former = {
        exported.group_id: info
        for exported in universe.ledger.psks.values()
        if exported.group_id != universe.group_id
        and (info := universe.roster.send_groups.get(exported.group_id)) is not None
        and info.identity == universe.me
    }
    for group_id, info in former.items():
        if any(universe.has_leaf(state, info) for state in universe.groups.values()):
            continue
        for exported in [found for found in universe.ledger.psks.values() if found.group_id == group_id]:
            forget_psk(ctx, universe, exported)
        forget_imports(ctx, universe, group_id)


def request_of(universe: Universe) -> ReadmitRequestTBS:
    """What this node asks for, as it is signed."""
    return ReadmitRequestTBS(
        universe.universe_id,
        universe.me,
        universe.group_id,
        universe.incarnation,
        universe.identity.name.encode(),
        universe.cipher_suite,
        tuple(package.encode() for package in universe.bundles.newest()),
    )


def verification(universe: Universe) -> str:
    """The digits of this node's own request."""
    return request_of(universe).verification()


def resume(universe: Universe) -> None:
    """After a restart: whether the own group was founded anew and nothing was sent in it yet. There is none where the
    rows are a backup's."""
    if universe.group_id in universe.groups and universe.own.graph.head_info.number == 0:
        description = read_universe(universe.own.head.context.extensions)
        universe.silenced = bool(description.supersedes)
        universe.timers.readmit = 0 if universe.silenced else None


def watch(ctx: Context, universe: Universe) -> None:
    """On every turn of a member: ask again; notice to be admitted, that another copy of this node was, or that this
    node was put back to a state from which a member cannot follow it any more."""
    if universe.is_admitted:
        if universe.silenced:
            _go_on_once_ready(ctx, universe)
        elif resolving.cut_off(universe) or resolving.is_unread(universe, ctx.now):
            begin(ctx, universe, "rollback")
        return
    if not universe.silenced:
        universe.silenced = True
        universe.boot = Boot(deadline=ctx.now)
        universe.timers.readmit = ctx.now
    if universe.is_asking:
        if _is_due(universe.timers.readmit, ctx.now):
            _ask(ctx, universe)
    elif universe.timers.readmit is not None:
        # Perhaps while this node asked for itself: another one with its identity was admitted.
        universe.timers.readmit = None
        ctx.event("universe.superseded", universe.universe_id, {})


def _ask(ctx: Context, universe: Universe) -> None:
    """Ask all connected members who may admit, once they have told which heads of the former group they know: another
    node with the own keys hears of these first. Who may admit itself waits for that one to deny it, and if it does for
    a person."""
    timers = universe.timers
    timers.readmit = ctx.now + ctx.jittered(policy.READMIT_AGAIN)
    told = {peer_id for peer_id, link in universe.links.items() if not link.is_new}
    timers.undenied = (timers.undenied or ctx.now) if told else None
    has_waited = timers.undenied is not None and ctx.now - timers.undenied >= policy.READMIT_WAIT
    if has_waited and not denying.is_denied(universe):
        _admit_self(ctx, universe)
    if universe.is_admitted:
        return
    denying.tell_sighting(ctx, universe)
    asked = [
        info.peer_id
        for info in universe.others()
        if info.peer_id in told and universe.roster.may(info.identity, Right.READMIT)
    ]
    if asked:
        message = ReadmitRequest(
            universe.universe_id,
            universe.identity.name,
            universe.cipher_suite,
            profiles_of(universe, [universe.me]).profiles[0],
            request_of(universe).sign(universe.identity),
        )
        for peer_id in asked:
            ctx.send(peer_id, message)


def _go_on_once_ready(ctx: Context, universe: Universe) -> None:
    """Admitted: with KeyPackages of the others that still hold the boot commit is due, and adds everybody.

    Those that this node had may be so old that their owners deleted the keys (X-10). Who cannot be had in a few seconds
    is added later; without any of them nobody could read anything, so then nothing is sent either.
    """
    timers = universe.timers
    others = [info.identity for info in universe.others() if not universe.standing.keeps_out(info.identity)]
    if timers.readmitted is None:
        timers.readmitted = ctx.now + policy.BOOT_WAIT
        timers.readmit = ctx.now
        universe.profiles.forget_key_packages(ctx)
    lacking = [
        identity
        for identity in others
        if aligning.usable_key_package(ctx, universe, identity, universe.incarnation_of(identity)) is None
    ]
    if lacking and (len(lacking) == len(others) or ctx.now < timers.readmitted):
        if _is_due(timers.readmit, ctx.now):
            timers.readmit = ctx.now + ctx.jittered(policy.ASK_AGAIN)
            for peer_id in universe.links:
                ctx.send(peer_id, WantProfiles.some(universe.universe_id, lacking))
        return
    timers.readmit = timers.readmitted = None
    timers.first_path = ctx.now + policy.FIRST_PATH_COMMIT
    universe.silenced = False
    universe.save(ctx)
    ctx.event("universe.recovered", universe.universe_id, {})


def next_wake(universe: Universe) -> int | None:
    """When to try again while the own group may not be spoken in; None where that hangs on others alone."""
    if universe.is_admitted:
        return universe.timers.readmit
    return universe.timers.readmit if universe.is_asking else None


def _is_due(time: int | None, now: int) -> bool:
    return time is not None and time <= now
