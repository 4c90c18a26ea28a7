"""A node on real libp2p: puts the parts together and starts and ends them in the right order.

Services first, then the subscriptions, and only then listening: a peer that comes earlier ends the process.
At the end the connections are closed before the services stop, since libp2p leaves the sockets open.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from random import SystemRandom
from typing import TYPE_CHECKING

import trio
from libp2p.custom_types import TProtocol
from libp2p.tools.anyio_service import background_trio_service

from starling.p2p.bundle import BundleQueue
from starling.p2p.dialer import Dialer
from starling.p2p.discovery import discover
from starling.p2p.events import EventQueue
from starling.p2p.gate import Gate, Peer
from starling.p2p.gossip import Gossip
from starling.p2p.host import make_host
from starling.p2p.interface import (
    DialFailed,
    Events,
    ListenError,
    Listening,
    NetworkError,
    NetworkOptions,
    PeerInfo,
    peer_id_of_seed,
)
from starling.p2p.streams import PROTOCOL, Streams

if TYPE_CHECKING:
    # The stubs that libp2p brings along hide trio's own annotations from type checkers.
    from trio_typing import TaskStatus

SHUTDOWN = 5.0
"""Seconds for an orderly end."""

ADDRESS_CHECK = 5.0
"""Seconds between looks at the addresses of this machine."""

POSTPONE = 5.0
"""Seconds before a peer disconnected on purpose is dialled again."""


class Libp2pNetwork:
    """Implements `interface.Network`."""

    def __init__(self, options: NetworkOptions) -> None:
        self._options = options
        self._id = peer_id_of_seed(options.identity_seed)
        self._counters: Counter[str] = Counter()
        self._events = EventQueue(self._counters)
        self._bundles = BundleQueue(self._counters)
        self._host = make_host(options.identity_seed, self._counters)
        self._gate = Gate(self._id, self._events, self._counters)
        self._gossip = Gossip(self._host, self._gate, self._events, self._counters)
        self._streams = Streams(self._host, self._gate, self._events, self._counters)
        self._dialer = Dialer(
            self._id, self._dial, self._gate.peers.__contains__, self._dial_failed, SystemRandom()
        )
        self._nursery: trio.Nursery | None = None
        self._members: frozenset[bytes] = frozenset()
        self._gate.on_connected = self._connected
        self._gate.on_moved = self._gossip.moved
        self._gate.on_gone = self._gone

    @property
    def peer_id(self) -> bytes:
        return self._id

    @property
    def events(self) -> Events:
        return self._events

    async def run(self, *, task_status: TaskStatus[tuple[str, ...]] = trio.TASK_STATUS_IGNORED) -> None:
        stop = trio.Event()
        ended: list[Exception] = []

        async def serve() -> None:
            # Shielded, so that a cancellation from outside ends it by `stop`, in order.
            with trio.CancelScope(shield=True) as shield:
                try:
                    await self._serve(stop, shield, started)
                except Exception as error:
                    ended.append(error)
            nursery.cancel_scope.cancel()

        def started(addresses: tuple[str, ...]) -> None:
            task_status.started(addresses)

        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(serve)
                try:
                    await trio.sleep_forever()
                finally:
                    stopped = stop.is_set() or not ended
                    stop.set()
        finally:
            self._events.close()
        for error in ended:
            if isinstance(error, NetworkError):
                raise error
            if not stopped:
                raise NetworkError("libp2p ended unexpectedly") from error

    def publish(self, topic: str, frame: bytes) -> bool:
        return self._bundles.put(topic, frame)

    def send(self, peer_id: bytes, data: bytes) -> bool:
        return self._streams.send(peer_id, data)

    def set_topics(self, topics: frozenset[str]) -> None:
        self._gossip.set_topics(frozenset(topics))

    def set_known_peers(
        self, members: Mapping[bytes, tuple[str, ...]], guests: Mapping[bytes, tuple[str, ...]]
    ) -> None:
        before, self._members = self._members, frozenset(members)
        self._gate.set_known_peers(self._members, frozenset(guests))
        self._dialer.set_known_peers(members, guests)
        if self._nursery is None:
            return
        for peer_id in before - self._members:
            self._nursery.start_soon(self._gossip.expel, peer_id)
        for peer_id in self._members - before:
            if peer := self._gate.peers.get(peer_id):
                self._gossip.connected(peer)

    def disconnect(self, peer_id: bytes, reason: str = "") -> None:
        self._counters["disconnected"] += 1
        self._dialer.postpone(peer_id, POSTPONE)
        self._gate.close(peer_id)

    def connected(self) -> tuple[PeerInfo, ...]:
        return self._gate.info()

    def counters(self) -> Mapping[str, int]:
        return dict(self._counters)

    async def _serve(
        self,
        stop: trio.Event,
        shield: trio.CancelScope,
        started: Callable[[tuple[str, ...]], None],
    ) -> None:
        refused: ListenError | None = None
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._host.run(listen_addrs=[]))
            await stack.enter_async_context(background_trio_service(self._gossip))
            await stack.enter_async_context(background_trio_service(self._gossip.gossip_router))
            await self._gossip.wait_until_ready()
            self._host.swarm.register_notifee(self._gate)
            self._host.set_stream_handler(TProtocol(PROTOCOL), self._streams.handle)
            await self._gossip.subscribe_wanted()
            async with trio.open_nursery() as nursery:
                self._nursery = self._gate.nursery = nursery
                try:
                    addresses = await self._host.listen(self._options.listen)
                except ListenError as error:
                    refused = error
                else:
                    self._events.put(Listening(addresses))
                    nursery.start_soon(self._gossip.keep_subscribed)
                    nursery.start_soon(self._gossip.publish_bundles, self._bundles)
                    nursery.start_soon(self._gate.watch)
                    nursery.start_soon(self._dialer.run)
                    nursery.start_soon(self._announce, addresses)
                    started(addresses)
                    await stop.wait()
                shield.deadline = trio.current_time() + SHUTDOWN
                self._nursery = self._gate.nursery = None
                await self._close_all()
                nursery.cancel_scope.cancel()
        if refused is not None:
            raise refused

    async def _announce(self, addresses: tuple[str, ...]) -> None:
        """Tell the local network where this node is, anew whenever that changes, and the engine too."""
        while True:
            async with trio.open_nursery() as nursery:
                if self._options.mdns:
                    nursery.start_soon(discover, self._host, addresses, self._events, self._counters)
                found = addresses
                while found in (addresses, ()):
                    await trio.sleep(ADDRESS_CHECK)
                    with suppress(OSError):
                        found = self._host.dialable()
                nursery.cancel_scope.cancel()
            addresses = found
            self._events.put(Listening(addresses))

    async def _close_all(self) -> None:
        """Close the listeners, then every connection."""
        async with trio.open_nursery() as nursery:
            for listener in list(self._host.swarm.listeners.values()):
                nursery.start_soon(listener.close)
            for connection in self._host.swarm.get_connections():
                nursery.start_soon(self._gate._close, connection, 0.0)

    def _connected(self, peer: Peer) -> None:
        if self._nursery is not None:
            self._streams.connected(peer, self._nursery)
        self._gossip.connected(peer)

    def _gone(self, peer_id: bytes) -> None:
        self._streams.gone(peer_id)
        self._gossip.gone(peer_id)
        self._dialer.lost(peer_id)

    async def _dial(self, peer_id: bytes, addresses: tuple[str, ...]) -> bool:
        return await self._host.dial(peer_id, addresses) or peer_id in self._gate.peers

    def _dial_failed(self, peer_id: bytes) -> None:
        self._events.put(DialFailed(peer_id))
