"""The libp2p host: one Ed25519 identity, TCP, Noise, Yamux, and guards where py-libp2p 0.8.1 has none.

What is cured here, each shown by a test: an exception in a stream handler ends the process; a connection
that is accepted takes one of the inbound slots for ever; opening a stream dials by itself and blocks the
peer for 60 s where that fails; of several addresses of a peer only one is tried; two processes can listen on
one port; a peer that vanished looks connected.
"""

from __future__ import annotations

import errno
import logging
import socket
from collections import Counter, OrderedDict
from typing import Any

import trio
from libp2p.abc import IMuxedConn, INetConn, INetStream, IRawConnection
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as create_new_noise_key_pair
from libp2p.custom_types import TProtocol
from libp2p.host.basic_host import BasicHost, _IdentifyNotifee
from libp2p.host.ping import ID as PING
from libp2p.host.ping import PingService
from libp2p.identity.identify.identify import ID as IDENTIFY
from libp2p.identity.identify.identify import identify_handler_for
from libp2p.io.abc import ReadWriteCloser
from libp2p.io.trio import TrioTCPStream
from libp2p.network.config import ConnectionConfig, RetryConfig
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.network.connection.swarm_connection import SwarmConn
from libp2p.network.exceptions import SwarmException
from libp2p.network.stream.net_stream import NetStream
from libp2p.network.swarm import Swarm
from libp2p.peer.id import ID
from libp2p.peer.peerstore import PeerStore
from libp2p.protocol_muxer.multiselect_communicator import MultiselectCommunicator
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as NoiseTransport
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX
from libp2p.stream_muxer.yamux.yamux import Yamux
from libp2p.transport.tcp.tcp import TCP
from libp2p.transport.upgrader import TransportUpgrader
from multiaddr import Multiaddr

from starling.p2p.interface import ListenError
from starling.p2p.limits import MAX_CONNECTIONS, shielded

DIAL_TIMEOUT = 8.0
"""Seconds for all addresses of one dial together."""

HEAD_START = 0.25
"""Seconds after which the next address of a peer is tried beside the one before."""

MAX_ADDRESSES = 8

MAX_INBOUND_STREAMS = 64
"""Streams open at a time on one connection, in both directions."""

NEGOTIATION = 10
"""Seconds to agree on the protocol of a stream or to upgrade a connection."""

CLOSE_TIMEOUT = 2.0

_KEEPALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    # Milliseconds for which written bytes may stay unacknowledged.
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 25_000),
)


def _keep_alive(stream: ReadWriteCloser) -> None:
    """Let the kernel notice within half a minute that the other end of a TCP stream vanished."""
    assert isinstance(stream, TrioTCPStream)  # TCP is the only transport here
    for level, option, value in _KEEPALIVE:
        stream.stream.setsockopt(level, option, value)


class KeptAliveTCP(TCP):
    """TCP whose outgoing connections notice that the peer vanished."""

    async def dial(self, maddr: Multiaddr) -> IRawConnection:
        raw = await super().dial(maddr)
        assert isinstance(raw, RawConnection)  # which is what libp2p's TCP makes
        _keep_alive(raw.stream)
        return raw


