"""The roster: who comes in by which ticket."""

from __future__ import annotations

import pytest
from tests.distributed.people import (
    ALICE,
    BOB,
    CAROL,
    DAVE,
    TICKET,
    add_invite,
    admission,
    signed_admission,
    universe,
)
from tests.distributed.rosters import (
    A,
    B,
    C,
    D,
    E,
    copy,
    forged,
    merged,
    refused,
    spend_rule,
    ticket,
    with_members,
    with_roles,
)

from starling.protocol.distributed.roster_body import Kind
from starling.protocol.distributed.roster_rights import ADMIN, MEMBER, READER, Policy
from starling.protocol.distributed.rules import Rule
from starling.protocol.distributed.ticket import TicketSecret
from starling.protocol.errors import UsageError


def test_spending() -> None:
    roster = universe(uses=1, expires_at=1_000)
    other = TicketSecret(b"o" * 32, A)
    assert spend_rule(roster, B, ticket=other) is Rule.INVITE_UNKNOWN
    assert spend_rule(roster, B, now=1_000) is Rule.INVITE_EXPIRED
    roster.add(admission(roster, BOB))
    # Asking again does no harm, at any time.
    assert roster.check_spend(TICKET.invite_id, B, now=5_000) == roster.members[B]
    assert spend_rule(roster, C) is Rule.INVITE_USED
    roster.add(roster.make_revoke(ALICE, TICKET.invite_id))
    assert spend_rule(roster, C) is Rule.INVITE_REVOKED
    assert roster.invites[TICKET.invite_id].revoked
    assert B in roster.members


def test_overuse_in_a_partition_keeps_all() -> None:
    one = universe(uses=1)
    two = copy(one)
    one.add(admission(one, BOB))
    two.add(admission(two, CAROL))
    both = merged(one, two)
    assert {B, C} <= set(both.members)
    invite = both.invites[TICKET.invite_id]
    assert len(invite.spent) > invite.uses


def test_a_removed_member_needs_a_newer_invite() -> None:
    roster = with_members(BOB)
    roster.add(roster.make_remove(BOB, B))
    assert spend_rule(roster, B) is Rule.INVITE_REMOVED
    newer = TicketSecret(b"n" * 32, A)
    add_invite(roster, newer)
    assert roster.check_spend(newer.invite_id, B, now=0) is None
    roster.add(admission(roster, BOB, incarnation=2, ticket=newer))
    assert B in roster.members


def test_an_admission_names_its_invite() -> None:
    roster = universe()
    bob = signed_admission(roster.universe_id, BOB, spends=False)
    assert refused(roster, forged(roster, ALICE, B, Kind.MEMBER, bob)) is Rule.ENTRY_INVITE
    unknown = signed_admission(roster.universe_id, BOB, ticket=TicketSecret(b"?" * 32, A))
    assert refused(roster, forged(roster, ALICE, B, Kind.MEMBER, unknown)) is Rule.ENTRY_INVITE


def test_of_two_invites_for_one_ticket_the_lesser_counts() -> None:
    one = universe(uses=10)
    two = copy(one)
    add_invite(one, TICKET, uses=5)
    add_invite(two, TICKET, uses=3, expires_at=9_000)
    assert merged(one, two).invites[TICKET.invite_id].uses == 3


# their makers, and one that is spent too often


@pytest.mark.parametrize("end", ["removed", "left", "reader", "policy"])
def test_tickets_go_with_who_made_them(end: str) -> None:
    roster = with_roles(bob=MEMBER)
    add_invite(roster, ticket("bobs", BOB), by=BOB)
    roster.add(admission(roster, DAVE, ticket=ticket("bobs", BOB)))
    assert roster.check_spend(ticket("bobs", BOB).invite_id, C, 0) is None
    roster.add(
        {
            "removed": lambda: roster.make_remove(ALICE, B),
            "left": lambda: roster.make_remove(BOB, B),
            "reader": lambda: roster.make_role(ALICE, B, READER),
            "policy": lambda: roster.make_policy(ALICE, Policy(invite=ADMIN)),
        }[end]()
    )
    assert roster.invites[ticket("bobs", BOB).invite_id].revoked and D in roster.members
    assert spend_rule(roster, C, ticket=ticket("bobs", BOB)) is Rule.INVITE_REVOKED
    body = signed_admission(roster.universe_id, CAROL, ticket=ticket("bobs", BOB))
    assert refused(roster, forged(roster, ALICE, C, Kind.MEMBER, body)) is Rule.ENTRY_INVITE


def test_an_overspent_ticket_is_revoked_and_all_stay_flagged() -> None:
    one = with_roles(bob=MEMBER)
    add_invite(one, ticket("single"), uses=1)
    two = copy(one)
    one.add(admission(one, CAROL, ticket=ticket("single")))
    two.add(admission(two, DAVE, by=BOB, ticket=ticket("single")))
    assert not one.members[C].overspent
    both = merged(one, two)
    invite = both.invites[ticket("single").invite_id]
    assert invite.overspent and invite.revoked and invite.spent == {C, D}
    assert both.members[C].overspent and both.members[D].overspent and not both.members[B].overspent
    assert spend_rule(both, E, ticket=ticket("single")) is Rule.INVITE_REVOKED
    both.add(both.make_remove(ALICE, D))
    assert D not in both.members, "a later removal beats every spend"


def test_members_revoke_their_own_tickets_alone() -> None:
    roster = with_roles(bob=MEMBER, carol=ADMIN)
    add_invite(roster, ticket("bobs", BOB), by=BOB)
    with pytest.raises(UsageError, match="right"):
        roster.make_revoke(BOB, TICKET.invite_id)
    roster.add(roster.make_revoke(BOB, ticket("bobs", BOB).invite_id))
    roster.add(roster.make_revoke(CAROL, TICKET.invite_id))
    assert all(invite.revoked for invite in roster.invites.values())
