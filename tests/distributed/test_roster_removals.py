"""The roster: leaving, removal and return."""

from __future__ import annotations

import pytest
from tests.distributed.people import (
    ALICE,
    BOB,
    CAROL,
    DAVE,
    add_invite,
    admission,
    person,
    random_from,
    signed_admission,
    universe,
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
    spend_rule,
    ticket,
    with_members,
    with_roles,
)

from starling.protocol.distributed.roster_body import Kind, Removal, Target, Topic
from starling.protocol.distributed.roster_entry import decode_entry, entry_id
from starling.protocol.distributed.roster_rights import ADMIN, MEMBER, Policy
from starling.protocol.distributed.rules import Rule
from starling.protocol.distributed.ticket import TicketSecret
from starling.protocol.errors import UsageError

# one alone


def test_leaving() -> None:
    roster = with_members(BOB, CAROL)
    entry = roster.make_remove(BOB, B)
    assert roster.add(entry) == (entry,)
    assert set(roster.members) == {A, C}
    assert roster.removed == {B: (entry_id(entry),)}
    assert roster.topic_is_stale
    old = roster.topics[0]
    roster.add(roster.make_topic(ALICE, random_from("new topic")))
    assert not roster.topic_is_stale
    assert len(roster.topics) == 2
    assert roster.topics[1] == old


def test_leaving_has_one_form() -> None:
    """So a member without rights cannot fill anybody's roster."""
    roster = with_members(BOB, CAROL)
    leave = Removal(Target.LEAVE, ())
    member = roster.members[B].entry_id
    other = roster.members[C].entry_id
    assert (
        refused(roster, forged(roster, CAROL, B, Kind.REMOVAL, leave, predecessors=(member,)))
        is Rule.ENTRY_RIGHT
    )
    assert (
        refused(roster, forged(roster, BOB, B, Kind.REMOVAL, leave, predecessors=(other,)))
        is Rule.ENTRY_LEAVE
    )
    assert (
        refused(roster, forged(roster, BOB, B, Kind.REMOVAL, leave, predecessors=(member, other)))
        is Rule.ENTRY_LEAVE
    )
    assert (
        refused(roster, forged(roster, DAVE, DAVE.identity_public_key, Kind.REMOVAL, leave))
        is Rule.ENTRY_LEAVE
    )
    assert roster.make_remove(BOB, B) == forged(roster, BOB, B, Kind.REMOVAL, leave, predecessors=(member,))


def test_removal_wins_over_what_it_did_not_know() -> None:
    ours = with_members(BOB)
    theirs = copy(ours)
    ours.add(ours.make_remove(ALICE, B))
    theirs.add(admission(theirs, BOB, incarnation=2))
    both = merged(ours, theirs)
    assert B not in both.members
    assert merged(theirs, ours).view == both.view


def test_return_names_the_removal() -> None:
    roster = with_members(BOB)
    other = copy(roster)
    roster.add(roster.make_remove(ALICE, B))
    newer = TicketSecret(b"n" * 32, A)
    add_invite(roster, newer)
    bob = signed_admission(roster.universe_id, BOB, incarnation=2, ticket=newer)
    assert refused(roster, forged(roster, ALICE, B, Kind.MEMBER, bob)) is Rule.ENTRY_READMIT
    unnamed = forged(
        roster,
        ALICE,
        B,
        Kind.READMIT,
        bob,
        predecessors=(roster.members[A].entry_id, roster.invites[newer.invite_id].entry_id),
    )
    assert refused(roster, unnamed) is Rule.ENTRY_READMIT
    roster.add(admission(roster, BOB, incarnation=2, ticket=newer))
    assert roster.members[B].incarnation == 2
    roster.add(admission(roster, BOB, incarnation=3))
    assert roster.members[B].incarnation == 3
    # A removal that the return did not know wins again.
    other.add(other.make_topic(ALICE, random_from("x")))
    other.add(other.make_remove(ALICE, B))
    assert B not in merged(roster, other).members


def test_a_removal_honours_known_acts_only() -> None:
    roster = with_members(BOB)
    alien = roster.members[A].entry_id
    for honours in ((alien,), (b"\x00" * 32,)):
        entry = forged(roster, ALICE, B, Kind.REMOVAL, Removal(Target.MEMBER, honours))
        assert refused(roster, entry) is Rule.ENTRY_REMOVAL
    gone = Removal(Target.MEMBER, ())
    assert refused(roster, forged(roster, ALICE, C, Kind.REMOVAL, gone)) is Rule.ENTRY_REMOVAL
    assert refused(roster, forged(roster, ALICE, A, Kind.REMOVAL, gone)) is Rule.ENTRY_REMOVAL


