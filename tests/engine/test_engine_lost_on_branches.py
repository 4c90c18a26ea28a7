"""What a dead branch had and nobody gives any more: it is waited for for a day, and then told (B10)."""

from __future__ import annotations

from tests.engine.branched import LOST, Saved, put_back_while_one_is_away
from tests.engine.small_network import DAY, HOUR, SECOND, quiet

from starling.protocol.engine.inputs import UpdateKeys


def test_a_closed_branch_that_never_comes_is_given_up_after_a_day() -> None:
    """Bob alone had it, and does not come back: carol hears of it from the owner."""
    network, universe, alice, bob, carol = put_back_while_one_is_away()
    network.restart(alice)
    network.run(10 * SECOND)
    lost = bob.heard("fork.resolved")[0]["closed"][0]
    network.stop(bob)
    network.restart(carol)
    network.run(30 * SECOND)
    group = carol.group(universe, alice)
    assert list(group.awaited) == [lost] and group.graph.head == alice.group(universe, alice).graph.head
    report = alice.universe(universe).reports[carol.me]
    assert (lost, b"", 0) in [
        (row.head, row.past, row.count) for row in report.heads[alice.universe(universe).group_id]
    ]
    network.stop(carol)
    network.restart(carol)
    assert list(carol.group(universe, alice).awaited) == [lost]
    network.run(5 * SECOND)
    assert not carol.heard("messages.unavailable")
    network.leap(DAY + 2 * HOUR)
    graph = carol.group(universe, alice).graph
    assert not carol.group(universe, alice).awaited
    told = {"owner": alice.me, "epoch": graph[graph.closed[lost]].number, "held": 0, "count": None}
    assert carol.heard("messages.unavailable") == [told]
    report = alice.universe(universe).reports[carol.me]
    assert lost not in [row.head for row in report.heads[alice.universe(universe).group_id]]


def test_a_message_of_a_dead_branch_that_never_comes_is_told_after_a_day() -> None:
    """Carol has the branch, and bob alone what was said there last: he reports it, and does not come back."""
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    saved = Saved(alice)
    alice.do(UpdateKeys(universe))
    network.run(SECOND)
    lost = alice.group(universe, alice).graph.head_info
    network.stop(carol)
    alice.say(universe, LOST)
    network.run(SECOND)
    network.stop(alice)
    saved.put_back(alice)
    network.restart(alice)
    network.run(5 * SECOND)
    assert bob.texts() == [LOST] and bob.heard("fork.resolved")
    network.stop(bob)
    network.restart(carol)
    network.run(10 * SECOND)
    graph = carol.group(universe, alice).graph
    held = graph[lost.dmls_epoch].contiguous
    assert lost.dmls_epoch in graph.closed and not carol.heard("messages.unavailable")
    network.leap(DAY + 2 * HOUR)
    assert lost.dmls_epoch not in graph
    told = {"owner": alice.me, "epoch": lost.number, "held": held, "count": None}
    assert carol.heard("messages.unavailable") == [told]
