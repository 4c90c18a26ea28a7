"""Who is past which epoch of a send group, and what therefore may go (PROTOCOL K-14, X-18)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from starling.protocol.decentralized.epoch_graph import EpochGraph, EpochInfo

MAX_SUPERSEDED = 8
"""Superseded epochs retained of which the node itself is past."""

RETENTION = 7 * 24 * 3600 * 1000
"""T_fork: no superseded epoch's secrets are kept longer, in milliseconds."""

LINGER = 12 * 1000
"""How long an epoch that a path commit ended and a closed head stay at least, in milliseconds: of two nodes with one
state the slower one hears of the quicker within seconds, and its commit on the same parent, or after a head that the
other has closed, can still be followed."""

GIVE_UP = 24 * 3600 * 1000
"""How long a missing message or a closed head is asked for, in milliseconds."""


@dataclass(frozen=True, slots=True)
class Reported:
    """What a member last reported of one group: its head, what it is past, generations held in the head; and the same
    of other branches."""

    head: bytes
    past: bytes
    count: int
    others: tuple[Reported, ...] = ()

    @property
    def branches(self) -> tuple[Reported, ...]:
        return (self, *self.others)


Reports = Mapping[bytes, Reported | None]
"""By identity, None where nothing was reported yet."""


def has_reached(graph: EpochGraph, report: Reported | None, dmls_epoch: bytes) -> bool:
    """Whether one of a member's reported heads is this epoch or descends from it."""
    return report is not None and any(graph.is_at_or_after(row.head, dmls_epoch) for row in report.branches)


def has_past(graph: EpochGraph, identity: bytes, report: Reported | None, dmls_epoch: bytes) -> bool:
    """Whether a member reported to be past this epoch: where it has several children, by each that the member is
    in, since each may tell of more messages."""
    if report is None:
        return False
    rows = [row for row in report.branches if row.past and graph.is_at_or_after(row.past, dmls_epoch)]
    children = graph[dmls_epoch].children if dmls_epoch in graph else ()
    if len(children) < 2:
        return bool(rows)
    return bool(rows) and all(
        any(graph.is_at_or_after(row.head, child) for row in rows)
        for child in children
        if identity in graph[child].members
    )


def held_generations(graph: EpochGraph, report: Reported | None, info: EpochInfo) -> int:
    """How many generations of an epoch a member holds, as far as its report tells."""
    held = 0
    for row in report.branches if report is not None else ():
        if row.past and graph.is_at_or_after(row.past, info.dmls_epoch):
            if len(info.children) < 2:
                return info.next_generation
            counts = [
                graph[child].parent_count for child in info.children if graph.is_at_or_after(row.head, child)
            ]
            held = max(held, *counts, 0)
        elif row.head == info.dmls_epoch:
            held = max(held, row.count)
    return held


def settled_epochs(
    graph: EpochGraph, retained: Iterable[bytes], reports: Reports, now: int, *, more_to_come: bool = False
) -> list[bytes]:
    """The superseded epochs whose secrets are to go now (K-14), of those `retained`: that still have some.

    `reports` has an entry for every current member of the group but the owner and this node. Nothing goes while a
    reported head is unknown here that the owner has not closed, or where there is `more_to_come`, but by the limits.
    """
    known = not more_to_come and all(
        row.head in graph or row.head in graph.closed
        for report in reports.values()
        if report is not None
        for row in report.branches
    )
    settled: list[bytes] = []
    kept: list[EpochInfo] = []
    superseded = [info for info in map(graph.__getitem__, retained) if info.children]
    lingering = [info for info in superseded if now < lingers_until(graph, info)]
    for info in superseded:
        expired = info.superseded_at is not None and now - info.superseded_at > RETENTION
        everybody = (
            known
            and info.is_past
            # What follows stays with it: a gap would end the branch on which another child can be followed.
            and not any(graph.is_at_or_after(info.dmls_epoch, older.dmls_epoch) for older in lingering)
            and all(
                has_past(graph, identity, report, info.dmls_epoch) for identity, report in reports.items()
            )
        )
        if expired or everybody:
            settled.append(info.dmls_epoch)
        elif info.is_past:
            kept.append(info)
    kept.sort(key=lambda info: info.number)
    settled.extend(info.dmls_epoch for info in kept[: max(0, len(kept) - MAX_SUPERSEDED)])
    return settled


def lingers_until(graph: EpochGraph, info: EpochInfo) -> int:
    """Until when an epoch stays although all are past it, or a closed head; 0 where nothing keeps it."""
    by_path = any(child.with_path for child in map(graph.__getitem__, info.children))
    kept = by_path or info.dmls_epoch in graph.closed
    return info.superseded_at + LINGER if kept and info.superseded_at is not None else 0


def settled_heads(graph: EpochGraph, reports: Reports, now: int) -> list[bytes]:
    """The closed heads that nobody needs any more: every member has reported the epoch that closed it, and lists the
    head as far as it is held here, or not at all. The limit holds for them too."""
    return [
        tip.dmls_epoch
        for tip in graph.tips.values()
        if tip.dmls_epoch in graph.closed
        and tip.dmls_epoch != graph.head
        and (
            (tip.superseded_at is not None and now - tip.superseded_at > RETENTION)
            or (
                now >= lingers_until(graph, tip)
                and graph.hole(tip.dmls_epoch) is None
                and all(_has_left(graph, tip, report) for report in reports.values())
            )
        )
    ]


def _has_left(graph: EpochGraph, tip: EpochInfo, report: Reported | None) -> bool:
    if report is None:
        return False
    resolving = graph.closed[tip.dmls_epoch]
    # An epoch whose record is gone has been left behind by all.
    if resolving in graph and not has_reached(graph, report, resolving):
        return False
    on_branch = {info.dmls_epoch for info in graph.alone(tip.dmls_epoch)}
    whole = bool(graph.past(tip.dmls_epoch))
    return all(
        (row.head == tip.dmls_epoch and row.count == tip.contiguous and (bool(row.past) or not whole))
        if row.head in on_branch
        else row.head in graph or row.head in graph.closed
        for row in report.branches
    )
