"""Faults of py-libp2p 0.8.1 in pubsub: each is shown in the library as it is, and then gone in the node.

Should a newer libp2p no longer show one, its first half fails: then the cure can go.
"""

from __future__ import annotations

import pytest
import trio
from libp2p.abc import ISubscriptionAPI
from libp2p.custom_types import TProtocol
from libp2p.exceptions import ValidationError
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo
from libp2p.pubsub.gossipsub import PROTOCOL_ID_V11, GossipSub
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.pubsub import Pubsub
from libp2p.pubsub.rpc_queue import RpcQueue
from libp2p.pubsub.subscription import TrioSubscriptionAPI
from libp2p.tools.anyio_service import background_trio_service
from libp2p.utils import encode_varint_prefixed
from tests.p2p.plain_library import (
    LOOPBACK,
    attacker,
    ids,
    plain_host,
    plain_pubsub,
    seed,
    unstarted,
)
from tests.p2p.real_node import introduce, meshed, start, until

from starling.p2p import gossip as settings
from starling.p2p.bundle import join
from starling.p2p.interface import MAX_FRAME, Frame, peer_id_of_seed
from starling.p2p.reach import UNTOLD

# The plain hosts leave sockets to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.usefixtures("collected"),
]


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


async def test_a_peer_that_comes_early(monkeypatch: pytest.MonkeyPatch) -> None:
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

    monkeypatch.setattr(network._host, "listen", watched)
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


def waiting(subscription: ISubscriptionAPI) -> int:
    """How many messages of a subscription are unread."""
    assert isinstance(subscription, TrioSubscriptionAPI)
    return subscription.receive_channel.statistics().current_buffer_used


async def test_the_33rd_unread_message_is_lost_silently() -> None:
    pubsub = plain_pubsub(plain_host(1), strict_signing=False)
    subscription = await pubsub.subscribe("t")
    for number in range(100):
        pubsub.notify_subscriptions(rpc_pb2.Message(data=b"%d" % number, topicIDs=["t"]))
    assert waiting(subscription) == 32

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
    assert waiting(subscription) == 2

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


async def test_only_the_cache_window_is_replayed() -> None:
    def kept(router: GossipSub) -> int:
        for number in range(20):
            router.mcache.put(rpc_pb2.Message(topicIDs=["t"], seqno=number.to_bytes(8), from_id=b"a"))
            router.mcache.shift()
        return len(router.mcache.window("t"))

    plain = GossipSub([TProtocol(PROTOCOL_ID_V11)], degree=6, degree_low=4, degree_high=12)
    assert kept(plain) < 4
    assert kept(unstarted()._gossip.gossip_router) == 20
