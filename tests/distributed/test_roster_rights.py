"""Roles, policy and consent in the roster: who may do what (PROTOCOL 6)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.distributed.people import (
    ALICE,
    BOB,
    CAROL,
    DAVE,
    add_invite,
    admission,
    group_of,
    random_from,
    signed_admission,
)
from tests.distributed.rosters import (
    ERIN,
    FRANK,
    A,
    B,
    C,
    D,
    E,
    F,
    admit,
    copy,
    forged,
    merged,
    refused,
    ticket,
    with_roles,
)

from starling.protocol.distributed import labels
from starling.protocol.distributed.identity import Identity, sign
from starling.protocol.distributed.roster_body import Invite, Kind, RoleChange, Spend
from starling.protocol.distributed.roster_entry import decode_entry
from starling.protocol.distributed.roster_rights import ADMIN, MEMBER, READER, Policy, Right
from starling.protocol.distributed.rules import Rule
from starling.protocol.distributed.ticket import TicketSecret
from starling.protocol.distributed.ticket_proof import TicketProofTBS
from starling.protocol.errors import Invalid, UsageError, VerificationFailed

# who may


def test_what_each_role_may() -> None:
    roster = with_roles(bob=ADMIN, carol=MEMBER, dave=READER)
    rights = {who: {right for right in Right if roster.may(who, right)} for who in (A, B, C, D, E)}
    assert rights[A] == rights[B] == set(Right)
    assert rights[C] == {Right.SPEAK, Right.INVITE, Right.SPONSOR, Right.TOPIC}
    assert rights[D] == rights[E] == set()
    assert roster.may(B, Right.INVITE, ADMIN) and not roster.may(C, Right.INVITE, ADMIN)


def test_members_invite_and_admit_and_readers_do_not() -> None:
    roster = with_roles(bob=MEMBER, carol=READER)
    admit(roster, DAVE, BOB)
    assert roster.members[D].sponsor == B and roster.members[D].role == MEMBER
    admit(roster, ERIN, BOB, READER)
    assert roster.members[E].role == READER
    for who, role in ((BOB, ADMIN), (CAROL, READER)):
        with pytest.raises(UsageError, match="right"):
            add_invite(roster, ticket("more", who), by=who, role=role)
    body = signed_admission(roster.universe_id, FRANK)
    assert refused(roster, forged(roster, CAROL, F, Kind.MEMBER, body)) is Rule.ENTRY_RIGHT


def test_the_policy_gives_and_takes_rights() -> None:
    roster = with_roles(bob=MEMBER, carol=MEMBER, dave=ADMIN)
    roster.add(roster.make_policy(ALICE, Policy(invite=ADMIN, remove=MEMBER)))
    with pytest.raises(UsageError, match="right"):
        add_invite(roster, ticket("more", BOB), by=BOB)
    roster.add(roster.make_topic(BOB, random_from("still")))
    with pytest.raises(UsageError, match="right"):
        roster.make_remove(BOB, D)
    roster.add(roster.make_remove(BOB, C))
    assert set(roster.members) == {A, B, D}
    with pytest.raises(UsageError):
        roster.make_policy(BOB, Policy())


def test_of_concurrent_policies_the_stricter_holds() -> None:
    one = with_roles(bob=ADMIN)
    two = copy(one)
    one.add(one.make_policy(ALICE, Policy(invite=ADMIN, remove=MEMBER)))
    two.add(two.make_policy(BOB, Policy(invite=MEMBER, remove=MEMBER)))
    both = merged(one, two)
    assert both.policy == Policy(invite=ADMIN, remove=MEMBER)
    both.add(both.make_policy(BOB, Policy()))
    assert both.policy == Policy()


def test_who_comes_by_a_ticket_has_its_role() -> None:
    roster = with_roles(bob=MEMBER)
    secret = ticket("reader")
    add_invite(roster, secret, role=READER)
    greedy = signed_admission(roster.universe_id, CAROL, role=ADMIN, ticket=secret)
    assert refused(roster, forged(roster, BOB, C, Kind.MEMBER, greedy)) is Rule.ENTRY_ROLE
    roster.add(admission(roster, CAROL, by=BOB, ticket=secret))
    assert roster.members[C].role == READER


# consent


def test_nobody_is_admitted_without_its_own_signatures() -> None:
    roster = with_roles(bob=MEMBER)
    body = signed_admission(roster.universe_id, CAROL)
    mine = signed_admission(roster.universe_id, DAVE)
    other = signed_admission(roster.universe_id, CAROL, ticket=ticket("another"))
    for bad in (
        replace(body, binding=mine.binding),
        replace(body, peer_id=DAVE.peer_id),
        replace(body, send_group_id=group_of(CAROL, roster.universe_id, b"another")),
        replace(body, incarnation=7),
        replace(body, spend=other.spend),
        replace(body, spend=mine.spend),
    ):
        with pytest.raises(VerificationFailed):
            roster.add(forged(roster, BOB, C, Kind.MEMBER, bad))
    roster.add(forged(roster, BOB, C, Kind.MEMBER, body))
    assert C in roster.members


def test_only_admins_admit_anew_and_only_in_the_same_role() -> None:
    roster = with_roles(bob=MEMBER, carol=READER)
    anew = signed_admission(roster.universe_id, CAROL, incarnation=2, spends=False, role=READER)
    assert refused(roster, forged(roster, BOB, C, Kind.MEMBER, anew)) is Rule.ENTRY_RIGHT
    spent = signed_admission(roster.universe_id, CAROL, incarnation=2)
    assert refused(roster, forged(roster, BOB, C, Kind.MEMBER, spent)) is Rule.ENTRY_MEMBER
    assert (
        refused(roster, forged(roster, ALICE, C, Kind.MEMBER, replace(anew, role=ADMIN))) is Rule.ENTRY_ROLE
    )
    roster.add(forged(roster, ALICE, C, Kind.MEMBER, anew))
    assert (roster.members[C].incarnation, roster.members[C].role) == (2, READER)


def test_a_send_group_has_one_owner() -> None:
    roster = with_roles(bob=MEMBER)
    taken = roster.members[A].send_group_id
    for group_id in (
        taken,
        b"g" * 32,
        group_of(DAVE, roster.universe_id),
    ):  # known here, of nobody, not known yet
        body = replace(signed_admission(roster.universe_id, CAROL), send_group_id=group_id)
        assert refused(roster, forged(roster, BOB, C, Kind.MEMBER, body)) is Rule.MEMBER_SEND_GROUP


@pytest.mark.parametrize("spoiler", [ALICE, CAROL])
def test_a_ticket_is_its_makers_alone(spoiler: Identity) -> None:
    """Who is more senior, or less, sees the invite, or was given the ticket itself, and makes one of its own that does
    not know of it: neither harms the other."""
    roster = with_roles(bob=MEMBER, carol=MEMBER)
    one, two = copy(roster), copy(roster)
    bobs = ticket("bobs", BOB)
    add_invite(one, bobs, by=BOB)
    copied = Invite(bobs.public_key, bobs.mac_key, READER, 1, 1)
    for where in (one, two):
        entry = forged(where, spoiler, bobs.invite_id, Kind.INVITE, copied)
        assert refused(where, entry) is Rule.ENTRY_INVITE_ID
    theirs = TicketSecret(bobs.secret, spoiler.identity_public_key)
    two.add(forged(two, spoiler, theirs.invite_id, Kind.INVITE, copied))
    both = merged(one, two)
    assert {bobs.invite_id, theirs.invite_id} <= both.invites.keys()
    both.add(admission(both, ERIN, by=spoiler, ticket=bobs))
    assert both.members[E].role == MEMBER and both.invites[bobs.invite_id].spent == {E}
    both.add(both.make_revoke(spoiler, theirs.invite_id))
    both.add(admission(both, DAVE, by=ALICE, ticket=bobs))
    assert D in both.members and not both.invites[bobs.invite_id].revoked


def test_who_shows_a_ticket_comes_by_that_invite_alone() -> None:
    """Neither by another one with the same key, nor by a key that is not the invite's."""
    roster = with_roles(bob=MEMBER, carol=MEMBER)
    bobs, other = ticket("bobs", BOB), ticket("other", BOB)
    theirs = TicketSecret(bobs.secret, C)
    for secret, by in ((bobs, BOB), (other, BOB), (theirs, CAROL)):
        add_invite(roster, secret, by=by)
    shown = signed_admission(roster.universe_id, ERIN, ticket=bobs)
    with pytest.raises(VerificationFailed):
        roster.add(forged(roster, CAROL, E, Kind.MEMBER, replace(shown, invite_id=theirs.invite_id)))
    assert shown.spend is not None
    content = TicketProofTBS(
        roster.universe_id, bobs.invite_id, E, shown.signature_key, shown.spend.init_key
    ).encode()
    signature = sign(other.private_key, labels.TICKET_PROOF, content)
    mixed = replace(shown, spend=Spend(other.public_key, shown.spend.init_key, signature))
    assert refused(roster, forged(roster, CAROL, E, Kind.MEMBER, mixed)) is Rule.ENTRY_INVITE
    roster.add(forged(roster, CAROL, E, Kind.MEMBER, shown))


