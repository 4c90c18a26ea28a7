"""A lost node that comes back from a backup of the account (PROTOCOL 5.6 B8): no keys of groups, and nothing lost."""

from __future__ import annotations

import pytest
from tests.engine.small_network import HOUR, MINUTE, SECOND, Network, Node, quiet
from tests.engine.test_engine_readmission import assert_all_talk, assert_gone, confirm

from starling.protocol.distributed.policy import READMIT_WAIT
from starling.protocol.engine.account import MADE_FOR_IT, OF_A_UNIVERSE, OF_THE_NODE, Record, from_account
from starling.protocol.engine.inputs import (
    CreateUniverse,
    JoinUniverse,
    LeaveUniverse,
    NameMember,
    ReadmitMember,
    Recover,
    RemoveMember,
    Rename,
    SetRole,
)
from starling.protocol.errors import DecodeError


def back_up(node: Node) -> list[Record]:
    of_account = node.engine.account()
    return list(of_account((table, key, value) for (table, key), value in node.rows.items()))


def come_back(network: Network, node: Node, backup: list[Record]) -> None:
    """The node has lost all that it had, and starts from the backup."""
    if node.id in network.nodes:
        network.stop(node)
    node.rows = {(table, key): value for table, key, value in backup}
    node.scopes = dict.fromkeys(node.rows, b"")
    node.events.clear()
    step = from_account(node.identity, backup, now=network.now, random=node.random_source())
    assert not step.sends
    node.save(step)
    network.restart(node)


def test_a_backup_holds_no_keys_of_groups() -> None:
    _, universe, nodes = quiet("alice", "bob", "carol")
    bob = nodes[1]
    bob.say(universe, "on the way")
    backup = back_up(bob)
    assert {table for table, _, _ in backup} <= OF_THE_NODE | OF_A_UNIVERSE | MADE_FOR_IT
    # What lives no longer than an epoch or a KeyPackage has a scope, by which it is erased.
    short_lived = {row for row, scope in bob.scopes.items() if scope}
    assert {"epoch", "ratchet", "bundle"} <= {table for table, _ in short_lived}
    assert short_lived.isdisjoint((table, key) for table, key, _ in backup)
    values = {bob.rows[row] for row in short_lived}
    assert not any(value in row for value in values for _, _, row in backup)


@pytest.mark.parametrize("who", ["alice", "bob"])
def test_a_lost_node_comes_back_and_lacks_nothing_that_was_kept_for_it(who: str) -> None:
    network, universe, nodes = quiet("alice", "bob", "carol")
    alice, _, carol = nodes
    lost = next(node for node in nodes if node.name == who)
    others = [node for node in nodes if node is not lost]
    network.stop(carol)
    lost.say(universe, "for carol too")
    network.run(5 * SECOND)
    old = lost.universe(universe).group_id
    backup = back_up(lost)
    network.stop(lost)
    network.restart(carol)
    carol.say(universe, "while it was away")
    network.run(MINUTE)
    come_back(network, lost, backup)
    assert [said["reason"] for said in lost.heard("universe.recovering")] == ["backup"]
    assert lost.say(universe, "back again")["state"] == "queued"
    network.run(5 * SECOND)
    assert lost.engine.universe(universe)["state"] == "asking"
    if lost is not alice:
        confirm(alice, universe, lost)
    network.run(40 * SECOND)
    assert lost.texts() == ["while it was away"]
    assert [carol.texts().count(text) for text in ("for carol too", "back again")] == [1, 1]
    for node in others:
        assert node.texts().count("back again") == 1
        assert not node.heard("clone.detected")
    assert_all_talk(network, universe, nodes, "on")
    network.run(2 * MINUTE)
    assert_gone(network, universe, nodes, old)


def lacking(node: Node) -> set[tuple[bytes, int, int]]:
    """Of whom messages may be missing, from which epoch and number on."""
    return {(told["owner"], told["epoch"], told["held"]) for told in node.heard("messages.unavailable")}


def place_in_group(node: Node, universe: bytes, owner: Node) -> tuple[bytes, int, int]:
    head = node.universe(universe).groups[owner.universe(universe).group_id].graph.head_info
    return owner.me, head.number, head.contiguous


