"""Simulated links between nodes: connections with ordered streams, and gossip over several hops.

What a node is told is exactly what `starling.p2p` tells: connected, disconnected, dial failed, messages,
gossip frames. Two nodes may have one peer id, as a cloned node has: whoever is connected to one of them and is
dialled by the other moves to the newer connection, and its engine hears nothing of that. Everything random comes
from one seeded source, so a history repeats exactly.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Collection, Mapping
from functools import partial
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

_SIMULTANEOUS = 3_000
"""A second connection under one peer id within this time is given up, a later one replaces the first."""

_SETTLE = 500
"""How long a connection that is given up stays open."""


class Connection:
    """One connection of two nodes. What is under way when it ends never arrives, unless it `drains`: a
    process that dies leaves what its kernel had already sent."""

    def __init__(self, a: Node, b: Node, since: int) -> None:
        self.ends = (a, b)
        self.since = since
        self.open = True
        self.drains = False
        self.last_arrival: dict[int, int] = {}

    def other(self, node: Node) -> Node:
        a, b = self.ends
        return b if node is a else a


class Network:
    """All nodes and what joins or parts them. A node's `links` are its connections, by the other's peer id."""

    def __init__(self, queue: EventQueue, rng: random.Random, level: Faults, counts: Counter[str]) -> None:
        self.queue = queue
        self.level = level
        self.counts = counts
        self.nodes: list[Node] = []
        self._rng = rng
        self._side: Mapping[int, int] = {}
        self._connections: dict[Connection, None] = {}
        self._dialing: set[tuple[int, bytes]] = set()
        self._gossip_sent: dict[tuple[int, int], int] = {}

    # who can reach whom

    def partition(self, sides: Mapping[int, int]) -> None:
        """Part the nodes by the number given to each index; connections across are cut."""
        self._side = sides
        self.counts[faults.PARTITIONED] += 1
        for connection in tuple(self._connections):
            if not self._reachable(*connection.ends):
                self._end(connection)

    def heal(self) -> None:
        if self._side:
            self.counts[faults.HEALED] += 1
        self._side = {}

    def _reachable(self, a: Node, b: Node) -> bool:
        return self._side.get(a.index, 0) == self._side.get(b.index, 0)

    # connections

    def want(self, node: Node) -> None:
        """A node knows whom to dial: begin where it is not yet connected."""
        for peer_id in sorted({*node.members, *node.guests} - {node.peer_id}):
            self._dial_after(node, peer_id, _FIRST_DIAL)

    def _dial_after(self, dialler: Node, target: bytes, delay: tuple[int, int]) -> None:
        if (dialler.index, target) in self._dialing or target in dialler.links:
            return
        self._dialing.add((dialler.index, target))
        self.queue.after(self._rng.randint(*delay), lambda: self._dial(dialler, target))

    def _dial(self, node: Node, target: bytes) -> None:
        self._dialing.discard((node.index, target))
        addresses = {*node.members.get(target, ()), *node.guests.get(target, ())}
        if not node.running or target in node.links:
            return
        if target not in node.members and target not in node.guests:
            return
        if not addresses:
            self._dial_after(node, target, _REDIAL)
            return
        other = next((n for n in self.nodes if n.peer_id == target and n.address in addresses), None)
        if other is None or not other.running or not self._reachable(node, other):
            self.counts[faults.DIAL_FAILED] += 1
            self._dial_after(node, target, _REDIAL)
            node.deliver(DialFailed(target))
            return
        self._connect(node, other)

    def _connect(self, node: Node, other: Node) -> None:
        connection = Connection(node, other, self.queue.now)
        held = other.links.get(node.peer_id)
        self._connections[connection] = None
        node.links[other.peer_id] = connection
        if held is None:
            other.links[node.peer_id] = connection
        elif self.queue.now - held.since < _SIMULTANEOUS:
            self.counts[faults.DISPLACED] += 1
            self.queue.after(_SETTLE, lambda: self._end(connection))
        else:
            self.counts[faults.DISPLACED] += 1
            other.links[node.peer_id] = connection
            self._end(held)
        self._tell_connected(node, other.peer_id)
        if held is None:
            self._tell_connected(other, node.peer_id)

    def _tell_connected(self, node: Node, peer_id: bytes) -> None:
        """The end of an older connection, should that drain still, is told before."""
        if peer_id in node.connected:
            node.deliver(PeerDisconnected(peer_id))
        node.deliver(PeerConnected(peer_id))

    def _tell_disconnected(self, node: Node, peer_id: bytes, start: int) -> None:
        if peer_id not in node.links:
            node.deliver_if(start, PeerDisconnected(peer_id))

    def disconnect(self, node: Node, peer_id: bytes) -> None:
        connection = node.links.get(peer_id)
        if connection is not None:
            self._end(connection)

    def crashed(self, node: Node) -> None:
        """A process ended: so did all its connections."""
        for connection in tuple(self._connections):
            if node in connection.ends:
                self._end(connection, drains=self._rng.random() < 0.5)

    def _end(self, connection: Connection, *, drains: bool = False) -> None:
        """End a connection; whoever has a newer one under the same peer id is told nothing."""
        if self._connections.pop(connection, self) is self:
            return
        connection.open, connection.drains = False, drains
        for node in sorted(connection.ends, key=lambda node: (node.peer_id, node.index)):
            peer_id = connection.other(node).peer_id
            if node.links.get(peer_id) is not connection:
                continue
            del node.links[peer_id]
            start = node.starts
            self.queue.after(
                _DRAIN if drains else 0,
                partial(self._tell_disconnected, node, peer_id, start),
            )
            if peer_id in node.members or peer_id in node.guests:
                self._dial_after(node, peer_id, _FIRST_DIAL)

    # streams

    def send(self, sender: Node, receiver: bytes, data: bytes) -> None:
        """One message on a stream: in order within a connection, lost only with it or in a full queue."""
        connection = sender.links.get(receiver)
        if connection is None:
            return
        level = self.level
        if self._rng.random() < level.stream_break:
            self.counts[faults.STREAM_BROKEN] += 1
            self._end(connection)
            return
        if self._rng.random() < level.stream_loss:
            self.counts[faults.STREAM_LOST] += 1
            return
        copies = 1
        if self._rng.random() < level.stream_repeat:
            self.counts[faults.STREAM_REPEATED] += 1
            copies = 2
        other = connection.other(sender)
        for _ in range(copies):
            arrival = self.queue.now + self._rng.randint(1, level.most_delay)
            arrival = max(arrival, connection.last_arrival.get(other.index, 0))
            connection.last_arrival[other.index] = arrival
            self.queue.at(arrival, lambda: self._arrive(connection, sender, other, data))

    def _arrive(self, connection: Connection, sender: Node, receiver: Node, data: bytes) -> None:
        if connection.open or (connection.drains and sender.peer_id in receiver.connected):
            receiver.deliver(MessageFromPeer(sender.peer_id, data))

    # gossip

    def publish(self, node: Node, topic: str, frame: bytes, except_for: Collection[bytes] = ()) -> None:
        """To every connected peer that is subscribed, where both sides know each other as members."""
        level = self.level
        for peer_id, connection in tuple(node.links.items()):
            other = connection.other(node)
            if peer_id in except_for or topic not in other.topics:
                continue
            if node.peer_id not in other.members or peer_id not in node.members:
                continue
            if self._rng.random() < level.gossip_loss:
                self.counts[faults.GOSSIP_LOST] += 1
                continue
            slow = self._rng.random() < level.gossip_slow
            arrival = self.queue.now + self._rng.randint(1, _SLOW if slow else level.most_delay)
            newest = self._gossip_sent.get((node.index, other.index), 0)
            if arrival < newest:
                self.counts[faults.GOSSIP_REORDERED] += 1
            self._gossip_sent[node.index, other.index] = max(newest, arrival)
            self.queue.at(arrival, partial(self._hear, node, other, topic, frame))

    def _hear(self, forwarder: Node, node: Node, topic: str, frame: bytes) -> None:
        if not node.running or topic not in node.topics:
            return
        name = hashlib.sha256(frame).digest()
        if name in node.heard:
            if self._rng.random() >= self.level.gossip_repeat:
                return
            self.counts[faults.GOSSIP_REPEATED] += 1
            node.deliver(FrameReceived(forwarder.peer_id, frame))
            return
        node.heard.add(name)
        if node.deliver(FrameReceived(forwarder.peer_id, frame)):
            self.publish(node, topic, frame, (forwarder.peer_id,))
