"""The KeyPackage with which a member came stays until its successor was readable for all (X-10)."""

from __future__ import annotations

from tests.engine.frames import header_of
from tests.engine.small_network import SECOND, Network, Node

from starling.protocol.engine.inputs import CreateUniverse, JoinUniverse, UpdateKeys
from starling.protocol.engine.step import Publish, Send, SendToPeer


def test_a_joiner_is_given_the_first_key_package_of_one_who_has_updated_since() -> None:
    """Who entered a group by a Welcome has not read the KeyPackages that this commit publishes."""
    network = Network()
    alice, bob, carol = network.add_all("alice", "bob", "carol")
    universe = alice.do(CreateUniverse("lab"))
    ticket = network.invite(alice, universe, uses=2)

    def later_than_the_welcome(source: Node, target: Node, send: Send) -> bool:
        if (source, target) != (bob, alice):
            return False
        match send:
            case Publish():
                frames = [send.frame]
            case SendToPeer():
                frames = [bob.rows["frame", key] for key in send.frame_ids if ("frame", key) in bob.rows]
            case _:
                frames = []
        group_id = bob.group(universe, bob).group_id if frames else b""
        return any(header_of(frame)[0] == group_id and header_of(frame)[1] >= 1 for frame in frames)

    network.drop = later_than_the_welcome
    bob.do(JoinUniverse(ticket))
    network.run(15 * SECOND)
    assert alice.group(universe, bob).graph.head_info.number == 1
    assert bob.group(universe, bob).graph.head_info.number > 1
    # What alice has of bob is as he came; that is what she gives to carol.
    carol.do(JoinUniverse(ticket))
    network.run(SECOND)
    network.drop = lambda source, target, send: False
    network.run(15 * SECOND)
    carol.say(universe, "hello")
    network.run(2 * SECOND)
    assert bob.texts() == alice.texts() == ["hello"]
    assert all(node.engine.converged(universe) for node in (alice, bob, carol))


def test_the_first_key_package_goes_when_all_have_read_its_successor() -> None:
    network = Network()
    universe, alice, bob = network.found("alice", "bob")
    first = min(own.serial for own in bob.universe(universe).bundles._bundles.values())
    for _ in range(2):
        bob.do(UpdateKeys(universe))
        alice.say(universe, f"at {network.now}")
        network.run(15 * SECOND)
    kept = {own.serial for own in bob.universe(universe).bundles._bundles.values()}
    assert first not in kept and len(kept) == 1
