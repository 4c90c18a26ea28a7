"""Imports, updates, leaf replacement and key packages (PROTOCOL X-6 to X-13)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from tests.engine.frames import header_of, is_commit
from tests.engine.small_network import DAY, HOUR, MINUTE, SECOND, Node, quiet, settled

from starling.protocol.decentralized.dmls_message import read_dmls_message
from starling.protocol.decentralized.epoch_graph import MAX_AHEAD
from starling.protocol.engine.inputs import FrameReceived, JoinUniverse, SendMessage, UpdateKeys
from starling.protocol.errors import UsageError
from starling.protocol.exchange.frame import CommitFrame, MessageFrame, decode_frame
from starling.protocol.exchange.member_messages import Want
from starling.protocol.mls.group import Group


def shape_of(commits: Sequence[Mapping[str, Any]]) -> list[tuple[bool, int]]:
    return [(commit["path"], commit["imports"]) for commit in commits]


def test_a_message_imports_first_where_the_last_import_is_old() -> None:
    network, universe, (alice, bob, carol) = settled("alice", "bob", "carol")
    alice.do(UpdateKeys(universe))
    network.run(2 * SECOND)
    before = len(bob.commits())
    frames = len(network.published(bob))
    bob.say(universe, "with what alice has put in")
    assert shape_of(bob.commits()[before:]) == [(False, 1)]
    assert [is_commit(frame) for frame in network.published(bob)[frames:]] == [True, False]
    network.run(2 * SECOND)
    last = carol.universe(universe).ledger.last_imports[bob.me, alice.universe(universe).group_id]
    assert last.epoch == alice.group(universe, alice).graph.head_info.number
    assert carol.texts() == ["with what alice has put in"]


def test_a_message_right_after_an_import_does_not_import_again_but_the_timer_does() -> None:
    network, universe, (alice, bob, _) = settled("alice", "bob", "carol")
    alice.do(UpdateKeys(universe))
    network.run(2 * SECOND)
    bob.say(universe, "imports")
    alice.do(UpdateKeys(universe))
    network.run(2 * SECOND)
    before = len(bob.commits())
    bob.say(universe, "does not")
    network.run(30 * SECOND)
    assert len(bob.commits()) == before
    network.leap(HOUR + MINUTE)
    assert shape_of(bob.commits()[before:]) == [(False, 1)]


def test_an_update_is_answered_by_one_import_of_each_and_then_there_is_silence() -> None:
    """No echo: pathless imports and reports make nobody do anything."""
    network, universe, nodes = settled("alice", "bob", "carol", "dave")
    before = [len(node.commits()) for node in nodes]
    nodes[0].do(UpdateKeys(universe))
    network.run(SECOND)
    network.leap(90 * MINUTE)
    assert [len(node.commits()) - count for node, count in zip(nodes, before, strict=True)] == [1, 1, 1, 1]
    frames = [len(network.published(node)) for node in nodes]
    network.run(5 * MINUTE)
    network.leap(10 * HOUR)
    assert [len(network.published(node)) for node in nodes] == frames


def test_an_import_waits_for_what_it_names_and_asks_for_it() -> None:
    network, universe, (alice, bob, carol) = settled("alice", "bob", "carol")
    network.cut(alice, carol)
    alice.do(UpdateKeys(universe))
    network.run(200)
    asked = len(network.messages(carol))
    bob.say(universe, "on top of alice's")
    network.run(50)
    assert not carol.texts() and len(carol.universe(universe).waiting) == 2
    network.run(8 * SECOND)
    wants = [message for _, message in network.messages(carol)[asked:] if isinstance(message, Want)]
    assert any(alice.universe(universe).group_id in dict(want.groups) for want in wants)
    assert carol.texts() == ["on top of alice's"] and len(carol.universe(universe).waiting) == 0


def test_an_add_comes_after_the_imports_in_a_commit_of_its_own_with_a_path() -> None:
    network, universe, (alice, bob, carol) = settled("alice", "bob", "carol")
    bob.do(UpdateKeys(universe))
    carol.do(UpdateKeys(universe))
    network.run(2 * SECOND)
    before = len(alice.commits())
    dave = network.add("dave")
    dave.do(JoinUniverse(network.invite(alice, universe)))
    network.run(300)
    assert shape_of(alice.commits()[before : before + 2]) == [(False, 2), (True, 0)]
    network.run(10 * SECOND)
    for node in (alice, bob, carol):
        assert dave.me in node.group(universe, node).members()
        for other in (alice, bob, carol):
            for info in other.group(universe, node).graph.branch():
                parent = other.group(universe, node).graph.get(info.parent or b"")
                if parent is not None and parent.members < info.members:
                    assert info.with_path


def test_a_newer_leaf_is_put_in_at_the_next_update_and_its_key_opens_it() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    before = alice.group(universe, alice).head.tree.leaf(1)
    bob.do(UpdateKeys(universe))
    network.run(SECOND)
    newest = bob.universe(universe).bundles.newest()[0].leaf_node
    alice.do(UpdateKeys(universe))
    network.run(SECOND)
    leaves = {leaf.encode() for _, leaf in carol.group(universe, alice).head.tree.leaves()}
    assert newest.encode() in leaves
    assert before is not None and before.encode() not in leaves
    alice.say(universe, "to the new leaves")
    network.run(SECOND)
    assert bob.texts() == carol.texts() == ["to the new leaves"]
    assert bob.group(universe, alice).graph.head == alice.group(universe, alice).graph.head


def test_every_path_commit_publishes_key_packages_and_no_other_does() -> None:
    network, universe, (alice, bob, _) = quiet("alice", "bob", "carol")
    network.run(2 * MINUTE)
    serial = alice.universe(universe).profiles.serial(bob.me, 1)
    alice.do(UpdateKeys(universe))
    network.run(SECOND)
    bob.say(universe, "imports without a path")
    network.run(SECOND)
    assert alice.universe(universe).profiles.serial(bob.me, 1) == serial
    bob.do(UpdateKeys(universe))
    network.run(SECOND)
    for suite in (1, 3):
        assert alice.universe(universe).profiles.serial(bob.me, suite) > serial


def test_old_key_packages_go_when_all_have_reported_their_successor() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    # Those that were published in commits that added somebody: the added have not read them there.
    before = len(bob.table("bundle"))
    network.stop(carol)
    bob.do(UpdateKeys(universe))
    network.run(10 * MINUTE)
    assert len(bob.table("bundle")) == before + 2, "carol may still use the old ones"
    network.restart(carol)
    network.run(20 * SECOND)
    assert len(bob.table("bundle")) == 2
    newest = {package.encode() for package in bob.universe(universe).bundles.newest()}
    assert {bundle.key_package.encode() for bundle in bob.universe(universe).bundles.all()} == newest
    assert alice.engine.converged(universe)


def test_old_key_packages_go_after_seven_days_whoever_is_away() -> None:
    network, universe, (_, bob, carol) = quiet("alice", "bob", "carol")
    network.stop(carol)
    bob.do(UpdateKeys(universe))
    old = set(bob.table("bundle"))
    network.leap(6 * DAY)
    assert len(old & set(bob.table("bundle"))) >= 2
    network.leap(2 * DAY)
    assert len(old & set(bob.table("bundle"))) <= 2


def test_an_update_comes_after_many_messages_at_most_every_ten_minutes() -> None:
    limit = 100
    network, universe, (alice, _) = quiet("alice", "bob")
    network.leap(11 * MINUTE)

    def updates() -> int:
        return sum(commit["path"] for commit in alice.commits())

    before = updates()
    for number in range(limit):
        assert updates() == before
        alice.do(SendMessage(universe, number.to_bytes(16), b"x"))
    network.run(SECOND)
    assert updates() == before + 1
    for number in range(limit, 2 * limit):
        alice.do(SendMessage(universe, number.to_bytes(16), b"x"))
    network.leap(9 * MINUTE)
    assert updates() == before + 1
    network.run(2 * MINUTE)
    assert updates() == before + 2


def test_an_update_comes_every_day() -> None:
    network, _, (alice, _) = quiet("alice", "bob")
    before = sum(commit["path"] for commit in alice.commits())
    network.leap(DAY - MINUTE)
    assert sum(commit["path"] for commit in alice.commits()) == before
    network.run(2 * MINUTE)
    assert sum(commit["path"] for commit in alice.commits()) == before + 1


def test_an_ordinary_commit_uses_handshake_generation_0() -> None:
    network, universe, (alice, bob) = quiet("alice", "bob")
    group = bob.group(universe, alice).head
    network.gossip = network.streams = False
    alice.do(UpdateKeys(universe))
    assert handshake_generation(group, network.published(alice)[-1]) == 0


def handshake_generation(group: Group, frame: bytes) -> int:
    decoded = decode_frame(frame)
    assert isinstance(decoded, CommitFrame)
    sender, generation = group.peek_generation(read_dmls_message(decoded.dmls_message).message)
    assert sender == 0
    return int(generation)


def test_psks_are_forgotten_when_all_have_imported_them() -> None:
    """X-18, I6: then no row of anybody holds them."""
    network, universe, nodes = settled("alice", "bob", "carol")
    alice = nodes[0]
    alice.do(UpdateKeys(universe))
    network.run(2 * SECOND)
    group_id = alice.universe(universe).group_id
    exported = alice.universe(universe).ledger.newest(group_id)
    assert exported is not None
    for node in nodes:
        assert any(exported.psk in row for row in node.table("psk").values())
    for node in nodes[1:]:
        node.say(universe, f"{node.name} imports")
    network.run(MINUTE)
    for node in nodes:
        assert node.universe(universe).ledger.find(group_id, exported.dmls_epoch) is None
        assert not any(exported.psk in row for row in node.rows.values())


def test_a_psk_that_somebody_has_not_imported_stays() -> None:
    network, universe, (alice, bob, carol) = settled("alice", "bob", "carol")
    network.stop(carol)
    alice.do(UpdateKeys(universe))
    network.run(2 * SECOND)
    bob.say(universe, "imports")
    network.run(MINUTE)
    group_id = alice.universe(universe).group_id
    exported = bob.universe(universe).ledger.newest(group_id)
    assert exported is not None and exported.epoch == alice.group(universe, alice).graph.head_info.number


# messages


def test_a_large_message_is_announced_and_pulled() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    frames = len(network.published(alice))
    alice.say(universe, b"x" * 200 * 1024)
    assert all(len(frame) < 1024 for frame in network.published(alice)[frames:])
    network.run(3 * SECOND)
    assert [len(text) for text in bob.texts()] == [len(text) for text in carol.texts()] == [200 * 1024]


def test_a_message_larger_than_all_bounds_is_refused_before_anything_changes() -> None:
    _, universe, (alice, _) = quiet("alice", "bob")
    rows = dict(alice.rows)
    with pytest.raises(UsageError, match="at most"):
        alice.say(universe, b"x" * (512 * 1024 + 1))
    with pytest.raises(UsageError, match="belongs to the nodes"):
        alice.do(SendMessage(universe, b"i" * 16, b"x", content_type="heads"))
    assert alice.rows == rows


def test_messages_arrive_in_their_order_whatever_the_network_does_to_it() -> None:
    """The first of three, and the end of its epoch, come last."""
    network, universe, (alice, bob) = quiet("alice", "bob")
    network.gossip = network.streams = False
    before = len(network.published(alice))
    for number in range(3):
        alice.say(universe, f"{number}")
    alice.do(UpdateKeys(universe))
    alice.say(universe, "3")
    network.streams = network.gossip = True
    frames = network.published(alice)[before:]
    assert [type(decode_frame(frame)) for frame in frames] == [MessageFrame] * 3 + [CommitFrame, MessageFrame]
    for frame in reversed(frames):
        assert not bob.texts()
        bob.do(FrameReceived(alice.id, frame))
    assert bob.texts() == ["0", "1", "2", "3"]
    assert header_of(frames[0])[1] + 1 == header_of(frames[-1])[1]


def test_the_end_of_an_epoch_tells_of_a_message_that_is_missing() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")

    def lose(source: Node, target: Node, send: object) -> bool:
        return target is carol and network.now < start + 100

    start = network.now
    network.drop = lose
    alice.say(universe, "lost on the way to carol")
    network.run(100)
    network.cut(carol, alice)
    network.cut(carol, bob)
    network.drop = lambda source, target, send: False
    alice.do(UpdateKeys(universe))
    carol_graph = carol.group(universe, alice).graph
    carol.do(FrameReceived(alice.id, network.published(alice)[-1]))
    assert [info.contiguous for info in carol_graph.incomplete()][:-1] != []
    assert carol_graph.past() != carol_graph.head_info.parent
    network.heal()
    network.run(10 * SECOND)
    assert carol.texts() == ["lost on the way to carol"]
    assert carol_graph.past() == carol_graph.head_info.parent


def test_no_commit_is_entered_too_far_beyond_a_message_that_is_missing() -> None:
    """K-14: what the missing message needs stays within its bound; then all comes at once."""
    network, universe, (alice, bob) = quiet("alice", "bob")
    network.gossip = network.streams = False
    before = len(network.published(alice))
    number = alice.group(universe, alice).graph.head_info.number
    alice.say(universe, "missing")
    for _ in range(MAX_AHEAD + 3):
        alice.do(UpdateKeys(universe))
    alice.say(universe, "after it")
    missing, *frames = network.published(alice)[before:]
    for frame in frames:
        bob.do(FrameReceived(alice.id, frame))
    graph = bob.group(universe, alice).graph
    assert graph.head_info.number == number + MAX_AHEAD and bob.texts() == []
    bob.do(FrameReceived(alice.id, missing))
    assert graph.head_info.number == number + MAX_AHEAD + 3 and bob.texts() == ["missing", "after it"]
