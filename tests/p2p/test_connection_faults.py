"""Faults of py-libp2p 0.8.1 in connections and streams: each is shown in the library as it is, then gone in the node.

Should a newer libp2p no longer show one, its first half fails: then the cure can go.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from functools import partial
from typing import Any

import pytest
import trio
from libp2p.abc import INetStream
from libp2p.custom_types import TProtocol
from libp2p.io.abc import Reader
from libp2p.io.exceptions import IncompleteReadError
from libp2p.io.utils import read_exactly as libp2p_read_exactly
from libp2p.network.config import ConnectionConfig, RetryConfig
from libp2p.network.exceptions import SwarmException
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo
from libp2p.protocol_muxer.exceptions import MultiselectClientError
from libp2p.pubsub.gossipsub import PROTOCOL_ID_V11
from libp2p.tools.anyio_service import background_trio_service
from multiaddr import Multiaddr
from tests.p2p.plain_library import (
    LOOPBACK,
    attacker,
    plain_host,
    plain_pubsub,
    seed,
    unstarted,
)
from tests.p2p.real_node import Node, start, until

from starling.p2p.gate import buffered
from starling.p2p.host import GuardedHost, make_host
from starling.p2p.interface import peer_id_of_seed
from starling.p2p.streams import PROTOCOL as EXCHANGE
from starling.p2p.streams import read_exactly

# The plain hosts leave sockets to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.usefixtures("collected"),
]


# An exception in any stream handler or pubsub task ends the process.


async def test_a_raising_handler_ends_a_plain_process() -> None:
    async def handler(stream: INetStream) -> None:
        raise RuntimeError("fault in a handler")

    async def serve_plain() -> None:
        host, client = plain_host(1), plain_host(2)
        host.set_stream_handler(TProtocol("/x/1"), handler)
        async with host.run([LOOPBACK]), client.run([]):
            await client.connect(PeerInfo(host.get_id(), host.get_addrs()))
            await client.new_stream(host.get_id(), [TProtocol("/x/1")])
            await trio.sleep(5)

    with pytest.raises(BaseExceptionGroup) as caught:
        await serve_plain()
    assert caught.group_contains(RuntimeError, match="fault in a handler")

    async with trio.open_nursery() as nursery:
        node = await start(nursery, 1)
        node.network._host.set_stream_handler(TProtocol("/x/1"), handler)
        host, connection = await attacker(nursery, 2, node.addresses[0], node.peer_id)
        with contextlib.suppress(MultiselectClientError):
            await host.open_stream(connection, "/x/1")
        await until(lambda: node.network.counters().get("stream_faults"))
        # A protocol name that is no UTF-8, on a stream of its own.
        stream = await connection.new_stream()
        await stream.write(b"\x13/multistream/1.0.0\n\x05\xff\xfe\xfd\xfc\n")
        await until(lambda: node.network.counters()["stream_faults"] == 2)
        assert node.is_connected(peer_id_of_seed(seed(2)))
        nursery.cancel_scope.cancel()


# Dialling.


async def test_one_failed_dial_blocks_a_peer_for_a_minute() -> None:
    target, address = ID(peer_id_of_seed(seed(2))), "/ip4/127.0.0.1/tcp/9"
    host = plain_host(1)
    host.get_network().retry_config = RetryConfig(max_retries=0)
    async with host.run([]):
        with pytest.raises(SwarmException):
            await host.connect(PeerInfo(target, [Multiaddr(address)]))
        with pytest.raises(SwarmException, match="negative cache"):
            await host.get_network().dial_peer(target)

    async with trio.open_nursery() as nursery:
        node = await start(nursery, 1)
        guarded = node.network._host
        assert not await guarded.dial(target.to_bytes(), (address,))
        other = await start(nursery, 2)
        assert await guarded.dial(other.peer_id, (address, *other.addresses))
        nursery.cancel_scope.cancel()


async def test_of_several_addresses_only_one_is_tried() -> None:
    other = plain_host(2)
    async with other.run([LOOPBACK]):
        good = other.get_transport_addrs()[0]
        bad = Multiaddr("/ip4/127.0.0.1/tcp/9")
        host = plain_host(1)
        host.get_network().retry_config = RetryConfig(max_retries=0)
        async with host.run([]):
            with pytest.raises(SwarmException):
                await host.connect(PeerInfo(other.get_id(), [bad, good]))
        counters: Counter[str] = Counter()
        guarded = make_host(seed(1), counters)
        async with guarded.run([]):
            assert await guarded.dial(other.get_id().to_bytes(), (str(bad), str(good)))
        assert counters["dials_failed"] == 1


# Connections.


async def come_and_go(host: Any, swarm: Any, times: int) -> int:
    """How often a peer could connect that connects, leaves, and connects again."""
    came = 0
    for _ in range(times):
        visitor = make_host(seed(2), Counter())
        async with visitor.run([]):
            if not await visitor.dial(host.get_id().to_bytes(), (str(host.get_transport_addrs()[0]),)):
                continue
            came += 1
            await until(swarm.get_connections)
            for connection in visitor.swarm.get_connections():
                await connection.close()
        await until(lambda: not swarm.get_connections())
        await trio.sleep(0.05)
    return came


async def test_every_connection_takes_an_inbound_slot_for_ever() -> None:
    limits = ConnectionConfig(max_connections=2, min_connections=0, low_watermark=0, high_watermark=2)
    host = plain_host(1, connection_config=limits)
    async with host.run([LOOPBACK]):
        assert await come_and_go(host, host.get_network(), 4) == 2
        assert host.get_network()._inbound_limiter.borrowed_tokens == 2
    guarded = make_host(seed(1), Counter())
    async with guarded.run([]):
        await guarded.listen(("/ip4/127.0.0.1/tcp/0",))
        guarded.swarm._inbound_limiter.total_tokens = 2
        assert await come_and_go(guarded, guarded.swarm, 4) == 4
        assert guarded.swarm._inbound_limiter.borrowed_tokens == 0


async def test_two_processes_share_a_port() -> None:
    one, two = plain_host(1), plain_host(2)
    async with one.run([LOOPBACK]):
        address = one.get_transport_addrs()[0]
        async with two.run([address]):
            assert two.get_transport_addrs() == [address]

    # The node's answer to it is in the tests of the real network.


def has_replaced(node: Node, connections: int) -> bool:
    """Whether so many second connections were taken for a peer's first."""
    return node.network.counters().get("second_connections", 0) == connections


