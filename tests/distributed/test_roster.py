"""The roster: founding, admission, rights and topics."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.distributed.people import ALICE, BOB, CAROL, DAVE, TICKET, admission, random_from, universe
from tests.distributed.rosters import A, B, C, copy, forged, merged, refused, with_members

from starling.protocol.distributed.identity import Identity
from starling.protocol.distributed.invite_id import invite_id_of
from starling.protocol.distributed.roster import Roster, entry_id, topic_name
from starling.protocol.distributed.roster_body import (
    Archiver,
    Body,
    Founding,
    Invite,
    Kind,
    PolicyChange,
    Removal,
    RoleChange,
    Target,
    Topic,
    decode_body,
)
from starling.protocol.distributed.roster_entry import decode_entry, sign_entry
from starling.protocol.distributed.roster_rights import Policy, Right
from starling.protocol.distributed.rules import Rule
from starling.protocol.errors import UsageError, VerificationFailed

# founding and admitting


def test_a_founded_universe() -> None:
    roster = universe()
    assert (roster.founder, roster.universe_name) == (A, "Home")
    assert set(roster.members) == {A}
    assert roster.members[A].name == "Alice"
    assert roster.members[A].peer_id == ALICE.peer_id
    assert len(roster.topics) == 1
    assert not roster.topic_is_stale
    assert all(roster.may(A, right, "admin") for right in Right)
    assert not any(roster.may(B, right) for right in Right)
    assert (roster.members[A].role, roster.members[A].seniority) == ("admin", ())
    assert roster.policy == Policy("member", "admin")


def test_the_universe_id_proves_the_founder() -> None:
    """Nobody else founds the universe, and nobody founds it twice under another name."""
    roster = universe()
    body = decode_entry(roster.entries()[0])
    founding = decode_body(body.kind, body.body)
    assert isinstance(founding, Founding)
    empty = Roster(roster.universe_id)
    for author, other in ((BOB, founding), (ALICE, replace(founding, universe_name="Elsewhere"))):
        entry = sign_entry(
            author,
            universe_id=roster.universe_id,
            subject=roster.universe_id,
            kind=Kind.POLICY,
            version=1,
            predecessors=(),
            body=other,
        )
        assert refused(empty, entry) is Rule.ENTRY_FOUNDING
    assert empty.founder is None
    assert empty.universe_name is None


def test_admission() -> None:
    roster = universe()
    assert roster.check_spend(TICKET.invite_id, B, now=999) is None
    roster.add(admission(roster, BOB, suite=3))
    bob = roster.members[B]
    assert (bob.name, bob.role, bob.incarnation, bob.cipher_suite) == ("Bob", "member", 1, 3)
    assert (bob.sponsor, bob.invite_id, bob.peer_id) == (A, TICKET.invite_id, BOB.peer_id)
    assert roster.entry(bob.entry_id) in roster.entries()
    assert roster.invites[TICKET.invite_id].spent == {B}
    roster.add(admission(roster, BOB, incarnation=2))
    assert roster.members[B].incarnation == 2
    assert roster.invites[TICKET.invite_id].spent == {B}


def test_known_entries_change_nothing() -> None:
    roster = with_members(BOB)
    before = roster.digest
    for entry in roster.entries():
        assert roster.add(entry) == ()
    assert roster.digest == before


def test_a_second_signature_makes_no_second_entry() -> None:
    roster = with_members(BOB)
    entry = roster.entries()[-1]
    other = replace(decode_entry(entry), signature=b"\x00" * 64).encode()
    assert entry_id(entry) == entry_id(other)
    with pytest.raises(VerificationFailed):
        roster.add(other)


# rights


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (Kind.INVITE, Invite(b"t" * 32, b"m" * 32, "admin", 1, 5)),
        (Kind.REMOVAL, Removal(Target.MEMBER, ())),
        (Kind.REMOVAL, Removal(Target.INVITE, ())),
        (Kind.REMOVAL, Removal(Target.ARCHIVER, ())),
        (Kind.ROLE, RoleChange("reader", ())),
        (Kind.POLICY, PolicyChange(Policy())),
        (Kind.ARCHIVER, Archiver("Dave", DAVE.peer_id, b"k" * 32, b"o" * 32, ())),
    ],
)
@pytest.mark.parametrize("author", [BOB, DAVE])
def test_members_and_strangers_have_no_admins_rights(author: Identity, kind: Kind, body: Body) -> None:
    roster = with_members(BOB, CAROL)
    subjects = {
        Kind.POLICY: roster.universe_id,
        Kind.INVITE: invite_id_of(author.identity_public_key, b"t" * 32),
    }
    subject = subjects.get(kind, C)
    assert refused(roster, forged(roster, author, subject, kind, body)) is Rule.ENTRY_RIGHT


def test_builders_refuse_what_others_would() -> None:
    roster = with_members(BOB, CAROL)
    with pytest.raises(UsageError):
        roster.make_remove(BOB, C)
    with pytest.raises(UsageError):
        roster.make_topic(DAVE, random_from("topic"))
    with pytest.raises(UsageError):
        roster.make_revoke(BOB, TICKET.invite_id)
    with pytest.raises(UsageError):
        roster.make_revoke(ALICE, b"?" * 32)
    with pytest.raises(UsageError):
        roster.make_remove(ALICE, DAVE.identity_public_key)
    with pytest.raises(UsageError):
        roster.make_invite(ALICE, ticket_key=b"t" * 32, mac_key=b"m" * 32, uses=0, expires_at=1)


def test_who_left_as_founder_has_no_rights() -> None:
    roster = with_members(BOB)
    before = copy(roster)
    roster.add(roster.make_remove(ALICE, A))
    assert set(roster.members) == {B}
    assert not roster.may(A, Right.INVITE)
    assert (
        refused(roster, forged(roster, ALICE, roster.universe_id, Kind.TOPIC, Topic(b"t" * 32)))
        is Rule.ENTRY_RIGHT
    )
    # What the founder did before stays; what it signs afterwards by old entries does not.
    before.add(admission(before, CAROL))
    assert set(merged(roster, before).members) == {B}


# topics


def test_topics_are_derived_and_bounded() -> None:
    roster = universe()
    first = roster.topic_secrets[0]
    assert topic_name(first).startswith("/starling/1/")
    assert first.hex() not in topic_name(first)
    assert topic_name(b"a" * 32) != topic_name(b"b" * 32)
    for i in range(6):
        roster.add(roster.make_topic(ALICE, random_from(f"topic {i}")))
    assert len(roster.topic_secrets) == 4
    assert roster.topic_secrets[0] == random_from("topic 5")(32)
    assert first not in roster.topic_secrets


def test_secrets_are_not_in_reprs() -> None:
    roster = universe()
    shown = repr(roster) + repr(roster.view) + repr(roster.invites) + repr(roster._graph.nodes[-1].read.body)
    assert repr(TICKET.mac_key) not in shown
    assert repr(roster.topic_secrets[0]) not in shown
