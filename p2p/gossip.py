"""Gossip between members: GossipSub 1.1 of py-libp2p with its receiving side replaced.

libp2p's reading loop starts a task for every message, and an exception in one of them ends the process; its
delivery drops silently after 32 messages. Here an RPC is handled where it is read, a fault costs the peer
and not the node, and each frame goes to the event queue or is counted. Peers that are not members never get
a stream from here, so they see neither subscriptions nor messages, and what they write is not read.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

import trio
from libp2p.abc import INetStream
from libp2p.custom_types import TProtocol
from libp2p.network.stream.exceptions import StreamError
from libp2p.network.stream.net_stream import NetStream
from libp2p.peer.id import ID
from libp2p.pubsub.gossipsub import PROTOCOL_ID_V11, GossipSub
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.pubsub import Pubsub
from libp2p.pubsub.pubsub_notifee import PubsubNotifee
from libp2p.pubsub.rpc_queue import RpcQueue
from libp2p.pubsub.validators import signature_validator

from starling.p2p.bundle import MAX_BUNDLE, BundleError, BundleQueue, split
from starling.p2p.events import EventQueue
from starling.p2p.gate import Gate, Peer
from starling.p2p.host import CLOSE_TIMEOUT, GuardedHost
from starling.p2p.interface import Frame
from starling.p2p.limits import shielded
from starling.p2p.reach import REACH_SIZE, UNTOLD, reach
from starling.p2p.streams import BufferedReader

PROTOCOL = TProtocol(PROTOCOL_ID_V11)

DEGREE, DEGREE_LOW, DEGREE_HIGH = 6, 4, 64
"""Mesh peers per topic. High is above any number of topic peers: nobody is pruned, so that no one is left
with an empty mesh until a back-off ends."""

HEARTBEAT = 1
"""Seconds."""

WINDOW, HISTORY = 30, 35
"""Heartbeats for which messages are offered, and kept."""

PRUNE_BACK_OFF, UNSUBSCRIBE_BACK_OFF = 5, 2
"""Seconds."""

SEEN = 300
"""Seconds for which a message is known as seen."""

MAX_RPC = 2**20 + 4096
MAX_SUBSCRIPTIONS = 100
MAX_TOPIC = 128
MAX_CONTROL = 512
"""Entries of each kind in one control message."""

OUTGOING = 128
"""RPCs that wait for one peer; libp2p's own 32 are used up by a burst."""

BUSY = OUTGOING // 2
BUSY_WAIT = 0.25
"""Publishing waits these seconds at most for a peer that has more than `BUSY` RPCs waiting, but not for one
that takes nothing any more."""

STUCK = 30.0
"""Seconds within which a peer must take an RPC."""

RETRY, MAX_RETRY = 0.25, 5.0
"""Seconds before a stream to a member is opened again after a failure."""

MAX_INBOUND = 2


class Router(GossipSub):
    """GossipSub without scores, spam counters, peer exchange and state per topic that a peer names."""

    counters: Counter[str]

    async def publish(self, msg_forwarder: ID, pubsub_msg: rpc_pb2.Message) -> None:
        """Send an own message to all topic peers, and pass one of another peer on to the mesh where somebody
        may lack it. (libp2p's also keeps it for connected peers outside the topic.)"""
        assert self.pubsub is not None
        self.mcache.put(pubsub_msg)
        topic = pubsub_msg.topicIDs[0]
        told = pubsub_msg.data[:REACH_SIZE]
        peers: Iterable[ID]
        if msg_forwarder == self.pubsub.my_id and told != UNTOLD:
            peers = self.topic_peers(topic)
        elif told == self.reach(topic) != UNTOLD:
            return
        else:
            peers = self._get_peers_to_send(pubsub_msg.topicIDs, msg_forwarder, ID(pubsub_msg.from_id))
        rpc = rpc_pb2.RPC(publish=[pubsub_msg])
        for peer in peers:
            if peer in self.pubsub.peers:
                self.send_rpc(peer, rpc)
                self.counters["bundles_passed_on"] += 1

    def topic_peers(self, topic: str) -> set[ID]:
        """The peers of a topic to which there is a stream."""
        assert self.pubsub is not None
        return {peer for peer in self.pubsub.peer_topics.get(topic, ()) if peer in self.pubsub.peers}

    def reach(self, topic: str) -> bytes:
        """What a message of a topic begins with when this node is its origin."""
        assert self.pubsub is not None
        return reach(self.pubsub.my_id.to_bytes(), (peer.to_bytes() for peer in self.topic_peers(topic)))

    async def handle_rpc(self, rpc: rpc_pb2.RPC, sender_peer_id: ID) -> None:
        """Obey a control message as far as it is about own topics and of ordinary size."""
        control = rpc_pb2.ControlMessage()
        control.iwant.extend(rpc.control.iwant[:MAX_CONTROL])
        control.ihave.extend(e for e in rpc.control.ihave[:MAX_CONTROL] if e.topicID in self.mesh)
        control.graft.extend(e for e in rpc.control.graft[:MAX_CONTROL] if e.topicID in self.mesh)
        control.prune.extend(e for e in rpc.control.prune[:MAX_CONTROL] if e.topicID in self.mesh)
        await super().handle_rpc(rpc_pb2.RPC(control=control), sender_peer_id)

    async def _do_px(self, px_peers: list[rpc_pb2.PeerInfo]) -> None:
        """Dial nobody that a peer names."""

    def _handle_dropped_rpc(self, *args: Any) -> None:
        self.counters["rpcs_dropped"] += 1
        super()._handle_dropped_rpc(*args)

    async def heartbeat(self) -> None:
        while True:
            try:
                await super().heartbeat()
            except Exception:
                # Left to itself it would end the service, and with it the process.
                self.counters["heartbeat_faults"] += 1
                await trio.sleep(HEARTBEAT)


