"""How many owners have followed the roster: "admitted by 5 of 9", "removed by 7 of 9 senders"."""

from __future__ import annotations

from tests.engine.small_network import SECOND, Network, Node

from starling.protocol.engine.inputs import JoinUniverse, RemoveMember


def in_groups(node: Node, universe: bytes, member: Node) -> tuple[int, int]:
    row = next(row for row in node.engine.members(universe) if row["identity"] == member.me)
    return row["in_groups"], row["groups"]


def removed_by(node: Node, universe: bytes, member: Node) -> tuple[int, int]:
    row = next(row for row in node.engine.former_members(universe) if row["identity"] == member.me)
    return row["removed_by"], row["groups"]


def test_a_joiner_is_admitted_by_one_owner_after_the_other() -> None:
    network = Network()
    universe, alice, bob, carol = network.found("alice", "bob", "carol")
    network.stop(carol)
    dave = network.add("dave")
    dave.do(JoinUniverse(network.invite(alice, universe)))
    network.run(6 * SECOND)
    for node in (alice, bob):
        assert in_groups(node, universe, dave) == (3, 4)
    assert in_groups(dave, universe, dave) == (3, 4)
    done = {"identity": dave.me, "name": "dave", "groups": 4}
    assert done not in alice.heard("member.admitted") + dave.heard("member.admitted")
    network.restart(carol)
    network.run(10 * SECOND)
    for node in (alice, bob, carol, dave):
        assert in_groups(node, universe, dave) == (4, 4)
        assert node.heard("member.admitted").count(done) == 1


def test_a_member_is_removed_by_one_owner_after_the_other() -> None:
    network = Network()
    universe, alice, bob, carol, dave = network.found("alice", "bob", "carol", "dave")
    network.stop(carol)
    alice.do(RemoveMember(universe, dave.me))
    network.run(6 * SECOND)
    for node in (alice, bob):
        assert removed_by(node, universe, dave) == (2, 3)
        assert not node.heard("removal.done")
    network.stop(bob)
    network.restart(bob)
    network.restart(carol)
    network.run(20 * SECOND)
    done = {"identity": dave.me, "name": "dave", "groups": 3}
    for node in (alice, bob, carol):
        assert removed_by(node, universe, dave) == (3, 3)
        assert node.heard("removal.done") == [done]
    assert dave.engine.former_members(universe) == []
