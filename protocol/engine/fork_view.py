"""What a node can show of each send group's epochs: the heads, who is where, and what is kept of old ones and why."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from starling.protocol.decentralized.epoch_graph import EpochInfo
from starling.protocol.decentralized.settling import (
    RETENTION,
    Reported,
    Reports,
    has_past,
    held_generations,
)
from starling.protocol.engine.denying import runs_twice
from starling.protocol.engine.group_state import GroupState
from starling.protocol.engine.retention import reports_of
from starling.protocol.engine.security_view import current_groups
from starling.protocol.engine.universe import Universe

View = dict[str, Any]

MOST_LISTED = 3
"""How many members are named for a group, or for an epoch that waits for them, where all groups are shown."""


def forks_view(universe: Universe, owner: bytes | None = None) -> list[View]:
    """All send groups of members, or of one with everybody named, in the order of their owners."""
    if not universe.is_active:
        return []
    most = MOST_LISTED if owner is None else None
    groups = {info.identity: (info, state) for info, state in current_groups(universe)}
    shown = []
    for identity, (info, state) in sorted(groups.items()):
        if owner not in (None, identity):
            continue
        view = {
            "owner": identity,
            "name": universe.name_of(identity),
            "group_id": info.send_group_id,
            "is_own": identity == universe.me,
            "joined": state is not None,
            "frozen": runs_twice(universe, info),
        }
        shown.append(view | (_group_view(universe, state, most) if state is not None else {}))
    return shown


def _group_view(universe: Universe, state: GroupState, most: int | None) -> View:
    graph = state.graph
    places = {
        identity: _place(universe, state, identity)
        for identity in sorted(graph.head_info.members)
        if identity in universe.roster.members
    }
    elsewhere = [identity for identity, place in places.items() if place != graph.head]
    kept = [graph[dmls_epoch] for dmls_epoch in state.retained() if graph[dmls_epoch].children]
    kept.sort(key=lambda info: info.number)
    reports = reports_of(universe, state)
    return {
        "forked": state.forked,
        "evidence": state.group_id in universe.evidence.kept,
        "members": len(places),
        "heads": [_head_view(state, head, places) for head in graph.heads],
        "parents": [_parent_view(info) for info in graph.epochs.values() if len(info.children) > 1],
        "elsewhere": [_elsewhere_view(universe, state, identity, places) for identity in elsewhere[:most]],
        "elsewhere_count": len(elsewhere),
        "stuck": _named(universe, sorted(universe.stuck.reports.get(state.group_id, ()))[:most]),
        "kept": [_kept_view(universe, state, info, reports, most) for info in kept],
        "frames": len(state.log),
        "frame_bytes": state.log.size,
        "psks": universe.ledger.count(state.group_id),
    }


def _place(universe: Universe, state: GroupState, identity: bytes) -> bytes | None:
    """The head that a member is at, by its own report; None where it reported none."""
    if identity == universe.me:
        return state.graph.head
    reported = universe.reported(identity, state.group_id)
    return reported.head if reported is not None else None


def _head_view(state: GroupState, head: bytes, places: dict[bytes, bytes | None]) -> View:
    info = state.graph[head]
    return {
        "dmls_epoch": head,
        "epoch": info.number,
        "entered_at": info.entered_at,
        "counts": head == state.graph.head,
        "closed_by": state.graph.closed.get(head),
        "here": sum(place == head for place in places.values()),
    }


def _parent_view(info: EpochInfo) -> View:
    return {"dmls_epoch": info.dmls_epoch, "epoch": info.number, "children": list(info.children)}


def _elsewhere_view(
    universe: Universe, state: GroupState, identity: bytes, places: dict[bytes, bytes | None]
) -> View:
    """`epoch` is None where the member is at an epoch that is not known here, or reported none."""
    place = places[identity]
    info = state.graph.get(place) if place is not None else None
    return {
        "identity": identity,
        "name": universe.name_of(identity),
        "dmls_epoch": place,
        "epoch": info.number if info is not None else None,
    }


def _kept_view(
    universe: Universe, state: GroupState, info: EpochInfo, reports: Reports, most: int | None
) -> View:
    """A superseded epoch whose secrets are still here: until when at the latest, and what it waits for.

    `reason`: `messages` of it are missing; somebody reports an epoch that is `unknown` here; `members` have not said
    that they are past it; or `none`, so that it goes in a moment.
    """
    ahead = [identity for identity, report in reports.items() if _is_ahead(state, report)]
    behind = [
        identity
        for identity, report in reports.items()
        if not has_past(state.graph, identity, report, info.dmls_epoch)
        or (info.has_uncounted and held_generations(state.graph, report, info) < info.next_generation)
    ]
    waits_for: list[bytes] = []
    if not info.is_past:
        reason = "messages"
    elif ahead:
        reason, waits_for = "unknown", ahead
    elif behind:
        reason, waits_for = "members", behind
    else:
        reason = "none"
    return {
        "dmls_epoch": info.dmls_epoch,
        "epoch": info.number,
        "superseded_at": info.superseded_at,
        "until": info.superseded_at + RETENTION if info.superseded_at is not None else None,
        "reason": reason,
        "waits_for": _named(universe, sorted(waits_for)[:most]),
        "waits_for_count": len(waits_for),
    }


def _is_ahead(state: GroupState, report: Reported | None) -> bool:
    known = (state.graph.epochs, state.graph.closed)
    return report is not None and any(
        not row.has_ended and not any(row.head in epochs for epochs in known) for row in report.branches
    )


def _named(universe: Universe, identities: Iterable[bytes]) -> list[View]:
    return [{"identity": identity, "name": universe.name_of(identity)} for identity in identities]
