"""Owners that committed twice on one epoch: what is told, followed, closed, and when they are not believed any more
(PROTOCOL R4, B5, B6, B11)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from starling.protocol.decentralized.epoch_graph import MAX_CHILDREN, MAX_CLOSED, MAX_HEADS, EpochInfo
from starling.protocol.distributed import policy
from starling.protocol.distributed.dmls_resolve import ClosedHead
from starling.protocol.distributed.head_statement import HeadStatement
from starling.protocol.distributed.send_group_rules import OWNER_LEAF
from starling.protocol.engine.context import Context
from starling.protocol.engine.epochs import forget_branch_imports, forget_psk, note_change
from starling.protocol.engine.group_state import MAX_FORKS, GroupState
from starling.protocol.engine.universe import Universe

MOST_RESOLVES = 2
"""A branch that goes on after it was closed this often is somebody else's: the owner runs twice (B6)."""


def known_commits(state: GroupState, parent: bytes) -> list[HeadStatement]:
    """The owner's statements for the commits on an epoch that are known here, also where its record is gone."""
    info = state.graph.get(parent)
    children = map(state.graph.__getitem__, info.children) if info is not None else state.graph.roots.values()
    known = [HeadStatement.decode(child.started_by) for child in children if child.started_by]
    return [statement for statement in known if statement.parent_dmls_epoch == parent]


def note_fork(
    ctx: Context,
    universe: Universe,
    state: GroupState,
    first: HeadStatement,
    second: HeadStatement,
    *,
    is_lost: bool = False,
) -> None:
    """R4: an owner contradicts itself. The two statements are kept, and told in a form which anybody can check.

    `is_lost`: the second commit cannot be followed here. Imports pause because of it where the owner has closed nothing
    since, so that it may not have said yet which of the two is dead.
    """
    parent = second.parent_dmls_epoch
    if parent in state.forks:
        return
    state.forks[parent] = is_lost and not _has_closed_since(state, second.epoch)
    for old in list(state.forks)[: max(0, len(state.forks) - MAX_FORKS)]:
        del state.forks[old]
        state.said_at.pop(old, None)
    state.save(ctx)
    ctx.event(
        "fork.detected",
        universe.universe_id,
        {
            "owner": state.owner,
            "parent": parent,
            "epoch": second.epoch,
            "heads": list(state.graph.heads),
            "evidence": _evidence(ctx, universe, state, (first, second)),
        },
    )


def _has_closed_since(state: GroupState, number: int) -> bool:
    """Whether the owner has closed branches by an epoch on the way to the head that follows this number."""
    graph = state.graph
    resolving = (graph[epoch] for epoch in graph.closed.values() if graph.is_at_or_after(graph.head, epoch))
    return any(info.number > number for info in resolving)


def _evidence(
    ctx: Context, universe: Universe, state: GroupState, statements: Iterable[HeadStatement]
) -> str:
    owner_leaf = state.head.tree.leaf(OWNER_LEAF)
    assert owner_leaf is not None, "the owner is leaf 0"
    return universe.evidence.add(ctx, state.group_id, owner_leaf, statements)


# room


def has_room(universe: Universe, state: GroupState, parent: EpochInfo) -> bool:
    """B11: whether one more child of an epoch may be followed."""
    return _is_roomy(state, parent) or _to_evict(universe, state, parent) is not None


def make_room(ctx: Context, universe: Universe, state: GroupState, parent: EpochInfo) -> None:
    """Let another child of an epoch give way to a new one, where one must."""
    evicted = None if _is_roomy(state, parent) else _to_evict(universe, state, parent)
    if evicted is not None:
        drop_branch(ctx, universe, state, state.graph.descendants(evicted.dmls_epoch)[::-1])


def _is_roomy(state: GroupState, parent: EpochInfo) -> bool:
    siblings = len(parent.children)
    return not siblings or (siblings < MAX_CHILDREN and len(state.graph.tips) < MAX_HEADS)


def _to_evict(universe: Universe, state: GroupState, parent: EpochInfo) -> EpochInfo | None:
    ledger = universe.ledger
    imported = {
        last.dmls_epoch
        for importer, group_id in ledger.last_imports
        if group_id == state.group_id
        for last in ledger.imports(importer, group_id)
    }
    return state.graph.to_evict(parent, imported)


def drop_branch(ctx: Context, universe: Universe, state: GroupState, epochs: Sequence[EpochInfo]) -> None:
    """Forget epochs of a branch, newest first: states, frames, PSKs, records."""
    for info in epochs:
        exported = universe.ledger.find(state.group_id, info.dmls_epoch)
        if exported is not None:
            forget_psk(ctx, universe, exported)
    forget_branch_imports(ctx, universe, state, epochs)
    state.drop_branch(ctx, epochs)


# what the owner closes


