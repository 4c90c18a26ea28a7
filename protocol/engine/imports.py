"""When this node imports its peers' secrets, and updates its own: lazily and without echo (X-7, X-11, X-12)."""

from __future__ import annotations

from starling.protocol.decentralized.epoch_graph import EpochInfo
from starling.protocol.distributed import policy
from starling.protocol.distributed.commit_content import CommitContent
from starling.protocol.engine import own_group
from starling.protocol.engine.context import Context
from starling.protocol.engine.group_state import GroupState
from starling.protocol.engine.universe import Universe


def note_update(
    ctx: Context, universe: Universe, state: GroupState, child: EpochInfo, content: CommitContent
) -> None:
    """A peer's path commit makes an import due, on a jittered timer; at once for a joiner's first."""
    if not content.has_path:
        return
    due = ctx.now + ctx.between(policy.IMPORT_TIMER_LEAST, policy.IMPORT_TIMER_MOST)
    if not state.updated and not content.adds and not _is_first_group(universe, state):
        state.updated = True
        state.save(ctx)
        due = ctx.now + ctx.between(0, 500)
    timers = universe.timers
    timers.imports = due if timers.imports is None else min(timers.imports, due)


def _is_first_group(universe: Universe, state: GroupState) -> bool:
    """Whether it is the group that the universe began with: its owner has joined nobody."""
    owner = universe.roster.send_groups.get(state.group_id)
    return owner is not None and owner.identity == universe.roster.founder and owner.incarnation == 0


def import_now(ctx: Context, universe: Universe, *, with_path: bool = False) -> bool:
    """Import all that may be imported in one commit; with a path it is an update too. False: nothing to do."""
    chosen = own_group.importable(universe, ctx.now)
    universe.timers.imports = None
    if not chosen and not with_path:
        return False
    if chosen:
        universe.timers.last_import = ctx.now
    own_group.commit(ctx, universe, path=with_path, imports=chosen, replace_leaves=with_path)
    if chosen:
        ctx.event("import.done", universe.universe_id, {"count": len(chosen)})
    return True


def import_before_message(ctx: Context, universe: Universe) -> None:
    """Right before a user message, if the last import is old (X-12)."""
    if ctx.now - universe.timers.last_import > policy.IMPORT_BEFORE_SEND:
        import_now(ctx, universe)


def update_is_due(universe: Universe, now: int) -> bool:
    """X-12: every 24 hours or after many messages, at most once in ten minutes."""
    timers = universe.timers
    age = now - timers.last_update
    if age < policy.UPDATE_MIN_GAP:
        return False
    members = len(universe.own.graph.head_info.members)
    return age >= policy.UPDATE_INTERVAL or timers.messages_since_update >= policy.update_message_limit(
        members
    )


def next_update(universe: Universe) -> int:
    """When `update_is_due` can next become true by the passing of time."""
    timers = universe.timers
    members = len(universe.own.graph.head_info.members)
    busy = timers.messages_since_update >= policy.update_message_limit(members)
    return timers.last_update + (policy.UPDATE_MIN_GAP if busy else policy.UPDATE_INTERVAL)
