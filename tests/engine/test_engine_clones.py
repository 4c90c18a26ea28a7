"""Owners that run twice, or lie: what every member is told, and what stays readable (5.1, 5.6 B6, B11)."""

from __future__ import annotations

import pytest
from tests.engine.branched import COMMON, LOST, Saved, put_back_while_one_is_away, swap
from tests.engine.frames import is_commit
from tests.engine.small_network import DAY, HOUR, MINUTE, SECOND, Network, Node, quiet

from starling.protocol.decentralized.epoch_graph import MAX_CHILDREN
from starling.protocol.distributed.evidence import Evidence
from starling.protocol.engine import own_group, resolving
from starling.protocol.engine.inputs import FrameReceived, UpdateKeys

# owners that run twice, or lie


def run_twice() -> tuple[Network, bytes, Node, Node, Node]:
    """Two copies of alice run in turn, and each closes the other's branch."""
    network, universe, alice, bob, carol = put_back_while_one_is_away()
    first = Saved(alice)
    network.restart(alice)
    network.run(10 * SECOND)
    alice.say(universe, "by the one")
    network.run(10 * SECOND)
    other = swap(network, alice, first)
    network.run(10 * SECOND)
    alice.say(universe, "by the other")
    network.run(10 * SECOND)
    swap(network, alice, other)
    network.run(5 * SECOND)
    alice.say(universe, "by the one again")
    network.run(10 * SECOND)
    return network, universe, alice, bob, carol


def test_an_owner_that_runs_twice_is_told_once_at_every_member_and_still_read() -> None:
    network, _, alice, bob, carol = run_twice()
    network.restart(carol)
    network.run(30 * SECOND)
    for node in (bob, carol):
        (told,) = node.heard("clone.detected")
        assert told["owner"] == alice.me
        evidence = Evidence.parse(told["evidence"])
        assert evidence.identity == alice.me and not evidence.faults()
        assert sorted(node.texts()) == sorted(
            [COMMON, LOST, "by the one", "by the other", "by the one again"]
        )


def test_an_owner_that_runs_twice_finds_it_out_itself() -> None:
    """What it has closed twice goes on all the same."""
    network, _, alice, _, _ = put_back_while_one_is_away()
    disk = Saved(alice)
    network.restart(alice)
    for turn in range(6):
        network.run(10 * SECOND)
        assert bool(alice.heard("clone.detected")) <= (turn > 2)
        disk = swap(network, alice, disk)
    network.run(10 * SECOND)
    told = alice.heard("clone.detected")
    assert len(told) == 2, "both do"
    for body in told:
        assert body["owner"] == alice.me and not Evidence.parse(body["evidence"]).faults()


def test_a_branch_that_goes_on_after_it_was_closed_twice_is_a_clones() -> None:
    """One of two copies hears nobody, so that it closes nothing: the others hear it go on all the same."""
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    network.stop(carol)  # so that bob keeps the epoch from which both go on
    before = Saved(alice)
    alice.do(UpdateKeys(universe))
    network.run(5 * SECOND)
    deaf = swap(network, alice, before)
    network.run(10 * SECOND)
    assert len(bob.heard("fork.resolved")) == 1
    for closed in (1, 2):
        network.streams = False
        hearing = swap(network, alice, deaf)
        network.run(10 * SECOND)
        assert bool(bob.heard("clone.detected")) == (closed == 2)
        assert len(bob.heard("fork.resolved")) == closed
        network.streams = True
        deaf = swap(network, alice, hearing)
        network.run(10 * SECOND)
    (told,) = bob.heard("clone.detected")
    assert told["owner"] == alice.me and not Evidence.parse(told["evidence"]).faults()


def test_who_answers_beside_a_commit_that_came_too_late_is_a_clones_original() -> None:
    """What the copy signed while it was alone cannot be followed; so only what the original goes on to report tells
    that it lives beside it."""
    network, universe, (alice, bob, _) = quiet("alice", "bob", "carol")
    copy = Saved(alice)
    alice.do(UpdateKeys(universe))
    network.run(MINUTE)
    network.gossip = network.streams = False
    original = swap(network, alice, copy)
    network.run(10 * SECOND)
    (late,) = (frame for frame in alice.frames(universe, alice) if is_commit(frame))
    bob.do(FrameReceived(alice.id, late))
    (told,) = bob.heard("fork.detected")
    assert len(told["heads"]) == 1, "the branch is lost"
    network.gossip = network.streams = True
    swap(network, alice, original)
    network.run(10 * SECOND)
    assert not bob.heard("clone.detected")
    bob.say(universe, "whoever hears this lives")
    network.run(10 * SECOND)
    (told,) = bob.heard("clone.detected")
    assert told["owner"] == alice.me and not Evidence.parse(told["evidence"]).faults()


