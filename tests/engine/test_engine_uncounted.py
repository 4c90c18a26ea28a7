"""What an owner said before it was put back, in an epoch that it then ends without counting it (PROTOCOL K-14, B10)."""

from __future__ import annotations

from tests.engine.branched import Saved
from tests.engine.small_network import DAY, MINUTE, SECOND, Network, Node, quiet

from starling.protocol.engine.inputs import UpdateKeys


def forgotten_while_one_is_away() -> tuple[Network, bytes, Node, Node, Node]:
    """Alice has forgotten messages that bob alone has got: (network, universe, alice, bob, carol), alice stopped and
    carol cut off from both."""
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    saved = Saved(alice)
    network.cut(carol, alice, bob)
    for number in range(3):
        alice.say(universe, f"forgotten {number}")
    network.run(3 * SECOND)
    network.stop(alice)
    saved.put_back(alice)
    return network, universe, alice, bob, carol


TEXT = "all had it"
FORGOTTEN = [f"forgotten {number}" for number in range(3)]


def test_who_lacks_it_gets_it_from_who_has_it() -> None:
    network, universe, alice, bob, carol = forgotten_while_one_is_away()
    network.restart(alice, dial=False)
    alice.say(universe, "new")
    network.run(6 * SECOND)  # nobody has told her: the commit by which she ends the epoch does not count them
    network.heal()
    network.run(15 * SECOND)
    assert sorted(bob.texts()) == sorted(carol.texts()) == sorted([*FORGOTTEN, "new"])
    assert all(node.engine.converged(universe) for node in (alice, bob, carol))
    network.run(MINUTE)
    for node in (bob, carol):
        state = node.group(universe, alice)
        assert not state.uncounted() and list(state.retained()) == [state.graph.head]
        assert {frame.dmls_epoch for frame in state.log.ids.values() if frame.generation is not None} <= {
            state.graph.head
        }


def test_who_was_away_for_days_gets_it_too() -> None:
    network, universe, alice, bob, carol = forgotten_while_one_is_away()
    network.restart(alice, dial=False)
    network.run(6 * SECOND)
    network.heal_between(alice, bob)
    network.run(15 * SECOND)
    (parent,) = bob.group(universe, alice).uncounted()
    assert parent.dmls_epoch in bob.group(universe, alice).retained(), "carol may still want it"
    network.stop(carol)
    network.leap(DAY)
    for node in (alice, bob):
        node.do(UpdateKeys(universe))
    network.run(MINUTE)
    assert parent.dmls_epoch in bob.group(universe, alice).retained(), "she has not said that she is past it"
    network.restart(carol)
    network.heal()
    network.run(MINUTE)
    assert carol.texts() == FORGOTTEN
    assert not bob.group(universe, alice).uncounted()
    assert all(node.engine.converged(universe) for node in (alice, bob, carol))


def test_what_the_others_do_not_ask_for_is_kept_for_a_day() -> None:
    """As is said by one who was added again since, or lies."""
    network, universe, alice, bob, carol = forgotten_while_one_is_away()
    state = bob.group(universe, alice)
    network.restart(alice, dial=False)
    network.run(6 * SECOND)
    network.drop = lambda source, target, send: source is bob and target is carol
    network.heal()
    network.run(MINUTE)
    (parent,) = state.uncounted()
    assert carol.group(universe, alice).graph.head == alice.group(universe, alice).graph.head
    assert carol.texts() == []
    network.leap(DAY)
    network.leap(DAY)
    assert not state.uncounted()
    assert parent.dmls_epoch not in state.retained()
    places = {frame.dmls_epoch for frame in state.log.ids.values() if frame.generation is not None}
    assert parent.dmls_epoch not in places


def test_what_nobody_holds_any_more_is_told_and_not_waited_for() -> None:
    """Carol had it, as all had, so that its frames went; then she was put back as well."""
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    saved = [(node, Saved(node)) for node in (alice, carol)]
    alice.say(universe, TEXT)
    network.run(MINUTE)
    for node, disk in saved:
        network.stop(node)
        disk.put_back(node)
        node.events.clear()
    network.cut(alice, bob, carol)
    network.restart(alice, dial=False)
    network.run(6 * SECOND)
    network.restart(carol)
    network.heal()
    network.run(MINUTE)
    (told,) = (event.body for event in carol.events if event.kind == "messages.unavailable")
    assert told["owner"] == alice.me
    assert all(node.engine.converged(universe) for node in (alice, bob, carol))
