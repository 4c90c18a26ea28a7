"""From the committed events to whoever listens: a bounded tail in memory, the log on disk behind it."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import trio

from starling.daemon.event_log import EventLog, StoredEvent

TAIL = 2048
"""Events held in memory; a listener further behind reads them from the disk."""

_TAIL_BYTES = 8 * 2**20
PAGE = 256


class Expectation:
    """Something that an event will tell; `outcome` is set by then."""

    def __init__(self) -> None:
        self._happened = trio.Event()
        self.outcome: Mapping[str, Any] | None = None

    def set(self, outcome: Mapping[str, Any]) -> None:
        self.outcome = outcome
        self._happened.set()

    async def wait(self, seconds: float) -> Mapping[str, Any] | None:
        """The outcome, or None where it did not come in time."""
        with trio.move_on_after(seconds):
            await self._happened.wait()
        return self.outcome


class EventHub:
    """Gives each listener every event after its own place, in order, as fast as it takes them."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._tail: deque[StoredEvent] = deque()
        self._sizes: deque[int] = deque()
        self._bytes = 0
        self._published = trio.lowlevel.ParkingLot()
        self._sent: dict[tuple[bytes, bytes], list[Expectation]] = defaultdict(list)
        self.last_seq = log.last_seq()

    def publish(self, events: Sequence[StoredEvent]) -> None:
        """Tell events that are committed."""
        if not events:
            return
        for event in events:
            self._tail.append(event)
            body = event.body.get("body")
            self._sizes.append(1024 + (len(body) if isinstance(body, bytes) else 0))
            self._bytes += self._sizes[-1]
            if event.kind in ("message.sent", "message.undelivered"):
                for expectation in self._sent.get((event.universe_id, event.body["id"]), ()):
                    expectation.set(event.body)
        while len(self._tail) > TAIL or (self._bytes > _TAIL_BYTES and len(self._tail) > 1):
            self._tail.popleft()
            self._bytes -= self._sizes.popleft()
        self.last_seq = events[-1].seq
        self._published.unpark_all()

    def read(self, seq: int) -> list[StoredEvent]:
        """Up to `PAGE` events after `seq`, empty where there are none yet."""
        if seq >= self.last_seq:
            return []
        if self._tail and seq >= self._tail[0].seq - 1:
            start = seq - self._tail[0].seq + 1
            return [self._tail[at] for at in range(start, min(start + PAGE, len(self._tail)))]
        return [event for event in self._log.after(seq, PAGE) if event.seq <= self.last_seq]

    async def wait(self, seq: int) -> list[StoredEvent]:
        """The same, once there is at least one."""
        while True:
            events = self.read(seq)
            if events:
                return events
            if seq < self.last_seq:
                # Nothing is kept between: only events that were dropped since.
                seq = self._log.first_seq() - 1
            await self._published.park()

    @contextmanager
    def expect_sent(self, universe_id: bytes, message_id: bytes) -> Iterator[Expectation]:
        """Wait for what becomes of a queued message; to be entered before the message is given to the engine."""
        expectation = Expectation()
        key = (universe_id, message_id)
        self._sent[key].append(expectation)
        try:
            yield expectation
        finally:
            self._sent[key].remove(expectation)
            if not self._sent[key]:
                del self._sent[key]

    async def outcome(
        self, seq: int, kinds: Sequence[str], universe_id: bytes, seconds: float
    ) -> StoredEvent | None:
        """The first event after `seq` of one of these kinds in a universe, None where none comes in time."""
        with trio.move_on_after(seconds):
            while True:
                for event in await self.wait(seq):
                    if event.kind in kinds and event.universe_id == universe_id:
                        return event
                    seq = event.seq
        return None
