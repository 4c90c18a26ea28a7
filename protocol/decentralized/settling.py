"""Who is past which epoch of a send group, and what therefore may go (PROTOCOL K-14, X-18)."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, MutableMapping
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

HEAD_WAIT = 60 * 1000
"""How long what is missing of a closed head may be under way although nobody has it any more, in milliseconds."""

GIVE_UP = 24 * 3600 * 1000
"""How long a missing message or a closed head is asked for, in milliseconds."""


@dataclass(frozen=True, slots=True)
class Reported:
    """What a member last reported of one group: its head, what it is past, generations held in the head; and the same
    of other branches, and of epochs that have ended with more messages than any commit counts."""

    head: bytes
    past: bytes
    count: int
    others: tuple[Reported, ...] = ()

    @property
    def branches(self) -> tuple[Reported, ...]:
        return (self, *self.others)

    @property
    def held(self) -> tuple[Reported, ...]:
        """The branches without those of which the member only says that it still asks for them."""
        return (self, *(row for row in self.others if row.past))

    def known(self, graph: EpochGraph) -> Iterator[Reported]:
        """The branches to heads that are known here. What is past on another one may be less than what is known here:
        its commits say what the epochs before had."""
        return (row for row in self.branches if row.head in graph)

    @property
    def has_ended(self) -> bool:
        """Whether this is no head, but an epoch of which the member holds messages that no commit counts."""
        return self.past == self.head


Reports = Mapping[bytes, Reported | None]
"""By identity, None where nothing was reported yet."""


def has_reached(graph: EpochGraph, report: Reported | None, dmls_epoch: bytes) -> bool:
    """Whether one of a member's reported heads is this epoch or descends from it."""
    return report is not None and any(graph.is_at_or_after(row.head, dmls_epoch) for row in report.held)


def has_past(graph: EpochGraph, identity: bytes, report: Reported | None, dmls_epoch: bytes) -> bool:
    """Whether a member reported to be past this epoch: where it has several children, by each that the member is
    in, since each may tell of more messages. So may one that is not known here."""
    if report is None:
        return False
    rows = [row for row in report.known(graph) if row.past and graph.is_at_or_after(row.past, dmls_epoch)]
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
    children = [graph[child] for child in info.children]
    for row in report.known(graph) if report is not None else ():
        if row.head == info.dmls_epoch:
            held = max(held, row.count)
        elif row.past and graph.is_at_or_after(row.past, info.dmls_epoch):
            if not children:
                return info.next_generation
            counts = [
                child.parent_count
                for child in children
                if len(children) < 2 or graph.is_at_or_after(row.head, child.dmls_epoch)
            ]
            held = max(held, *counts, 0)
    return held


def is_shared(graph: EpochGraph, reports: Reports, info: EpochInfo) -> bool:
    """Whether nobody holds messages of a superseded epoch that another lacks, as far as reports tell."""
    if info.given_up:
        return True
    held = {
        identity: held_generations(graph, report, info)
        for identity, report in reports.items()
        if identity in info.members
    }
    if not info.has_uncounted:
        return all(count <= info.next_generation for count in held.values())
    return all(count == info.next_generation for count in held.values())


def is_out_of_reach(graph: EpochGraph, info: EpochInfo, reports: Reports) -> bool:
    """Whether nobody holds what is missing of an epoch: only branches count it that the owner has closed, as it has
    forgotten them, and all others report the epoch that closed them and no more of this one than is held here."""
    lacking = [child for child in info.children if not info.is_whole_for(graph[child])]
    tips = [tip for tip in graph.tips if any(graph.is_at_or_after(tip, child) for child in lacking)]
    return (
        bool(tips)
        and all(tip in graph.closed and _all_know(graph, tip, reports) for tip in tips)
        and all(held_generations(graph, report, info) <= info.contiguous for report in reports.values())
    )


def holders(graph: EpochGraph, head: bytes, reports: Reports) -> list[bytes] | None:
    """The members that report to have a closed head which is not known here; None where some of them may not have said
    so yet."""
    if not _all_know(graph, head, reports):
        return None
    found = []
    for identity, report in reports.items():
        for row in report.branches if report is not None else ():
            if row.head == head and row.past:
                found.append(identity)
            elif not row.has_ended and row.head not in graph and row.head not in graph.closed:
                return None
    return found


