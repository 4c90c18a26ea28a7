"""Telling the apps when a member is healed or stale, and when the universe has come apart.

The universe converges and is left behind again with every message, so neither is told from one look: what is told is
that somebody has not even reached what this node had ten minutes ago.
"""

from __future__ import annotations

from starling.protocol.distributed import policy
from starling.protocol.engine.context import Context
from starling.protocol.engine.group_state import GroupState
from starling.protocol.engine.security_view import healed, is_stale, last_update
from starling.protocol.engine.universe import Universe
from starling.protocol.engine.watch import Mark


def look_soon(ctx: Context, universe: Universe) -> None:
    """Something has changed."""
    # A clock that was put back does not make it wait.
    due = max(ctx.now, min(universe.watch.looked_at, ctx.now) + policy.HEALED_INTERVAL)
    universe.timers.look = min(universe.timers.look or due, due)


def look(ctx: Context, universe: Universe) -> None:
    """On the timer: who is healed, and now and then who is stale and who lags.

    Where nothing changes any more, the next time is when something can be told anew.
    """
    watch = universe.watch
    watch.looked_at = ctx.now
    _note_healed(ctx, universe)
    again = watch.checked_at + policy.WATCH_INTERVAL
    if watch.checked_at <= ctx.now < again:
        universe.timers.look = again
        return
    watch.checked_at = ctx.now
    times = (_note_stale(ctx, universe), _note_lagging(ctx, universe))
    universe.timers.look = min((time for time in times if time is not None), default=None)


def _note_healed(ctx: Context, universe: Universe) -> None:
    """Tell of members whom a theft does not hurt any more in any group, where some vector changed."""
    told = universe.watch.healed
    changed, universe.healing.changed = universe.healing.changed, set()
    for identity in sorted(changed & universe.roster.members.keys()):
        found = healed(universe, identity)
        # Whom this run has not seen yet it tells nothing of: what was before may have been told.
        if found.everywhere > told.setdefault(identity, found.everywhere):
            told[identity] = found.everywhere
            ctx.event(
                "member.healed",
                universe.universe_id,
                {"identity": identity, "before": found.everywhere, "groups": len(found.groups)},
            )


def _note_stale(ctx: Context, universe: Universe) -> int | None:
    """Once in a run for each update that has become too old; when the next one does is given back."""
    told = universe.watch.stale
    due = None
    for identity, info in universe.roster.members.items():
        updated = last_update(universe, info)
        if not is_stale(universe, info, ctx.now):
            told.pop(identity, None)
            if updated:
                due = min(due or updated + policy.STALE + 1, updated + policy.STALE + 1)
        elif told.get(identity) != updated:
            told[identity] = updated
            ctx.event("member.stale", universe.universe_id, {"identity": identity, "last_update": updated})
    return due


def _note_lagging(ctx: Context, universe: Universe) -> int | None:
    """Once for each time that the universe has come apart; when it will have, as things stand, is given back."""
    watch = universe.watch
    if watch.mark is None or watch.mark.taken_at > ctx.now:
        watch.mark = _mark(universe, ctx.now)
    since = watch.mark.taken_at
    lagging = lagging_behind(universe, watch.mark)
    if not lagging:
        watch.mark = _mark(universe, ctx.now)
    behind_since = min(watch.behind_since or ctx.now, ctx.now) if _is_behind(universe) else None
    watch.behind_since = behind_since
    if behind_since is not None and ctx.now - behind_since >= policy.DIVERGED:
        since = min(since, behind_since) if lagging else behind_since
        lagging.append(universe.me)
    if not lagging:
        watch.agreed = True
        watch.diverged_since = None
        starts = [ctx.now] if lagging_behind(universe, watch.mark) else []
        starts += [behind_since] if behind_since is not None else []
        return min(starts) + policy.DIVERGED if starts else None
    if not watch.agreed:
        return None
    if ctx.now - since < policy.DIVERGED:
        return since + policy.DIVERGED
    watch.agreed = False
    watch.diverged_since = since
    ctx.event("universe.diverged", universe.universe_id, {"since": since, "members": sorted(lagging)})
    return None


def lagging_behind(universe: Universe, mark: Mark) -> list[bytes]:
    """Who has not reached a mark."""
    return [info.identity for info in universe.following() if not _has_reached(universe, info.identity, mark)]


def _mark(universe: Universe, now: int) -> Mark:
    heads = {
        group_id: (state.graph.head, state.graph.head_info.user_count)
        for group_id, state in universe.groups.items()
    }
    return Mark(now, universe.roster.digest, heads)


def _has_reached(universe: Universe, identity: bytes, mark: Mark) -> bool:
    """Whether a member reports all that this node had at the mark, or more."""
    report = universe.reports.get(identity)
    if report is None or report.roster_digest not in (mark.roster_digest, universe.roster.digest):
        return False
    for group_id, (head, count) in mark.heads.items():
        rows = report.heads.get(group_id)
        if rows and rows[0].head == head and rows[0].count >= count:
            continue  # the usual case, among ten thousand in a universe of a hundred
        state = universe.groups.get(group_id)
        if state is not None and not _has_reached_in(universe, identity, state, head, count):
            return False
    return True


def _has_reached_in(universe: Universe, identity: bytes, state: GroupState, head: bytes, count: int) -> bool:
    graph = state.graph
    if identity not in graph.head_info.members or not graph.is_at_or_after(graph.head, head):
        return True  # nothing for it, or so old that all have acknowledged it, or on a branch that is dead by now
    reported = universe.reported(identity, state.group_id)
    if reported is None:
        return False
    for row in reported.branches:
        if row.head == head:
            return row.count >= count or identity == state.owner
        # Of a head that is not known here yet this node lacks something, not the member.
        if row.head not in graph or graph.is_at_or_after(row.head, head):
            return True
    return False


def _is_behind(universe: Universe) -> bool:
    """Whether this node lacks something that it knows of."""
    for info in universe.following():
        state = universe.groups.get(info.send_group_id)
        if state is None or not state.graph.is_whole:
            return True
    for identity, report in universe.reports.items():
        if identity not in universe.roster.members:
            continue
        for group_id, rows in report.heads.items():
            state = universe.groups.get(group_id)
            if state is None or not universe.is_current(group_id):
                continue
            known = (state.graph.epochs, state.graph.closed)
            if any(not row.has_ended and not any(row.head in epochs for epochs in known) for row in rows):
                return True
    return False
