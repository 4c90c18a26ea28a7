"""A few engines in memory with virtual time: whole by itself, and bent by a test where its story wants it."""

from __future__ import annotations

import hashlib
import heapq
import itertools
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from starling.protocol.distributed.identity import Identity
from starling.protocol.engine.engine import Engine
from starling.protocol.engine.group_state import GroupState
from starling.protocol.engine.inputs import (
    CreateInvite,
    CreateUniverse,
    DialFailed,
    FrameReceived,
    Input,
    JoinUniverse,
    MessageFromPeer,
    OwnAddresses,
    PeerConnected,
    PeerDisconnected,
    SendMessage,
    UpdateKeys,
    Wake,
)
from starling.protocol.engine.step import (
    Delete,
    Disconnect,
    EraseScope,
    Event,
    KnownPeers,
    Publish,
    Put,
    Send,
    SendToPeer,
    Step,
    Topics,
)
from starling.protocol.engine.universe import Universe
from starling.protocol.exchange.message import Message
from starling.protocol.exchange.messages import attach, decode_message

START = 1_700_000_000_000
SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
LATENCY = 5


class Node:
    """One engine with its store. What it is given and gives is kept for the test to look at."""

    def __init__(self, name: str, network: Network) -> None:
        self.name = name
        self.network = network
        self.runs = 0
        self.clock_error = 0
        """Milliseconds by which this node's clock is ahead of the network's; negative where it is behind."""
        self.rows: dict[tuple[str, bytes], bytes] = {}
        self.scopes: dict[tuple[str, bytes], bytes] = {}
        self.events: list[Event] = []
        self.told: list[tuple[bytes, Message, tuple[bytes, ...]]] = []
        """The messages that peers sent here: (peer id, message, attached frames)."""
        self.disconnects: list[Disconnect] = []
        self.topics: frozenset[str] = frozenset()
        self.known = KnownPeers({}, {})
        self.connected: set[bytes] = set()
        self.wake: int | None = None
        self.identity = Identity.generate(name, self.random_source())
        self.start()

    def random_source(self) -> Callable[[int], bytes]:
        """Repeatable bytes, others after every start."""
        self.runs += 1
        seed = f"{self.name} {self.runs}"
        counter = itertools.count()
        return lambda length: hashlib.shake_128(f"{seed} {next(counter)}".encode()).digest(length)

    @property
    def id(self) -> bytes:
        return self.identity.peer_id

    @property
    def me(self) -> bytes:
        return self.identity.identity_public_key

    def clock(self) -> int:
        """What this node takes for the time."""
        return self.network.now + self.clock_error

    def start(self) -> None:
        """A new run from what is stored."""
        rows = [(table, key, value) for (table, key), value in self.rows.items() if table != "frame"]
        self.engine = Engine(self.identity, rows, now=self.clock(), random=self.random_source())
        self.connected = set()
        self.do(OwnAddresses((f"/memory/{self.name}",)))

    def handle(self, item: Input) -> Step:
        step = self.engine.handle(item, self.clock())
        if self.clock_error and step.wake_at is not None:
            return replace(step, wake_at=step.wake_at - self.clock_error)
        return step

    def do(self, item: Input) -> Any:
        """Handle an input, save, then send."""
        if isinstance(item, MessageFromPeer):
            self._listen(item)
        return self.finish(self.handle(item))

    def _listen(self, item: MessageFromPeer) -> None:
        try:
            self.told.append((item.peer_id, *decode_message(item.data)))
        except Exception:  # whatever garbage a test sends is the engine's to refuse
            return

    def finish(self, step: Step) -> Any:
        self.save(step)
        self.wake = step.wake_at
        for send in step.sends:
            self.network.send(self, send)
        return step.result

    def save(self, step: Step) -> None:
        for write in step.writes:
            match write:
                case Put(table, key, value, scope):
                    self.rows[table, key] = value
                    self.scopes[table, key] = scope
                case Delete(table, key):
                    self.rows.pop((table, key), None)
                    self.scopes.pop((table, key), None)
                case EraseScope(scope):
                    sealed = [key for key, name in self.scopes.items() if name == scope]
                    assert not sealed, f"rows under an erased scope: {sealed}"
        self.events += step.events

    # looking

    def universe(self, universe_id: bytes) -> Universe:
        """The engine's own state: only for looking."""
        return self.engine._node.universes[universe_id]

    def group(self, universe_id: bytes, owner: Node) -> GroupState:
        universe = self.universe(universe_id)
        return next(state for state in universe.groups.values() if state.owner == owner.me)

    def table(self, table: str) -> dict[bytes, bytes]:
        return {key: value for (name, key), value in self.rows.items() if name == table}

    def frame(self, frame_id: bytes) -> bytes | None:
        """A frame that is stored here."""
        return self.rows.get(("frame", frame_id))

    def frames(self, universe_id: bytes, owner: Node) -> list[bytes]:
        """The kept frames of a group, as they are stored."""
        return [self.rows["frame", frame_id] for frame_id in self.group(universe_id, owner).log.ids]

    def heard(self, kind: str) -> list[Mapping[str, Any]]:
        """The bodies of events, but for what is the same in all: what people are called here."""
        return [
            {key: value for key, value in body.items() if key not in ("petname", "display_name", "to_name")}
            for body in self.told_apps(kind)
        ]

    def told_apps(self, kind: str) -> list[Mapping[str, Any]]:
        return [event.body for event in self.events if event.kind == kind]

    def texts(self) -> list[str]:
        """The messages delivered here, in order."""
        return [body["body"].decode() for body in self.heard("message.received")]

    def commits(self) -> list[Mapping[str, Any]]:
        """The commits in the own group."""
        return [body for body in self.heard("epoch.started") if body["owner"] == self.me]

    # doing

    def say(
        self,
        universe_id: bytes,
        text: str | bytes,
        message_id: bytes | None = None,
        *,
        to: Node | None = None,
    ) -> Any:
        """Send a message to all, or to one member."""
        body = text.encode() if isinstance(text, str) else text
        message_id = message_id or hashlib.sha256(self.name.encode() + body).digest()[:16]
        return self.do(SendMessage(universe_id, message_id, body, to=to.me if to is not None else b""))

    def hear(self, peer: Node, message: Message, frames: list[bytes] | None = None) -> Any:
        """Let this node be told a message by a peer."""
        return self.do(MessageFromPeer(peer.id, attach(message.encode(), frames or [])))


