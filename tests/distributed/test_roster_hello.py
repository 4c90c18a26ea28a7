"""What a roster says to peers of members that these do not know yet, or that are no longer any."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from tests.distributed.people import ALICE, BOB, CAROL, DAVE, add_invite, admission
from tests.distributed.rosters import ERIN, FRANK, A, B, C, D, E, F, admit, copy, merged, ticket, with_roles

from starling.protocol.distributed.roster_departures import Departure, Reason
from starling.protocol.distributed.roster_entry import ReadEntry, decode_entry, entry_id, read_entry
from starling.protocol.distributed.roster_rights import ADMIN, MEMBER, READER
from starling.protocol.errors import Pending, VerificationFailed


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


def test_a_chain_that_a_stranger_makes_up_costs_one_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it has signed itself holds; of who is known here it has no word."""
    known = with_roles(bob=MEMBER)
    far = copy(known)
    for sponsor, who in pairwise((BOB, CAROL, DAVE, ERIN, FRANK)):
        admit(far, who, sponsor)
    proof = list(far.proof(F, 100_000))
    place = next(number for number, entry in enumerate(proof) if decode_entry(entry).subject == C)
    proof[place] = replace(decode_entry(proof[place]), signature=bytes(64)).encode()
    looked_at = []

    def look(entry: bytes, universe_id: bytes) -> ReadEntry:
        looked_at.append(entry)
        return read_entry(entry, universe_id)

    monkeypatch.setattr("starling.protocol.distributed.roster.read_entry", look)
    with pytest.raises(VerificationFailed):
        known.admits(proof, FRANK.peer_id)
    assert looked_at == [proof[place]]


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
        departure = mine.told_departure(C)
        assert (departure is not None) is told
        if departure is not None:
            assert departure == Departure(Reason.REMOVED, by.identity_public_key, (removal,))
        assert mine.told_departure(D) is None


def test_who_fell_with_its_sponsor_is_told_by_what_took_the_right() -> None:
    """Carol made the ticket, bob admitted by it, and erin came by him; who hears only that one of them is removed, or
    may not any more, knows none of what that follows."""
    roster = with_roles(bob=MEMBER, carol=MEMBER)
    mine, theirs = copy(roster), copy(roster)
    carols = ticket("carols", CAROL)
    add_invite(mine, carols, by=CAROL)
    mine.add(admission(mine, DAVE, by=BOB, ticket=carols))
    admit(mine, ERIN, DAVE)
    add_invite(theirs, ticket("unknown"))
    words: tuple[tuple[bytes, bytes, set[bytes]], ...] = (
        (theirs.make_remove(ALICE, B), B, {D, E}),
        (theirs.make_remove(ALICE, C), C, {D, E}),
        (theirs.make_role(ALICE, B, READER), B, {D, E}),
        (theirs.make_role(ALICE, B, ADMIN), B, set()),
    )
    for word, subject, fallen in words:
        told = copy(mine)
        with pytest.raises(Pending):
            told.add(word)
        for who in (D, E):
            departure = told.told_departure(who)
            assert (departure is not None) == (who in fallen)
            assert departure in (None, Departure(Reason.ADMISSION, subject, (word,)))
        whole = merged(theirs, mine)
        whole.add(word)
        assert {D, E} - whole.members.keys() == fallen
        for who in fallen:
            assert whole.departure(who) == Departure(Reason.ADMISSION, subject, (word,))
    assert mine.departure(D) is None


def test_a_word_that_honours_what_is_not_known_tells_nobody_that_it_fell() -> None:
    roster = with_roles(bob=MEMBER)
    admit(roster, DAVE, BOB)
    theirs = copy(roster)
    add_invite(theirs, ticket("later", BOB), by=BOB)
    removal = theirs.make_remove(ALICE, B)
    with pytest.raises(Pending):
        roster.add(removal)
    assert roster.told_departure(D) is None and roster.told_departure(B) is not None
    theirs.add(removal)
    assert D in theirs.members


def test_who_came_by_somebody_removed_is_told_so_by_its_hello() -> None:
    roster = with_roles(bob=MEMBER)
    theirs = copy(roster)
    admit(theirs, DAVE, BOB)
    hello = theirs.proof(D, 10_000)
    assert roster.admits(hello, DAVE.peer_id) and roster.disowns(hello, DAVE.peer_id) is None
    removal = roster.make_remove(ALICE, B)
    roster.add(removal)
    assert not roster.admits(hello, DAVE.peer_id)
    assert roster.disowns(hello, DAVE.peer_id) == Departure(Reason.REMOVED, A, (removal,))
    assert roster.disowns(hello, ERIN.peer_id) is None and roster.disowns((), DAVE.peer_id) is None
