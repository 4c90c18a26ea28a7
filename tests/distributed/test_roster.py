"""The roster: rights, removal and return, invites, topics, bounds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.distributed.people import (
    ALICE,
    BOB,
    CAROL,
    DAVE,
    TICKET,
    add_invite,
    admission,
    random_from,
    signed_admission,
    universe,
)

from starling.protocol.distributed import roster_graph
from starling.protocol.distributed.identity import Identity
from starling.protocol.distributed.invite_id import invite_id_of
from starling.protocol.distributed.roster import Roster, entry_id, sorted_entries, topic_name
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
from starling.protocol.distributed.roster_entry import (
    MAX_ENTRY,
    RosterEntry,
    decode_entry,
    sign_entry,
)
from starling.protocol.distributed.roster_rights import Policy, Right
from starling.protocol.distributed.rules import Rule
from starling.protocol.distributed.ticket import TicketSecret
from starling.protocol.errors import (
    DecodeError,
    Invalid,
    Pending,
    StarlingError,
    Unsupported,
    UsageError,
    VerificationFailed,
)

ADMISSION = signed_admission(b"u" * 32, BOB)
A, B, C = (who.identity_public_key for who in (ALICE, BOB, CAROL))


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


# leaving, removal, return


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


# invites


def spend_rule(roster: Roster, who: bytes, now: int = 0, ticket: TicketSecret = TICKET) -> object:
    with pytest.raises(Invalid) as caught:
        roster.check_spend(ticket.invite_id, who, now)
    return caught.value.rule


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


# waiting and exchange


def test_an_entry_waits_for_what_it_follows() -> None:
    source = with_members(BOB, CAROL)
    entries = source.entries()
    roster = Roster(source.universe_id)
    for entry in reversed(entries[1:]):
        with pytest.raises(Pending):
            roster.add(entry)
        assert roster.wanted == set(decode_entry(entry).predecessors)
    assert roster.members == {}
    added = roster.add(entries[0])
    assert set(added) == set(entries)
    one_by_one = Roster(roster.universe_id)
    assert all(one_by_one.add(entry) == (entry,) for entry in added)
    assert roster.wanted == frozenset()
    assert roster.view == source.view


def test_waiting_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roster_graph, "MAX_WAITING", 6)
    monkeypatch.setattr(roster_graph, "MAX_WAITING_PER_AUTHOR", 4)
    roster = universe()
    for author in (BOB, CAROL):
        for i in range(10):
            entry = sign_entry(
                author,
                universe_id=roster.universe_id,
                subject=author.identity_public_key,
                kind=Kind.REMOVAL,
                version=1,
                predecessors=(bytes([i]) * 32,),
                body=Removal(Target.LEAVE, ()),
            )
            with pytest.raises(Pending):
                roster.add(entry)
    assert len(roster._graph._waiting) == 6
    assert {who[0] for who in roster.wanted} == {6, 7, 8, 9}


def test_who_waited_in_vain_is_forgotten() -> None:
    source = with_members(BOB)
    bad = forged(source, BOB, source.universe_id, Kind.POLICY, PolicyChange(Policy()))
    roster = Roster(source.universe_id)
    with pytest.raises(Pending):
        roster.add(bad)
    for entry in source.entries():
        assert bad not in roster.add(entry)
    assert roster.view == source.view
    assert roster.wanted == frozenset()


def test_what_is_missing() -> None:
    source = with_members(BOB, CAROL)
    entries = source.entries()
    partial = Roster.load(source.universe_id, entries[:4])
    assert source.missing_from(partial.ids) == entries[4:]
    assert source.missing_from(source.ids) == ()
    for entry in source.missing_from(partial.ids):
        partial.add(entry)
    assert partial.digest == source.digest


# bounds and malformed entries


def test_versions_count_the_authors_entries() -> None:
    roster = universe()
    for version in (1, 99):
        entry = forged(roster, ALICE, roster.universe_id, Kind.TOPIC, Topic(b"t" * 32), version=version)
        assert refused(roster, entry) is Rule.ENTRY_VERSION
    for version in (0, 16_385):
        entry = forged(roster, ALICE, roster.universe_id, Kind.TOPIC, Topic(b"t" * 32), version=version)
        assert refused(roster, entry) is Rule.ENTRY_QUOTA


def test_at_most_four_entries_under_one_version() -> None:
    roster = universe()
    base = copy(roster)
    entries = [base.make_topic(ALICE, random_from(f"sibling {i}")) for i in range(5)]
    for entry in entries[:4]:
        roster.add(entry)
    assert refused(roster, entries[4]) is Rule.ENTRY_QUOTA


def test_what_an_entry_must_be() -> None:
    roster = universe()
    topic = Topic(b"t" * 32)

    def entry(**changes: Any) -> bytes:
        return forged(roster, ALICE, changes.pop("subject", roster.universe_id), Kind.TOPIC, topic, **changes)

    assert refused(roster, entry(universe_id=b"u" * 32)) is Rule.ENTRY_UNIVERSE
    assert refused(roster, entry(subject=b"short")) is Rule.ENTRY_FIELDS
    assert refused(roster, entry(subject=B)) is Rule.ENTRY_FIELDS
    assert refused(roster, entry(predecessors=(), version=1)) is Rule.ENTRY_FOUNDING
    good: RosterEntry = decode_entry(entry())
    for predecessors in (
        good.predecessors * 2,
        (b"short",),
        tuple(i.to_bytes(32, "big") for i in range(257)),
    ):
        assert refused(roster, replace(good, predecessors=predecessors).encode()) is Rule.ENTRY_PREDECESSORS
    assert refused(roster, replace(good, author=b"a").encode()) is Rule.ENTRY_FIELDS
    for change in ({"version": good.version + 1}, {"author": B}, {"signature": b""}, {"predecessors": ()}):
        with pytest.raises(VerificationFailed):
            roster.add(replace(good, **change).encode())
    with pytest.raises(Unsupported):
        roster.add(replace(good, kind=9).encode())
    with pytest.raises(DecodeError):
        roster.add(replace(good, body=bytes(MAX_ENTRY)).encode())


@pytest.mark.parametrize(
    ("kind", "body", "rule"),
    [
        (Kind.INVITE, Invite(b"t" * 32, b"m" * 32, "member", 0, 5), Rule.ENTRY_BODY),
        (Kind.POLICY, Founding(" ", b"n" * 32), Rule.ENTRY_BODY),
        (
            Kind.MEMBER,
            replace(ADMISSION, name="\n"),
            Rule.ENTRY_BODY,
        ),
        (
            Kind.MEMBER,
            replace(ADMISSION, peer_id=b"QmPeer"),
            Rule.MEMBER_PEER_ID,
        ),
        (Kind.REMOVAL, Removal(Target.MEMBER, (b"b" * 32, b"a" * 32)), Rule.ENTRY_BODY),
        (Kind.REMOVAL, Removal(Target.LEAVE, (b"a" * 32,)), Rule.ENTRY_BODY),
        (Kind.ROLE, RoleChange("reader", (b"b" * 32, b"a" * 32)), Rule.ENTRY_BODY),
        (Kind.MEMBER, replace(ADMISSION, invite_id=b""), Rule.ENTRY_BODY),
    ],
)
def test_malformed_bodies(kind: Kind, body: Body, rule: Rule) -> None:
    with pytest.raises(Invalid) as caught:
        decode_body(kind, body.encode())
    assert caught.value.rule is rule


def test_bodies_of_wrong_shape() -> None:
    key = b"t" * 32
    for body in (
        Invite(key, b"m", "member", 1, 5),
        Invite(b"t", b"m" * 32, "member", 1, 5),
        Invite(key, b"m" * 32, "member", 1001, 5),
        Topic(b"t"),
    ):
        kind = Kind.TOPIC if isinstance(body, Topic) else Kind.INVITE
        with pytest.raises(DecodeError):
            decode_body(kind, body.encode())
    with pytest.raises(Unsupported):
        decode_body(Kind.INVITE, Invite(key, b"m" * 32, "emperor", 1, 5).encode())


@given(st.integers(0, 255), st.binary(max_size=80))
def test_any_body(kind: int, data: bytes) -> None:
    try:
        body = decode_body(kind, data)
    except StarlingError:
        return
    assert body.encode() == data


@given(st.binary(max_size=200))
def test_any_entry(data: bytes) -> None:
    with pytest.raises(StarlingError):
        Roster(b"u" * 32).add(data)
    with pytest.raises(StarlingError):
        sorted_entries([data])
