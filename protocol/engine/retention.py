"""Forgetting what nobody needs: sweeping a universe, and its epochs, records and PSKs (PROTOCOL 5.4, K-14)."""

from __future__ import annotations

from starling.protocol.decentralized.settling import (
    Reported,
    Reports,
    lacks_of_head,
    lingers_until,
    settled_epochs,
    settled_heads,
)
from starling.protocol.distributed import policy
from starling.protocol.distributed.psk_ledger import has_branches
from starling.protocol.engine import former_groups, frame_quota, healing, readmission, resending
from starling.protocol.engine.asking import lacks_a_head, note_stalled
from starling.protocol.engine.bundle_retention import acknowledged_own_epoch
from starling.protocol.engine.context import Context
from starling.protocol.engine.epochs import forget_psk, let_go_of_targeted, note_change
from starling.protocol.engine.forks import drop_branch, watch_unresolved
from starling.protocol.engine.frame_retention import drop_frames
from starling.protocol.engine.giving_up import give_up, tell_unavailable
from starling.protocol.engine.group_state import GroupState
from starling.protocol.engine.skipping import skip_gone
from starling.protocol.engine.universe import Universe


def sweep(ctx: Context, universe: Universe) -> None:
    """Let go of everything whose time has come in one universe: in the groups where something changed, and now and
    then in all, for what time alone makes due."""
    timers = universe.timers
    timers.retention = None
    if timers.full_sweep is None or timers.full_sweep <= ctx.now:
        timers.full_sweep = ctx.now + policy.SWEEP_INTERVAL
        universe.unswept.update(universe.groups)
        note_stalled(ctx, universe)
    changed, universe.unswept = universe.unswept, set()
    # First: it looks at epochs whose records go below.
    if universe.bundles.any_superseded:
        universe.bundles.forget(ctx, acknowledged_own_epoch(universe))
    for state in list(universe.groups.values()):
        if state.is_own or universe.is_current(state.group_id):
            is_former = False
        else:
            is_former = former_groups.is_past_removal(universe, state.group_id)
        if is_former:
            former_groups.drop_group(ctx, universe, state)
        elif state.group_id in changed:
            _sweep_group(ctx, universe, state)
    frame_quota.enforce(ctx, universe)
    readmission.forget_given_up(ctx, universe)
    _drop_psks(ctx, universe)
    healing.sweep(ctx, universe)


def _sweep_group(ctx: Context, universe: Universe, state: GroupState) -> None:
    reports = reports_of(universe, state)
    give_up(ctx, universe, state, reports)
    skip_gone(ctx, universe, state, reports)
    watch_unresolved(ctx, universe, state)
    if not state.is_own:
        _settle(ctx, universe, state, reports)
    drop_frames(ctx, universe, state, reports)
    if state.is_own:
        resending.forget_acknowledged(ctx, universe)
    _drop_infos(ctx, universe, state)


def _settle(ctx: Context, universe: Universe, state: GroupState, reports: Reports) -> None:
    """Let go of the secrets of epochs, and of closed branches whole, that nobody needs any more (K-14)."""
    graph = state.graph
    more_to_come = bool(state.awaited or universe.wanted_reports()) or _is_in_doubt(ctx, universe, state)
    settled = settled_epochs(
        graph,
        tuple(state.retained()),
        reports,
        ctx.now,
        unshared=state.unshared,
        more_to_come=more_to_come,
    )
    _tell_settled(ctx, universe, state, settled, closed=False)
    for dmls_epoch in settled:
        state.drop_state(ctx, dmls_epoch)
    for dmls_epoch in state.retained():
        let_go_of_targeted(ctx, state, graph[dmls_epoch])
    _look_again(ctx, universe, state)
    for head in settled_heads(graph, reports, ctx.now):
        branch = graph.alone(head)
        retained = frozenset(state.retained())
        kept = [info.dmls_epoch for info in branch if info.dmls_epoch in retained]
        if lacks_of_head(graph, head, reports):
            tell_unavailable(ctx, universe, state.owner, graph[head].number, graph[head].contiguous)
        _tell_settled(ctx, universe, state, kept, closed=True)
        resolving = graph.closed[head]
        drop_branch(ctx, universe, state, branch)
        for info in reversed(branch):  # the head last: of a long branch the oldest are forgotten
            graph.close(info.dmls_epoch, resolving, ctx.now)
        state.save(ctx)
        note_change(ctx, universe)
        universe.sweep_soon(state.group_id, ctx.now)


