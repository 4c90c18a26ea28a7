"""Messages between two peers, on the protocol `/starling/exchange/1`.

Each side writes on one long-lived stream of its own, so that messages keep their order: `uint32 length,
data`, big endian, `MAX_MESSAGE` bytes at most, `MAX_STRANGER_MESSAGE` from a peer that is not known. The
end of a stream is an exception in libp2p and a reset can look like it, so only a whole message counts.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

import trio
from libp2p.abc import INetStream
from libp2p.io.abc import Reader
from libp2p.network.stream.exceptions import StreamError

from starling.p2p.events import EventQueue
from starling.p2p.gate import Gate, Peer
from starling.p2p.host import GuardedHost
from starling.p2p.interface import MAX_MESSAGE, MAX_STRANGER_MESSAGE, Message

PROTOCOL = "/starling/exchange/1"

MAX_QUEUED_BYTES = 16 * 2**20
MAX_QUEUED_MESSAGES = 4096
"""What may wait for one peer."""

MAX_INBOUND = 3
"""Exchange streams that one peer may have open: one, and others while a connection replaces another."""

WHOLE_MESSAGE = 60.0
"""Seconds within which a message that has begun must have arrived."""

WRITE = 60.0
"""Seconds within which a peer must take a message."""

_CHUNK = 64 * 1024


async def read_exactly(stream: Reader, size: int) -> bytes:
    """Exactly `size` bytes, in however many pieces they come; `StreamError` where the stream ends first."""
    data = bytearray()
    while len(data) < size:
        piece = await stream.read(min(_CHUNK, size - len(data)))
        if not piece:
            raise StreamError("ended within a message")
        data += piece
    return bytes(data)


class BufferedReader:
    """Reads a stream in large pieces for a reader of small ones: each read of the library costs a task switch
    and a window update to the peer."""

    def __init__(self, stream: INetStream) -> None:
        self._stream = stream
        self._buffer = bytearray()

    async def take(self, size: int) -> bytes:
        """Exactly `size` bytes; `StreamError` where the stream ends first."""
        while len(self._buffer) < size:
            piece = await self._stream.read(_CHUNK)
            if not piece:
                raise StreamError("ended within a message")
            self._buffer += piece
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data


@dataclass(eq=False, slots=True)
class _Outbound:
    """What waits for one connected peer."""

    queue: deque[bytes] = field(default_factory=deque)
    size: int = 0
    arrived: trio.Event = field(default_factory=trio.Event)
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)


class Streams:
    """The exchange streams of a node."""

    def __init__(self, host: GuardedHost, gate: Gate, events: EventQueue, counters: Counter[str]) -> None:
        self._host = host
        self._gate = gate
        self._events = events
        self._counters = counters
        self._outbound: dict[bytes, _Outbound] = {}
        self._inbound: Counter[bytes] = Counter()

    def connected(self, peer: Peer, nursery: trio.Nursery) -> None:
        """Begin to write to a peer."""
        outbound = self._outbound[peer.peer_id] = _Outbound()
        nursery.start_soon(self._write_all, peer.peer_id, outbound)

    def gone(self, peer_id: bytes) -> None:
        """Drop what waits for a peer."""
        if outbound := self._outbound.pop(peer_id, None):
            self._counters["messages_dropped"] += len(outbound.queue)
            outbound.scope.cancel()

    def send(self, peer_id: bytes, data: bytes) -> bool:
        """Queue a message; False, counted, where there is no connection or no room."""
        if len(data) > MAX_MESSAGE:
            raise ValueError(f"a message has at most {MAX_MESSAGE} bytes")
        outbound = self._outbound.get(peer_id)
        if (
            outbound is None
            or outbound.size + len(data) > MAX_QUEUED_BYTES
            or len(outbound.queue) >= MAX_QUEUED_MESSAGES
        ):
            self._counters["messages_dropped"] += 1
            return False
        outbound.queue.append(data)
        outbound.size += len(data)
        outbound.arrived.set()
        return True

    async def _write_all(self, peer_id: bytes, outbound: _Outbound) -> None:
        stream: INetStream | None = None
        with outbound.scope:
            while True:
                while not outbound.queue:
                    outbound.arrived = trio.Event()
                    await outbound.arrived.wait()
                data = outbound.queue[0]
                for attempt in range(2):
                    try:
                        stream = await self._write(peer_id, stream, data)
                        self._counters["messages_sent"] += 1
                        break
                    except Exception:
                        # The connection may just have been replaced: once more, on a new stream.
                        stream = None
                        self._counters["streams_failed"] += 1
                        await trio.sleep(0.1 * (1 + 9 * attempt))
                else:
                    self._counters["messages_dropped"] += 1
                outbound.queue.popleft()
                outbound.size -= len(data)

    async def _write(self, peer_id: bytes, stream: INetStream | None, data: bytes) -> INetStream:
        connection = self._gate.connection(peer_id)
        if connection is None:
            raise StreamError("not connected")
        with trio.fail_after(WRITE):
            if stream is not None and stream.muxed_conn is not connection.muxed_conn:
                await stream.close()
                stream = None
            if stream is None:
                stream = await self._host.open_stream(connection, PROTOCOL)
            await stream.write(len(data).to_bytes(4) + data)
        return stream

    async def handle(self, stream: INetStream) -> None:
        """Read the messages of a peer until its stream ends."""
        peer_id = stream.muxed_conn.peer_id.to_bytes()
        if self._inbound[peer_id] >= MAX_INBOUND:
            self._counters["streams_refused"] += 1
            await stream.reset()
            return
        self._inbound[peer_id] += 1
        try:
            while await self._read_message(stream, peer_id):
                pass
        except (StreamError, trio.TooSlowError):
            # Every end of a stream comes this way, also the regular one.
            await stream.reset()
        finally:
            self._inbound[peer_id] -= 1
            self._inbound += Counter()

    async def _read_message(self, stream: INetStream, peer_id: bytes) -> bool:
        size = int.from_bytes(await read_exactly(stream, 4))
        known = self._gate.is_known(peer_id)
        peer = self._gate.peers.get(peer_id)
        if peer is None:
            await stream.reset()
            return False
        if size > (MAX_MESSAGE if known else MAX_STRANGER_MESSAGE):
            self._counters["messages_refused"] += 1
            self._gate.close(peer_id)
            return False
        now = trio.current_time()
        pause = max(peer.messages.spend(now), peer.bytes.spend(now, size))
        # Who sends too much is not read meanwhile, and so held back by its own window.
        await trio.sleep(pause)
        with trio.fail_after(WHOLE_MESSAGE):
            data = await read_exactly(stream, size)
        peer.active_at = trio.current_time()
        await self._events.put_message(Message(peer_id, data))
        return True