def take_resolve(
    ctx: Context,
    universe: Universe,
    state: GroupState,
    child: EpochInfo,
    closed_heads: Sequence[ClosedHead],
) -> None:
    """B5: the owner closes other branches by the commit that started `child`, whose branch counts from now on."""
    graph = state.graph
    # It cannot close what it goes on from.
    closed = [head for head in closed_heads if not graph.is_at_or_after(child.dmls_epoch, head.dmls_epoch)]
    if not closed:
        return
    for head in closed:
        # One that was closed before and is not known here was asked for, or has gone by all members' reports.
        is_news = head.dmls_epoch not in graph.closed and head.forked_at >= state.pinned_epoch
        graph.close(head.dmls_epoch, child.dmls_epoch, ctx.now)
        info = graph.get(head.dmls_epoch)
        if info is not None:
            state.save_info(ctx, info)
        elif not state.is_own and is_news and len(state.awaited) < MAX_CLOSED:
            state.awaited[head.dmls_epoch] = ctx.now
    state.forks = dict.fromkeys(state.forks, False)
    if not state.is_own and not graph.is_at_or_after(graph.head, child.dmls_epoch):
        graph.follow(child.dmls_epoch)
        forget_report(ctx, universe, state)
    state.save(ctx)
    ctx.event(
        "fork.resolved",
        universe.universe_id,
        {"owner": state.owner, "head": child.dmls_epoch, "closed": [head.dmls_epoch for head in closed]},
    )
    if not state.is_own and not state.forked:
        universe.timers.align = (
            ctx.now
        )  # it may have asked to be added again, which nobody did meanwhile (B7)
        due = ctx.now + ctx.between(policy.IMPORT_TIMER_LEAST, policy.IMPORT_TIMER_MOST)
        held = universe.timers.imports
        universe.timers.imports = due if held is None else min(held, due)
    note_change(ctx, universe)
    universe.sweep_soon(state.group_id, ctx.now)


def forget_report(ctx: Context, universe: Universe, state: GroupState) -> None:
    """What the owner reported on a branch that does not count any more it may not hold any more: who was put back has
    to get it again. Of one that has started anew since its old group tells nothing."""
    if not universe.is_current(state.group_id):
        return
    universe.reports.pop(state.owner, None)
    universe.agreed.discard(state.owner)
    ctx.delete("report", universe.universe_id + state.owner)


# owners that run twice


def watch_for_clone(ctx: Context, universe: Universe, state: GroupState, child: EpochInfo) -> None:
    """B6: after a commit was entered, look whether its owner runs twice: two resolves close each other's branch, or
    a branch goes on that was closed twice."""
    graph = state.graph
    if not graph.closed or not (_closes_its_closer(state, child) or _goes_on(state, child)):
        return
    tell_clone(ctx, universe, state, _fork_statements(state))


def watch_unresolved(ctx: Context, universe: Universe, state: GroupState) -> None:
    """R4: an owner that goes on for a day after a fork, and some time more, and closes no branch runs twice, or lies.
    One that is away cannot close anything; when it comes back it does so with its first commits."""
    graph = state.graph
    if state.is_own or not state.forked:
        return
    if graph.is_forked:
        since = max(graph.alone(head)[-1].entered_at for head in graph.open_heads)
    else:
        known = state.lost_since
        lost = [parent for parent, is_lost in state.forks.items() if is_lost]
        state.lost_since = {parent: known.get(parent, ctx.now) for parent in lost}
        since = min(state.lost_since.values())
    later = [info.entered_at for info in graph.epochs.values() if info.entered_at - since >= policy.DAY]
    if later and ctx.now - min(later) >= policy.RESOLVE_WAIT:
        tell_clone(ctx, universe, state, _fork_statements(state))


def _fork_statements(state: GroupState) -> list[HeadStatement]:
    graph = state.graph
    return [
        HeadStatement.decode(info.started_by)
        for parent in state.forks
        if (known := graph.get(parent)) is not None
        for info in map(graph.__getitem__, known.children)
        if info.started_by
    ]


def watch_lost_branches(ctx: Context, universe: Universe, state: GroupState) -> None:
    """B6: after a report of an owner of which a second commit came too late to be followed. Whoever made that cannot
    close the known branch for all to see; but who reports there, without a word of the other, what this node said
    after it had the other's commit, runs beside its maker. What was put back is dead and hears nothing new."""
    report = universe.reports.get(state.owner)
    if report is None or not any(state.forks.values()):
        return
    graph = universe.own.graph
    heard = max(
        (
            (info.number, row.count)
            for row in report.heads.get(universe.group_id, ())
            if (info := graph.get(row.head)) is not None
        ),
        default=(0, 0),
    )
    said = (graph.head_info.number, graph.head_info.contiguous)
    for parent, is_lost in state.forks.items():
        if is_lost and heard > state.said_at.setdefault(parent, said):
            tell_clone(ctx, universe, state, ())


def tell_clone(
    ctx: Context, universe: Universe, state: GroupState, statements: Iterable[HeadStatement]
) -> None:
    """Nothing is imported from this owner any more until the roster says something new of it; told once."""
    member = universe.roster.members.get(state.owner)
    if member is None or universe.is_frozen(state):
        return
    state.frozen_by = member.entry_id
    state.save(ctx)
    body = {"owner": state.owner, "evidence": _evidence(ctx, universe, state, statements)}
    ctx.event("clone.detected", universe.universe_id, body)


def _closes_its_closer(state: GroupState, child: EpochInfo) -> bool:
    graph = state.graph
    ours = [head for head, resolving in graph.closed.items() if resolving == child.dmls_epoch]
    return any(
        graph.are_related(head, resolving) and graph.are_related(other, child.dmls_epoch)
        for head in ours
        for other, resolving in graph.closed.items()
        if not graph.are_related(resolving, child.dmls_epoch)
    )


def _goes_on(state: GroupState, child: EpochInfo) -> bool:
    graph = state.graph
    closed_by = {
        resolving
        for head, resolving in graph.closed.items()
        if head != child.dmls_epoch
        and graph.is_at_or_after(child.dmls_epoch, head)
        and not graph.is_at_or_after(child.dmls_epoch, resolving)
    }
    return len(closed_by) >= MOST_RESOLVES