class Network:
    """All nodes, the time, and what is under way. `gossip` and `streams` can be switched off; `drop` says what is lost,
    and `tap` is told of everything else that is on its way to a node."""

    def __init__(self) -> None:
        self.now = START
        self.nodes: dict[bytes, Node] = {}
        self.gossip = True
        self.streams = True
        self.drop: Callable[[Node, Node, Send], bool] = lambda source, target, send: False
        self.tap: Callable[[Node, Input], None] = lambda target, item: None
        self.sent: list[tuple[Node, Send]] = []
        self._queue: list[tuple[int, int, Callable[[], object]]] = []
        self._order = itertools.count()
        self._cut: set[frozenset[bytes]] = set()

    def add(self, name: str) -> Node:
        node = Node(name, self)
        self.nodes[node.id] = node
        return node

    def add_all(self, *names: str) -> list[Node]:
        return [self.add(name) for name in names]

    def at(self, delay: int, action: Callable[[], object]) -> None:
        heapq.heappush(self._queue, (self.now + delay, next(self._order), action))

    def send(self, source: Node, send: Send) -> None:
        self.sent.append((source, send))
        match send:
            case Topics(topics):
                source.topics = topics
            case KnownPeers():
                source.known = send
                for peer_id in (*send.members, *send.guests):
                    self.at(1, partial(self.dial, source, peer_id))
            case Publish(topic, frame):
                for node in list(self.nodes.values()):
                    reached = topic in node.topics and node.id in source.connected
                    if node is not source and reached and self.gossip and not self.drop(source, node, send):
                        self._arrive(node, FrameReceived(source.id, frame))
            case SendToPeer(peer_id, data, frame_ids):
                target = self.nodes.get(peer_id)
                if target is None or peer_id not in source.connected or not self.streams:
                    return
                if not self.drop(source, target, send):
                    kept = [held for key in frame_ids if (held := source.frame(key)) is not None]
                    self._arrive(target, MessageFromPeer(source.id, attach(data, kept)))
            case Disconnect(peer_id):
                source.disconnects.append(send)
                self.disconnect(source, self.nodes[peer_id])

    def _arrive(self, node: Node, item: Input) -> None:
        self.tap(node, item)
        self.at(LATENCY, lambda: node.do(item) if node.id in self.nodes else None)

    # connections

    def dial(self, source: Node, peer_id: bytes) -> None:
        target = self.nodes.get(peer_id)
        if source.id not in self.nodes or target is source:
            return
        if target is None or frozenset((source.id, peer_id)) in self._cut:
            source.do(DialFailed(peer_id))
            return
        if peer_id in source.connected:
            return
        source.connected.add(peer_id)
        target.connected.add(source.id)
        source.do(PeerConnected(peer_id))
        target.do(PeerConnected(source.id))

    def disconnect(self, a: Node, b: Node) -> None:
        for node, other in ((a, b), (b, a)):
            if other.id in node.connected:
                node.connected.discard(other.id)
                if node.id in self.nodes:
                    node.do(PeerDisconnected(other.id))

    def cut(self, a: Node, *others: Node) -> None:
        for b in others:
            self._cut.add(frozenset((a.id, b.id)))
            self.disconnect(a, b)

    def heal_between(self, a: Node, b: Node) -> None:
        """These two alone can reach each other again."""
        self._cut.discard(frozenset((a.id, b.id)))
        self.dial(a, b.id)

    def heal(self) -> None:
        self._cut.clear()
        self.dial_all()

    def dial_all(self) -> None:
        for node in list(self.nodes.values()):
            for peer_id in (*node.known.members, *node.known.guests):
                if peer_id not in node.connected:
                    self.dial(node, peer_id)

    def stop(self, node: Node) -> None:
        """A crash: what was stored stays."""
        del self.nodes[node.id]
        for other in list(self.nodes.values()):
            self.disconnect(other, node)
        node.connected = set()
        node.wake = None

    def restart(self, node: Node, *, dial: bool = True) -> None:
        self.nodes[node.id] = node
        node.start()
        if dial:
            self.dial_all()

    # time

    def run(self, duration: int) -> None:
        """Let time pass, in milliseconds."""
        end = self.now + duration
        turns = 0
        while True:
            turns += 1
            assert turns < 200_000, "the network never comes to rest"
            due = self._queue[0][0] if self._queue else end + 1
            waking = [node for node in self.nodes.values() if node.wake is not None]
            first = min(waking, key=lambda node: node.wake or 0, default=None)
            if first is not None and first.wake is not None and first.wake < due:
                if first.wake > end:
                    break
                self.now = max(self.now, first.wake)
                first.do(Wake())
                continue
            if due > end:
                break
            _, _, action = heapq.heappop(self._queue)
            self.now = max(self.now, due)
            action()
        self.now = end

    def leap(self, duration: int) -> None:
        """Let much time pass with nobody connected, so that only timers act; then all meet again."""
        for node, other in itertools.combinations(list(self.nodes.values()), 2):
            self.disconnect(node, other)
        self.run(duration - 20 * SECOND)
        self.dial_all()
        self.run(20 * SECOND)

    # whole universes

    def found(self, *names: str, suites: tuple[int, ...] = (), settle: int = 6 * SECOND) -> tuple[Any, ...]:
        """A universe of these nodes, the first its founder: (universe id, *nodes)."""
        nodes = self.add_all(*names)
        founder = nodes[0]
        universe_id = founder.do(CreateUniverse("lab", suites[0] if suites else 1))
        if len(nodes) > 1:
            ticket = self.invite(founder, universe_id, uses=len(nodes))
            for position, node in enumerate(nodes[1:], 1):
                node.do(JoinUniverse(ticket, suites[position] if suites else 1))
        self.run(settle)
        for node in nodes:
            assert node.engine.converged(universe_id), node.name
        return (universe_id, *nodes)

    def invite(self, founder: Node, universe_id: bytes, **options: Any) -> str:
        ticket: str = founder.do(CreateInvite(universe_id, **options))["ticket"]
        return ticket

    def published(self, source: Node) -> list[bytes]:
        return [send.frame for node, send in self.sent if node is source and isinstance(send, Publish)]

    def messages(self, source: Node) -> list[tuple[bytes, Message]]:
        """What a node sent to peers: (peer id, message)."""
        return [
            (send.peer_id, decode_message(attach(send.data, []))[0])
            for node, send in self.sent
            if node is source and isinstance(send, SendToPeer)
        ]


def quiet(*names: str) -> tuple[Network, bytes, list[Node]]:
    """A universe in which everything has been said."""
    network = Network()
    universe_id, *nodes = network.found(*names)
    network.run(15 * SECOND)
    return network, universe_id, nodes


def settled(*names: str) -> tuple[Network, bytes, list[Node]]:
    """A universe in which all have updated, imported, and been silent for two hours."""
    network, universe_id, nodes = quiet(*names)
    for node in nodes:
        node.do(UpdateKeys(universe_id))
    network.run(SECOND)
    network.leap(2 * HOUR)
    return network, universe_id, nodes
