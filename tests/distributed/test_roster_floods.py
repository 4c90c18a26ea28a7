"""A member that signs as much as it can: what there may be of it, that it can be removed, and nobody falls silent."""

from __future__ import annotations

import pytest
from tests.distributed.people import ALICE, BOB, CAROL, DAVE, admission, person, random_from, universe
from tests.distributed.rosters import B, C, copy, forged, merged, refused, with_roles

from starling.protocol.distributed import roster_checks, roster_graph
from starling.protocol.distributed.identity import Identity
from starling.protocol.distributed.roster import Roster
from starling.protocol.distributed.roster_body import Kind, Topic
from starling.protocol.distributed.roster_checks import MAX_MEMBER_VERSION
from starling.protocol.distributed.roster_entry import entry_id
from starling.protocol.distributed.roster_graph import MAX_SIBLINGS
from starling.protocol.distributed.roster_rights import ADMIN, MEMBER
from starling.protocol.distributed.rules import Rule
from starling.protocol.errors import Invalid, Pending


def members(roster: Roster, *people: Identity) -> Roster:
    for who in people:
        roster.add(admission(roster, who))
    return roster


def flood(roster: Roster, who: Identity, count: int) -> list[bytes]:
    """So many entries with few that follow another; gives back the ids of those that none of them follows."""
    before = (roster.members[who.identity_public_key].entry_id,)
    heads: list[bytes] = []
    secret = 0
    while len(heads) < count:
        assert roster._graph.next_version(who.identity_public_key, 0) < MAX_MEMBER_VERSION
        for _ in range(MAX_SIBLINGS):
            secret += 1
            body = Topic(secret.to_bytes(32, "big"))
            entry = forged(roster, who, roster.universe_id, Kind.TOPIC, body, predecessors=before)
            roster.add(entry)
            heads.append(entry_id(entry))
        before = (heads.pop(),)
    return heads


def test_several_who_sign_side_by_side_are_removed() -> None:
    hostile = (BOB, CAROL, DAVE)
    roster = members(universe(), *hostile)
    flooded = [copy(roster) for _ in hostile]
    for who, other in zip(hostile, flooded, strict=True):
        flood(other, who, 200)
    roster = merged(*flooded)
    for who in hostile:
        roster.add(roster.make_remove(ALICE, who.identity_public_key))
    assert set(roster.members) == {ALICE.identity_public_key}


def test_an_admin_removes_a_senior_member_that_signs_side_by_side() -> None:
    roster = members(universe(), BOB, CAROL)
    roster.add(roster.make_role(ALICE, C, ADMIN))
    flood(roster, BOB, 140)
    assert roster.members[B].seniority < roster.members[C].seniority
    roster.add(roster.make_remove(CAROL, B))
    assert B not in roster.members
    assert copy(roster).digest == roster.digest


def test_who_has_signed_nothing_yet_can_among_many_entries() -> None:
    """Else it could not make the topic that is its turn to make: its own member entry is none of the first tips."""
    roster = members(universe(), BOB)
    flooded = copy(roster)
    flood(flooded, BOB, 600)
    for who in (CAROL, DAVE, person("Erin"), person("Frank")):
        other = merged(flooded, members(copy(roster), who))
        assert other.add(other.make_topic(who, lambda length: b"\x01" * length))


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
