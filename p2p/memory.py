"""A network inside one process, with the interface of the real one, for tests.

    hub = MemoryHub(seed=1, delay=0.005, jitter=0.005, frame_loss=0.1)
    network = hub.network(NetworkOptions(identity_seed=seed, listen=("/ip4/127.0.0.1/tcp/0",)))

Nodes of one `MemoryHub` dial each other by the addresses that `run` gives. Everything runs on trio's clock,
so it works under `trio.testing.MockClock(autojump_threshold=0)`, and draws its randomness from the seed.
Gossip loses frames where told to, also repeats them along several paths; messages on a connection are never
lost or reordered, but a connection can be cut, and then what was under way is gone.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

import trio

from starling.p2p.dialer import Dialer
from starling.p2p.events import EventQueue
from starling.p2p.interface import (
    MAX_FRAME,
    MAX_MESSAGE,
    MAX_STRANGER_MESSAGE,
    DialFailed,
    Events,
    Frame,
    ListenError,
    Listening,
    Message,
    NetworkOptions,
    PeerConnected,
    PeerDisconnected,
    PeerInfo,
    peer_id_of_seed,
)

if TYPE_CHECKING:
    # The stubs that libp2p brings along hide trio's own annotations from type checkers.
    from trio_typing import TaskStatus

MAX_QUEUED_BYTES = 16 * 2**20
_SEEN = 4096


class MemoryHub:
    """What the nodes share: who listens where, who is cut off from whom, delay and loss.

    `delay` and `jitter` are seconds a hop takes at least and may take more; `frame_loss` is the part of
    gossiped frames lost on each hop, 0 to 1.
    """

    def __init__(
        self, seed: int = 0, delay: float = 0.002, jitter: float = 0.002, frame_loss: float = 0.0
    ) -> None:
        self.random = Random(seed)
        self.delay = delay
        self.jitter = jitter
        self.frame_loss = frame_loss
        self.listeners: dict[str, MemoryNetwork] = {}
        self._side: dict[bytes, int] = {}
        self._next_port = 10_000

    def network(self, options: NetworkOptions) -> MemoryNetwork:
        """A new node, not yet running; a later one with the same seed is the same peer restarted."""
        return MemoryNetwork(self, options)

    def partition(self, *sides: Iterable[bytes]) -> None:
        """Cut the peers of each side from all others; peers that are not named are together."""
        self._side = {peer_id: number for number, side in enumerate(sides, 1) for peer_id in side}
        for node in set(self.listeners.values()):
            node.drop_unreachable()

    def heal(self) -> None:
        """Let everyone reach everyone; they find each other again by dialling."""
        self._side = {}

    def reachable(self, one: bytes, other: bytes) -> bool:
        """Whether two peers are on the same side."""
        return self._side.get(one, 0) == self._side.get(other, 0)

    def listen(self, address: str, node: MemoryNetwork) -> str:
        """Register an address, with a port of its own where it ends in 0. Raises `ListenError`."""
        if address.endswith("/tcp/0"):
            self._next_port += 1
            address = f"{address.removesuffix('0')}{self._next_port}"
        if address in self.listeners:
            raise ListenError(address, "the port is in use")
        self.listeners[address] = node
        return address

    def pause(self) -> float:
        """The seconds that the next hop takes."""
        return self.delay + self.jitter * self.random.random()


@dataclass(eq=False, slots=True)
class _Link:
    """One end of a connection: what this node has queued for `remote`, in order."""

    remote: MemoryNetwork
    address: str
    outbound: bool
    since: float
    queue: deque[tuple[float, Callable[[], None] | Message]] = field(default_factory=deque)
    size: int = 0
    arrived: trio.Event = field(default_factory=trio.Event)
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)


class MemoryNetwork:
    """A node of a `MemoryHub`; implements `interface.Network`."""

    def __init__(self, hub: MemoryHub, options: NetworkOptions) -> None:
        self._hub = hub
        self._options = options
        self._id = peer_id_of_seed(options.identity_seed)
        self._counters: Counter[str] = Counter()
        self._events = EventQueue(self._counters)
        self._links: dict[bytes, _Link] = {}
        self._members: frozenset[bytes] = frozenset()
        self._guests: frozenset[bytes] = frozenset()
        self._topics: frozenset[str] = frozenset()
        self._seen: dict[tuple[bytes, int], None] = {}
        self._published = hub.random.getrandbits(48)
        self._nursery: trio.Nursery | None = None
        self._dialer = Dialer(
            self._id, self._dial, lambda p: p in self._links, self._dial_failed, Random(hub.random.random())
        )

    @property
    def peer_id(self) -> bytes:
        return self._id

    @property
    def events(self) -> Events:
        return self._events

    async def run(self, *, task_status: TaskStatus[tuple[str, ...]] = trio.TASK_STATUS_IGNORED) -> None:
        addresses: list[str] = []
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                addresses += [self._hub.listen(address, self) for address in self._options.listen]
                self._events.put(Listening(tuple(addresses)))
                nursery.start_soon(self._dialer.run)
                task_status.started(tuple(addresses))
                await trio.sleep_forever()
        finally:
            self._nursery = None
            for address in addresses:
                del self._hub.listeners[address]
            for peer_id in list(self._links):
                self._cut(peer_id)
            self._events.close()

    def publish(self, topic: str, frame: bytes) -> bool:
        if not 0 < len(frame) <= MAX_FRAME:
            raise ValueError(f"a gossiped frame has 1 to {MAX_FRAME} bytes")
        self._published += 1
        self._counters["frames_published"] += 1
        self._forward(topic, frame, (self._id, self._published), b"")
        return True

    def send(self, peer_id: bytes, data: bytes) -> bool:
        if len(data) > MAX_MESSAGE:
            raise ValueError(f"a message has at most {MAX_MESSAGE} bytes")
        link = self._links.get(peer_id)
        if link is None or link.size + len(data) > MAX_QUEUED_BYTES:
            self._counters["messages_dropped"] += 1
            return False
        link.size += len(data)
        self._counters["messages_sent"] += 1
        self._queue(link, Message(self._id, data))
        return True

    def set_topics(self, topics: frozenset[str]) -> None:
        self._topics = frozenset(topics)

    def set_known_peers(
        self, members: Mapping[bytes, tuple[str, ...]], guests: Mapping[bytes, tuple[str, ...]]
    ) -> None:
        self._members = frozenset(members)
        self._guests = frozenset(guests)
        self._dialer.set_known_peers(members, guests)

    def disconnect(self, peer_id: bytes, reason: str = "") -> None:
        self._dialer.postpone(peer_id, 5.0)
        self._cut(peer_id)

    def connected(self) -> tuple[PeerInfo, ...]:
        return tuple(
            PeerInfo(peer_id, link.address, link.outbound, self._standing(peer_id), link.since)
            for peer_id, link in self._links.items()
        )

    def counters(self) -> Mapping[str, int]:
        return dict(self._counters)

    def drop_unreachable(self) -> None:
        """Cut the connections that the hub's partition no longer lets through."""
        for peer_id in [p for p in self._links if not self._hub.reachable(self._id, p)]:
            self._cut(peer_id)

    def _standing(self, peer_id: bytes) -> str:
        return "member" if peer_id in self._members else "guest" if peer_id in self._guests else "unknown"

    def _dial_failed(self, peer_id: bytes) -> None:
        self._events.put(DialFailed(peer_id))

    async def _dial(self, peer_id: bytes, addresses: tuple[str, ...]) -> bool:
        await trio.sleep(2 * self._hub.pause())
        for address in addresses:
            node = self._hub.listeners.get(address)
            if node is None or node._id != peer_id or not self._hub.reachable(self._id, peer_id):
                continue
            if peer_id not in self._links and self._nursery is not None:
                self._connect(node, address, outbound=True)
                node._connect(self, address, outbound=False)
            return peer_id in self._links
        return False

    def _connect(self, remote: MemoryNetwork, address: str, *, outbound: bool) -> None:
        assert self._nursery is not None
        self._cut(remote._id)
        link = _Link(remote, address, outbound, trio.current_time())
        self._links[remote._id] = link
        self._events.put(PeerConnected(remote._id, address))
        self._nursery.start_soon(self._pump, link)

    def _cut(self, peer_id: bytes) -> None:
        for node, other in (
            ((self, peer_id),)
            if peer_id not in self._links
            else (
                (self, peer_id),
                (self._links[peer_id].remote, self._id),
            )
        ):
            link = node._links.get(other)
            if link is None or (node is not self and link.remote is not self):
                continue
            del node._links[other]
            link.scope.cancel()
            node._events.put(PeerDisconnected(other))
            node._dialer.lost(other)

    def _queue(self, link: _Link, item: Callable[[], None] | Message) -> None:
        due = trio.current_time() + self._hub.pause()
        link.queue.append((max(due, link.queue[-1][0]) if link.queue else due, item))
        link.arrived.set()

    async def _pump(self, link: _Link) -> None:
        """Deliver what is queued on a link, each thing when it is due."""
        with link.scope:
            while True:
                while not link.queue:
                    link.arrived = trio.Event()
                    await link.arrived.wait()
                await trio.sleep_until(link.queue[0][0])
                _, item = link.queue.popleft()
                if isinstance(item, Message):
                    await link.remote._receive(item)
                    link.size -= len(item.data)
                else:
                    item()

    async def _receive(self, message: Message) -> None:
        if message.peer_id not in self._members | self._guests and len(message.data) > MAX_STRANGER_MESSAGE:
            self._counters["messages_refused"] += 1
            self._cut(message.peer_id)
        else:
            await self._events.put_message(message)

    def _forward(self, topic: str, frame: bytes, message_id: tuple[bytes, int], forwarder: bytes) -> None:
        """Pass a frame to every connected member but the one it came from, once."""
        self._seen[message_id] = None
        if len(self._seen) > _SEEN:
            del self._seen[next(iter(self._seen))]
        for peer_id, link in self._links.items():
            if peer_id not in self._members or peer_id == forwarder:
                continue
            if self._hub.random.random() < self._hub.frame_loss:
                self._counters["frames_lost_by_hub"] += 1
                continue
            remote = link.remote

            def arrive(remote: MemoryNetwork = remote) -> None:
                remote._hear(topic, frame, message_id, self._id)

            self._queue(link, arrive)

    def _hear(self, topic: str, frame: bytes, message_id: tuple[bytes, int], forwarder: bytes) -> None:
        if forwarder not in self._members or topic not in self._topics or message_id in self._seen:
            return
        self._events.put_frame(Frame(topic, forwarder, frame))
        self._forward(topic, frame, message_id, forwarder)
