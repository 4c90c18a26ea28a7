"""Roles, policy and seniority in the roster: who may do what, and what falls with whom (PROTOCOL 6)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.distributed.people import (
    ALICE,
    BOB,
    CAROL,
    DAVE,
    TICKET,
    add_invite,
    admission,
    group_of,
    person,
    random_from,
    signed_admission,
    universe,
)
from tests.distributed.test_roster import copy, forged, merged, refused, spend_rule

from starling.protocol.distributed import labels, roster_checks, roster_graph
from starling.protocol.distributed.identity import Identity, sign
from starling.protocol.distributed.roster import Roster
from starling.protocol.distributed.roster_body import (
    Invite,
    Kind,
    Removal,
    RoleChange,
    Spend,
    Target,
    Topic,
)
from starling.protocol.distributed.roster_entry import decode_entry, entry_id
from starling.protocol.distributed.roster_rights import ADMIN, MEMBER, READER, Policy, Right
from starling.protocol.distributed.rules import Rule
from starling.protocol.distributed.ticket import TicketSecret
from starling.protocol.distributed.ticket_proof import TicketProofTBS
from starling.protocol.errors import Invalid, Pending, UsageError, VerificationFailed

ERIN, FRANK = person("Erin"), person("Frank")
A, B, C, D, E, F = (who.identity_public_key for who in (ALICE, BOB, CAROL, DAVE, ERIN, FRANK))


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


# removals and what falls


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


# tickets


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
    assert (invite.overspent, invite.revoked, invite.spent) == (True, True, {C, D})
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


# topics


def test_nobody_holds_up_a_topic_that_shuts_out_the_removed() -> None:
    roster = with_roles(bob=MEMBER, carol=MEMBER)
    beside = copy(roster)
    for number in range(5):
        beside.add(beside.make_topic(BOB, random_from(f"beside {number}")))
    roster.add(roster.make_remove(ALICE, C))
    roster.add(roster.make_topic(ALICE, random_from("after")))
    both = merged(roster, beside)
    assert both.topic_secrets[0] == random_from("after")(32) and not both.topic_is_stale


# bounds


def test_who_is_no_admin_makes_a_bounded_number_of_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roster_checks, "MAX_MEMBER_VERSION", 3)
    roster = with_roles(bob=MEMBER)
    for number in range(3):
        roster.add(roster.make_topic(BOB, random_from(str(number))))
    topic = forged(roster, BOB, roster.universe_id, Kind.TOPIC, Topic(b"t" * 32))
    assert refused(roster, topic) is Rule.ENTRY_QUOTA
    roster.add(roster.make_role(ALICE, B, ADMIN))
    roster.add(roster.make_topic(BOB, random_from("admin")))
    roster.add(roster.make_role(ALICE, B, MEMBER))
    roster.add(roster.make_remove(BOB, B))
    assert B not in roster.members, "leaving is always allowed"


def test_too_many_entries_of_one_version_come_in_where_others_follow_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(roster_graph, "MAX_SIBLINGS", 1)
    roster = with_roles(bob=MEMBER, carol=MEMBER)
    other = copy(roster)
    roster.add(roster.make_topic(BOB, random_from("one")))
    sibling = other.make_topic(BOB, random_from("two"))
    other.add(sibling)
    assert refused(roster, sibling) is Rule.ENTRY_QUOTA
    honest = other.make_topic(CAROL, random_from("honest"))
    with pytest.raises(Pending):
        roster.add(honest)
    assert roster.add(sibling) == (sibling, honest)
    assert Roster.load(roster.universe_id, roster.entries()).view == roster.view


def test_who_gives_everybody_other_entries_is_removed_and_all_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roster_graph, "MAX_SIBLINGS", 2)
    start = with_roles(bob=MEMBER, carol=MEMBER)
    siblings = [start.make_topic(BOB, random_from(str(number))) for number in range(4)]
    nodes = [copy(start) for _ in range(3)]
    for roster, held in zip(nodes, ((0, 1), (1, 2), (2, 3)), strict=True):
        for number in held:
            roster.add(siblings[number])
    assert len({roster.digest for roster in nodes}) == 3
    removal = nodes[0].make_remove(ALICE, B)
    for roster in nodes:
        for entry in (removal, *siblings, removal, *siblings[:1]):
            try:
                roster.add(entry)
            except (Pending, Invalid):
                continue
    assert len({roster.ids for roster in nodes}) == 3
    assert len({roster.digest for roster in nodes}) == 1
    assert all(roster.members == nodes[0].members for roster in nodes)
    # What somebody else has built on makes a difference again, and comes to all.
    honest = nodes[2].make_topic(CAROL, random_from("honest"))
    nodes[2].add(honest)
    assert nodes[2].digest != nodes[0].digest
    for entry in nodes[2].missing_from(nodes[0].ids):
        try:
            nodes[0].add(entry)
        except (Pending, Invalid):
            continue
    for entry in nodes[2].missing_from(nodes[0].ids):
        nodes[0].add(entry)
    assert nodes[0].digest == nodes[2].digest


# what peers say of themselves


def test_a_strangers_hello_leads_back_to_somebody_known() -> None:
    known = with_roles(bob=MEMBER)
    far = copy(known)
    admit(far, CAROL, BOB)
    admit(far, DAVE, CAROL)
    for secret in ("more", "and more"):
        add_invite(far, ticket(secret))
    proof = far.proof(D, 100_000)
    assert entry_id(proof[-1]) == far.members[D].entry_id
    assert known.admits(proof, DAVE.peer_id)
    assert not known.admits(proof, CAROL.peer_id)
    assert not known.admits(proof[-1:], DAVE.peer_id), "nobody here knows Carol"
    assert not far.admits(proof, DAVE.peer_id), "nothing new"
    short = far.proof(D, 2_000)
    assert len(short) < len(proof) and known.admits(short, DAVE.peer_id), "sponsors come first"
    for entry in (far.entry(far.members[C].entry_id), short[-1]):
        with pytest.raises(Pending):
            known.add(entry or b"")
    assert known.awaits(DAVE.peer_id) and not known.awaits(ERIN.peer_id)
    known.add(known.make_remove(ALICE, B))
    assert not known.admits(proof, DAVE.peer_id) and not known.awaits(DAVE.peer_id)


def test_any_admin_tells_a_member_that_it_is_removed() -> None:
    roster = with_roles(bob=ADMIN, carol=MEMBER, dave=MEMBER)
    for by, told in ((BOB, True), (ALICE, True), (DAVE, False)):
        mine, theirs = copy(roster), copy(roster)
        add_invite(theirs, ticket("unknown"))
        if by is DAVE:
            theirs.add(theirs.make_role(ALICE, D, ADMIN))
        removal = theirs.make_remove(by, C)
        with pytest.raises(Pending):
            mine.add(removal)
        assert mine.is_told_removed(C) is told
        assert not mine.is_told_removed(D)


def test_a_role_that_is_not_known_is_refused() -> None:
    with pytest.raises(UsageError, match="role"):
        add_invite(with_roles(), ticket("x"), role="emperor")
    with pytest.raises(Invalid):
        Policy(invite="reader")
