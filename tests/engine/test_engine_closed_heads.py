"""Messages of a dead branch's head that all had, and one has forgotten since (PROTOCOL K-14, B10)."""

from __future__ import annotations

from tests.engine.branched import Saved, kinds
from tests.engine.small_network import MINUTE, SECOND, Network, Node, quiet

from starling.protocol.decentralized.epoch_graph import EpochInfo
from starling.protocol.engine.inputs import UpdateKeys

FIRST, NEXT = "all had it", "one never had it"


def put_back_after_all_had_it() -> tuple[Network, bytes, list[Node], EpochInfo, int]:
    """Alice's old branch is dead. All had the first message there, so its frame goes; carol, who had not got the second
    one, has forgotten the first, and is stopped. Dave, who has both, is stopped too: so the branch stays. (network,
    universe, nodes, the dead head, how much of it carol has)"""
    network, universe, (alice, bob, carol, dave) = quiet("alice", "bob", "carol", "dave")
    before = Saved(alice)
    alice.do(UpdateKeys(universe))
    network.run(SECOND)
    lost = bob.group(universe, alice).graph.head_info
    without, held = Saved(carol), carol.group(universe, alice).graph.head_info.contiguous
    alice.say(universe, FIRST)
    network.run(6 * SECOND)
    network.stop(carol)
    alice.say(universe, NEXT)
    network.run(SECOND)
    network.stop(dave)
    network.stop(alice)
    before.put_back(alice)
    network.restart(alice)
    network.run(10 * SECOND)
    without.put_back(carol)
    carol.events.clear()
    assert lost.dmls_epoch in bob.group(universe, alice).graph.closed
    assert not bob.group(universe, alice).log.holds(lost.dmls_epoch, held)
    return network, universe, [alice, bob, carol, dave], lost, held


def test_what_comes_after_what_nobody_has_any_more_is_read() -> None:
    network, universe, nodes, lost, held = put_back_after_all_had_it()
    _, _, carol, dave = nodes
    network.restart(carol)
    network.restart(dave)
    network.run(4 * MINUTE)
    assert carol.texts() == [NEXT]
    (told,) = carol.heard("messages.unavailable")
    assert (told["owner"], told["epoch"], told["held"]) == (nodes[0].me, lost.number, held)
    for node in nodes:
        assert node.engine.converged(universe), node.name
        assert lost.dmls_epoch not in node.group(universe, nodes[0]).graph
        assert "clone.detected" not in kinds(node)
