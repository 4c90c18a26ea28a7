"""Own messages are held until all have them, and sent again to who is added again (PROTOCOL B10)."""

from __future__ import annotations

from tests.engine.small_network import DAY, MINUTE, SECOND, Network, Node, quiet
from tests.engine.test_engine_readding import all_read_all, sealed_badly_for

from starling.protocol.distributed.application import MAX_BODY
from starling.protocol.engine.inputs import JoinUniverse, UpdateKeys


def held(node: Node, universe: bytes) -> list[bytes]:
    """The bodies of what a node holds to send it again, oldest first."""
    outbox = node.universe(universe).outbox
    bodies = [sent.encoded for _, sent in outbox.kept()]
    return [body.split(b"\xc4", 2)[-1] for body in bodies]


def said_past(network: Network, universe: bytes, alice: Node, bob: Node, *texts: str) -> None:
    """Alice says this in an epoch that bob cannot enter, and is away before she can add him again."""
    with sealed_badly_for(alice, universe, bob):
        alice.do(UpdateKeys(universe))
    for text in texts:
        alice.say(universe, text)
    network.run(SECOND)


def test_what_was_said_past_a_member_comes_again_once_and_in_order() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    alice.say(universe, "before")
    network.run(5 * SECOND)
    said_past(network, universe, alice, bob, "one", "two", "three")
    assert carol.texts() == ["before", "one", "two", "three"] and bob.texts() == ["before"]
    network.run(MINUTE)
    alice.say(universe, "after")
    network.run(10 * SECOND)
    for node in (bob, carol):
        assert node.texts() == ["before", "one", "two", "three", "after"], node.name
        ids = [body["id"] for body in node.heard("message.received")]
        assert len(set(ids)) == len(ids)
    assert len(alice.heard("message.sent")) == 5
    all_read_all(network, universe, [alice, bob, carol])


def test_it_is_forgotten_once_all_have_it() -> None:
    network, universe, (alice, bob, _) = quiet("alice", "bob", "carol")
    alice.say(universe, "hello")
    assert len(held(alice, universe)) == 1
    network.run(MINUTE)
    assert held(alice, universe) == []
    network.stop(bob)
    alice.say(universe, "who is here")
    network.run(MINUTE)
    assert len(held(alice, universe)) == 1
    network.stop(alice)
    network.restart(alice)
    network.run(MINUTE)
    assert len(held(alice, universe)) == 1
    network.restart(bob)
    network.run(MINUTE)
    assert held(alice, universe) == []
    assert not any(b"who is here" in row for row in alice.table("sent").values())
    assert bob.texts() == ["hello", "who is here"]


def test_it_comes_again_after_a_restart_of_its_sender() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    said_past(network, universe, alice, bob, "one", "two")
    network.stop(alice)
    network.run(MINUTE)
    network.restart(alice)
    network.run(2 * MINUTE)
    assert bob.texts() == ["one", "two"]
    assert not alice.universe(universe).outbox.repeats and not alice.table("repeat")
    all_read_all(network, universe, [alice, bob, carol])


def test_who_came_later_does_not_read_it() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    said_past(network, universe, alice, bob, "not for dave")
    network.cut(bob, alice, carol)
    dave = network.add("dave")
    dave.do(JoinUniverse(network.invite(alice, universe)))
    network.run(MINUTE)
    network.heal()
    network.run(2 * MINUTE)
    assert bob.texts() == ["not for dave"] and dave.texts() == []
    all_read_all(network, universe, [alice, bob, carol, dave])


def test_many_and_large_messages_come_again() -> None:
    network, universe, (alice, bob) = quiet("alice", "bob")
    with sealed_badly_for(alice, universe, bob):
        alice.do(UpdateKeys(universe))
    network.stop(bob)
    texts = [f"message {number}" for number in range(1500)]
    for text in texts:
        alice.say(universe, text)
    alice.say(universe, b"x" * MAX_BODY)
    network.restart(bob)
    network.run(2 * MINUTE)
    assert bob.texts() == [*texts, "x" * MAX_BODY]
    alice.say(universe, "on")
    network.run(MINUTE)
    assert not held(alice, universe) and not alice.universe(universe).outbox.repeats


def test_what_is_gone_is_counted_and_told() -> None:
    """Beyond the 30 days nobody holds it: bob is told of it once he is back."""
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    network.stop(bob)
    for number in range(3):
        alice.say(universe, f"long ago {number}")
        network.run(MINUTE)
    network.leap(31 * DAY)
    alice.say(universe, "lately")
    network.run(MINUTE)
    assert len(held(alice, universe)) == 1
    assert alice.universe(universe).outbox.lost[bob.me].count == 3
    network.restart(bob)
    network.run(5 * MINUTE)
    assert bob.texts() == ["lately"]
    (told,) = bob.heard("messages.unavailable")
    assert told["owner"] == alice.me and told["count"] == 3
    assert not alice.universe(universe).outbox.lost and not alice.table("lost")
    all_read_all(network, universe, [alice, bob, carol])
