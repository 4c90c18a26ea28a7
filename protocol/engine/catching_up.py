"""How many owners have followed the roster already: "admitted by 5 of 9", "removed by 7 of 9 senders".

The roster says at once who is a member; each owner adds or removes the leaf in its own group when it learns of it.
What is counted here are the trees of all send groups as this node holds them: one that it has not entered does not
count.
"""

from __future__ import annotations

from collections.abc import Iterator

from starling.protocol.engine.context import Context
from starling.protocol.engine.group_state import GroupState
from starling.protocol.engine.universe import Universe


def in_groups(universe: Universe, identity: bytes) -> int:
    """In how many of the current members' send groups a member is, its own included."""
    return sum(state is not None and _is_in(state, identity) for state in _groups(universe))


def out_of_groups(universe: Universe, identity: bytes) -> int:
    """By how many of the current members a former member was removed already."""
    return sum(state is not None and not _is_in(state, identity) for state in _groups(universe))


def _groups(universe: Universe) -> Iterator[GroupState | None]:
    """The current members' send groups; None for one that this node is not in."""
    return (universe.groups.get(info.send_group_id) for info in universe.roster.members.values())


def _is_in(state: GroupState, identity: bytes) -> bool:
    return identity == state.owner or identity in state.graph.head_info.members


def unfinished(universe: Universe) -> set[bytes]:
    """After a start: of whom some owner has not followed the roster yet, as far as is seen here."""
    if not universe.is_active:
        return set()
    roster = universe.roster
    coming = {identity for identity in roster.members if not _is_everywhere(universe, identity)}
    going = {
        identity
        for identity in roster.former
        if identity not in roster.members
        and any(state is not None and _is_in(state, identity) for state in _groups(universe))
    }
    return coming | going


def note(universe: Universe, identity: bytes) -> None:
    """Somebody came or went: it is told when all owners have followed."""
    universe.catching_up.add(identity)
    universe.trees_changed = True


def watch(ctx: Context, universe: Universe) -> None:
    """On every turn after which some tree is another: tell of those whom all owners have followed now."""
    if not universe.trees_changed:
        return
    universe.trees_changed = False
    groups = len(universe.roster.members)
    for identity in sorted(universe.catching_up):
        body = {"identity": identity, "name": universe.name_of(identity), "groups": groups}
        if identity in universe.roster.members:
            if _is_everywhere(universe, identity):
                universe.catching_up.discard(identity)
                ctx.event("member.admitted", universe.universe_id, body)
        elif _is_nowhere(universe, identity):
            universe.catching_up.discard(identity)
            ctx.event("removal.done", universe.universe_id, body)


def _is_everywhere(universe: Universe, identity: bytes) -> bool:
    return all(state is not None and _is_in(state, identity) for state in _groups(universe))


def _is_nowhere(universe: Universe, identity: bytes) -> bool:
    return all(state is not None and not _is_in(state, identity) for state in _groups(universe))
