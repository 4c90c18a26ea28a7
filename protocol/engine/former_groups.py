"""The group of who is no member any more goes once every member is past the removal (X-15)."""

from __future__ import annotations

import itertools

from starling.protocol.decentralized.settling import has_reached
from starling.protocol.distributed.roster import MemberInfo
from starling.protocol.engine.context import Context
from starling.protocol.engine.epochs import forget_imports, forget_psk
from starling.protocol.engine.group_state import GroupState
from starling.protocol.engine.universe import Universe


def drop_group(ctx: Context, universe: Universe, state: GroupState) -> None:
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


def is_past_removal(universe: Universe, group_id: bytes) -> bool:
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
