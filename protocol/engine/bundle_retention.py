"""Up to where all members have followed the own group: KeyPackages that were out of use before may go (X-10)."""

from __future__ import annotations

from starling.protocol.decentralized.epoch_graph import EpochGraph
from starling.protocol.distributed.heads import HeadsReport
from starling.protocol.engine.universe import Universe


def acknowledged_own_epoch(universe: Universe) -> int:
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
