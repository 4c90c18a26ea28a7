"""Leaving: also with nobody there, told when somebody is, and nothing kept."""

from __future__ import annotations

import pytest
from tests.engine.small_network import HOUR, MINUTE, SECOND, Network, Node, quiet

from starling.protocol.distributed import policy, roster_checks
from starling.protocol.engine.inputs import CreateInvite, JoinUniverse, LeaveUniverse
from starling.protocol.engine.leaving import Leaving
from starling.protocol.errors import UsageError


def assert_gone(universe: bytes, leaver: Node, others: list[Node]) -> None:
    for node in others:
        assert [body["identity"] for body in node.heard("member.removed")] == [leaver.me]
        assert [body["identity"] for body in node.heard("removal.done")] == [leaver.me]
        assert len(node.engine.members(universe)) == len(others)
        assert node.engine.converged(universe), node.name


def test_who_leaves_is_gone_at_once() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    before = alice.topics
    assert bob.do(LeaveUniverse(universe)) == {"told": 2}
    assert bob.engine.universe(universe)["state"] == "left"
    assert bob.heard("universe.left") == [{}] and not bob.heard("member.removed")
    assert {table for table, _ in bob.rows} == {"universe", "roster", "leaving"}
    network.run(MINUTE)
    assert_gone(universe, bob, [alice, carol])
    assert alice.say(universe, "bob is gone")["recipients"] == 1
    assert alice.universe(universe).roster.topics[0] not in before
    left = bob.universe(universe).leaving
    assert left is not None and not left.peers and not bob.known.guests
    with pytest.raises(UsageError, match="has left"):
        bob.say(universe, "hello?")
    network.run(MINUTE)
    assert not bob.texts()


def test_who_leaves_with_nobody_there_tells_them_later() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    network.cut(bob, alice, carol)
    assert bob.do(LeaveUniverse(universe)) == {"told": 0}
    assert not bob.universe(universe).groups
    network.stop(bob)
    network.run(HOUR)
    network.restart(bob)
    assert bob.engine.universe(universe)["state"] == "left"
    assert set(bob.known.guests) == {alice.id, carol.id}
    assert len(alice.engine.members(universe)) == 3
    network.heal_between(bob, carol)
    network.run(MINUTE)
    assert_gone(universe, bob, [alice, carol])
    assert not bob.known.guests


def test_who_has_invited_with_nobody_there_and_then_leaves_is_believed() -> None:
    """The last word follows what the leaver made before, which nobody else has."""
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    network.cut(bob, alice, carol)
    for _ in range(3):
        bob.do(CreateInvite(universe))
    bob.do(LeaveUniverse(universe))
    network.heal()
    network.run(MINUTE)
    assert_gone(universe, bob, [alice, carol])
    assert not bob.known.guests


def test_who_finds_nobody_for_a_week_forgets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "LEAVE_TOLD", 7 * MINUTE)
    network, universe, (alice, bob) = quiet("alice", "bob")
    network.cut(alice, bob)
    bob.do(LeaveUniverse(universe))
    network.run(8 * MINUTE)
    assert not bob.known.guests and bob.engine.universe(universe)["state"] == "left"
    network.heal()
    network.run(MINUTE)
    assert len(alice.engine.members(universe)) == 2


def test_the_last_admin_leaves_only_by_force() -> None:
    network, universe, (alice, bob) = quiet("alice", "bob")
    before = dict(alice.rows)
    with pytest.raises(UsageError, match="last admin") as refused:
        alice.do(LeaveUniverse(universe))
    assert refused.value.code == "admin.last" and alice.rows == before
    alice.do(LeaveUniverse(universe, force=True))
    network.run(MINUTE)
    assert_gone(universe, alice, [bob])


def test_who_is_alone_just_leaves() -> None:
    network = Network()
    universe, alice = network.found("alice")
    assert alice.do(LeaveUniverse(universe)) == {"told": 0}
    assert alice.wake is None


def test_who_has_left_comes_back_by_a_later_ticket() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    bob.do(LeaveUniverse(universe))
    network.run(MINUTE)
    bob.do(JoinUniverse(network.invite(alice, universe)))
    network.run(MINUTE)
    assert bob.engine.universe(universe)["state"] == "active"
    assert not bob.table("leaving")
    alice.say(universe, "welcome back")
    network.run(6 * SECOND)
    assert bob.texts() == ["welcome back"]
    assert all(node.engine.converged(universe) for node in (alice, bob, carol))


def test_who_may_make_no_more_entries_leaves_the_topic_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    before = alice.topics
    network.cut(alice, bob, carol)
    monkeypatch.setattr(roster_checks, "MAX_MEMBER_VERSION", 0)
    carol.do(LeaveUniverse(universe))
    network.run(MINUTE)
    assert bob.universe(universe).roster.topic_is_stale
    network.heal()
    network.run(MINUTE)
    assert bob.universe(universe).roster.topics[0] == alice.universe(universe).roster.topics[0] not in before


def test_where_more_are_members_than_one_may_admit_it_is_kept_whom_to_tell() -> None:
    """Rosters that grew apart merge whatever their size."""
    address: tuple[str, ...] = ("/ip4/192.0.2.1/tcp/4001",)
    peers = {number.to_bytes(32, "big"): address for number in range(1000)}
    left = Leaving((b"entry",), peers, 1)
    assert set(Leaving.decode(left.encode()).peers) < set(peers)