def _is_in_doubt(ctx: Context, universe: Universe, state: GroupState) -> bool:
    """Whether a head that is being asked for may be on another branch of what would go now. Anybody can claim that, so
    it does not count for long."""
    if not lacks_a_head(universe, state):
        state.in_doubt_since = None
        return False
    state.in_doubt_since = state.in_doubt_since if state.in_doubt_since is not None else ctx.now
    return ctx.now - state.in_doubt_since < policy.DOUBT_WAIT


def _look_again(ctx: Context, universe: Universe, state: GroupState) -> None:
    """Come back when what lingers may go."""
    lingering = (lingers_until(state.graph, state.graph[dmls_epoch]) for dmls_epoch in state.retained())
    due = min((until for until in lingering if until > ctx.now), default=None)
    if due is not None:
        universe.unswept.add(state.group_id)
        universe.timers.retention = min(universe.timers.retention or due, due)


def _tell_settled(
    ctx: Context, universe: Universe, state: GroupState, settled: list[bytes], *, closed: bool
) -> None:
    if settled:
        numbers = sorted(state.graph[dmls_epoch].number for dmls_epoch in settled)
        body = {"owner": state.owner, "epochs": numbers, "closed": closed}
        ctx.event("epoch.settled", universe.universe_id, body)


def reports_of(universe: Universe, state: GroupState) -> Reports:
    """What the current members of a group but its owner and this node have reported of it."""
    return {
        identity: _reported(universe, state, identity)
        for identity in state.graph.head_info.members
        if identity not in (state.owner, universe.me) and identity in universe.roster.members
    }


def _reported(universe: Universe, state: GroupState, identity: bytes) -> Reported | None:
    """K-14: for a member whose send group does not include this node, the floor that the owner reports counts."""
    if universe.roster.members[identity].send_group_id in universe.groups:
        return universe.reported(identity, state.group_id)
    owner = universe.reported(state.owner, state.group_id)
    known = owner is not None and owner.past in state.graph
    return Reported(owner.past, owner.past, 0) if owner is not None and known else None


def _drop_infos(ctx: Context, universe: Universe, state: GroupState) -> None:
    """The records of old epochs go when neither secrets nor frames of them are kept any more.

    So all have acknowledged them, or they are beyond the limits. On each branch oldest first, up to the first that
    stays: a gap would hide an older epoch that is not whole yet. A head and its parent stay, and of the own group all
    since the parent of the newest path commit: who could open that tells which KeyPackages are out of use. Where the
    group has forked those stay too of which a PSK is kept: only the graph tells that it is not of a dead branch.
    """
    graph = state.graph
    forked = has_branches(graph)
    kept_from = None
    if state.is_own:
        path = next((info for info in graph.lineage(graph.head) if info.with_path), graph.head_info)
        kept_from = path.number - 1
    states = set(state.retained())
    pending = list(graph.roots)
    while pending:
        info = graph[pending.pop()]
        if (
            not info.is_past
            or info.dmls_epoch in states
            or info.dmls_epoch in state.log.epochs
            or (kept_from is not None and info.number >= kept_from)
            or any(child in graph.tips for child in info.children)
            or (forked and universe.ledger.find(state.group_id, info.dmls_epoch) is not None)
        ):
            continue
        pending += info.children
        state.drop_info(ctx, info.dmls_epoch)


def _drop_psks(ctx: Context, universe: Universe) -> None:
    owners = {group_id: state.owner for group_id, state in universe.groups.items()}
    retained = {group_id: list(state.retained()) for group_id, state in universe.groups.items()}
    here = universe.roster.members.keys() - universe.standing.suspended.keys()
    unneeded = universe.ledger.unneeded(ctx.now, owners, here, retained, universe.graphs())
    for exported in unneeded:
        forget_psk(ctx, universe, exported)
