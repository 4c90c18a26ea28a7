"""Archivers in the roster: who is one, and who is none any more (PROTOCOL 6)."""

from __future__ import annotations

from itertools import permutations

import pytest
from tests.distributed.people import ALICE, BOB, DAVE, admission, person, universe

from starling.protocol.distributed.archivers import MAX_ARCHIVERS
from starling.protocol.distributed.identity import Identity
from starling.protocol.distributed.roster import Roster
from starling.protocol.distributed.roster_body import Archiver, Kind, Target, decode_body
from starling.protocol.distributed.rules import Rule
from starling.protocol.errors import DecodeError, Invalid, Pending, UsageError
from starling.protocol.packed import pack


def named(
    roster: Roster, who: Identity, by: Identity = ALICE, address: str = "/ip4/127.0.0.1/tcp/4001"
) -> bytes:
    return roster.make_archiver(
        by,
        subject=who.identity_public_key,
        name=who.name,
        peer_id=who.peer_id,
        public_key=b"\x03" * 32,
        offer=b"\x04" * 32,
        addresses=(address,),
    )


def test_an_archiver_is_named_and_is_no_member() -> None:
    roster = universe()
    roster.add(named(roster, DAVE))
    info = roster.archivers[DAVE.identity_public_key]
    assert (info.name, info.peer_id, info.author) == ("Dave", DAVE.peer_id, ALICE.identity_public_key)
    assert roster.archiver_of_peer(DAVE.peer_id) == info
    assert roster.archiver_of_peer(BOB.peer_id) is None
    assert DAVE.identity_public_key not in roster.members
    assert DAVE.peer_id not in roster.peers


def test_only_who_has_the_right_names_one() -> None:
    roster = universe()
    roster.add(admission(roster, BOB))
    with pytest.raises(UsageError):
        named(roster, DAVE, by=BOB)
    roster.add(named(roster, DAVE))
    for refused in (DAVE, BOB):
        with pytest.raises(UsageError):
            named(roster, refused)


def test_a_removal_stands_until_an_entry_follows_it_in_any_order() -> None:
    roster = universe()
    first = named(roster, DAVE)
    roster.add(first)
    removal = roster.make_remove_archiver(ALICE, DAVE.identity_public_key)
    roster.add(removal)
    assert not roster.archivers
    assert roster.topic_is_stale
    with pytest.raises(UsageError):
        roster.make_remove_archiver(ALICE, DAVE.identity_public_key)
    again = named(roster, DAVE)
    for order in permutations((first, removal, again)):
        other = universe()
        for entry in order:
            try:
                other.add(entry)
            except Pending:
                continue
        assert list(other.archivers) == [DAVE.identity_public_key]
        roster.add(again)
        assert other.archivers == roster.archivers


def test_who_names_it_without_knowing_of_the_removal_does_not_undo_it() -> None:
    roster, other = universe(), universe()
    roster.add(named(roster, DAVE))
    roster.add(roster.make_remove_archiver(ALICE, DAVE.identity_public_key))
    concurrent = named(other, DAVE, address="/ip4/127.0.0.1/tcp/4002")
    other.add(concurrent)
    assert other.archivers
    roster.add(concurrent)
    assert not roster.archivers


def test_no_members_node_can_be_called_an_archiver() -> None:
    roster, elsewhere = universe(), universe()
    entry = named(elsewhere, BOB)
    elsewhere.add(entry)
    assert elsewhere.archiver_of_peer(BOB.peer_id) is not None
    roster.add(admission(roster, BOB))
    roster.add(entry)
    assert BOB.peer_id in roster.peers
    assert not roster.archivers
    assert roster.archiver_of_peer(BOB.peer_id) is None


def test_a_universe_has_a_bounded_number() -> None:
    roster = universe()
    for number in range(MAX_ARCHIVERS):
        roster.add(named(roster, person(f"archiver {number}")))
    assert len(roster.archivers) == MAX_ARCHIVERS
    with pytest.raises(UsageError):
        named(roster, DAVE)


def test_a_removal_of_an_archiver_names_one() -> None:
    roster = universe()
    roster.add(admission(roster, BOB))
    roster.add(named(roster, DAVE))
    removal = roster.make_remove_archiver(ALICE, DAVE.identity_public_key)
    with pytest.raises((Invalid, Pending)):
        universe().add(removal)
    assert roster.add(removal)
    assert BOB.identity_public_key in roster.members


@pytest.mark.parametrize(
    ("position", "value"),
    [(0, " x"), (1, b"\x00" * 38), (2, b"\x01" * 31), (3, b""), (4, ["nowhere"]), (4, ["/x"] * 9)],
)
def test_malformed_archivers(position: int, value: object) -> None:
    good: list[object] = ["Dave", DAVE.peer_id, b"\x03" * 32, b"\x04" * 32, ["/ip4/127.0.0.1/tcp/1"]]
    assert isinstance(decode_body(Kind.ARCHIVER, pack(good)), Archiver)
    good[position] = value
    with pytest.raises((Invalid, DecodeError)) as caught:
        decode_body(Kind.ARCHIVER, pack(good))
    if isinstance(caught.value, Invalid):
        assert caught.value.rule in (Rule.ENTRY_BODY, Rule.MEMBER_PEER_ID)


def test_the_removal_of_an_archiver_honours_nothing() -> None:
    with pytest.raises(Invalid):
        decode_body(Kind.REMOVAL, pack([Target.ARCHIVER.value, [b"\x00" * 32]]))
