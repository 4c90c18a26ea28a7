"""Members that were away for longer than the limits come back by themselves (PROTOCOL K-14, B7, B10)."""

from __future__ import annotations

import pytest
from tests.engine.small_network import DAY, HOUR, MINUTE, SECOND, Network, Node, quiet
from tests.engine.test_engine_readding import all_read_all

from starling.protocol.distributed import policy
from starling.protocol.distributed.policy import FrameQuota
from starling.protocol.engine.inputs import UpdateKeys


def days_pass(network: Network, universe: bytes, nodes: list[Node], days: int, step: int = 1) -> list[str]:
    """Who is there updates and talks, once in so many days; what the first of them said."""
    said = []
    for day in range(0, days, step):
        network.leap(step * DAY - 2 * MINUTE)
        for node in nodes:
            node.do(UpdateKeys(universe))
            node.say(universe, f"{node.name} on day {day}")
        said.append(f"{nodes[0].name} on day {day}")
        network.run(2 * MINUTE)
    return said


def of(node: Node, sender: Node) -> list[str]:
    """What a node heard of one sender, in order."""
    received = node.heard("message.received")
    return [body["body"].decode() for body in received if body["sender"] == sender.me]


@pytest.mark.parametrize("days", [3, 12])
def test_who_was_away_for_days_reads_all_that_was_said(days: int) -> None:
    """Within the limits by the frames that are kept; beyond seven days and eight epochs it may take being added again,
    and what was said comes again."""
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    network.stop(bob)
    said = days_pass(network, universe, [alice, carol], days)
    network.restart(bob)
    network.run(10 * MINUTE)
    assert of(bob, alice) == said
    assert len(of(bob, carol)) == days
    assert not bob.heard("messages.unavailable")
    all_read_all(network, universe, [alice, bob, carol])


def test_who_was_away_for_too_long_gets_what_is_left_and_is_told_of_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where frames went before anybody was suspended."""
    monkeypatch.setattr(policy, "SUSPENDED_AFTER", 90 * DAY)
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    network.stop(bob)
    said = days_pass(network, universe, [alice, carol], 36, 4)
    network.restart(bob)
    network.run(10 * MINUTE)
    heard = of(bob, alice)
    assert heard and heard == said[-len(heard) :] and len(heard) < len(said)
    lost = {body["owner"]: body["count"] for body in bob.heard("messages.unavailable")}
    assert lost[alice.me] == len(said) - len(heard)
    assert lost[carol.me] == len(said) - len(of(bob, carol))
    for node in (alice, bob, carol):
        assert {body["owner"] for body in node.heard("member.stuck")} == {alice.me, carol.me}
        assert {body["identity"] for body in node.heard("member.stuck")} == {bob.me}
    all_read_all(network, universe, [alice, bob, carol])
    network.leap(2 * HOUR)
    for node in (alice, carol):
        held = node.universe(universe)
        assert not held.outbox.lost and not held.outbox.repeats and not list(held.outbox.kept())


def test_where_the_quota_let_frames_go_it_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    quota = FrameQuota(40, 2**30)
    monkeypatch.setattr(policy, "OWN_FRAMES", quota)
    monkeypatch.setattr(policy, "FRAMES_OF_OWNER", quota)
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    network.stop(bob)
    said = []
    for number in range(30):
        alice.do(UpdateKeys(universe))
        alice.say(universe, f"message {number}")
        said.append(f"message {number}")
        network.run(5 * SECOND)
    network.restart(bob)
    network.run(10 * MINUTE)
    heard = of(bob, alice)
    assert heard and heard == said[-len(heard) :] and len(heard) < len(said)
    (told,) = bob.heard("messages.unavailable")
    assert told["count"] == len(said) - len(heard)
    all_read_all(network, universe, [alice, bob, carol])


def test_two_who_were_apart_for_too_long_add_each_other_again() -> None:
    """Neither can read in the other's group that it asks for it."""
    network, universe, (alice, bob) = quiet("alice", "bob")
    network.cut(alice, bob)
    for node in (alice, bob):
        node.say(universe, f"{node.name} alone")
    network.run(MINUTE)
    for node in (alice, bob):
        node.say(universe, f"{node.name} long ago")
    network.leap(32 * DAY)
    for node in (alice, bob):
        node.say(universe, f"{node.name} today")
    network.heal()
    network.run(5 * MINUTE)
    assert of(bob, alice)[-1] == "alice today" and of(alice, bob)[-1] == "bob today"
    all_read_all(network, universe, [alice, bob])
