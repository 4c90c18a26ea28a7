"""The queue between the network and its one receiver."""

from __future__ import annotations

from collections import Counter, deque
from typing import Self

import trio

from starling.p2p.interface import DialFailed, Discovered, Frame, Message, NetworkEvent

MAX_FRAMES = 8192
MAX_MESSAGES = 1024
MAX_BYTES = 16 * 2**20
MAX_HINTS = 1024
MAX_OTHERS = 1024


class EventQueue:
    """Events in order. Messages wait for room, so that their senders slow down; frames and hints never wait.

    Frames and messages each have a share of their own, in number and bytes, so that neither starves the
    other. What has no room is counted in `counters`.
    """

    def __init__(self, counters: Counter[str]) -> None:
        self._events: deque[NetworkEvent] = deque()
        self._counters = counters
        self._arrived = trio.Event()
        self._room = trio.Event()
        self._closed = False
        self._frames = self._frame_bytes = self._messages = self._message_bytes = 0
        self._hints = self._others = 0

    @property
    def congested(self) -> bool:
        """Whether so many connection events wait that no further stranger should be let in."""
        return self._others >= MAX_OTHERS

    def put(self, event: NetworkEvent) -> None:
        """Add an event that is neither a frame nor a message; hints are dropped where too many wait."""
        if isinstance(event, DialFailed | Discovered):
            if self._hints >= MAX_HINTS:
                self._counters["hints_lost"] += 1
                return
            self._hints += 1
        else:
            self._others += 1
        self._add(event)

    def put_frame(self, event: Frame) -> bool:
        """Add a frame, or count it as `frames_lost`."""
        size = len(event.frame)
        if self._frames >= MAX_FRAMES or self._frame_bytes + size > MAX_BYTES or self._closed:
            self._counters["frames_lost"] += 1
            return False
        self._frames += 1
        self._frame_bytes += size
        self._counters["frames_received"] += 1
        self._add(event)
        return True

    async def put_message(self, event: Message) -> None:
        """Add a message when there is room for it."""
        size = len(event.data)
        while not self._closed and (
            self._messages >= MAX_MESSAGES or (self._messages and self._message_bytes + size > MAX_BYTES)
        ):
            await self._room.wait()
        if self._closed:
            return
        self._messages += 1
        self._message_bytes += size
        self._counters["messages_received"] += 1
        self._add(event)

    def close(self) -> None:
        """End the channel: the receiver gets what is there, then `trio.EndOfChannel`."""
        self._closed = True
        self._arrived.set()
        self._room.set()

    def _add(self, event: NetworkEvent) -> None:
        self._events.append(event)
        self._arrived.set()

    def receive_nowait(self) -> NetworkEvent:
        if not self._events:
            if self._closed:
                raise trio.EndOfChannel
            raise trio.WouldBlock
        event = self._events.popleft()
        match event:
            case Frame():
                self._frames -= 1
                self._frame_bytes -= len(event.frame)
            case Message():
                self._messages -= 1
                self._message_bytes -= len(event.data)
                self._room.set()
                self._room = trio.Event()
            case DialFailed() | Discovered():
                self._hints -= 1
            case _:
                self._others -= 1
        return event

    async def receive(self) -> NetworkEvent:
        await trio.lowlevel.checkpoint()
        while True:
            try:
                return self.receive_nowait()
            except trio.WouldBlock:
                self._arrived = trio.Event()
                await self._arrived.wait()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> NetworkEvent:
        # Not a generator: a receiver that is cancelled would leave it half way for the garbage collector.
        try:
            return await self.receive()
        except trio.EndOfChannel:
            raise StopAsyncIteration from None
