"""Forgetting what nobody needs: epochs, frames, PSKs, key packages (PROTOCOL 5.4, K-14, X-10, X-18)."""

from __future__ import annotations

import itertools

from starling.protocol.decentralized.epoch_graph import EpochGraph, EpochInfo
from starling.protocol.decentralized.settling import (
    GIVE_UP,
    Reported,
    Reports,
    has_reached,
    held_generations,
    holders,
    is_out_of_reach,
    lacks_of_head,
    lingers_until,
    settled_epochs,
    settled_heads,
)
from starling.protocol.distributed import policy
from starling.protocol.distributed.heads import HeadsReport
from starling.protocol.distributed.psk_ledger import has_branches
from starling.protocol.distributed.roster import MemberInfo
from starling.protocol.engine import frame_quota, healing, readmission, resending
from starling.protocol.engine.asking import lacks_a_head, note_stalled
from starling.protocol.engine.context import Context
from starling.protocol.engine.epochs import forget_imports, forget_psk, let_go_of_targeted, note_change
from starling.protocol.engine.forks import drop_branch, watch_unresolved
from starling.protocol.engine.group_state import GroupState
from starling.protocol.engine.universe import Universe
from starling.protocol.exchange.frame_log import EpochFrames, LoggedFrame


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
        universe.bundles.forget(ctx, _acknowledged_own_epoch(universe))
    for state in list(universe.groups.values()):
        if state.is_own or universe.is_current(state.group_id):
            is_former = False
        else:
            is_former = _is_past_removal(universe, state.group_id)
        if is_former:
            _drop_group_of_former_member(ctx, universe, state)
        elif state.group_id in changed:
            _sweep_group(ctx, universe, state)
    frame_quota.enforce(ctx, universe)
    readmission.forget_given_up(ctx, universe)
    _drop_psks(ctx, universe)
    healing.sweep(ctx, universe)


def _sweep_group(ctx: Context, universe: Universe, state: GroupState) -> None:
    reports = reports_of(universe, state)
    _give_up(ctx, universe, state, reports)
    watch_unresolved(ctx, universe, state)
    if not state.is_own:
        _settle(ctx, universe, state, reports)
    _drop_frames(ctx, universe, state, reports)
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
            _tell_unavailable(ctx, universe, state, graph[head].number, graph[head].contiguous)
        _tell_settled(ctx, universe, state, kept, closed=True)
        resolving = graph.closed[head]
        drop_branch(ctx, universe, state, branch)
        for info in branch:
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


def _give_up(ctx: Context, universe: Universe, state: GroupState, reports: Reports) -> None:
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
            _tell_unavailable(ctx, universe, state, resolving.number, 0)
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
    _tell_unavailable(ctx, universe, state, info.number, info.contiguous)


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


def _tell_unavailable(ctx: Context, universe: Universe, state: GroupState, epoch: int, held: int) -> None:
    note_change(ctx, universe)
    body = {"owner": state.owner, "epoch": epoch, "held": held, "count": None}
    ctx.event("messages.unavailable", universe.universe_id, body)


def _drop_frames(ctx: Context, universe: Universe, state: GroupState, reports: Reports) -> None:
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


def _acknowledged_own_epoch(universe: Universe) -> int:
    """The newest epoch of our group whose KeyPackages every member has, those that only a tree shows included.

    A former member counts as long as a tree has it: others may have imported commits of it that use our older
    KeyPackages, and we have to follow them. A report with another roster does not count: its sender may have
    handed our older KeyPackages to a joiner whom we do not know yet. Nor does one with a head that is not known
    here: who has come and gone before it may have added us with them.
    """
    graph = universe.own.graph
    everybody = set(universe.roster.members)
    for state in universe.groups.values():
        everybody |= state.graph.head_info.members
    least = graph.head_info.number
    for identity in everybody - {universe.me}:
        whole = universe.reports.get(identity)
        if whole is None or identity in universe.unread_reports:
            return 0
        if whole.roster_digest != universe.roster.digest or _tells_news(universe, whole):
            return 0
        report = universe.reported(identity, universe.group_id)
        if report is None:
            return 0
        again = universe.stuck.readded_in(identity)
        least = min(least, _newest_opened(graph, identity, report.head, again))
    return least


def _tells_news(universe: Universe, report: HeadsReport) -> bool:
    """Whether a report names a head that is not known here, in a group that this node is to follow."""
    for group_id, rows in report.heads.items():
        state = universe.groups.get(group_id)
        if state is None:
            if universe.owner_of(group_id) is not None:
                return True
        elif any(
            row.head not in state.graph and row.head not in state.graph.closed and not row.has_ended
            for row in rows
        ):
            return True
    return False


def _newest_opened(graph: EpochGraph, identity: bytes, head: bytes, again: int) -> int:
    """The newest epoch up to `head` that a path commit started which this member could open.

    The commit that adds a member is closed to it: it has not read the KeyPackages in there. Nor has it read those
    before, where it was added once more, in the epoch with the number `again`: it may have gone past them.
    """
    for info in graph.lineage(head):
        parent = graph.get(info.parent) if info.parent is not None else None
        if info.number == again:
            return 0
        if info.with_path and parent is not None and identity in parent.members:
            return info.number
    return 0


def _drop_group_of_former_member(ctx: Context, universe: Universe, state: GroupState) -> None:
    """What is left of a former member, when nobody needs it any more (X-15)."""
    for exported in [psk for psk in universe.ledger.psks.values() if psk.group_id == state.group_id]:
        forget_psk(ctx, universe, exported)
    forget_imports(ctx, universe, state.group_id)
    universe.waiting.forget_group(state.group_id)
    if state.owner not in universe.roster.members:
        universe.delivered.forget(ctx, state.owner)
        universe.reports.pop(state.owner, None)
        universe.unread_reports.discard(state.owner)
        ctx.delete("report", universe.universe_id + state.owner)
    state.delete(ctx)
    del universe.groups[state.group_id]
    universe.agreed.clear()


def _is_past_removal(universe: Universe, group_id: bytes) -> bool:
    """X-15: a former member's group and PSKs stay until every member is past the removal.

    That is in every group, not by its roster alone: a commit from before may import what only this group tells.
    """
    former = universe.roster.send_groups.get(group_id)
    groups = (universe.group_id, *(info.send_group_id for info in universe.following()))
    return former is None or all(_has_passed(universe, group_id, former) for group_id in groups)


def _has_passed(universe: Universe, group_id: bytes, former: MemberInfo) -> bool:
    """Whether this node and every member have left behind the newest epoch of a group with the former member."""
    group = universe.groups.get(group_id)
    if group is None or universe.has_leaf(group, former):
        return False
    graph = group.graph
    if any(former.identity in tip.members for tip in graph.tips.values() if tip is not graph.head_info):
        return False
    lineage = graph.lineage(graph.head)
    # Where it has come back, the newest epochs have it again, by another leaf.
    before = itertools.dropwhile(lambda info: former.identity in info.members, lineage)
    last = next((info for info in before if former.identity in info.members), None)
    for info in universe.following():
        if universe.leaves_out(group, info.identity):
            continue
        report = universe.reported(info.identity, group_id)
        if report is None or report.head not in graph:
            return False
        if last is not None and (
            report.head == last.dmls_epoch or not has_reached(graph, report, last.dmls_epoch)
        ):
            return False
    return True
