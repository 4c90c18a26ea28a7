"""Simulated links between nodes: connections with ordered streams, and gossip over several hops.

What a node is told is exactly what `starling.p2p` tells: connected, disconnected, dial failed, messages,
gossip frames. Everything random comes from one seeded source, so a history repeats exactly.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Collection
from typing import TYPE_CHECKING

from tests.sim import faults
from tests.sim.event_queue import EventQueue
from tests.sim.faults import Faults

from starling.protocol.engine.inputs import (
    DialFailed,
    FrameReceived,
    MessageFromPeer,
    PeerConnected,
    PeerDisconnected,
)

if TYPE_CHECKING:
    from tests.sim.node import Node

_FIRST_DIAL = (20, 400)
_REDIAL = (500, 6_000)
_SLOW = 5_000
_DRAIN = 15
"""How long what a dead process sent still arrives: below the shortest time until the next dial."""


class Connection:
    """One connection of two nodes. What is under way when it ends never arrives, unless it `drains`: a
    process that dies leaves what its kernel had already sent."""

    def __init__(self) -> None:
        self.open = True
        self.drains = False
        self.last_arrival: dict[bytes, int] = {}


class Network:
    """All nodes and what joins or parts them."""

    def __init__(self, queue: EventQueue, rng: random.Random, level: Faults, counts: Counter[str]) -> None:
        self.queue = queue
        self.level = level
        self.counts = counts
        self.nodes: dict[bytes, Node] = {}
        self._rng = rng
        self._side: dict[bytes, int] = {}
        self._connections: dict[frozenset[bytes], Connection] = {}
        self._dialing: set[tuple[bytes, bytes]] = set()
        self._gossip_sent: dict[tuple[bytes, bytes], int] = {}

    # who can reach whom

    def partition(self, sides: dict[bytes, int]) -> None:
        """Part the nodes by the number given to each; connections across are cut."""
        self._side = sides
        self.counts[faults.PARTITIONED] += 1
        for pair in tuple(self._connections):
            a, b = sorted(pair)
            if not self._reachable(a, b):
                self._end(pair)

    def heal(self) -> None:
        if self._side:
            self.counts[faults.HEALED] += 1
        self._side = {}

    def _reachable(self, a: bytes, b: bytes) -> bool:
        return self._side.get(a, 0) == self._side.get(b, 0)

    def neighbours(self, peer_id: bytes) -> list[bytes]:
        return [b if a == peer_id else a for a, b in map(sorted, self._connections) if peer_id in (a, b)]

    # connections

    def want(self, node: Node) -> None:
        """A node knows whom to dial: begin where it is not yet connected."""
        for peer_id in sorted({*node.members, *node.guests} - {node.peer_id}):
            self._dial_after(node.peer_id, peer_id, _FIRST_DIAL)

    def _dial_after(self, dialler: bytes, target: bytes, delay: tuple[int, int]) -> None:
        if (dialler, target) in self._dialing or frozenset((dialler, target)) in self._connections:
            return
        self._dialing.add((dialler, target))
        self.queue.after(self._rng.randint(*delay), lambda: self._dial(dialler, target))

    def _dial(self, dialler: bytes, target: bytes) -> None:
        self._dialing.discard((dialler, target))
        node, other = self.nodes[dialler], self.nodes.get(target)
        addresses = {*node.members.get(target, ()), *node.guests.get(target, ())}
        if not node.running or frozenset((dialler, target)) in self._connections:
            return
        if target not in node.members and target not in node.guests:
            return
        if not addresses:
            self._dial_after(dialler, target, _REDIAL)
            return
        if (
            other is None
            or not other.running
            or not self._reachable(dialler, target)
            or other.address not in addresses
        ):
            self.counts[faults.DIAL_FAILED] += 1
            self._dial_after(dialler, target, _REDIAL)
            node.deliver(DialFailed(target))
            return
        self._connections[frozenset((dialler, target))] = Connection()
        node.deliver(PeerConnected(target))
        other.deliver(PeerConnected(dialler))

    def disconnect(self, a: bytes, b: bytes) -> None:
        self._end(frozenset((a, b)))

    def crashed(self, peer_id: bytes) -> None:
        """A process ended: so did all its connections."""
        for other in self.neighbours(peer_id):
            self._end(frozenset((peer_id, other)), drains=self._rng.random() < 0.5)

    def _end(self, pair: frozenset[bytes], *, drains: bool = False) -> None:
        connection = self._connections.pop(pair, None)
        if connection is None:
            return
        connection.open, connection.drains = False, drains
        for peer_id, other in (sorted(pair), sorted(pair, reverse=True)):
            node = self.nodes[peer_id]
            start = node.starts
            self.queue.after(
                _DRAIN if drains else 0,
                lambda node=node, other=other, start=start: node.deliver_if(start, PeerDisconnected(other)),
            )
            if other in node.members or other in node.guests:
                self._dial_after(peer_id, other, _FIRST_DIAL)

    # streams

    def send(self, sender: bytes, receiver: bytes, data: bytes) -> None:
        """One message on a stream: in order within a connection, lost only with it or in a full queue."""
        pair = frozenset((sender, receiver))
        connection = self._connections.get(pair)
        if connection is None:
            return
        level = self.level
        if self._rng.random() < level.stream_break:
            self.counts[faults.STREAM_BROKEN] += 1
            self._end(pair)
            return
        if self._rng.random() < level.stream_loss:
            self.counts[faults.STREAM_LOST] += 1
            return
        copies = 1
        if self._rng.random() < level.stream_repeat:
            self.counts[faults.STREAM_REPEATED] += 1
            copies = 2
        for _ in range(copies):
            arrival = self.queue.now + self._rng.randint(1, level.most_delay)
            arrival = max(arrival, connection.last_arrival.get(receiver, 0))
            connection.last_arrival[receiver] = arrival
            self.queue.at(arrival, lambda: self._arrive(connection, sender, receiver, data))

    def _arrive(self, connection: Connection, sender: bytes, receiver: bytes, data: bytes) -> None:
        if connection.open or (connection.drains and receiver in self.nodes[receiver].connected):
            self.nodes[receiver].deliver(MessageFromPeer(sender, data))

    # gossip

    def publish(self, publisher: bytes, topic: str, frame: bytes, except_for: Collection[bytes] = ()) -> None:
        """To every connected peer that is subscribed, where both sides know each other as members."""
        node = self.nodes[publisher]
        level = self.level
        for peer_id in self.neighbours(publisher):
            other = self.nodes[peer_id]
            if peer_id in except_for or topic not in other.topics:
                continue
            if publisher not in other.members or peer_id not in node.members:
                continue
            if self._rng.random() < level.gossip_loss:
                self.counts[faults.GOSSIP_LOST] += 1
                continue
            slow = self._rng.random() < level.gossip_slow
            arrival = self.queue.now + self._rng.randint(1, _SLOW if slow else level.most_delay)
            newest = self._gossip_sent.get((publisher, peer_id), 0)
            if arrival < newest:
                self.counts[faults.GOSSIP_REORDERED] += 1
            self._gossip_sent[publisher, peer_id] = max(newest, arrival)
            self.queue.at(arrival, lambda peer_id=peer_id: self._hear(publisher, peer_id, topic, frame))

    def _hear(self, forwarder: bytes, receiver: bytes, topic: str, frame: bytes) -> None:
        node = self.nodes[receiver]
        if not node.running or topic not in node.topics:
            return
        name = hashlib.sha256(frame).digest()
        if name in node.heard:
            if self._rng.random() >= self.level.gossip_repeat:
                return
            self.counts[faults.GOSSIP_REPEATED] += 1
            node.deliver(FrameReceived(forwarder, frame))
            return
        node.heard.add(name)
        if node.deliver(FrameReceived(forwarder, frame)):
            self.publish(receiver, topic, frame, (forwarder,))
