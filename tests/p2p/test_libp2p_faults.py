"""Faults of py-libp2p 0.8.1: each is shown in the library as it is, and then gone in the node.

Should a newer libp2p no longer show one, its first half fails: then the cure can go.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import trio
from libp2p import new_host
from libp2p.abc import INetStream
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.custom_types import TProtocol
from libp2p.exceptions import ValidationError
from libp2p.io.abc import Reader
from libp2p.io.exceptions import IncompleteReadError
from libp2p.io.utils import read_exactly as libp2p_read_exactly
from libp2p.network.config import ConnectionConfig, RetryConfig
from libp2p.network.exceptions import SwarmException
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo
from libp2p.protocol_muxer.exceptions import MultiselectClientError
from libp2p.pubsub.gossipsub import PROTOCOL_ID_V11, GossipSub
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.pubsub import Pubsub
from libp2p.pubsub.rpc_queue import RpcQueue
from libp2p.tools.anyio_service import background_trio_service
from libp2p.utils import encode_varint_prefixed
from multiaddr import Multiaddr
from tests.p2p.real_node import introduce, meshed, start, until

from starling.p2p import gossip as settings
from starling.p2p.bundle import join
from starling.p2p.gate import buffered
from starling.p2p.host import GuardedHost, make_host
from starling.p2p.interface import MAX_FRAME, Frame, NetworkOptions, peer_id_of_seed
from starling.p2p.network import Libp2pNetwork
from starling.p2p.reach import UNTOLD
from starling.p2p.streams import PROTOCOL as EXCHANGE
from starling.p2p.streams import read_exactly

# The plain hosts leave sockets to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Collect what a test left while its warnings are still ignored."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


LOOPBACK = Multiaddr("/ip4/127.0.0.1/tcp/0")


def seed(number: int) -> bytes:
    return bytes([number]) * 32


def plain_host(number: int, **options: Any) -> Any:
    """A host as the library makes it."""
    logging.getLogger("libp2p").setLevel(logging.CRITICAL)
    return new_host(key_pair=create_new_key_pair(seed(number)), **options)


def plain_pubsub(host: Any, **options: Any) -> Pubsub:
    """Pubsub as the library makes it, with the defaults but for what must be given."""
    router = GossipSub([TProtocol(PROTOCOL_ID_V11)], degree=6, degree_low=4, degree_high=12)
    return Pubsub(host, router, **options)


def unstarted() -> Libp2pNetwork:
    return Libp2pNetwork(NetworkOptions(seed(1)))


def ids(count: int) -> list[ID]:
    return [ID(peer_id_of_seed(number.to_bytes(32))) for number in range(count)]


async def attacker(nursery: trio.Nursery, number: int, address: str, target: bytes) -> Any:
    """A bare host connected to a node, and the connection."""
    host = make_host(seed(number), Counter())

    async def run(task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
        async with host.run(listen_addrs=[]):
            task_status.started()
            await trio.sleep_forever()

    await nursery.start(run)
    assert await host.dial(target, (address,))
    return host, host.swarm.get_connections(ID(target))[0]


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


def hostile_rpcs() -> list[bytes]:
    """RPCs that end a plain process, and others of their kind."""
    garbage_key = rpc_pb2.Message(
        data=b"x",
        topicIDs=["t"],
        seqno=bytes(8),
        from_id=b"\x12\x20" + bytes(32),
        key=b"\xff" * 40,
        signature=b"s",
    )
    no_bundle = rpc_pb2.Message(data=b"x", topicIDs=["t"] * 1000, seqno=b"", from_id=b"")
    strange_control = rpc_pb2.ControlMessage(
        ihave=[rpc_pb2.ControlIHave(topicID="t", messageIDs=[b"abc", b""])]
    )
    return [
        encode_varint_prefixed(b"\x0a\xff\xff\xff\xff\x0f"),
        encode_varint_prefixed(b"\x12\x03\x22\x01\xff"),
        encode_varint_prefixed(rpc_pb2.RPC(publish=[garbage_key]).SerializeToString()),
        encode_varint_prefixed(rpc_pb2.RPC(publish=[no_bundle]).SerializeToString()),
        encode_varint_prefixed(rpc_pb2.RPC(control=strange_control).SerializeToString()),
        encode_varint_prefixed(rpc_pb2.RPC(senderRecord=b"\xff").SerializeToString()),
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\xff\xff\xff\x7f",
    ]


async def test_undecodable_gossip_ends_a_plain_process() -> None:
    garbage = hostile_rpcs()[0]

    async def serve_plain() -> None:
        host, client = plain_host(1), plain_host(2)
        pubsub = plain_pubsub(host)
        async with host.run([LOOPBACK]), background_trio_service(pubsub), client.run([]):
            await client.connect(PeerInfo(host.get_id(), host.get_addrs()))
            stream = await client.new_stream(host.get_id(), [TProtocol(PROTOCOL_ID_V11)])
            await stream.write(garbage)
            await trio.sleep(5)

    with pytest.raises(BaseExceptionGroup):
        with trio.fail_after(4):
            await serve_plain()

    async with trio.open_nursery() as nursery:
        node = await start(nursery, 1)
        hostile = [peer_id_of_seed(seed(number)) for number in range(10, 30)]
        node.network.set_known_peers(dict.fromkeys(hostile, ()), {})
        for number, rpc in enumerate(hostile_rpcs(), 10):
            host, connection = await attacker(nursery, number, node.addresses[0], node.peer_id)
            stream = await host.open_stream(connection, PROTOCOL_ID_V11)
            await stream.write(rpc)
        await until(lambda: node.network.counters().get("offences", 0) >= 6)
        honest = await start(nursery, 2)
        introduce(node, honest)
        await meshed(node, honest)
        honest.network.publish("t", b"still alive")
        await until(lambda: node.frames == [b"still alive"])
        nursery.cancel_scope.cancel()


async def test_a_garbage_key_raises_in_a_plain_pubsub_task() -> None:
    garbage_key = rpc_pb2.RPC.FromString(hostile_rpcs()[2][1:]).publish[0]
    with pytest.raises(Exception, match=r".*") as caught:
        await plain_pubsub(plain_host(1)).push_msg(ids(1)[0], garbage_key)
    assert not isinstance(caught.value, ValidationError)
    network = unstarted()
    assert not settings._is_signed(garbage_key)
    assert not network.counters()


# An inbound peer before the pubsub service has started ends the process.


async def test_a_peer_that_comes_early() -> None:
    async def serve_plain() -> None:
        host, client = plain_host(1), plain_host(2)
        plain_pubsub(host)
        async with host.run([LOOPBACK]), client.run([]):
            await client.connect(PeerInfo(host.get_id(), host.get_addrs()))
            await client.new_stream(host.get_id(), [TProtocol(PROTOCOL_ID_V11)])
            await trio.sleep(5)

    with pytest.raises(BaseExceptionGroup), trio.fail_after(4):
        await serve_plain()

    network = unstarted()
    network.set_topics(frozenset({"t"}))
    at_listening: list[tuple[bool, list[str]]] = []
    listen = network._host.listen

    async def watched(addresses: tuple[str, ...]) -> tuple[str, ...]:
        at_listening.append((network._gossip.manager.is_running, list(network._gossip.topic_ids)))
        return await listen(addresses)

    network._host.listen = watched  # type: ignore[method-assign]  # to look at the moment
    async with trio.open_nursery() as nursery:
        await nursery.start(network.run)
        nursery.cancel_scope.cancel()
    assert at_listening == [(True, ["t"])]


# More topic peers than `degree_high`, and the other defaults.


def mesh_of(router: GossipSub, pubsub: Pubsub, size: int) -> int:
    """How many of `size` peers of a topic are left in the mesh after a heartbeat."""
    peers = ids(size)
    pubsub.peer_topics["t"] = set(peers)
    router.mesh["t"] = set(peers)
    for peer in peers:
        router.peer_protocol[peer] = TProtocol(PROTOCOL_ID_V11)
    router.mesh_heartbeat()
    return len(router.mesh["t"])


async def test_many_topic_peers_are_pruned_away() -> None:
    pubsub = plain_pubsub(plain_host(1))
    assert isinstance(pubsub.router, GossipSub)
    assert mesh_of(pubsub.router, pubsub, 50) == 6
    gossip = unstarted()._gossip
    assert mesh_of(gossip.gossip_router, gossip, 50) == 50


async def test_the_defaults_drop_and_grow() -> None:
    pubsub = plain_pubsub(plain_host(1))
    assert isinstance(pubsub.router, GossipSub)
    assert pubsub.router.heartbeat_interval == 120
    gossip = unstarted()._gossip
    assert gossip.gossip_router.heartbeat_interval == 1

    for instance, router in ((pubsub, pubsub.router), (gossip, gossip.gossip_router)):
        for number in range(30):
            message = rpc_pb2.Message(
                data=UNTOLD + join([b"x"]),
                topicIDs=["t"],
                seqno=number.to_bytes(8),
                from_id=instance.my_id.to_bytes(),
            )
            await router.publish(instance.my_id, message)
    # Of 30 messages within a second the plain router passes on 10, one's own as well.
    assert len(pubsub.router.mcache.msgs) == 10
    assert len(gossip.gossip_router.mcache.msgs) == 30
    assert pubsub.router.recent_message_deliveries
    assert not gossip.gossip_router.recent_message_deliveries
    assert not gossip.gossip_router.equivocation_detection


# Sequence numbers begin at the clock's seconds.


async def test_a_restarted_node_repeats_sequence_numbers() -> None:
    first, second = plain_pubsub(plain_host(1)), plain_pubsub(plain_host(1))
    sent = {first._next_seqno() for _ in range(100)}
    assert len([n for n in (second._next_seqno() for _ in range(100)) if n in sent]) > 90
    gossip, again = unstarted()._gossip, unstarted()._gossip
    sent = {gossip._next_seqno() for _ in range(100)}
    assert not [n for n in (again._next_seqno() for _ in range(100)) if n in sent]


# Silent drops.


async def test_the_33rd_unread_message_is_lost_silently() -> None:
    pubsub = plain_pubsub(plain_host(1), strict_signing=False)
    subscription = await pubsub.subscribe("t")
    for number in range(100):
        pubsub.notify_subscriptions(rpc_pb2.Message(data=b"%d" % number, topicIDs=["t"]))
    assert subscription.receive_channel.statistics().current_buffer_used == 32  # type: ignore[attr-defined]  # typed as an interface without statistics

    network = unstarted()
    for number in range(8192):
        assert network._events.put_frame(Frame("t", b"", b"%d" % number))
    assert not network._events.put_frame(Frame("t", b"", b"one more"))
    assert network.counters()["frames_lost"] == 1


async def test_the_33rd_waiting_rpc_is_lost_silently() -> None:
    def push(queue: RpcQueue) -> int:
        return sum(queue.push(rpc_pb2.RPC(publish=[rpc_pb2.Message()])) for _ in range(1000))

    assert push(RpcQueue()) == 32
    network = unstarted()
    router, peer = network._gossip.gossip_router, ids(1)[0]
    network._gossip.peer_queues[peer] = RpcQueue(max_size=settings.OUTGOING)
    for _ in range(200):
        router.send_rpc(peer, rpc_pb2.RPC(publish=[rpc_pb2.Message()]))
    assert len(network._gossip.peer_queues[peer]) == settings.OUTGOING == 128
    assert network.counters()["rpcs_dropped"] == 72


async def test_a_large_payload_is_lost_silently() -> None:
    pubsub, peer = plain_pubsub(plain_host(1)), ids(1)[0]
    assert isinstance(pubsub.router, GossipSub)
    pubsub.peer_queues[peer] = RpcQueue()
    pubsub.router.send_rpc(peer, rpc_pb2.RPC(publish=[rpc_pb2.Message(data=bytes(1_100_000))]))
    assert len(pubsub.peer_queues[peer]) == 0
    with pytest.raises(ValueError, match="bytes"):
        unstarted().publish("t", bytes(MAX_FRAME + 1))


# Validators.


async def test_an_asynchronous_validator_lets_a_message_through_twice() -> None:
    pubsub = plain_pubsub(plain_host(1), strict_signing=False)
    subscription = await pubsub.subscribe("t")

    async def validator(peer: ID, message: rpc_pb2.Message) -> bool:
        await trio.sleep(0.01)
        return True

    pubsub.set_topic_validator("t", validator, True)
    message = rpc_pb2.Message(
        data=UNTOLD + join([b"x"]), topicIDs=["t"], seqno=bytes(8), from_id=ids(2)[1].to_bytes()
    )
    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(pubsub.push_msg, ids(1)[0], message)
    assert subscription.receive_channel.statistics().current_buffer_used == 2  # type: ignore[attr-defined]  # typed as an interface without statistics

    async with trio.open_nursery() as nursery:
        one, two = await start(nursery, 1), await start(nursery, 2)
        introduce(one, two)
        await meshed(one, two)
        one.network.publish("t", b"once")
        await until(lambda: two.frames)
        cached = next(iter(one.network._gossip.gossip_router.mcache.msgs.values()))
        async with trio.open_nursery() as both:
            for _ in range(2):
                both.start_soon(two.network._gossip.push_msg, ID(one.peer_id), cached)
        assert two.frames == [b"once"]
        nursery.cancel_scope.cancel()


async def test_a_refusal_is_remembered_for_what_may_be_right_later() -> None:
    pubsub = plain_pubsub(plain_host(1), strict_signing=False)
    verdicts = iter((False, True))
    pubsub.set_topic_validator("t", lambda peer, message: next(verdicts), False)
    message = rpc_pb2.Message(data=b"x", topicIDs=["t"], seqno=bytes(8), from_id=b"a")
    for _ in range(2):
        with pytest.raises(ValidationError):
            await pubsub.validate_msg(ids(1)[0], message)
    # The node asks no validator: it judges size, signature and bundle, which do not change.
    network = unstarted()
    assert not network._gossip.topic_validators
    assert not network._gossip.validation_cache.cache


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
            await until(lambda: node.network.counters().get("second_connections", 0) == count - 1)  # noqa: B023  # waited for here
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


async def test_only_the_cache_window_is_replayed() -> None:
    def kept(router: GossipSub) -> int:
        for number in range(20):
            router.mcache.put(rpc_pb2.Message(topicIDs=["t"], seqno=number.to_bytes(8), from_id=b"a"))
            router.mcache.shift()
        return len(router.mcache.window("t"))

    plain = GossipSub([TProtocol(PROTOCOL_ID_V11)], degree=6, degree_low=4, degree_high=12)
    assert kept(plain) < 4
    assert kept(unstarted()._gossip.gossip_router) == 20


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
    assert await read_exactly(Dribble(data), 256) == data  # type: ignore[arg-type]  # all that is used of a stream


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