def test_what_all_had_got_since_the_backup_is_told_to_be_missing() -> None:
    """Nobody keeps it, and no owner can tell: not even where its group is over by then."""
    network, universe, nodes = quiet("alice", "bob", "carol")
    alice, bob, carol = nodes
    carol.say(universe, "before")
    network.run(5 * SECOND)
    backup = back_up(bob)
    places = {place_in_group(bob, universe, owner) for owner in (alice, carol)}
    for owner in (alice, carol):
        owner.say(universe, "since")
    network.run(5 * MINUTE)
    assert bob.texts() == ["before", "since", "since"]
    network.stop(bob)
    carol.do(Recover(universe))
    network.run(5 * SECOND)
    confirm(alice, universe, carol)
    network.run(5 * MINUTE)
    come_back(network, bob, backup)
    network.run(5 * SECOND)
    again = back_up(bob)
    assert not bob.texts() and not lacking(bob)
    for kept in (backup, again):
        come_back(network, bob, kept)
        network.run(2 * MINUTE)
        confirm(alice, universe, bob)
        network.run(5 * MINUTE)
        assert lacking(bob) == places and len(bob.heard("messages.unavailable")) == 2
        assert_all_talk(network, universe, nodes, f"on, {len(kept)}")
        bob.events.clear()
        network.stop(bob)
        network.restart(bob)
        network.run(5 * MINUTE)
        assert not lacking(bob) and not bob.table("place")


def test_what_was_delivered_before_the_backup_is_not_delivered_again() -> None:
    network, universe, nodes = quiet("alice", "bob", "carol")
    alice, bob, carol = nodes
    network.cut(carol, alice)
    alice.say(universe, "once")
    network.run(5 * SECOND)
    assert bob.texts() == ["once"]
    come_back(network, bob, back_up(bob))
    network.heal()
    network.run(5 * SECOND)
    confirm(alice, universe, bob)
    network.run(20 * SECOND)
    assert bob.texts() == [] and carol.texts() == ["once"]


def test_a_backup_serves_again_however_old_it_is() -> None:
    network, universe, nodes = quiet("alice", "bob", "carol")
    alice, bob, _ = nodes
    backup = back_up(bob)
    for word in ("first", "second"):
        network.run(3 * HOUR)
        come_back(network, bob, backup)
        network.run(5 * SECOND)
        confirm(alice, universe, bob)
        network.run(20 * SECOND)
        assert_all_talk(network, universe, nodes, word)
        assert not any(node.heard("clone.detected") for node in nodes)


def test_names_and_universes_come_back() -> None:
    network, universe, nodes = quiet("alice", "bob", "carol")
    _, bob, carol = nodes
    bob.do(Rename("Robert"))
    bob.do(NameMember(universe, carol.me, "C."))
    own = bob.do(CreateUniverse("own"))
    left = bob.do(CreateUniverse("left"))
    bob.do(LeaveUniverse(left))
    come_back(network, bob, back_up(bob))
    network.run(5 * SECOND)
    assert bob.engine.identity.name == "Robert"
    states = {shown["universe_id"]: shown["state"] for shown in bob.engine.universes()}
    assert states == {universe: "asking", own: "active", left: "left"}
    shown = {member["identity"]: member for member in bob.engine.members(universe)}
    assert shown[carol.me]["petname"] == "C."


def test_who_was_removed_since_the_backup_learns_it() -> None:
    network, universe, nodes = quiet("alice", "bob", "carol")
    alice, bob, carol = nodes
    backup = back_up(bob)
    network.stop(bob)
    alice.do(RemoveMember(universe, bob.me))
    network.run(MINUTE)
    come_back(network, bob, backup)
    network.run(MINUTE)
    assert bob.engine.universe(universe)["state"] == "removed"
    assert not alice.heard("member.asks_again")
    assert_all_talk(network, universe, [alice, carol], "on")


