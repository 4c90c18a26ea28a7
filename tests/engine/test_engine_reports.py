"""Reports that tell only what is different from the one before, and what makes a member tell all (PROTOCOL R1)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.engine.small_network import MINUTE, SECOND, Node, quiet

from starling.protocol.distributed.application import HEADS, ApplicationData
from starling.protocol.distributed.heads import HeadsMessage
from starling.protocol.engine import own_group, reporting
from starling.protocol.engine.context import Context
from starling.protocol.engine.inputs import JoinUniverse, RemoveMember, UpdateKeys, Wake
from starling.protocol.engine.universe import Universe

Told = list[tuple[str, HeadsMessage]]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """The reports that are sent from now on: who, and what."""
    found: Told = []
    original = own_group.protect

    def protect(ctx: Context, universe: Universe, data: ApplicationData) -> int:
        if data.content_type == HEADS:
            found.append((universe.identity.name, HeadsMessage.decode(data.body)))
        return original(ctx, universe, data)

    monkeypatch.setattr(own_group, "protect", protect)
    return found


def whole(told: Told) -> list[str]:
    return [name for name, message in told if not message.base]


def agree(universe: bytes, *nodes: Node) -> bool:
    """Whether all hold of each other what each last told."""
    return all(
        node.universe(universe).reports[other.me] == other.universe(universe).told
        for node in nodes
        for other in nodes
        if other is not node
    )


def retained(node: Node, universe: bytes) -> int:
    """How many superseded epochs a node retains."""
    return sum(len(tuple(state.retained())) - 1 for state in node.universe(universe).groups.values())


def test_talk_is_reported_by_what_is_different(told: Told) -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    for node in (alice, bob, carol):
        node.say(universe, f"first of {node.name}")
    network.run(20 * SECOND)
    told.clear()
    for number in range(10):
        alice.say(universe, f"{number}")
        network.run(5 * SECOND)
    alice.do(UpdateKeys(universe))
    network.run(20 * SECOND)
    assert {name for name, _ in told} == {"alice", "bob", "carol"} and not whole(told)
    assert all(len(message.encode()) < 350 for _, message in told)
    assert agree(universe, alice, bob, carol)
    assert all(node.engine.converged(universe) for node in (alice, bob, carol))


def test_after_a_start_and_to_whom_one_adds_all_is_told(told: Told) -> None:
    network, universe, (alice, bob) = quiet("alice", "bob")
    told.clear()
    network.stop(bob)
    network.restart(bob)
    network.run(20 * SECOND)
    assert "bob" in whole(told) and "alice" not in whole(told)
    told.clear()
    carol = network.add("carol")
    carol.do(JoinUniverse(network.invite(alice, universe)))
    network.run(2 * MINUTE)
    assert set(whole(told)) == {"alice", "bob", "carol"}
    assert not any(message.wanted for _, message in told), "nobody had to ask"
    assert agree(universe, alice, bob, carol)


def test_who_cannot_complete_a_report_asks_for_all_of_it(told: Told) -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    del bob.universe(universe).reports[carol.me]
    told.clear()
    alice.say(universe, "news")
    network.run(20 * SECOND)
    assert [name for name, message in told if message.wanted] == ["bob"]
    assert whole(told) == ["carol"], "once, and nobody else"
    assert agree(universe, alice, bob, carol) and not bob.universe(universe).unread_reports
    assert all(node.engine.converged(universe) for node in (alice, bob, carol))
    told.clear()
    network.run(5 * MINUTE)
    assert not told


def test_what_cannot_be_completed_lets_nothing_settle_or_converge() -> None:
    """It may name a branch that is not known here."""
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    network.run(MINUTE)
    here = bob.universe(universe)
    assert retained(bob, universe) == 0
    alice.do(UpdateKeys(universe))
    network.run(8 * SECOND)
    assert bob.engine.converged(universe) and retained(bob, universe) > 0, "all are past it, it lingers"
    network.drop = lambda source, target, send: source is bob
    held = here.reports[carol.me]
    here.reports[carol.me] = replace(held, name=bytes(32))
    body = HeadsMessage.telling(held, held).encode()
    reporting.take_report(Context(network.now, bytes), here, carol.me, body)
    network.run(MINUTE)
    assert here.wanted_reports() == [carol.me]
    assert not bob.engine.converged(universe) and retained(bob, universe) > 0
    network.drop = lambda source, target, send: False
    network.run(MINUTE)
    assert bob.engine.converged(universe) and retained(bob, universe) == 0


def test_what_somebody_was_to_tell_does_not_matter_after_its_removal() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    bob.universe(universe).unread_reports.add(carol.me)
    alice.do(RemoveMember(universe, carol.me))
    network.run(MINUTE)
    assert not bob.universe(universe).unread_reports
    assert bob.engine.converged(universe) and retained(bob, universe) == 0


def test_who_asks_for_all_again_and_again_gets_it_no_more_often_than_other_news(told: Told) -> None:
    network, universe, (alice, bob) = quiet("alice", "bob")
    held = bob.universe(universe).told
    assert held is not None
    body = HeadsMessage.telling(held, None, [alice.me]).encode()
    told.clear()
    for _ in range(5 * 60):
        ctx = Context(network.now, bytes)
        reporting.take_report(ctx, alice.universe(universe), bob.me, body)
        alice.do(Wake())
        network.run(SECOND)
    assert 4 <= whole(told).count("alice") <= 12