# roles


def test_a_role_changes() -> None:
    roster = with_roles(bob=MEMBER)
    roster.add(roster.make_role(ALICE, B, ADMIN))
    assert roster.members[B].role == ADMIN
    roster.add(roster.make_role(BOB, B, READER))
    assert roster.members[B].role == READER
    for subject, role in ((B, READER), (C, MEMBER), (B, "emperor")):
        with pytest.raises(UsageError):
            roster.make_role(ALICE, subject, role)
    stranger = forged(roster, ALICE, C, Kind.ROLE, RoleChange(READER, ()))
    assert refused(roster, stranger) is Rule.ENTRY_ROLE


def test_of_concurrent_roles_the_weaker_counts() -> None:
    """Also of two that one author signed under one version, as one put back does."""
    one = with_roles(bob=MEMBER, carol=ADMIN)
    two, three = copy(one), copy(one)
    one.add(one.make_role(ALICE, B, ADMIN))
    two.add(two.make_role(ALICE, B, READER))
    three.add(three.make_role(CAROL, B, ADMIN))
    assert decode_entry(one.entries()[-1]).version == decode_entry(two.entries()[-1]).version
    assert merged(one, three).members[B].role == ADMIN
    assert merged(one, two, three).members[B].role == READER


def test_a_new_role_bounds_what_was_signed_beside_it() -> None:
    roster = with_roles(bob=ADMIN, carol=MEMBER)
    beside = copy(roster)
    admit(roster, DAVE, BOB)
    roster.add(roster.make_role(ALICE, B, MEMBER))
    beside.add(beside.make_role(BOB, C, READER))
    admit(beside, ERIN, BOB)
    both = merged(roster, beside)
    assert both.members[C].role == MEMBER, "an admin's act"
    assert {D, E} <= set(both.members), "what a member may do stands"


def test_nobody_holds_up_a_topic_that_shuts_out_the_removed() -> None:
    roster = with_roles(bob=MEMBER, carol=MEMBER)
    beside = copy(roster)
    for number in range(5):
        beside.add(beside.make_topic(BOB, random_from(f"beside {number}")))
    roster.add(roster.make_remove(ALICE, C))
    roster.add(roster.make_topic(ALICE, random_from("after")))
    both = merged(roster, beside)
    assert both.topic_secrets[0] == random_from("after")(32) and not both.topic_is_stale


def test_a_role_that_is_not_known_is_refused() -> None:
    with pytest.raises(UsageError, match="role"):
        add_invite(with_roles(), ticket("x"), role="emperor")
    with pytest.raises(Invalid):
        Policy(invite="reader")
