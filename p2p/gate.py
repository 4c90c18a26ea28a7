"""Who is connected, as what, and on which connection: decides who stays and what each may cost.

A peer is a member, a guest (dialled for a join) or unknown. Two peers that dial each other at once settle on
the connection that the smaller peer id dialled; a second connection to a peer connected for longer means
that the peer came back and its old one is dead, so the new one replaces it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import trio
from libp2p.abc import INetConn, INetStream, INetwork, INotifee
from libp2p.network.connection.swarm_connection import SwarmConn
from libp2p.rcmgr import Direction
from libp2p.stream_muxer.yamux.yamux import Yamux
from multiaddr import Multiaddr

from starling.p2p.events import EventQueue
from starling.p2p.interface import PeerConnected, PeerDisconnected, PeerInfo
from starling.p2p.limits import (
    MAX_STRANGERS,
    MEMBER_BUFFER,
    MEMBER_BYTES,
    MEMBER_GOSSIP,
    MEMBER_MESSAGES,
    STRANGER_BUFFER,
    STRANGER_BYTES,
    STRANGER_IDLE,
    STRANGER_MESSAGES,
    Offences,
    TokenBucket,
)

SIMULTANEOUS = 3.0
"""Seconds within which a second connection means that both sides dialled at once."""

SETTLE = 0.5
"""Seconds for which the connection given up stays open, so that nothing under way is lost."""


FAREWELL = 2.0
"""Seconds within which a peer must take the end of a connection."""

WATCH = 0.5
"""Seconds between two looks at what the connected peers do."""


@dataclass(eq=False, slots=True)
class Peer:
    """A connected peer: its open connections, the chosen one first, and what it may still spend."""

    peer_id: bytes
    since: float
    connections: list[INetConn]
    active_at: float
    messages: TokenBucket
    bytes: TokenBucket
    gossip: TokenBucket = field(default_factory=lambda: TokenBucket(*MEMBER_GOSSIP))
    gossip_bytes: TokenBucket = field(default_factory=lambda: TokenBucket(*MEMBER_BYTES))


class Gate(INotifee):
    """Follows the swarm's connections. `on_connected`, `on_moved` and `on_gone` are told of peers."""

    def __init__(self, own_id: bytes, events: EventQueue, counters: Counter[str]) -> None:
        self._own_id = own_id
        self._events = events
        self._counters = counters
        self._offences = Offences()
        self._members: frozenset[bytes] = frozenset()
        self._guests: frozenset[bytes] = frozenset()
        self._members_changed = trio.Event()
        self.peers: dict[bytes, Peer] = {}
        self.nursery: trio.Nursery | None = None
        self.on_connected: Callable[[Peer], None] = lambda peer: None
        self.on_moved: Callable[[Peer], None] = lambda peer: None
        self.on_gone: Callable[[bytes], None] = lambda peer_id: None

    def set_known_peers(self, members: frozenset[bytes], guests: frozenset[bytes]) -> None:
        """Replace the members and guests; what a connected peer may spend follows."""
        self._members, self._guests = members, guests
        for peer in self.peers.values():
            self._allow(peer)
        self._members_changed.set()
        self._members_changed = trio.Event()

    def is_member(self, peer_id: bytes) -> bool:
        return peer_id in self._members

    def is_known(self, peer_id: bytes) -> bool:
        return peer_id in self._members or peer_id in self._guests

    async def wait_member(self, peer_id: bytes) -> None:
        """Wait until a peer is a member."""
        while peer_id not in self._members:
            await self._members_changed.wait()

    def connection(self, peer_id: bytes) -> INetConn | None:
        """The connection for new streams to a peer."""
        peer = self.peers.get(peer_id)
        return peer.connections[0] if peer else None

    def offend(self, peer_id: bytes) -> None:
        """Count something that no honest peer sends; after a few, disconnect and refuse for a while."""
        self._counters["offences"] += 1
        if self._offences.record(peer_id, trio.current_time()):
            self._counters["offenders_disconnected"] += 1
            self.close(peer_id)

    def close(self, peer_id: bytes) -> None:
        """Close every connection to a peer, in the background."""
        if (peer := self.peers.get(peer_id)) and self.nursery is not None:
            for connection in peer.connections:
                self.nursery.start_soon(self._close, connection, 0.0)

    def info(self) -> tuple[PeerInfo, ...]:
        return tuple(
            PeerInfo(
                peer.peer_id,
                _address(peer.connections[0]),
                _outbound(peer.connections[0]),
                "member"
                if self.is_member(peer.peer_id)
                else "guest"
                if self.is_known(peer.peer_id)
                else "unknown",
                peer.since,
            )
            for peer in self.peers.values()
        )

    async def watch(self) -> None:
        """Close, until cancelled, idle strangers and peers that send more than was granted to them.

        Yamux of libp2p counts what exceeds a stream's window and keeps it, without end.
        """
        while True:
            await trio.sleep(WATCH)
            now = trio.current_time()
            for peer in list(self.peers.values()):
                known = self.is_known(peer.peer_id)
                if not known and now - peer.active_at > STRANGER_IDLE:
                    self._counters["strangers_idle"] += 1
                    self.close(peer.peer_id)
                elif buffered(peer) > (MEMBER_BUFFER if known else STRANGER_BUFFER):
                    self._counters["windows_exceeded"] += 1
                    self.offend(peer.peer_id)
                    self.close(peer.peer_id)

    async def connected(self, network: INetwork, conn: INetConn) -> None:
        peer_id = conn.muxed_conn.peer_id.to_bytes()
        now = trio.current_time()
        peer = self.peers.get(peer_id)
        if conn.is_closed:
            return
        if peer is None:
            if self._refuses(peer_id, now):
                self._counters["connections_refused"] += 1
                self._close_later(conn, 0.0)
                return
            peer = Peer(peer_id, now, [conn], now, TokenBucket(1, 1), TokenBucket(1, 1))
            self._allow(peer)
            self.peers[peer_id] = peer
            self._events.put(PeerConnected(peer_id, _address(conn)))
            self.on_connected(peer)
            return
        self._counters["second_connections"] += 1
        if now - peer.since < SIMULTANEOUS and not self._prefers(conn, peer.connections[0]):
            peer.connections.append(conn)
            self._close_later(conn, SETTLE)
            return
        # The pause of a peer that came back is short: nothing arrives on its old connection any more.
        pause = SETTLE if now - peer.since < SIMULTANEOUS else 0.0
        for old in peer.connections:
            self._close_later(old, pause)
        peer.connections.insert(0, conn)
        peer.since = now
        self.on_moved(peer)

    async def disconnected(self, network: INetwork, conn: INetConn) -> None:
        peer_id = conn.muxed_conn.peer_id.to_bytes()
        peer = self.peers.get(peer_id)
        if peer is None or conn not in peer.connections:
            return
        chosen = peer.connections[0]
        peer.connections.remove(conn)
        if not peer.connections:
            del self.peers[peer_id]
            self._events.put(PeerDisconnected(peer_id))
            self.on_gone(peer_id)
        elif chosen is conn:
            self.on_moved(peer)

    async def opened_stream(self, network: INetwork, stream: INetStream) -> None:
        pass

    async def closed_stream(self, network: INetwork, stream: INetStream) -> None:
        pass

    async def listen(self, network: INetwork, multiaddr: Multiaddr) -> None:
        pass

    async def listen_close(self, network: INetwork, multiaddr: Multiaddr) -> None:
        pass

    def _refuses(self, peer_id: bytes, now: float) -> bool:
        if self._offences.is_banned(peer_id, now):
            return True
        if self.is_known(peer_id):
            return False
        strangers = sum(1 for p in self.peers if not self.is_known(p))
        return strangers >= MAX_STRANGERS or self._events.congested

    def _prefers(self, new: INetConn, old: INetConn) -> bool:
        """Whether of two connections made at once the new one is kept: both sides say the same."""
        if _outbound(new) == _outbound(old):
            return False
        return _outbound(new) == (self._own_id < new.muxed_conn.peer_id.to_bytes())

    def _allow(self, peer: Peer) -> None:
        member = self.is_known(peer.peer_id)
        rate, burst = MEMBER_MESSAGES if member else STRANGER_MESSAGES
        if peer.messages.rate != rate:
            peer.messages = TokenBucket(rate, burst)
            peer.bytes = TokenBucket(*(MEMBER_BYTES if member else STRANGER_BYTES))

    def _close_later(self, connection: INetConn, pause: float) -> None:
        if self.nursery is not None:
            self.nursery.start_soon(self._close, connection, pause)

    async def _close(self, connection: INetConn, pause: float = 0.0) -> None:
        await trio.sleep(pause)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._close_socket, connection)
                await connection.close()
                nursery.cancel_scope.cancel()
        except Exception:
            self._counters["close_failed"] += 1

    async def _close_socket(self, connection: INetConn) -> None:
        """Close what a peer that reads nothing keeps open: the farewell waits behind what it did not take."""
        await trio.sleep(FAREWELL)
        if isinstance(connection.muxed_conn, Yamux):
            self._counters["sockets_closed"] += 1
            await connection.muxed_conn.secured_conn.close()


def buffered(peer: Peer) -> int:
    """The bytes that a peer sent and nobody has read yet."""
    return sum(
        len(buffer)
        for connection in peer.connections
        if isinstance(connection.muxed_conn, Yamux)
        for buffer in connection.muxed_conn.stream_buffers.values()
    )


def _outbound(connection: INetConn) -> bool:
    return isinstance(connection, SwarmConn) and connection.direction is Direction.OUTBOUND


def _address(connection: INetConn) -> str:
    addresses = connection.get_transport_addresses()
    return str(addresses[0]).split("/p2p/")[0] if addresses else ""
