"""A blocked member: out of one send group, unseen by one node, and a member for everybody else (X-15)."""

from __future__ import annotations

import pytest
from tests.engine.small_network import HOUR, MINUTE, SECOND, quiet
from tests.engine.test_engine_catching_up import in_groups

from starling.protocol.engine.inputs import BlockMember, RemoveMember, UnblockMember
from starling.protocol.errors import UsageError


def test_who_is_blocked_neither_reads_nor_is_shown_and_nobody_else_minds() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    alice.do(BlockMember(universe, bob.me))
    assert alice.say(universe, "not for bob")["recipients"] == 1
    network.run(6 * SECOND)
    assert bob.say(universe, "to all")["recipients"] == 2
    carol.say(universe, "to both")
    network.run(MINUTE)
    assert carol.texts() == ["not for bob", "to all"]
    assert alice.texts() == bob.texts() == ["to both"]
    assert bob.heard("member.excluded")[0]["owner"] == alice.me
    assert in_groups(carol, universe, bob) == (2, 3)
    row = next(row for row in alice.engine.members(universe) if row["identity"] == bob.me)
    assert row["blocked"] and not row["suspended"]
    for node in (alice, bob, carol):
        assert not node.heard("member.removed") and not node.heard("member.stuck")
        assert node.engine.converged(universe), node.name
        assert len(node.engine.members(universe)) == 3
    network.leap(2 * HOUR)
    assert not any(node.heard("universe.diverged") for node in (alice, bob, carol))
    held = alice.universe(universe)
    assert not held.outbox.lost and not list(held.outbox.kept())


def test_a_block_outlives_a_restart_and_ends_with_one_command() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    alice.do(BlockMember(universe, bob.me))
    network.run(6 * SECOND)
    for node in (alice, bob):
        network.stop(node)
        network.restart(node)
    network.run(20 * SECOND)
    bob.say(universe, "unheard")
    assert alice.say(universe, "still not")["recipients"] == 1
    network.run(6 * SECOND)
    alice.do(UnblockMember(universe, bob.me))
    network.run(6 * SECOND)
    assert alice.say(universe, "hello again")["recipients"] == 2
    bob.say(universe, "hello")
    network.run(MINUTE)
    assert alice.texts() == ["hello"] and bob.texts() == ["hello again"]
    for node in (alice, bob, carol):
        assert node.engine.converged(universe), node.name
        assert in_groups(node, universe, bob) == (3, 3)


def test_who_is_blocked_while_away_is_told_when_it_comes_back() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    network.stop(bob)
    alice.do(BlockMember(universe, bob.me))
    network.run(MINUTE)
    network.restart(bob)
    network.run(MINUTE)
    assert [body["owner"] for body in bob.heard("member.excluded")] == [alice.me]
    row = next(row for row in bob.engine.members(universe) if row["identity"] == alice.me)
    assert row["excludes_us"]
    carol.say(universe, "to both")
    network.run(MINUTE)
    assert bob.texts() == ["to both"]
    assert all(node.engine.converged(universe) for node in (alice, bob, carol))


def test_a_blocked_member_can_be_removed() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    carol.do(BlockMember(universe, bob.me))
    network.run(6 * SECOND)
    alice.do(RemoveMember(universe, bob.me))
    network.run(2 * MINUTE)
    for node in (alice, carol):
        assert [body["identity"] for body in node.heard("removal.done")] == [bob.me]
        assert len(node.universe(universe).groups) == 2
        assert node.engine.converged(universe)


def test_bad_blocks_change_nothing() -> None:
    network, universe, (alice, bob) = quiet("alice", "bob")
    stranger = network.add("stranger")
    before = dict(alice.rows)
    for command, word in (
        (BlockMember(universe, alice.me), "oneself"),
        (BlockMember(universe, stranger.me), "not a member"),
        (UnblockMember(universe, bob.me), "not blocked"),
    ):
        with pytest.raises(UsageError, match=word):
            alice.do(command)
    assert alice.rows == before