class Gossip(Pubsub):
    """Bundles of frames out, frames in."""

    def __init__(self, host: GuardedHost, gate: Gate, events: EventQueue, counters: Counter[str]) -> None:
        router = Router(
            [PROTOCOL],
            degree=DEGREE,
            degree_low=DEGREE_LOW,
            degree_high=DEGREE_HIGH,
            gossip_window=WINDOW,
            gossip_history=HISTORY,
            heartbeat_interval=HEARTBEAT,
            prune_back_off=PRUNE_BACK_OFF,
            unsubscribe_back_off=UNSUBSCRIBE_BACK_OFF,
            adaptive_gossip_enabled=False,
            spam_protection_enabled=False,
            eclipse_protection_enabled=False,
        )
        router.counters = counters
        router.scorer = None
        super().__init__(host, router, seen_ttl=SEEN)
        # The gate says who is connected; libp2p's own notice would open a second stream.
        host.swarm.notifees = [n for n in host.swarm.notifees if not isinstance(n, PubsubNotifee)]
        # From the clock's seconds, where libp2p begins, a restarted node would repeat numbers already seen.
        self.counter = time.time_ns()
        self.gossip_router = router
        self._gossip_host = host
        self._gate = gate
        self._events = events
        self._counters = counters
        self._inbound: dict[ID, set[trio.CancelScope]] = {}
        self._wanted: frozenset[str] = frozenset()
        self._wanted_changed = trio.Event()

    # Topics

    def set_topics(self, topics: frozenset[str]) -> None:
        """Be subscribed to exactly these, soon."""
        self._wanted = topics
        self._wanted_changed.set()

    async def subscribe_wanted(self) -> None:
        """Bring the subscriptions in line with the wanted topics."""
        for topic in self._wanted - set(self.topic_ids):
            await self.subscribe(topic)
        for topic in set(self.topic_ids) - self._wanted:
            await self.unsubscribe(topic)

    async def keep_subscribed(self) -> None:
        """Follow the wanted topics until cancelled."""
        while True:
            self._wanted_changed = trio.Event()
            try:
                await self.subscribe_wanted()
            except Exception:
                # Leaving a topic walks over a set that other tasks change.
                self._counters["subscribe_faults"] += 1
                await trio.sleep(HEARTBEAT)
                continue
            await self._wanted_changed.wait()

    # Peers

    def connected(self, peer: Peer) -> None:
        """A peer is connected or has become a member: open a stream to it where it is one."""
        if self._gate.is_member(peer.peer_id) and ID(peer.peer_id) not in self.peers:
            self._schedule_peer_stream_retry(ID(peer.peer_id))

    def moved(self, peer: Peer) -> None:
        """A peer's streams go on on another connection."""
        peer_id = ID(peer.peer_id)
        stream = self.peers.get(peer_id)
        if stream is not None and stream.muxed_conn is not peer.connections[0].muxed_conn:
            self._handle_dead_peer(peer_id)

    def gone(self, peer_id: bytes) -> None:
        """The last connection to a peer ended."""
        self._handle_dead_peer(ID(peer_id))

    async def expel(self, member: bytes) -> None:
        """A peer is no member any more: end all gossip with it."""
        peer_id = ID(member)
        # Resetting an inbound stream would not wake its reader.
        for scope in self._inbound.get(peer_id, ()):
            scope.cancel()
        stream = self.peers.get(peer_id)
        self._handle_dead_peer(peer_id)
        if stream is not None:
            await stream.reset()

    def _peer_is_connected(self, peer_id: ID) -> bool:
        return self._gate.is_member(peer_id.to_bytes()) and peer_id.to_bytes() in self._gate.peers

    async def _handle_new_peer_with_retry(self, peer_id: ID, timeout: float | None = None) -> None:
        """Open the stream to a member, again and again while it is connected; libp2p's gives up early."""
        pause = RETRY
        while self._peer_is_connected(peer_id) and peer_id not in self.peers:
            try:
                await self._handle_new_peer(peer_id)
            except Exception:
                self._counters["gossip_streams_failed"] += 1
                await trio.sleep(pause)
                pause = min(2 * pause, MAX_RETRY)

    async def _handle_new_peer(self, peer_id: ID) -> None:
        """Open the stream to a member, its first RPC the own subscriptions. (Pubsub's tasks call it.)"""
        connection = self._gate.connection(peer_id.to_bytes())
        if peer_id in self.peers or connection is None or not self._gate.is_member(peer_id.to_bytes()):
            return
        stream = await self._gossip_host.open_stream(connection, PROTOCOL)
        if peer_id in self.peers or not self._gate.is_member(peer_id.to_bytes()):
            await stream.reset()
            return
        queue = RpcQueue(max_size=OUTGOING)
        hello = [rpc_pb2.RPC.SubOpts(subscribe=True, topicid=topic) for topic in self.topic_ids]
        queue.push(rpc_pb2.RPC(subscriptions=hello))
        self.router.add_peer(peer_id, PROTOCOL)
        self.peers[peer_id] = stream
        self.peer_queues[peer_id] = queue
        self.manager.run_task(self.handle_sending_messages, peer_id, stream, queue)
        self.manager.run_task(self._watch, peer_id, stream)
        for topic, peers in list(self.peer_topics.items()):
            if peer_id in peers:
                await self._replay_recent_messages(peer_id, topic)
                await self.gossip_router.on_peer_subscribed(peer_id, topic)

    async def _watch(self, peer_id: ID, stream: INetStream) -> None:
        """Notice the end of the own stream to a peer, which shows only in reading; nothing is sent back."""
        try:
            while await stream.read(1):
                self._counters["unexpected_bytes"] += 1
        except Exception:
            self._counters["gossip_streams_ended"] += 1
        if self.peers.get(peer_id) is stream:
            self._handle_dead_peer(peer_id)

    def _forget_all_subscriptions(self, peer_id: ID) -> None:
        # They came on the peer's stream, so they last as long as that, not as long as the own stream.
        if not self._inbound.get(peer_id):
            super()._forget_all_subscriptions(peer_id)

    # Receiving

    async def stream_handler(self, stream: INetStream) -> None:
        """Read a peer's RPCs, from when on it is a member."""
        peer_id = stream.muxed_conn.peer_id
        open_streams = self._inbound.setdefault(peer_id, set())
        if len(open_streams) >= MAX_INBOUND:
            self._counters["streams_refused"] += 1
            await stream.reset()
            return
        scope = trio.CancelScope()
        open_streams.add(scope)
        try:
            with scope:
                async with trio.open_nursery() as nursery:
                    # A stream that is not read does not notice the end of its connection.
                    nursery.start_soon(self._cancel_when_closed, stream, scope)
                    await self._gate.wait_member(peer_id.to_bytes())
                    await self.continuously_read_stream(stream)
                    scope.cancel()
        finally:
            open_streams.discard(scope)
            if not open_streams:
                self._inbound.pop(peer_id, None)
                self._forget_all_subscriptions(peer_id)
            with shielded(CLOSE_TIMEOUT):
                await stream.reset()

    async def _cancel_when_closed(self, stream: INetStream, scope: trio.CancelScope) -> None:
        if isinstance(stream, NetStream) and stream.swarm_conn is not None:
            await stream.swarm_conn.event_closed.wait()
            scope.cancel()

    async def continuously_read_stream(self, stream: INetStream) -> None:
        peer_id = stream.muxed_conn.peer_id
        forwarder = peer_id.to_bytes()
        reader = BufferedReader(stream)
        while self._gate.is_member(forwarder) and (peer := self._gate.peers.get(forwarder)):
            try:
                data = await self._read_rpc(reader, forwarder)
            except StreamError:
                # Every end of a stream comes this way, also the regular one.
                break
            if data is None or not self._gate.is_member(forwarder):
                break
            await trio.sleep(peer.gossip_bytes.spend(trio.current_time(), len(data)))
            try:
                rpc = rpc_pb2.RPC.FromString(data)
                for subscription in rpc.subscriptions[:MAX_SUBSCRIPTIONS]:
                    if 0 < len(subscription.topicid) <= MAX_TOPIC:
                        self.handle_subscription(peer_id, subscription)
                for message in rpc.publish:
                    await self.push_msg(peer_id, message)
                if rpc.HasField("control"):
                    await self.router.handle_rpc(rpc, peer_id)
            except Exception:
                # Nothing that a well-behaved peer sends gets here.
                self._counters["gossip_faults"] += 1
                self._gate.offend(forwarder)
                break

    async def _read_rpc(self, reader: BufferedReader, forwarder: bytes) -> bytes | None:
        """The bytes of the next RPC: a varint length, then as many bytes."""
        size = shift = 0
        while True:
            byte = (await reader.take(1))[0]
            size |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
            if shift > 28:
                size = MAX_RPC + 1
                break
        if size > MAX_RPC:
            self._counters["gossip_faults"] += 1
            self._gate.offend(forwarder)
            return None
        return await reader.take(size)

    async def push_msg(self, msg_forwarder: ID, msg: rpc_pb2.Message) -> None:
        """Take in a message of a peer, or an own one, and pass it on."""
        if msg_forwarder != self.my_id:
            peer = self._gate.peers.get(msg_forwarder.to_bytes())
            if peer is None or not peer.gossip.take(trio.current_time()):
                self._counters["bundles_over_rate"] += 1
                return
            if len(msg.topicIDs) != 1 or len(msg.seqno) != 8 or len(msg.data) > REACH_SIZE + MAX_BUNDLE:
                self._counters["bundles_refused"] += 1
                self._gate.offend(peer.peer_id)
                return
            topic = msg.topicIDs[0]
            if topic not in self.topic_ids or self._is_msg_seen(msg) or msg.from_id == self.my_id.to_bytes():
                return
            try:
                if not _is_signed(msg):
                    raise BundleError("signature")
                frames = split(msg.data[REACH_SIZE:])
            except BundleError:
                self._counters["bundles_refused"] += 1
                self._gate.offend(peer.peer_id)
                return
            peer.active_at = trio.current_time()
            self._counters["bundles_received"] += 1
            for frame in frames:
                self._events.put_frame(Frame(topic, peer.peer_id, frame))
        self._mark_msg_seen(msg)
        await self.router.publish(msg_forwarder, msg)

    # Sending

    async def write_msg(self, stream: INetStream, rpc_msg: rpc_pb2.RPC) -> bool:
        """Write an RPC; False where the stream has ended, or the peer was disconnected for not reading."""
        with trio.move_on_after(STUCK):
            return await super().write_msg(stream, rpc_msg)
        self._counters["stuck_disconnected"] += 1
        self._gate.close(stream.muxed_conn.peer_id.to_bytes())
        return False

    async def publish_bundles(self, bundles: BundleQueue) -> None:
        """Publish what is queued until cancelled."""
        while True:
            topic, bundle = await bundles.get()
            with trio.move_on_after(BUSY_WAIT):
                while any(BUSY < len(queue) < OUTGOING for queue in self.peer_queues.values()):
                    await trio.sleep(BUSY_WAIT / 25)
            try:
                await self.publish(topic, self.gossip_router.reach(topic) + bundle)
            except Exception:
                self._counters["publish_faults"] += 1


def _is_signed(msg: rpc_pb2.Message) -> bool:
    """Whether a message is signed by the peer it names; libp2p raises on keys it cannot read."""
    try:
        return signature_validator(msg)
    except Exception:
        return False