def test_nothing_is_imported_from_an_owner_that_runs_twice_until_its_roster_entry_changes() -> None:
    network, universe, alice, bob, _ = run_twice()
    group_id = alice.universe(universe).group_id
    node = bob.universe(universe)
    state = bob.group(universe, alice)
    assert node.is_frozen(state) and not state.forked
    last = node.ledger.last_imports.get((bob.me, group_id))
    alice.do(UpdateKeys(universe))
    network.run(2 * MINUTE)
    bob.say(universe, "imports what it may")
    network.leap(HOUR + MINUTE)
    assert node.ledger.last_imports.get((bob.me, group_id)) == last
    network.stop(bob)
    network.restart(bob)
    node, state = bob.universe(universe), bob.group(universe, alice)
    assert node.is_frozen(state)
    state.frozen_by = b"e" * 32  # as if the roster had said something new since
    assert not node.is_frozen(state)
    assert group_id in [exported.group_id for exported in own_group.importable(node, network.now)]


def test_a_fork_that_its_owner_does_not_resolve_in_a_day_is_a_clone(monkeypatch: pytest.MonkeyPatch) -> None:
    network, universe, alice, bob, carol = put_back_while_one_is_away()
    monkeypatch.setattr(resolving, "closing", lambda universe: ())
    network.restart(alice)
    network.run(10 * SECOND)
    network.restart(carol)
    network.run(MINUTE)
    assert bob.group(universe, alice).forked
    network.leap(DAY - HOUR)
    alice.do(UpdateKeys(universe))
    network.leap(3 * HOUR)
    assert not bob.heard("clone.detected"), "she has not been heard of since"
    alice.do(UpdateKeys(universe))
    network.run(SECOND)
    assert not bob.heard("clone.detected"), "she may have come back just now"
    network.leap(2 * HOUR)
    for node in (bob, carol):
        (told,) = node.heard("clone.detected")
        assert told["owner"] == alice.me and not Evidence.parse(told["evidence"]).faults()
        assert node.universe(universe).is_frozen(node.group(universe, alice))


def test_an_owner_that_is_away_is_no_clone() -> None:
    network, universe, alice, bob, carol = put_back_while_one_is_away()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resolving, "closing", lambda universe: ())
        network.restart(alice)
        network.run(10 * SECOND)
        network.restart(carol)
        network.run(10 * SECOND)
        network.stop(alice)
    assert bob.group(universe, alice).forked
    network.leap(2 * DAY)
    network.restart(alice)
    network.run(MINUTE)
    network.leap(2 * HOUR)
    for node in (bob, carol):
        assert not node.group(universe, alice).forked and not node.heard("clone.detected")


def test_an_owner_that_lies_leaves_nobody_honest_stuck() -> None:
    """Mallory gives bob one commit and carol another; both import what they got before they can compare."""
    network, universe, (alice, bob, carol, mallory) = quiet("alice", "bob", "carol", "mallory")
    network.run(2 * MINUTE)
    for a, b in ((bob, carol), (alice, bob), (alice, carol)):
        network.cut(a, b)
    saved = Saved(mallory)

    def lie(victim: Node, text: str) -> None:
        for node in (alice, bob, carol):
            if node is not victim:
                network.cut(node, mallory)
        mallory.do(UpdateKeys(universe))
        mallory.say(universe, text)
        network.run(5 * SECOND)
        victim.say(universe, f"{victim.name} imports")
        network.run(SECOND)
        network.cut(victim, mallory)

    lie(bob, "to bob")
    network.stop(mallory)
    saved.put_back(mallory)
    network._cut.discard(frozenset((carol.id, mallory.id)))
    network.restart(mallory)
    network.run(10 * SECOND)
    lie(carol, "to carol")
    network.stop(mallory)
    network.heal()
    network.run(MINUTE)
    for node in (alice, bob, carol):
        assert {"to bob", "to carol"} <= set(node.texts()), node.name
        assert len(node.heard("fork.detected")) == 1
        assert node.group(universe, mallory).forked, "nobody resolves it"
        for owner in (bob, carol):
            assert node.group(universe, owner).graph.head == owner.group(universe, owner).graph.head
    assert set(alice.texts()) == {"to bob", "to carol", "bob imports", "carol imports"}
    for node in (alice, bob, carol):
        node.say(universe, f"{node.name} goes on")
    network.run(10 * SECOND)
    for node in (alice, bob, carol):
        assert {f"{other.name} goes on" for other in (alice, bob, carol) if other is not node} <= set(
            node.texts()
        )


def test_a_fifth_commit_on_one_epoch_is_told_and_not_followed() -> None:
    network, universe, alice, bob, carol = put_back_while_one_is_away()
    saved = Saved(alice)
    network.cut(alice, bob, carol)
    for number in range(1, 5):
        before = len(network.published(alice))
        network.restart(alice)
        network.run(10 * SECOND)
        alice.say(universe, f"{number}")
        published = network.published(alice)[before:]
        for frame in published if number < 4 else [frame for frame in published if is_commit(frame)]:
            bob.do(FrameReceived(carol.id, frame))
        network.stop(alice)
        saved.put_back(alice)
    graph = bob.group(universe, alice).graph
    parent = graph[bob.heard("fork.detected")[0]["parent"]]
    assert len(parent.children) == MAX_CHILDREN == 4 and len(graph.heads) == 4
    assert bob.texts()[-3:] == ["1", "2", "3"]
    assert len(bob.heard("fork.detected")) == 1 and not bob.universe(universe).refused