# several, and what falls with whom


def test_what_a_removed_member_did_unknown_to_the_removal_falls() -> None:
    roster = with_roles(bob=MEMBER, carol=MEMBER)
    beside = copy(roster)
    admit(roster, DAVE, BOB)
    roster.add(roster.make_remove(ALICE, B))
    admit(beside, ERIN, BOB)
    admit(beside, FRANK, ERIN)
    both = merged(roster, beside)
    assert set(both.members) == {A, C, D}, "and who was admitted by it falls too"
    assert both.removed[F] == both.removed[E] == both.removed[B] != ()
    assert len(both.view.fallen) == 4
    # Whoever was admitted by somebody else as well stays.
    again = copy(roster)
    admit(again, ERIN, CAROL)
    assert {E} == set(merged(roster, beside, again).members) - {A, C, D}


def test_who_came_by_a_ticket_that_falls_goes_with_it() -> None:
    """Whoever sponsored: the right was from who made the ticket."""
    roster = with_roles(bob=MEMBER, carol=MEMBER)
    beside = copy(roster)
    roster.add(roster.make_remove(ALICE, B))
    add_invite(beside, ticket("bobs", BOB), by=BOB)
    beside.add(admission(beside, DAVE, by=CAROL, ticket=ticket("bobs", BOB)))
    assert D in beside.members and D not in merged(roster, beside).members


def test_concurrent_removals_honour_what_both_do() -> None:
    roster = with_roles(bob=ADMIN, carol=MEMBER)
    before = copy(roster)
    admit(roster, DAVE, CAROL)
    other = copy(roster)
    roster.add(roster.make_remove(ALICE, C))
    before.add(before.make_remove(BOB, C))
    assert D in roster.members and D in other.members
    both = merged(roster, before)
    assert set(both.members) == {A, B} and len(both.removed[C]) == 2


def test_a_removal_may_disown_what_it_knows_of_a_junior() -> None:
    roster = with_roles(bob=ADMIN, carol=ADMIN)
    admit(roster, DAVE, BOB)
    admit(roster, ERIN, CAROL)
    disowns = Removal(Target.MEMBER, ())
    assert refused(roster, forged(roster, CAROL, B, Kind.REMOVAL, disowns)) is Rule.ENTRY_SENIOR
    assert refused(roster, forged(roster, CAROL, A, Kind.REMOVAL, disowns)) is Rule.ENTRY_SENIOR
    beside = copy(roster)
    topic = forged(roster, ERIN, roster.universe_id, Kind.TOPIC, Topic(b"t" * 32))
    roster.add(forged(roster, BOB, C, Kind.REMOVAL, disowns))
    assert set(roster.members) == {A, B, D}
    later = forged(roster, ERIN, roster.universe_id, Kind.TOPIC, Topic(b"t" * 32))
    assert refused(roster, later) is Rule.ENTRY_RIGHT
    # What was signed beside it comes in, so that all have the same entries, and does not stand.
    beside.add(topic)
    assert merged(roster, beside).topic_secrets == roster.topic_secrets


def test_of_two_that_remove_each_other_the_senior_stays() -> None:
    one = with_roles(bob=ADMIN, carol=ADMIN)
    assert one.seniority == (A, B, C)
    two = copy(one)
    one.add(one.make_remove(BOB, C))
    two.add(two.make_remove(CAROL, B))
    two.add(two.make_remove(CAROL, A))
    for both in (merged(one, two), merged(two, one)):
        assert set(both.members) == {A, B}
    # The founder's own word is before everybody's.
    three = with_roles(bob=ADMIN, carol=ADMIN)
    four = copy(three)
    three.add(three.make_remove(ALICE, B))
    four.add(four.make_remove(BOB, A))
    assert set(merged(three, four).members) == {A, C}


def test_equally_senior_ones_that_remove_each_other_both_go() -> None:
    roster = universe()
    add_invite(roster, ticket("admins"), role=ADMIN)
    for who in (BOB, CAROL):
        roster.add(admission(roster, who, ticket=ticket("admins")))
    assert roster.members[B].seniority == roster.members[C].seniority
    other = copy(roster)
    roster.add(roster.make_remove(BOB, C))
    other.add(other.make_remove(CAROL, B))
    assert set(merged(roster, other).members) == {A}