def gone_of_head(
    graph: EpochGraph, head: bytes, reports: Reports, asked: Container[bytes], now: int
) -> int | None:
    """Up to which generation nobody gives what is missing of a closed head: all know that it is closed, and all who
    report to hold more of it were asked in vain. As long as what is under way may come, a minute, and where something
    is missing before it, None."""
    info = graph.get(head)
    if info is None or info.children or head == graph.head or head not in graph.closed:
        return None
    if graph.hole(head) is not None or not _all_know(graph, head, reports):
        return None
    if now - (info.superseded_at or now) < HEAD_WAIT:
        return None
    held = {identity: held_generations(graph, report, info) for identity, report in reports.items()}
    more = {identity: count for identity, count in held.items() if count > info.contiguous}
    return min(more.values(), default=None) if all(identity in asked for identity in more) else None


def _all_know(graph: EpochGraph, head: bytes, reports: Reports) -> bool:
    """Whether all report the epoch by which a head was closed. One whose record is gone has been left behind by all."""
    resolving = graph.closed[head]
    return all(
        report is not None and (resolving not in graph or has_reached(graph, report, resolving))
        for report in reports.values()
    )


def settled_epochs(
    graph: EpochGraph,
    retained: Iterable[bytes],
    reports: Reports,
    now: int,
    *,
    unshared: MutableMapping[bytes, int] | None = None,
    more_to_come: bool = False,
) -> list[bytes]:
    """The superseded epochs whose secrets are to go now (K-14), of those `retained`: that still have some.

    `reports` has an entry for every current member of the group but the owner and this node. Nothing goes while a
    reported head is unknown here that the owner has not closed, or where there is `more_to_come`, but by the limits.
    `unshared` remembers since when all are past an epoch of which somebody holds more than others: that is waited for
    as long as other missing messages, since who was added again will never hold it.
    """
    known = not more_to_come and all(
        row.has_ended or row.head in graph or row.head in graph.closed
        for report in reports.values()
        if report is not None
        for row in report.branches
    )
    unshared = {} if unshared is None else unshared
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
            and (
                is_shared(graph, reports, info) or now - unshared.setdefault(info.dmls_epoch, now) >= GIVE_UP
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
    head as far as it is held here, or not at all. Who lacks something then has a day to get it. The limit holds for
    them too."""
    return [
        tip.dmls_epoch
        for tip in graph.tips.values()
        if tip.dmls_epoch in graph.closed
        and tip.dmls_epoch != graph.head
        and (
            (tip.superseded_at is not None and now - tip.superseded_at > _longest(graph, tip, reports))
            or (
                now >= lingers_until(graph, tip)
                and graph.hole(tip.dmls_epoch) is None
                and all(_has_left(graph, tip, report) for report in reports.values())
            )
        )
    ]


def lacks_of_head(graph: EpochGraph, head: bytes, reports: Reports) -> bool:
    """Whether messages of a closed branch are missing here: before its head, or in it by what others report."""
    rows = (row for report in reports.values() if report is not None for row in report.branches)
    return graph.hole(head) is not None or any(
        row.head == head and row.count > graph[head].contiguous for row in rows
    )


def _longest(graph: EpochGraph, tip: EpochInfo, reports: Reports) -> int:
    return GIVE_UP if _all_know(graph, tip.dmls_epoch, reports) else RETENTION


def _has_left(graph: EpochGraph, tip: EpochInfo, report: Reported | None) -> bool:
    if report is None or not _all_know(graph, tip.dmls_epoch, {b"": report}):
        return False
    on_branch = {info.dmls_epoch for info in graph.alone(tip.dmls_epoch)}
    whole = bool(graph.past(tip.dmls_epoch))
    return all(
        (row.head == tip.dmls_epoch and row.count == tip.contiguous and (bool(row.past) or not whole))
        if row.head in on_branch
        else row.has_ended or row.head in graph or row.head in graph.closed
        for row in report.branches
    )