class GuardedSwarm(Swarm):
    """The connections. Nothing dials here but `dial_addr`, and nothing is left behind by a closed one."""

    counters: Counter[str]

    async def dial_peer(self, peer_id: ID) -> list[INetConn]:
        """The open connections. Called for streams, which must not dial: that is the dialer's decision."""
        connections = [c for c in self.get_connections(peer_id) if not c.is_closed]
        if not connections:
            raise SwarmException("not connected")
        return connections

    def _schedule_auto_connect(self) -> None:
        """Nothing: even with watermarks of 0 the library wants half as many connections as there may be."""

    async def add_conn(self, muxed_conn: IMuxedConn, direction: str = "unknown") -> SwarmConn:
        start = muxed_conn.start

        async def guarded_start() -> None:
            # An exception in this task of the swarm would end the swarm.
            try:
                await start()
            except Exception:
                self.counters["connection_faults"] += 1
                await muxed_conn.close()

        muxed_conn.start = guarded_start  # type: ignore[method-assign]  # libp2p makes the Yamux by itself, whatever class it is given, and runs its `start`
        return await super().add_conn(muxed_conn, direction)

    async def _do_handle_inbound_connection(
        self, read_write_closer: ReadWriteCloser, maddr: Multiaddr, failure_event: Any
    ) -> None:
        # libp2p's own waits for the end of the swarm here, not of the connection, and so keeps a task, a
        # socket object and one of the inbound slots for every connection that ever was.
        raw = RawConnection(read_write_closer, False)
        try:
            _keep_alive(read_write_closer)
            muxed = await self.upgrade_inbound_raw_conn(raw, maddr)
            for connection in self.get_connections(muxed.peer_id):
                if connection.muxed_conn is muxed and isinstance(connection, SwarmConn):
                    await connection.event_closed.wait()
        except Exception:
            self.counters["inbound_failed"] += 1
        finally:
            with shielded(CLOSE_TIMEOUT):
                await raw.close()


class GuardedHost(BasicHost):
    """A host whose stream handlers cannot end the process."""

    def __init__(self, swarm: GuardedSwarm, counters: Counter[str]) -> None:
        self.counters = counters
        # Identify is answered, so that other implementations learn the protocols, but neither asked nor
        # accepted unasked: nothing here uses what a peer says of itself.
        super().__init__(
            swarm,
            default_protocols=OrderedDict(
                {
                    IDENTIFY: identify_handler_for(self, use_varint_format=True),
                    PING: PingService(self).handle_ping,
                }
            ),
            negotiate_timeout=NEGOTIATION,
            disable_identify_address_discovery=True,
        )
        swarm.notifees = [n for n in swarm.notifees if not isinstance(n, _IdentifyNotifee)]
        swarm.set_stream_handler(self.handle_stream)
        self.swarm = swarm

    async def handle_stream(self, stream: INetStream) -> None:
        """Serve an inbound stream; whatever goes wrong resets that stream and is counted."""
        try:
            # What libp2p makes of every inbound stream, whatever the peer does.
            assert isinstance(stream, NetStream) and stream.swarm_conn is not None
            if len(stream.swarm_conn.streams) > MAX_INBOUND_STREAMS:
                self.counters["streams_refused"] += 1
                await stream.reset()
            else:
                await self._swarm_stream_handler(stream)
        except Exception:
            self.counters["stream_faults"] += 1
            try:
                await stream.reset()
            except Exception:
                self.counters["reset_failed"] += 1

    async def open_stream(self, connection: INetConn, protocol: str) -> INetStream:
        """Open a stream for one protocol on one connection; raises whatever libp2p does, in time."""
        with trio.fail_after(NEGOTIATION):
            stream = await connection.new_stream()
            try:
                chosen = await self.multiselect_client.select_one_of(
                    [TProtocol(protocol)], MultiselectCommunicator(stream), NEGOTIATION
                )
            except BaseException:
                with shielded(CLOSE_TIMEOUT):
                    await stream.reset()
                raise
        stream.set_protocol(chosen)
        return stream

    async def dial(self, peer_id: bytes, addresses: tuple[str, ...]) -> bool:
        """Connect to a peer at the first of its addresses that answers; True where it did."""
        peer = ID(peer_id)
        connected = False
        with trio.move_on_after(DIAL_TIMEOUT):
            async with trio.open_nursery() as nursery:

                async def attempt(address: str, failed: trio.Event) -> None:
                    nonlocal connected
                    try:
                        await self.swarm.dial_addr(parse_address(address), peer)
                        connected = True
                        nursery.cancel_scope.cancel()
                    except Exception:
                        self.counters["dials_failed"] += 1
                    failed.set()

                for address in addresses[:MAX_ADDRESSES]:
                    failed = trio.Event()
                    nursery.start_soon(attempt, address, failed)
                    with trio.move_on_after(HEAD_START):
                        await failed.wait()
        return connected

    async def listen(self, addresses: tuple[str, ...]) -> tuple[str, ...]:
        """Listen on all addresses; where, as dialable addresses. Raises `ListenError`."""
        for address in addresses:
            try:
                maddr = parse_address(address)
            except ValueError as error:
                raise ListenError(address, str(error)) from None
            _probe(address, maddr)
            if not await self.swarm.listen(maddr):
                raise ListenError(address, "the system refused it")
        return self.dialable()

    def dialable(self) -> tuple[str, ...]:
        """Where others can dial this host now: changes when the machine comes into another network."""
        return tuple(
            dict.fromkeys(a for listening in self.get_transport_addrs() for a in _dialable(listening))
        )


