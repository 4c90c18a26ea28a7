"""What people call themselves, as it changes: this node's user tells the others, and hears from them.

A new name is said in the own send group, so its leaf signs it; to who is added later it is said again, for only the
name of the admission stands in the roster.
"""

from __future__ import annotations

from dataclasses import replace

from starling.protocol.distributed.application import MESSAGE_ID_SIZE, PROFILE, ApplicationData
from starling.protocol.distributed.identity import NAME_LENGTH, is_name
from starling.protocol.engine import own_group
from starling.protocol.engine.context import Context
from starling.protocol.engine.group_state import GroupState
from starling.protocol.engine.key_changes import note_name
from starling.protocol.engine.universe import Universe
from starling.protocol.errors import DecodeError
from starling.protocol.packed import Text, pack, shape, unpack

_BODY = (Text(NAME_LENGTH, 1),)
_MAX_BODY = 512


def tell_name(ctx: Context, universe: Universe) -> None:
    """Say the own name in the own send group, where the roster or what was said last has another."""
    universe.name_due = False
    name = universe.identity.name
    told = universe.claims.get(universe.me)
    admitted = universe.roster.members.get(universe.me)
    said = told.name if told.group_id == universe.group_id else ""
    if admitted is None or (admitted.name == name and not said):
        return
    if len(universe.own.graph.head_info.members) < 2:
        return
    data = ApplicationData(PROFILE, ctx.random(MESSAGE_ID_SIZE), (), pack([name]))
    own_group.protect(ctx, universe, data)
    universe.claims.set(ctx, universe.me, replace(told, group_id=universe.group_id, name=name))


def take_name(ctx: Context, universe: Universe, state: GroupState, body: bytes) -> None:
    """A member says in its send group what it calls itself now."""
    try:
        (name,) = shape(unpack(body, max_bytes=_MAX_BODY), _BODY)
    except DecodeError:
        universe.refuse("profile")
        return
    if not is_name(name):
        universe.refuse("profile")
        return
    identity = state.owner
    before = universe.name_of(identity)
    claim = universe.claims.get(identity)
    if (claim.group_id, claim.name) == (state.group_id, name):
        return
    universe.claims.set(ctx, identity, replace(claim, group_id=state.group_id, name=name))
    if universe.name_of(identity) != before:
        ctx.event(
            "member.renamed", universe.universe_id, {"identity": identity, "name": name, "old_name": before}
        )
        note_name(ctx, universe, identity)
