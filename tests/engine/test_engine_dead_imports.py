"""An import of an epoch that this node can never enter: of a dead branch to which it never had the Welcome (R5, B7)."""

from __future__ import annotations

from tests.engine.branched import Saved
from tests.engine.small_network import HOUR, MINUTE, SECOND, quiet

from starling.protocol.engine.inputs import JoinUniverse, UpdateKeys


def test_it_is_waited_for_for_a_day() -> None:
    """Alice adds carol on two branches. Carol knows the second one alone; bob has imported from the middle of the
    first, whose end alice closes."""
    network, universe, (alice, bob) = quiet("alice", "bob")
    saved = Saved(alice)
    ticket = network.invite(bob, universe)
    carol = network.add("carol")
    network.cut(carol, alice)
    carol.do(JoinUniverse(ticket))
    network.run(1_200)
    assert carol.me in bob.group(universe, alice).members()
    network.cut(carol, bob)
    for _ in range(3):
        alice.do(UpdateKeys(universe))
    network.run(65 * SECOND)
    bob.say(universe, "imports")
    network.run(SECOND)
    imported = bob.group(universe, alice).graph.head
    alice.do(UpdateKeys(universe))
    network.run(SECOND)

    network.stop(alice)
    saved.put_back(alice)
    network.cut(alice, bob)
    network.restart(alice, dial=False)
    network.heal_between(alice, carol)
    network.run(20 * SECOND)
    assert (
        carol.group(universe, alice).graph.oldest_number < bob.group(universe, alice).graph[imported].number
    )
    network.stop(alice)
    network.heal()
    network.run(MINUTE)
    assert list(carol.group(universe, bob).lacks_import) == [carol.group(universe, bob).graph.head]
    for _ in range(2):
        network.leap(11 * HOUR)
        network.run(10 * MINUTE)
        assert not carol.heard("member.stuck") and carol.texts() == []
    network.leap(4 * HOUR)
    network.run(10 * MINUTE)
    assert {"identity": carol.me, "owner": bob.me, "reason": "psk"} in carol.heard("member.stuck")
    # By the same rule bob, who has no way to the living branch, from which carol has imported.
    for _ in range(3):
        network.leap(10 * HOUR)
        network.run(10 * MINUTE)
    assert {"identity": bob.me, "owner": carol.me, "reason": "psk"} in bob.heard("member.stuck")
    assert carol.texts() == ["imports"], "they have added each other again, without alice"
    network.restart(alice)
    network.run(10 * MINUTE)
    assert all(node.engine.converged(universe) for node in (alice, bob, carol))
