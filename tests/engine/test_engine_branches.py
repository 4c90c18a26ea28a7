"""Both branches of an owner that was put back, or lies, are followed, told and in the end one (PROTOCOL 5.1, 5.6)."""

from __future__ import annotations

from tests.engine.small_network import SECOND, Network, Node, quiet

from starling.protocol.distributed.evidence import Evidence
from starling.protocol.engine.inputs import UpdateKeys

COMMON, LOST, NEW = "in the common epoch", "on the branch that she forgets", "on the new branch"


class Saved:
    """What a node has on its disk at one moment."""

    def __init__(self, node: Node) -> None:
        self.rows, self.scopes = dict(node.rows), dict(node.scopes)

    def put_back(self, node: Node) -> None:
        node.rows, node.scopes = dict(self.rows), dict(self.scopes)


def put_back_while_one_is_away() -> tuple[Network, bytes, Node, Node, Node]:
    """Carol is away, so bob keeps the epoch from which alice goes on twice; he alone has what she forgets.
    (network, universe, alice, bob, carol), alice and carol stopped."""
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    network.stop(carol)
    saved = Saved(alice)
    alice.say(universe, COMMON)
    alice.do(UpdateKeys(universe))
    alice.say(universe, LOST)
    network.run(5 * SECOND)
    network.stop(alice)
    saved.put_back(alice)
    alice.events.clear()
    return network, universe, alice, bob, carol


def kinds(node: Node) -> list[str]:
    return [event.kind for event in node.events]


def test_who_was_put_back_is_followed_on_both_branches() -> None:
    network, universe, alice, bob, carol = put_back_while_one_is_away()
    parent, lost = bob.group(universe, alice).graph.head_info.parent, bob.group(universe, alice).graph.head
    network.restart(alice)
    network.run(5 * SECOND)
    alice.say(universe, NEW)
    network.run(5 * SECOND)
    assert bob.texts() == [COMMON, LOST, NEW]
    (fork,) = bob.heard("fork.detected")
    assert (fork["owner"], fork["parent"]) == (alice.me, parent)
    assert fork["heads"][0] == lost and len(fork["heads"]) == 2
    evidence = Evidence.parse(fork["evidence"])
    assert evidence.identity == alice.me and not evidence.faults()
    (resolved,) = bob.heard("fork.resolved")
    assert resolved == {"owner": alice.me, "head": fork["heads"][1], "closed": [lost]}
    assert alice.heard("fork.resolved") == [resolved]
    assert bob.group(universe, alice).graph.head == alice.group(universe, alice).graph.head
    network.restart(carol)
    network.run(20 * SECOND)
    assert carol.texts() == [COMMON, LOST, NEW]
    for node in (alice, bob, carol):
        assert node.engine.converged(universe), node.name
        assert node.group(universe, alice).graph.heads == (alice.group(universe, alice).graph.head,)
        assert not node.heard("clone.detected")


def test_nothing_is_encrypted_on_the_old_branch_before_it_is_closed() -> None:
    network, universe, alice, bob, _ = put_back_while_one_is_away()
    network.restart(alice)
    alice.say(universe, NEW)
    network.run(5 * SECOND)
    told = kinds(alice)
    assert told.index("rollback.detected") < told.index("fork.resolved") < told.index("message.sent")
    assert told.count("fork.resolved") == told.count("rollback.detected") == 1
    assert bob.texts()[-1] == NEW
