"""The simulator's own copies of data directories: what is owed to whom, and two nodes under one peer id."""

from __future__ import annotations

import pytest
from tests.sim.faults import DISPLACED
from tests.sim.oracle import Oracle
from tests.sim.toy import ToyEngine
from tests.sim.universes import saved_universe
from tests.sim.violation import Violation
from tests.sim.world import World

ANN, BEN, CID = (bytes([number]) * 32 for number in range(3))


def said(oracle: Oracle, sender: bytes, text: bytes) -> bytes:
    oracle.sent(sender, text, text, frozenset())
    oracle.reported(text, 2)
    return text


@pytest.fixture
def oracle() -> Oracle:
    """Ben has heard the first of Ann; the second came after his copy was made."""
    oracle = Oracle(frozenset({ANN, BEN, CID}))
    for text in (b"one", b"two"):
        said(oracle, ANN, text)
        if text == b"two":
            memory = oracle.memory(BEN)
        oracle.delivered(BEN, ANN, text, text)
        oracle.delivered(CID, ANN, text, text)
    said(oracle, BEN, b"three")
    oracle.put_back(BEN, memory)
    return oracle


def test_what_was_forgotten_may_come_again_once(oracle: Oracle) -> None:
    assert oracle.missing() is None
    oracle.delivered(BEN, ANN, b"two", b"two")
    assert oracle.missing() is None
    for receiver, text in ((BEN, b"one"), (BEN, b"two"), (CID, b"two")):
        with pytest.raises(Violation, match="repeated"):
            oracle.delivered(receiver, ANN, text, text)


def test_what_never_left_is_lost_with_the_disk(oracle: Oracle) -> None:
    assert oracle.missing() is None
    # What one of the others has is owed to all of them.
    oracle.delivered(CID, BEN, b"three", b"three")
    assert oracle.missing() == f"message 1 of {BEN.hex()[:8]} did not reach 1 of its members"
    oracle.delivered(ANN, BEN, b"three", b"three")
    assert oracle.missing() is None


def test_what_is_said_again_is_owed_again(oracle: Oracle) -> None:
    oracle.reported(b"three", 2)
    assert oracle.missing() == f"message 1 of {BEN.hex()[:8]} did not reach 2 of its members"


def test_what_was_not_received_before_is_still_owed(oracle: Oracle) -> None:
    said(oracle, ANN, b"four")
    oracle.put_back(BEN, oracle.memory(BEN))
    oracle.delivered(CID, ANN, b"four", b"four")
    assert oracle.missing() == f"message 3 of {ANN.hex()[:8]} did not reach 1 of its members"


def test_both_of_a_cloned_node_are_owed_to_the_others(oracle: Oracle) -> None:
    twin = BEN + b"2"
    oracle.clone(BEN, twin, oracle.memory(BEN))
    for app, text in ((BEN, b"four"), (twin, b"five")):
        said(oracle, app, text)
        oracle.delivered(ANN, BEN, text, text)
        assert oracle.missing() is not None
        oracle.delivered(CID, BEN, text, text)
        assert oracle.missing() is None
    with pytest.raises(Violation, match="repeated"):
        oracle.delivered(twin, ANN, b"one", b"one")
    said(oracle, ANN, b"six")
    oracle.delivered(CID, ANN, b"six", b"six")
    assert oracle.missing() is None


def test_the_end_of_a_connection_is_not_told_after_the_next_one_has_begun() -> None:
    world = World(ToyEngine, 1, saved=saved_universe(ToyEngine, 2))
    world.start_all()
    world.run(10_000)
    ann, ben = (app.node for app in world.apps)
    network = world.network
    network._end(ann.links[ben.peer_id], drains=True)
    network._connect(ben, ann)
    world.run(100)
    assert ann.connected == {ben.peer_id} and ben.connected == {ann.peer_id}
    network._end(ann.links[ben.peer_id], drains=True)
    world.run(15)
    assert not ann.connected and not ben.connected


def test_the_newer_connection_of_one_peer_id_wins() -> None:
    world = World(ToyEngine, 1, saved=saved_universe(ToyEngine, 3))
    world.start_all()
    world.run(10_000)
    ann, ben, _ = world.apps
    peer_id = ben.node.peer_id
    assert ann.node.links[peer_id].other(ann.node) is ben.node
    twin = world.clone(ben, ben.copy())
    assert twin is not None
    found = set()
    for _ in range(60):
        world.run(500)
        connection = ann.node.links.get(peer_id)
        if connection is not None:
            other = connection.other(ann.node)
            found.add(other.index)
            assert other.links[ann.node.peer_id] is connection
    assert found == {ben.node.index, twin.node.index}
    assert world.counts[DISPLACED]
    assert not {ben.node.peer_id} & (set(ben.node.links) | set(twin.node.links))
    # Only one of the two is left in the end.
    world.retire(twin)
    world.run(10_000)
    assert ann.node.links[peer_id].other(ann.node) is ben.node
    twin.node.restart()
    assert not twin.node.running
