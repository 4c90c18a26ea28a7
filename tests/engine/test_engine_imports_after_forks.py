"""Healing goes on in a group whose owner was put back once: what it exports later is imported however late (X-7)."""

from __future__ import annotations

from tests.engine.branched import put_back_while_one_is_away
from tests.engine.small_network import HOUR, MINUTE, SECOND

from starling.protocol.engine.inputs import UpdateKeys
from starling.protocol.engine.security_view import security_view


def test_an_update_is_imported_after_its_epoch_was_forgotten() -> None:
    """Alice's update has gone by, with its record, when bob imports: her group remembers a branch that she closed."""
    network, universe, alice, bob, carol = put_back_while_one_is_away()
    network.restart(alice)
    network.run(10 * SECOND)
    network.restart(carol)
    network.leap(2 * HOUR)
    state, node = bob.group(universe, alice), bob.universe(universe)
    assert state.graph.closed and len(state.graph.tips) == 1

    def importers() -> int:
        (shown,) = security_view(node, network.now, alice.me)["members"]
        return int(shown["imported_in"])

    node.timers.imports = network.now + HOUR
    alice.do(UpdateKeys(universe))
    network.run(SECOND)
    update = state.graph.head
    for turn in range(2):
        network.run(MINUTE + SECOND)
        carol.do(UpdateKeys(universe))
        network.run(2 * SECOND)
        alice.say(universe, f"imports {turn}")
        network.run(20 * SECOND)
    assert state.graph.head_info.number == 9 and importers() == 1  # carol alone
    bob.say(universe, "imports")
    network.run(20 * SECOND)
    group_id = state.group_id
    assert [last.dmls_epoch for last in node.ledger.imports(bob.me, group_id)] == [update]
    assert importers() == 2
    # Nothing is kept for it any more.
    network.leap(2 * HOUR)
    assert node.ledger.find(group_id, update) is None and update not in state.graph
