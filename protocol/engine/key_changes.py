"""Keys that are not what a person may expect: told once, shown among the messages, and never in the way of sending.

An identity key never changes: who comes with another one is another person here, whatever the name. So there are two
things to tell: somebody has a name that looks like one that belongs to another identity; and somebody known has new
keys in a universe, for having started anew or come back. That a pair's number was compared is noted of an identity: it
stays with it, and no name brings it to another.
"""

from __future__ import annotations

from dataclasses import replace

from starling.protocol.distributed.roster import MemberInfo
from starling.protocol.engine.context import Context
from starling.protocol.engine.name_claims import MAX_TOLD
from starling.protocol.engine.people import display_names
from starling.protocol.engine.universe import Universe


def note_name(ctx: Context, universe: Universe, identity: bytes, *, contacts_only: bool = False) -> None:
    """Tell of a person whose name looks like another's, once of each: of a contact's, or also of a member's, present
    or former."""
    claim = universe.claims.get(identity)
    alike = display_names(universe).alike(universe.name_of(identity)) - {identity, universe.me, *claim.told}
    others = sorted(other for other in alike if not contacts_only or other in universe.contacts.contacts)
    others = others[: MAX_TOLD - len(claim.told)]
    if not others:
        return
    universe.claims.set(ctx, identity, replace(claim, told=(*claim.told, *others)))
    _tell(ctx, universe, identity, "name", others)


def note_names_of_all(ctx: Context, universe: Universe) -> None:
    """This node has joined: among those that it finds may be some with names of people it knows from elsewhere."""
    for info in sorted(universe.others(), key=lambda info: info.identity):
        note_name(ctx, universe, info.identity, contacts_only=True)


def note_new_keys(ctx: Context, universe: Universe, info: MemberInfo) -> None:
    """Tell of a person that was a member before, by another signature key."""
    earlier = [
        held
        for held in universe.roster.send_groups.values()
        if held.identity == info.identity and held.incarnation < info.incarnation
    ]
    last = max(earlier, key=lambda held: held.incarnation, default=None)
    if last is not None and (last.signature_key, last.peer_id) != (info.signature_key, info.peer_id):
        _tell(ctx, universe, info.identity, "keys", [])


def _tell(ctx: Context, universe: Universe, identity: bytes, reason: str, others: list[bytes]) -> None:
    contacts = universe.contacts
    info = universe.roster.members.get(identity)
    ctx.event(
        "member.key_changed",
        universe.universe_id,
        {
            "identity": identity,
            "name": universe.name_of(identity),
            "reason": reason,
            "peer_id": info.peer_id if info is not None else None,
            "verified_at": contacts.get(identity).verified_at,
            "others": [
                {
                    "identity": other,
                    "name": universe.name_of(other) or contacts.get(other).verified_name,
                    "verified_at": contacts.get(other).verified_at,
                }
                for other in others
            ],
        },
    )
