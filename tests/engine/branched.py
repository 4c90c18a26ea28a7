"""Nodes that were put back to an old state, for the tests of branches."""

from __future__ import annotations

from tests.engine.small_network import SECOND, Network, Node, quiet

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


def swap(network: Network, node: Node, disk: Saved) -> Saved:
    """Stop a node and start it from another disk; what it had is given back."""
    network.stop(node)
    held = Saved(node)
    disk.put_back(node)
    network.restart(node)
    return held
