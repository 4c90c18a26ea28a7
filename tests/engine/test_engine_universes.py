"""One node in several universes at once: what happens in one is nothing to the others."""

from __future__ import annotations

import pytest
from tests.engine.small_network import MINUTE, SECOND, Network, Node

from starling.protocol.engine import node as engine_node
from starling.protocol.engine import timers
from starling.protocol.engine.context import Context
from starling.protocol.engine.inputs import CreateUniverse, JoinUniverse, RemoveMember, Wake
from starling.protocol.engine.universe import Universe
from starling.protocol.errors import UsageError


def said(node: Node, universe: bytes) -> list[str]:
    return [
        event.body["body"].decode()
        for event in node.events
        if event.kind == "message.received" and event.universe_id == universe
    ]


def members(node: Node, universe: bytes) -> set[bytes]:
    return {member["identity"] for member in node.engine.members(universe)}


def in_three() -> tuple[Network, list[bytes], list[Node]]:
    """Alice has founded three; Bob is in all, Carol in the first two, Dave in the last two."""
    network = Network()
    alice, bob, carol, dave = nodes = network.add_all("alice", "bob", "carol", "dave")
    universes = [alice.do(CreateUniverse(name)) for name in ("one", "two", "three")]
    for universe, joiners in zip(universes, ((bob, carol), (bob, carol, dave), (bob, dave)), strict=True):
        ticket = network.invite(alice, universe, uses=len(joiners))
        for node in joiners:
            node.do(JoinUniverse(ticket))
        network.run(15 * SECOND)
    for universe in universes:
        assert alice.engine.converged(universe)
    return network, universes, nodes


def test_messages_removals_and_restarts_do_not_mix() -> None:
    network, (one, two, three), (alice, bob, carol, dave) = in_three()
    for universe, name in ((one, "one"), (two, "two"), (three, "three")):
        bob.say(universe, f"in {name}")
    network.run(SECOND)
    assert [said(alice, universe) for universe in (one, two, three)] == [["in one"], ["in two"], ["in three"]]
    assert carol.texts() == ["in one", "in two"] and dave.texts() == ["in two", "in three"]

    alice.do(RemoveMember(two, bob.me))
    network.run(5 * SECOND)
    assert bob.me not in members(alice, two) and bob.universe(two).removed
    for universe in (one, three):
        assert bob.me in members(alice, universe) and not bob.universe(universe).removed
    with pytest.raises(UsageError):
        bob.say(two, "not any more")
    carol.say(two, "without Bob")
    network.run(SECOND)
    assert "without Bob" not in bob.texts() and said(dave, two)[-1] == "without Bob"

    for node in (bob, alice):
        network.stop(node)
        network.restart(node)
    network.run(MINUTE)
    bob.say(one, "one again")
    bob.say(three, "three again")
    network.run(SECOND)
    assert said(alice, one)[-1] == "one again" and said(alice, three)[-1] == "three again"
    assert said(dave, three)[-1] == "three again" and said(carol, one)[-1] == "one again"
    states = {view["universe_id"]: view["state"] for view in bob.engine.universes()}
    assert states == {one: "active", two: "removed", three: "active"}
    for universe in (one, two, three):
        assert alice.engine.converged(universe)


def test_frames_that_come_to_members_of_several_find_their_universe() -> None:
    """Bob forwards what Carol says in either, though Alice shares both with him."""
    network, (one, two, _), (alice, _, carol, _) = in_three()
    network.cut(alice, carol)
    carol.say(one, "first")
    carol.say(two, "second")
    network.run(MINUTE)
    assert (said(alice, one), said(alice, two)) == (["first"], ["second"])
    assert not alice.universe(one).refused and not alice.universe(two).refused


def test_an_input_is_the_work_of_one_universe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a node in many would do for each what comes from all."""
    network, universes, (alice, bob, *_) = in_three()
    network.run(MINUTE)
    ticked: list[bytes] = []
    tick = timers.tick

    def counted(ctx: Context, universe: Universe) -> bool:
        ticked.append(universe.universe_id)
        return tick(ctx, universe)

    monkeypatch.setattr(timers, "tick", counted)
    bob.say(universes[0], "hello")
    assert set(ticked) == {universes[0]}
    for node in (alice, bob):
        while node.wake is not None and node.wake <= network.now:
            node.do(Wake())
        ticked.clear()
        due = [u for u in universes if (timers.next_wake(node.universe(u)) or 0) == node.wake]
        assert node.wake is not None
        network.now = node.wake
        node.do(Wake())
        assert set(ticked) == set(due) != set(universes)


def test_a_node_is_in_no_more_than_it_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_node, "MAX_UNIVERSES", 2)
    network = Network()
    alice, bob = network.add_all("alice", "bob")
    first = alice.do(CreateUniverse("first"))
    for name in ("second", "third"):
        bob.do(CreateUniverse(name))
    before = dict(bob.rows)
    for command in (CreateUniverse("fourth"), JoinUniverse(network.invite(alice, first))):
        with pytest.raises(UsageError, match="leave one first") as refused:
            bob.do(command)
        assert refused.value.code == "universe.limit"
    assert bob.rows == before
    mallory = network.add("mallory")
    third = mallory.do(CreateUniverse("third"))
    monkeypatch.setattr(engine_node, "MAX_UNIVERSES", 3)
    bob.do(JoinUniverse(network.invite(mallory, third)))
    network.run(10 * SECOND)
    mallory.do(RemoveMember(third, bob.me))
    network.run(SECOND)
    assert bob.universe(third).removed
    bob.do(CreateUniverse("fourth"))
