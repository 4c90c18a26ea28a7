"""Rosters of small universes, their copies, and entries that the builders refuse to make."""

from __future__ import annotations

from typing import Any

import pytest
from tests.distributed.people import (
    ALICE,
    BOB,
    CAROL,
    DAVE,
    TICKET,
    add_invite,
    admission,
    person,
    random_from,
    universe,
)

from starling.protocol.distributed.identity import Identity
from starling.protocol.distributed.roster import Roster
from starling.protocol.distributed.roster_body import Body, Kind
from starling.protocol.distributed.roster_entry import sign_entry
from starling.protocol.distributed.roster_rights import MEMBER
from starling.protocol.distributed.rules import Rule
from starling.protocol.distributed.ticket import TicketSecret
from starling.protocol.errors import Invalid

ERIN, FRANK = person("Erin"), person("Frank")
A, B, C, D, E, F = (who.identity_public_key for who in (ALICE, BOB, CAROL, DAVE, ERIN, FRANK))


def with_members(*people: Identity) -> Roster:
    roster = universe()
    for who in people:
        roster.add(admission(roster, who))
    return roster


def copy(roster: Roster) -> Roster:
    return Roster.load(roster.universe_id, roster.entries())


def merged(*rosters: Roster) -> Roster:
    return Roster.load(rosters[0].universe_id, [entry for roster in rosters for entry in roster.entries()])


def forged(roster: Roster, author: Identity, subject: bytes, kind: Kind, body: Body, **changes: Any) -> bytes:
    """An entry that the builders refuse to make: it follows all tips, or what `changes` say."""
    graph = roster._graph
    predecessors = changes.pop("predecessors", tuple(graph.tips))
    version = graph.next_version(author.identity_public_key, graph.ancestors_of(predecessors))
    arguments: dict[str, Any] = {
        "universe_id": roster.universe_id,
        "version": version,
        "kind": kind,
    } | changes
    return sign_entry(author, subject=subject, predecessors=predecessors, body=body, **arguments)


def refused(roster: Roster, entry: bytes) -> Rule:
    before = roster.digest
    with pytest.raises(Invalid) as caught:
        roster.add(entry)
    assert roster.digest == before
    assert isinstance(caught.value.rule, Rule)
    return caught.value.rule


def spend_rule(roster: Roster, who: bytes, now: int = 0, ticket: TicketSecret = TICKET) -> object:
    with pytest.raises(Invalid) as caught:
        roster.check_spend(ticket.invite_id, who, now)
    return caught.value.rule


def with_roles(**roles: str) -> Roster:
    """Alice's universe with these members, in this order."""
    people = {"bob": BOB, "carol": CAROL, "dave": DAVE, "erin": ERIN}
    roster = universe()
    for name, role in roles.items():
        roster.add(admission(roster, people[name]))
        if role != MEMBER:
            roster.add(roster.make_role(ALICE, people[name].identity_public_key, role))
    return roster


def ticket(name: str, by: Identity = ALICE) -> TicketSecret:
    return TicketSecret.generate(random_from(name), by.identity_public_key)


def admit(roster: Roster, who: Identity, by: Identity, role: str = MEMBER) -> None:
    """By a ticket of the same member."""
    secret = ticket(f"{who.name} by {by.name}", by)
    add_invite(roster, secret, by=by, role=role)
    roster.add(admission(roster, who, by=by, ticket=secret))
