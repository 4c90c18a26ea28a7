"""A member that signs as much as it can, side by side: it stays one that can be removed, and nobody falls silent."""

from __future__ import annotations

from tests.distributed.people import ALICE, BOB, CAROL, DAVE, admission, person, universe
from tests.distributed.test_roster import copy, forged, merged

from starling.protocol.distributed.identity import Identity
from starling.protocol.distributed.roster import Roster, entry_id
from starling.protocol.distributed.roster_body import Kind, Topic
from starling.protocol.distributed.roster_checks import MAX_MEMBER_VERSION
from starling.protocol.distributed.roster_graph import MAX_SIBLINGS
from starling.protocol.distributed.roster_rights import ADMIN

B, C = BOB.identity_public_key, CAROL.identity_public_key


def members(roster: Roster, *people: Identity) -> Roster:
    for who in people:
        roster.add(admission(roster, who))
    return roster


def flood(roster: Roster, who: Identity, count: int) -> list[bytes]:
    """So many entries with few that follow another; gives back the ids of those that none of them follows."""
    before = (roster.members[who.identity_public_key].entry_id,)
    heads = []
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
