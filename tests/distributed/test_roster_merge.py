"""The roster merges without order: histories of diverging copies, in any order of arrival, agree."""

from __future__ import annotations

import hashlib
from random import Random

from hypothesis import given, settings
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
    universe,
)

from starling.protocol.distributed.identity import Identity
from starling.protocol.distributed.roster import Roster, sorted_entries
from starling.protocol.distributed.roster_body import Kind
from starling.protocol.distributed.roster_entry import decode_entry, entry_id
from starling.protocol.distributed.ticket import TicketSecret
from starling.protocol.errors import Pending, UsageError

PEOPLE = (BOB, CAROL, DAVE)

Action = tuple[str, int, int]

ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["admit", "readmit", "remove", "leave", "topic", "invite", "revoke", "merge"]),
        st.integers(0, 2),  # whose copy
        st.integers(0, 2),  # about whom, or with whom
    ),
    max_size=14,
)


def admit(roster: Roster, who: Identity, incarnation: int, group: str = "") -> bytes:
    """Have Alice admit somebody, by a new ticket; a member anew, where `group` says so with a new send group."""
    group_id = hashlib.sha256(f"{who.name} {group}".encode()).digest()
    ticket = TicketSecret(hashlib.sha256(f"{who.name} {incarnation}".encode()).digest(), TICKET.inviter)
    add_invite(roster, ticket)
    entry = admission(roster, who, incarnation=incarnation, send_group_id=group_id, ticket=ticket)
    roster.add(entry)
    return entry


def history(actions: list[Action]) -> tuple[Roster, ...]:
    """Three copies of one roster, all with the founder's keys: a founder restored from backups."""
    copies = tuple(Roster.load(universe().universe_id, universe().entries()) for _ in range(3))
    for count, (action, here, about) in enumerate(actions):
        roster, who = copies[here], PEOPLE[about]
        try:
            match action:
                case "admit":
                    admit(roster, who, count + 1)
                case "readmit":
                    admit(roster, who, count + 1, str(count))
                case "remove":
                    roster.add(roster.make_remove(ALICE, who.identity_public_key))
                case "leave":
                    roster.add(roster.make_remove(who, who.identity_public_key))
                case "topic":
                    roster.add(roster.make_topic(ALICE, random_from(str(count))))
                case "invite":
                    add_invite(roster, TicketSecret(bytes([about]) * 32, TICKET.inviter), uses=count + 1)
                case "revoke":
                    roster.add(roster.make_revoke(ALICE, TICKET.invite_id))
                case _:
                    for entry in copies[about].missing_from(roster.ids):
                        roster.add(entry)
        except UsageError:
            pass  # such as removing who is no member
    return copies


@settings(deadline=None, max_examples=60)
@given(ACTIONS, st.randoms(use_true_random=False))
def test_order_of_arrival_does_not_matter(actions: list[Action], shuffle: Random) -> None:
    copies = history(actions)
    everything = list({entry for roster in copies for entry in roster.entries()})
    expected = Roster.load(copies[0].universe_id, everything)
    for _ in range(2):
        shuffle.shuffle(everything)
        roster = Roster(expected.universe_id)
        for entry in everything:
            try:
                roster.add(entry)
            except Pending:
                assert roster.wanted
        assert roster.ids == expected.ids
        assert roster.view == expected.view
        assert Roster.load(roster.universe_id, roster.entries()).view == expected.view


@settings(deadline=None, max_examples=60)
@given(ACTIONS)
def test_merging_pairwise_agrees(actions: list[Action]) -> None:
    copies = history(actions)
    expected = Roster.load(copies[0].universe_id, [e for roster in copies for e in roster.entries()])
    for first, second in ((0, 1), (1, 2), (2, 0), (0, 1)):
        for entry in copies[second].missing_from(copies[first].ids):
            copies[first].add(entry)
        for entry in copies[first].missing_from(copies[second].ids):
            copies[second].add(entry)
    assert {roster.digest for roster in copies} == {expected.digest}
    assert all(roster.view == expected.view for roster in copies)


@settings(deadline=None, max_examples=60)
@given(ACTIONS)
def test_members_and_former_members_are_apart(actions: list[Action]) -> None:
    for roster in history(actions):
        assert not set(roster.members) & set(roster.removed)
        assert all(roster.removed.values())


@settings(deadline=None, max_examples=30)
@given(ACTIONS, st.randoms(use_true_random=False))
def test_sorted_entries_can_be_added_one_by_one(actions: list[Action], shuffle: Random) -> None:
    for source in history(actions):
        entries = list(source.entries())
        shuffle.shuffle(entries)
        roster = Roster(source.universe_id)
        for entry in sorted_entries(entries):
            assert roster.add(entry) == (entry,)
        assert roster.digest == source.digest


@settings(deadline=None, max_examples=60)
@given(ACTIONS, st.integers(0, 2), st.integers(0, 2), st.randoms(use_true_random=False))
def test_a_new_send_group_supersedes_whatever_the_order(
    actions: list[Action], here: int, about: int, shuffle: Random
) -> None:
    """The copy that signs need not know the newest entry about the member, nor the others this one."""
    copies = history(actions)
    who = PEOPLE[about]
    known = copies[here].ids
    entry = admit(copies[here], who, len(actions) + 1, "new")
    entries = list({entry for roster in copies for entry in roster.entries()})
    shuffle.shuffle(entries)
    roster = Roster.load(copies[0].universe_id, entries)
    removals = roster.removed.get(who.identity_public_key, ())
    if removals:
        assert not known.issuperset(removals)  # it wins over what it did not know
    else:
        standing = roster.members[who.identity_public_key]
        assert standing.entry_id == entry_id(entry) and standing.incarnation == len(actions) + 1


@settings(deadline=None, max_examples=60)
@given(ACTIONS, st.randoms(use_true_random=False))
def test_an_incarnation_falls_only_by_a_removal(actions: list[Action], shuffle: Random) -> None:
    copies = history(actions)
    everything = list({entry for roster in copies for entry in roster.entries()})
    shuffle.shuffle(everything)
    roster = Roster(copies[0].universe_id)
    highest: dict[bytes, int] = {}
    for encoded in everything:
        try:
            new = roster.add(encoded)
        except Pending:
            continue
        for entry in map(decode_entry, new):
            if entry.kind == Kind.REMOVAL:
                highest.pop(entry.subject, None)
        for identity, info in roster.members.items():
            assert info.incarnation >= highest.get(identity, 0)
            highest[identity] = info.incarnation


def test_an_older_incarnation_that_follows_does_not_count() -> None:
    roster = universe()
    admit(roster, BOB, 3, "three")
    standing = roster.members[BOB.identity_public_key]
    admit(roster, BOB, 2, "two")
    assert roster.members[BOB.identity_public_key] == standing


def test_a_large_universe() -> None:
    """A hundred and fifty members who all leave at once still fit into one entry's predecessors."""
    roster = universe(uses=1000)
    people = [Identity.generate(f"Person {i}", random_from(f"person {i}")) for i in range(150)]
    for who in people:
        roster.add(admission(roster, who))
    assert len(roster.members) == 151
    for who in people:
        roster.add(roster.make_remove(who, who.identity_public_key))
    roster.add(roster.make_topic(ALICE, random_from("after")))
    assert set(roster.members) == {ALICE.identity_public_key}
    assert not roster.topic_is_stale
    assert Roster.load(roster.universe_id, roster.entries()).view == roster.view