def test_three_that_remove_each_other_in_a_ring() -> None:
    """Bob removes Carol, Carol Dave, Dave Bob: Bob's word stands, so Carol's does not, so Dave's does."""
    start = with_roles(bob=ADMIN, carol=ADMIN, dave=ADMIN)
    copies = [copy(start) for _ in range(3)]
    for roster, (who, subject) in zip(copies, ((BOB, C), (CAROL, D), (DAVE, B)), strict=True):
        roster.add(roster.make_remove(who, subject))
    assert set(merged(*copies).members) == {A, D}


def test_the_founder_leaves_and_the_others_go_on() -> None:
    roster = with_roles(bob=ADMIN, carol=MEMBER)
    roster.add(roster.make_remove(ALICE, A))
    assert set(roster.members) == {B, C} and roster.topic_is_stale
    roster.add(roster.make_role(BOB, C, ADMIN))
    roster.add(roster.make_topic(CAROL, random_from("after")))
    assert not roster.topic_is_stale
    admit(roster, ALICE, CAROL)
    assert roster.seniority == (B, C, A), "who comes back is the most junior"


def test_leaving_takes_along_what_was_not_told_before() -> None:
    roster = with_roles(bob=MEMBER)
    beside = copy(roster)
    admit(roster, CAROL, BOB)
    entry = roster.make_remove(BOB, B)
    roster.add(entry)
    admit(beside, DAVE, BOB)
    both = merged(roster, beside)
    assert set(both.members) == {A, C}
    # The leave follows nothing but the member's own entries.
    authors = {decode_entry(both.entry(name) or b"").author for name in decode_entry(entry).predecessors}
    assert authors == {A, B}


def test_all_whom_a_hostile_member_let_in_go_with_it_by_one_entry() -> None:
    """However many they are, and whoever of them let in the others; those whom others let in stay."""
    roster = with_roles(bob=MEMBER, carol=MEMBER)
    crowd = [person(f"accomplice {number}") for number in range(12)]
    sponsors = [BOB, *crowd]
    for number, who in enumerate(crowd):
        admit(roster, who, sponsors[number // 2])
    admit(roster, DAVE, CAROL)
    let_in = {who.identity_public_key for who in crowd}
    assert let_in <= roster.members.keys()
    merely = copy(roster)
    merely.add(merely.make_remove(ALICE, B))
    assert let_in <= merely.members.keys(), "a removal honours what its author knows"
    strict = copy(roster)
    strict.add(strict.make_policy(ALICE, Policy(remove=MEMBER)))
    with pytest.raises(UsageError, match="ENTRY_SENIOR"):
        strict.make_remove(CAROL, B, disowning=True)
    roster.add(roster.make_remove(ALICE, B, disowning=True))
    assert set(roster.members) == {A, C, D}
    assert {roster.departure(who) for who in let_in} == {roster.departure(crowd[0].identity_public_key)}
    assert merged(roster, merely).members.keys() == roster.members.keys(), "the stricter removal counts"


# coming back


def test_who_was_removed_comes_back_by_somebody_who_may_remove() -> None:
    roster = with_roles(bob=MEMBER, carol=MEMBER)
    roster.add(roster.make_remove(ALICE, C))
    add_invite(roster, ticket("bobs", BOB), by=BOB)
    assert spend_rule(roster, C, ticket=ticket("bobs", BOB)) is Rule.INVITE_REMOVED
    body = signed_admission(roster.universe_id, CAROL, incarnation=2, ticket=ticket("bobs", BOB))
    removal = roster.removed[C]
    predecessors = tuple({*roster._graph.tips, *removal})
    entry = forged(roster, BOB, C, Kind.READMIT, body, predecessors=predecessors)
    assert refused(roster, entry) is Rule.ENTRY_READMIT
    add_invite(roster, ticket("alices"))
    assert roster.check_spend(ticket("alices").invite_id, C, 0) is None
    roster.add(admission(roster, CAROL, by=BOB, incarnation=2, ticket=ticket("alices")))
    assert C in roster.members


def test_who_left_comes_back_by_anybody() -> None:
    roster = with_roles(bob=MEMBER, carol=MEMBER)
    roster.add(roster.make_remove(CAROL, C))
    admit(roster, CAROL, BOB)
    assert C in roster.members


def test_two_returns_that_answer_one_removal_each_are_answered_by_a_third() -> None:
    one = with_roles(bob=ADMIN, carol=MEMBER)
    two = copy(one)
    for roster, by in ((one, ALICE), (two, BOB)):
        roster.add(roster.make_remove(by, C))
        admit(roster, CAROL, by)
    both = merged(one, two)
    assert C not in both.members
    admit(both, CAROL, ALICE)
    assert C in both.members
