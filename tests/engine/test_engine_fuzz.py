"""Changed copies of real traffic, thousands of them: nothing leaves `handle`, and the universe goes on."""

from __future__ import annotations

import random
from typing import Any

import pytest
from tests.engine.small_network import MINUTE, SECOND, Network, Node

from starling.protocol.engine.inputs import (
    FrameReceived,
    Input,
    JoinUniverse,
    MessageFromPeer,
    RemoveMember,
    UpdateKeys,
)
from starling.protocol.engine.step import Send, SendToPeer
from starling.protocol.errors import DecodeError
from starling.protocol.exchange.joining_messages import JoinAnswer, JoinProof, JoinRefused
from starling.protocol.exchange.messages import attach, decode_message
from starling.protocol.packed import pack, unpack

INPUTS = 2_000


class Recorder:
    """Notes every distinct kind of traffic that a story makes."""

    def __init__(self, network: Network) -> None:
        self.inputs: list[tuple[Node, Input]] = []
        network.tap = lambda node, item: self.inputs.append((node, item))

    def bytes_for(self, *nodes: Node) -> list[tuple[bool, bytes]]:
        """(gossiped?, bytes) of what these nodes got, each once."""
        found = {
            (True, item.frame) if isinstance(item, FrameReceived) else (False, item.data)
            for node, item in self.inputs
            if node in nodes and isinstance(item, FrameReceived | MessageFromPeer)
        }
        return sorted(found)


def mutated(rng: random.Random, value: Any, depth: int = 0) -> Any:
    """The value with one thing changed somewhere in it."""
    if isinstance(value, list) and value and rng.random() < 0.85:
        copy = list(value)
        place = rng.randrange(len(copy))
        choice = rng.random()
        if choice < 0.72:
            copy[place] = mutated(rng, copy[place], depth + 1)
        elif choice < 0.80:
            del copy[place]
        elif choice < 0.88:
            copy.insert(place, copy[place])
        elif choice < 0.94:
            copy[place], copy[0] = copy[0], copy[place]
        else:
            copy = copy * rng.choice((2, 50))
        return copy
    if isinstance(value, bytes) and value:
        return _changed_bytes(rng, value)
    if isinstance(value, bool):
        return rng.choice((not value, 1, None))
    if isinstance(value, int):
        return rng.choice((0, 1, value + 1, max(0, value - 1), 2**31, 2**32 - 1, 2**63, 2**64 - 1, -1))
    return rng.choice((None, b"", "", [], 0, b"\x00" * 32, [[]], "x" * 70, {"a": 1}))


def _changed_bytes(rng: random.Random, value: bytes) -> bytes:
    inner: Any = None
    if rng.random() < 0.7:
        try:
            inner = unpack(value, max_bytes=2**24)
        except Exception:
            inner = None
    if isinstance(inner, list) and inner:
        try:
            return pack(mutated(rng, inner))
        except Exception:
            return value
    changed = bytearray(value)
    choice = rng.random()
    place = rng.randrange(len(changed))
    if choice < 0.5:
        changed[place] ^= 1 << rng.randrange(8)
    elif choice < 0.6:
        changed[place] = rng.choice((0, 0xFF, 0x40, 0x80, 0xC0))
    elif choice < 0.7:
        del changed[place:]
    elif choice < 0.8:
        changed += rng.randbytes(rng.choice((1, 4, 100)))
    elif choice < 0.9:
        del changed[place : place + rng.randint(1, 8)]
    else:
        changed[place:place] = rng.randbytes(rng.randint(1, 8))
    return bytes(changed)


def mutation(rng: random.Random, data: bytes) -> bytes:
    try:
        return pack(mutated(rng, unpack(data, max_bytes=2**24)))
    except Exception:  # what no longer packs is changed as mere bytes
        return _changed_bytes(rng, data)


@pytest.fixture(scope="module")
def story() -> tuple[Network, Recorder, Any, Node, Node, Node, Node]:
    """A universe that has seen joins, messages, updates, a crash and a removal."""
    network = Network()
    recorder = Recorder(network)
    universe, alice, bob, carol, dave = network.found("alice", "bob", "carol", "dave", suites=(1, 3, 1, 1))
    for node in (alice, bob, carol, dave):
        node.say(universe, f"{node.name} says")
    network.run(SECOND)
    alice.do(UpdateKeys(universe))
    network.run(2 * MINUTE)
    network.stop(carol)
    bob.say(universe, b"z" * 100_000)
    network.run(5 * SECOND)
    network.restart(carol)
    network.run(10 * SECOND)
    alice.do(RemoveMember(universe, dave.me))
    network.run(10 * SECOND)
    return network, recorder, universe, alice, bob, carol, dave


@pytest.mark.parametrize("victim", ["alice", "bob"])
@pytest.mark.parametrize("author", ["member", "stranger"])
def test_no_changed_traffic_stops_a_node(
    story: tuple[Network, Recorder, Any, Node, Node, Node, Node], victim: str, author: str
) -> None:
    network, recorder, universe, alice, bob, carol, dave = story
    node = alice if victim == "alice" else bob
    mallory = carol.id if author == "member" else dave.id
    rng = random.Random(f"{victim} {author}")
    traffic = recorder.bytes_for(alice, bob, carol, dave)
    queue = network._queue[:]
    for count in range(INPUTS):
        gossiped, data = rng.choice(traffic)
        changed = mutation(rng, data)
        item: Input = FrameReceived(mallory, changed) if gossiped else MessageFromPeer(mallory, changed)
        node.save(node.handle(item))
        if count % 20 == 0:
            network.run(50)
    assert len(queue) <= len(network._queue) + INPUTS
    network.heal()
    network.run(2 * MINUTE)
    before = len(node.texts())
    carol.say(universe, f"after {victim} {author}")
    network.run(10 * SECOND)
    assert node.texts()[before:] == [f"after {victim} {author}"]


def test_no_changed_traffic_stops_a_joiner() -> None:
    """Before its answer comes, a joiner is told thousands of nearly right ones by the sponsor's own peer."""
    network = Network()
    universe, alice, _ = network.found("alice", "bob")
    rng = random.Random("joiner")
    dave = network.add("dave")
    held_back: list[bytes] = []

    def hold_back(source: Node, target: Node, send: Send) -> bool:
        if target is dave and isinstance(send, SendToPeer):
            kept = [source.rows["frame", key] for key in send.frame_ids]
            held_back.append(attach(send.data, kept))
            return isinstance(decode_message(held_back[-1])[0], JoinAnswer)
        return False

    network.drop = hold_back
    dave.do(JoinUniverse(network.invite(alice, universe)))
    network.run(5 * SECOND)
    kinds = {type(decode_message(data)[0]) for data in held_back}
    assert kinds >= {JoinProof, JoinAnswer}
    for _ in range(INPUTS):
        changed = mutation(rng, rng.choice(held_back))
        try:
            refusal = isinstance(decode_message(changed)[0], JoinRefused)
        except DecodeError:
            refusal = False
        if not refusal:
            dave.save(dave.handle(MessageFromPeer(alice.id, changed)))
    network.drop = lambda source, target, send: False
    network.run(30 * SECOND)
    assert dave.heard("universe.joined")
    assert dave.engine.converged(universe)