async def test_a_peer_that_came_back_is_served_on_its_dead_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The old connection of a peer that vanished without a word still looks alive when it comes back."""
    host = plain_host(1)
    pubsub = plain_pubsub(host)
    peer = ID(peer_id_of_seed(seed(2)))
    async with trio.open_nursery() as nursery, host.run([LOOPBACK]), background_trio_service(pubsub):
        address = str(host.get_transport_addrs()[0])
        before, _ = await attacker(nursery, 2, address, host.get_id().to_bytes())
        before.set_stream_handler(TProtocol(PROTOCOL_ID_V11), trio.sleep_forever)
        before.set_stream_handler(TProtocol(PROTOCOL_ID_V11), _ignore)
        await until(lambda: peer in pubsub.peers)
        stream = pubsub.peers[peer]
        await attacker(nursery, 2, address, host.get_id().to_bytes())
        await until(lambda: len(host.get_network().get_connections(peer)) == 2)
        await trio.sleep(0.5)
        assert pubsub.peers[peer] is stream
        nursery.cancel_scope.cancel()

    monkeypatch.setattr("starling.p2p.gate.SIMULTANEOUS", 0.2)
    async with trio.open_nursery() as nursery:
        node = await start(nursery, 1)
        node.network.set_known_peers({peer.to_bytes(): ()}, {})
        hosts: list[GuardedHost] = []
        for count in (1, 2):
            host, _ = await attacker(nursery, 2, node.addresses[0], node.peer_id)
            hosts.append(host)
            host.set_stream_handler(TProtocol(PROTOCOL_ID_V11), _ignore)
            await until(partial(has_replaced, node, count - 1))
            await until(lambda: peer in node.network._gossip.peers)
            await trio.sleep(0.3)
        await until(lambda: len(node.network._host.swarm.get_connections(peer)) == 1)
        await until(lambda: peer in node.network._gossip.peers)
        kept = node.network._host.swarm.get_connections(peer)[0]
        assert node.network._gossip.peers[peer].muxed_conn is kept.muxed_conn
        assert hosts[1].swarm.get_connections(ID(node.peer_id))
        nursery.cancel_scope.cancel()


async def _ignore(stream: INetStream) -> None:
    await trio.sleep_forever()


# Streams.


class Dribble(Reader):
    """A stream from which every read gives one byte, and which ends by an exception."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    async def read(self, size: int | None = None) -> bytes:
        first, self.data = self.data[:1], self.data[1:]
        return first


async def test_reading_exactly_gives_up_after_a_hundred_pieces() -> None:
    data = bytes(range(256))
    with pytest.raises(IncompleteReadError):
        await libp2p_read_exactly(Dribble(data), 256)
    assert await read_exactly(Dribble(data), 256) == data


async def test_a_window_that_is_exceeded_is_kept_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("starling.p2p.gate.STRANGER_BUFFER", 600_000)
    monkeypatch.setattr("starling.p2p.gate.WATCH", 0.3)
    async with trio.open_nursery() as nursery:
        node = await start(nursery, 1)
        host, connection = await attacker(nursery, 2, node.addresses[0], node.peer_id)
        await until(lambda: node.network._gate.peers)
        stream = await host.open_stream(connection, PROTOCOL_ID_V11)
        # A stream of a stranger is not read; its window is 256 KiB, and this writer does not care.
        most = 0
        try:
            with trio.move_on_after(5):
                while connection.muxed_conn.streams:
                    stream.muxed_stream.send_window = 2**20
                    await stream.write(bytes(60_000))
                    for peer in node.network._gate.peers.values():
                        most = max(most, buffered(peer))
        except Exception:
            # The node has closed the connection.
            await until(lambda: not node.network._gate.peers)
        assert most > 2 * 256 * 1024
        await until(lambda: not node.network._gate.peers)
        assert node.network.counters()["windows_exceeded"] >= 1
        nursery.cancel_scope.cancel()


async def test_the_exchange_stream_ends_like_any_other() -> None:
    """A stream that ends within a message delivers nothing and costs nobody anything."""
    async with trio.open_nursery() as nursery:
        node = await start(nursery, 1)
        host, connection = await attacker(nursery, 2, node.addresses[0], node.peer_id)
        for ending in (b"", b"\x00\x00", b"\x00\x00\x00\x05abc"):
            stream = await host.open_stream(connection, EXCHANGE)
            await stream.write(b"\x00\x00\x00\x02ok" + ending)
            await stream.close()
        await until(lambda: node.messages == [b"ok"] * 3)
        assert not node.network.counters().get("offences")
        assert node.network._gate.peers
        nursery.cancel_scope.cancel()


def test_time_stands_still_for_nobody() -> None:
    """The numbers begin with nanoseconds, so a restart never falls behind what was sent before it."""
    assert unstarted()._gossip.counter > int(time.time()) * 10**9 - 10**9