def parse_address(address: str) -> Multiaddr:
    """The multiaddr behind a text of the form `/ip4|ip6|dns|dns4|dns6/HOST/tcp/PORT`; else `ValueError`."""
    try:
        maddr = Multiaddr(address)
        names = [protocol.name for protocol in maddr.protocols()]
    except Exception:
        raise ValueError("not a multiaddr") from None
    if len(names) != 2 or names[0] not in ("ip4", "ip6", "dns", "dns4", "dns6") or names[1] != "tcp":
        raise ValueError("not of the form /ip4/HOST/tcp/PORT")
    return maddr


def _probe(address: str, maddr: Multiaddr) -> None:
    """Raise `ListenError` where the port is taken: libp2p shares it with any process of the same user."""
    host, port = str(maddr).split("/")[2], int(str(maddr).split("/")[4])
    family = socket.AF_INET6 if "/ip6/" in str(maddr) else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            cause = "the port is in use" if error.errno == errno.EADDRINUSE else error.strerror
            raise ListenError(address, cause or "the system refused it") from None


def _dialable(maddr: Multiaddr) -> list[str]:
    """The addresses others can dial: a wildcard stands for every address of this machine."""
    _, kind, host, *rest = str(maddr).split("/")
    if host not in ("0.0.0.0", "::"):
        return [str(maddr)]
    import ifaddr

    found = [ip.ip if ip.is_IPv4 else ip.ip[0] for a in ifaddr.get_adapters() for ip in a.ips]
    same_kind = [str(ip) for ip in found if (":" in ip) == (kind == "ip6")]
    outward = [ip for ip in same_kind if not ip.startswith(("127.", "169.254.", "fe80:")) and ip != "::1"]
    return ["/".join(("", kind, ip, *rest)) for ip in outward or same_kind]


def make_host(identity_seed: bytes, counters: Counter[str]) -> GuardedHost:
    """A host that does not run yet, with the identity of a 32-byte Ed25519 seed."""
    # libp2p logs every remote fault as a warning or an error, and what a peer can provoke is no news.
    logging.getLogger("libp2p").setLevel(logging.CRITICAL)
    key_pair = create_new_key_pair(identity_seed)
    noise_key = create_new_noise_key_pair()
    peer_id = ID.from_pubkey(key_pair.public_key)
    peerstore = PeerStore()
    peerstore.add_key_pair(peer_id, key_pair)
    swarm = GuardedSwarm(
        peer_id,
        peerstore,
        TransportUpgrader(
            {NOISE: NoiseTransport(key_pair, noise_privkey=noise_key.private_key)},
            {TProtocol(YAMUX): Yamux},
        ),
        transports=[KeptAliveTCP()],
        retry_config=RetryConfig(max_retries=0),
        connection_config=ConnectionConfig(
            max_connections=MAX_CONNECTIONS,
            # No connections by the library's own decision.
            min_connections=0,
            low_watermark=0,
            high_watermark=MAX_CONNECTIONS,
            inbound_upgrade_timeout=NEGOTIATION,
            outbound_upgrade_timeout=NEGOTIATION,
            inbound_stream_protocol_negotiation_timeout=NEGOTIATION,
            outbound_stream_protocol_negotiation_timeout=NEGOTIATION,
            auto_connect_interval=86400.0,
        ),
    )
    swarm.counters = counters
    return GuardedHost(swarm, counters)
