"""`heads` reports: telling how far this node has come, and taking what others tell (R1, K-14)."""

from __future__ import annotations

from dataclasses import replace

from starling.protocol.decentralized.settling import has_past
from starling.protocol.distributed.application import HEADS, MESSAGE_ID_SIZE, ApplicationData
from starling.protocol.distributed.heads import MAX_BRANCHES, Head, HeadsMessage, HeadsReport, name_of
from starling.protocol.engine import own_group
from starling.protocol.engine.context import Context
from starling.protocol.engine.group_state import GroupState
from starling.protocol.engine.resolving import note_own_heads
from starling.protocol.engine.universe import Universe
from starling.protocol.errors import DecodeError


def own_report(universe: Universe) -> HeadsReport:
    """How far this node has come in every send group that it is in, on every branch; closed heads that it still asks
    for are listed as lacking."""
    heads = {}
    for group_id, state in sorted(universe.groups.items()):
        graph = state.graph
        rows = [
            Head(head, graph.past(head) or state.entered_after, graph[head].contiguous)
            for head in graph.heads
        ]
        rows += [Head(info.dmls_epoch, info.dmls_epoch, info.contiguous) for info in state.uncounted()]
        rows += [Head(head, b"", 0) for head in state.awaited]
        heads[group_id] = tuple(rows[:MAX_BRANCHES])
    return HeadsReport(universe.roster.digest, heads)


def send_report(ctx: Context, universe: Universe) -> None:
    """Report in the own send group, as a control message: what is different from the report before, where all members
    can hold that."""
    universe.timers.note_reported(ctx.now)
    if len(universe.own.graph.head_info.members) < 2:
        return
    report = own_report(universe)
    own, *_ = report.heads[universe.group_id]
    heads = {**report.heads, universe.group_id: (replace(own, past=_floor(universe)),)}
    report = replace(report, heads=heads)
    body = HeadsMessage.telling(report, universe.told, universe.wanted_reports()).encode()
    universe.told = replace(report, name=name_of(body))
    data = ApplicationData(HEADS, ctx.random(MESSAGE_ID_SIZE), (), body)
    own_group.protect(ctx, universe, data)


def _floor(universe: Universe) -> bytes:
    """The newest epoch of the own group that every other member is past, empty where there is none.

    An owner is past all of its own epochs; what it tells instead is for members that hear only from it (K-14).
    """
    graph = universe.own.graph
    reports = {
        identity: universe.reported(identity, universe.group_id)
        for identity in graph.head_info.members
        if identity in universe.roster.members and identity != universe.me
    }
    floor = b""
    for info in graph.branch():
        if not info.children or not all(
            has_past(graph, identity, report, info.dmls_epoch) for identity, report in reports.items()
        ):
            break
        floor = info.dmls_epoch
    return floor


def take_report(ctx: Context, universe: Universe, member: bytes, body: bytes) -> None:
    """Take over a member's report; it comes in its sender's order, so the newest is the last. One that cannot be
    completed is asked for whole: what was reported before goes on to hold."""
    held = universe.reports.get(member)
    try:
        message = HeadsMessage.decode(body)
        report = message.report(held, name_of(body))
    except DecodeError:
        universe.refuse("heads")
        return
    if universe.me in message.wanted:
        universe.told = None
        universe.timers.plan_report(ctx.now)
    universe.agreed.discard(member)
    if report is None:
        if member not in universe.unread_reports:
            universe.unread_reports.add(member)
            universe.timers.plan_report(ctx.now)
        return
    universe.unread_reports.discard(member)
    universe.reports[member] = report
    ctx.put("report", universe.universe_id + member, report_row(report))
    if held is None or held.roster_digest != report.roster_digest:
        universe.sweep_soon(universe.group_id, ctx.now)
    for group_id, rows in report.heads.items():
        if group_id in universe.groups and (held is None or held.heads.get(group_id) != rows):
            universe.sweep_soon(group_id, ctx.now)
    own = report.heads.get(universe.group_id, ())
    note_own_heads(ctx, universe, member, [row.head for row in own if not row.has_ended])
    note_convergence(ctx, universe)


def report_row(report: HeadsReport) -> bytes:
    """A report as it is kept: its name, then a message that tells it whole."""
    return report.name + HeadsMessage.telling(report, None).encode()


def load_report(row: bytes) -> HeadsReport:
    report = HeadsMessage.decode(row[32:]).report(None, row[:32])
    assert report is not None, "what is kept is whole"
    return report


def is_converged(universe: Universe) -> bool:
    """Whether all members that this node follows report the heads and the roster that it has, and nothing is missing.
    Nobody is to report a group that its owner keeps it out of.

    Control messages are not counted: every report is one, so there would always be a newest.
    """
    if any(exclusion.absent for exclusion in universe.standing.excluded.values()):
        return False  # it was away, and is to say that it is back
    followed = list(universe.following())
    for info in followed:
        state = universe.groups.get(info.send_group_id)
        if state is None or state.graph.is_forked or not state.graph.is_whole:
            return False
    own: HeadsReport | None = None
    for info in followed:
        if info.identity not in universe.agreed:
            own = own or own_report(universe)
            if not _agrees(universe, info.identity, own):
                return False
            universe.agreed.add(info.identity)
    return universe.outbox.is_idle


def _agrees(universe: Universe, identity: bytes, own: HeadsReport) -> bool:
    """Whether a member reports just what this node has."""
    report = universe.reports.get(identity)
    if report is None or identity in universe.unread_reports or report.roster_digest != own.roster_digest:
        return False
    for group_id, rows in own.heads.items():
        reported = {row.head: row for row in report.heads.get(group_id, ())}
        graph = universe.groups[group_id].graph
        held = reported.pop(graph.head, None)
        if held is None and universe.leaves_out(universe.groups[group_id], identity):
            continue
        if held is None or any(
            row.head not in graph.closed and not row.has_ended for row in reported.values()
        ):
            return False
        if any(_lacks_uncounted(universe.groups[group_id], row) for row in reported.values()):
            return False
        if universe.groups[group_id].owner == identity:
            continue
        if any(_differ(row, reported.get(row.head)) for row in rows[1:]):
            return False
        if held.past != (graph.head_info.parent or b"") and held.past != rows[0].past:
            return False
        if held.count < graph.head_info.user_count:
            return False
    return True


def _lacks_uncounted(state: GroupState, row: Head) -> bool:
    """Whether a member holds messages of an ended epoch that this node could still read and lacks."""
    info = state.graph.get(row.head)
    return (
        info is not None
        and row.has_ended
        and not info.given_up
        and info.next_generation < row.count
        and state.state(info.dmls_epoch) is not None
    )


def _differ(row: Head, reported: Head | None) -> bool:
    """Whether a member that lists a closed branch too holds another part of it: nothing new comes there."""
    return reported is not None and (row.count, bool(row.past)) != (reported.count, bool(reported.past))


def note_convergence(ctx: Context, universe: Universe) -> None:
    """Tell the apps once when the universe has converged."""
    converged = is_converged(universe)
    if converged and not universe.converged:
        ctx.event("universe.converged", universe.universe_id, {"members": len(universe.roster.members)})
    universe.converged = converged