def test_any_admin_admits() -> None:
    network, universe, nodes = quiet("alice", "bob", "carol")
    alice, bob, carol = nodes
    alice.do(SetRole(universe, carol.me, "admin"))
    network.run(10 * SECOND)
    network.stop(alice)
    come_back(network, bob, back_up(bob))
    network.run(5 * SECOND)
    digits = carol.heard("member.asks_again")[-1]["verification"]
    carol.do(ReadmitMember(universe, bob.me, digits))
    network.run(20 * SECOND)
    network.restart(alice)
    network.run(MINUTE)
    assert_all_talk(network, universe, nodes, "on")


@pytest.mark.parametrize("change", ["demoted", "rejoined"])
def test_an_admin_that_is_none_any_more_asks(change: str) -> None:
    network, universe, nodes = quiet("alice", "bob", "carol")
    alice, _, carol = nodes
    alice.do(SetRole(universe, carol.me, "admin"))
    network.run(10 * SECOND)
    backup = back_up(carol)
    if change == "demoted":
        alice.do(SetRole(universe, carol.me, "member"))
    else:
        alice.do(RemoveMember(universe, carol.me))
        network.run(MINUTE)
        carol.do(JoinUniverse(network.invite(alice, universe)))
    network.run(MINUTE)
    network.stop(carol)
    come_back(network, carol, backup)
    network.run(MINUTE)
    assert carol.engine.universe(universe)["state"] == "asking"
    confirm(alice, universe, carol)
    network.run(30 * SECOND)
    assert_all_talk(network, universe, nodes, "on")


def test_where_nobody_is_to_be_asked_another_node_with_the_keys_has_time_to_deny_it() -> None:
    network, universe, nodes = quiet("alice", "bob", "carol")
    alice, bob, _ = nodes
    alice.universe(universe).readmits_automatically = True
    head = bob.universe(universe).own.graph.head
    come_back(network, bob, back_up(bob))
    network.run(READMIT_WAIT - SECOND)
    assert bob.engine.universe(universe)["state"] == "asking"
    known = alice.universe(universe).sightings[bob.me][1]
    assert head in known.heads
    network.run(30 * SECOND)
    assert_all_talk(network, universe, nodes, "on")


def test_who_admits_itself_is_connected_all_the_time_that_it_waits() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    come_back(network, alice, back_up(alice))
    network.run(5 * SECOND)
    network.cut(alice, bob, carol)
    network.run(5 * MINUTE)
    assert alice.engine.universe(universe)["state"] == "asking"
    network.heal()
    network.run(MINUTE)
    assert alice.engine.universe(universe)["state"] == "active"


def test_an_admin_that_nobody_else_admits_admits_itself_once_it_met_somebody() -> None:
    network, universe, nodes = quiet("alice", "bob", "carol")
    alice, bob, carol = nodes
    alice.do(SetRole(universe, carol.me, "admin"))
    network.run(10 * SECOND)
    for other in (alice, bob):
        network.stop(other)
    come_back(network, carol, back_up(carol))
    network.run(2 * MINUTE)
    assert carol.engine.universe(universe)["state"] == "asking"
    network.restart(bob)
    network.run(MINUTE)
    assert carol.engine.universe(universe)["state"] == "active"
    network.restart(alice)
    network.run(30 * SECOND)
    assert_all_talk(network, universe, nodes, "on")


def test_what_leaves_while_the_backup_is_made_reaches_everybody() -> None:
    network, universe, nodes = quiet("alice", "bob", "carol")
    alice, bob, carol = nodes
    network.stop(carol)
    of_account = bob.engine.account()
    network.drop = lambda source, target, send: source is bob
    assert bob.say(universe, "that moment")["state"] == "sent"
    backup = list(of_account((table, key, value) for (table, key), value in bob.rows.items()))
    network.stop(bob)
    network.drop = lambda source, target, send: False
    network.restart(carol)
    come_back(network, bob, backup)
    network.run(5 * SECOND)
    confirm(alice, universe, bob)
    network.run(20 * SECOND)
    assert [node.texts() for node in (alice, carol)] == [["that moment"]] * 2


def test_a_backup_that_lacks_its_own_member_is_refused() -> None:
    network, _, nodes = quiet("alice", "bob", "carol")
    bob = nodes[1]
    backup = [row for row in back_up(bob) if row[0] != "roster"]
    with pytest.raises(DecodeError):
        from_account(bob.identity, backup, now=network.now, random=bob.random_source())
