"""Roster entries: in what order they come in, what they must be, and how many there may be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.distributed.people import ALICE, BOB, CAROL, random_from, signed_admission, universe
from tests.distributed.rosters import B, copy, forged, refused, with_members

from starling.protocol.distributed import roster_graph
from starling.protocol.distributed.roster import Roster, sorted_entries
from starling.protocol.distributed.roster_body import (
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
from starling.protocol.distributed.roster_entry import MAX_ENTRY, RosterEntry, decode_entry, sign_entry
from starling.protocol.distributed.roster_rights import Policy
from starling.protocol.distributed.rules import Rule
from starling.protocol.errors import (
    DecodeError,
    Invalid,
    Pending,
    StarlingError,
    Unsupported,
    VerificationFailed,
)

ADMISSION = signed_admission(b"u" * 32, BOB)


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
