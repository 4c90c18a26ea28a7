"""What one call of the engine gathers: writes, sends and events, with the time and the randomness."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from starling.protocol.engine.step import (
    Delete,
    EraseScope,
    Event,
    Publish,
    Put,
    Send,
    SendToPeer,
    Step,
    Write,
)
from starling.protocol.exchange.message import Message

Random = Callable[[int], bytes]


class Context:
    """The surroundings of one `handle` call; `now` in milliseconds."""

    def __init__(self, now: int, random: Random) -> None:
        self.now = now
        self.random = random
        self._writes: list[Write] = []
        self._sends: list[Send] = []
        self._events: list[Event] = []

    @property
    def has_changes(self) -> bool:
        """Whether something is to be saved, sent or told already."""
        return bool(self._writes or self._sends or self._events)

    def put(self, table: str, key: bytes, value: bytes, scope: bytes = b"") -> None:
        self._writes.append(Put(table, key, value, scope))

    def delete(self, table: str, key: bytes) -> None:
        self._writes.append(Delete(table, key))

    def erase(self, scope: bytes) -> None:
        self._writes.append(EraseScope(scope))

    def send(self, peer_id: bytes, message: Message, frame_ids: tuple[bytes, ...] = ()) -> None:
        self._sends.append(SendToPeer(peer_id, message.encode(), frame_ids))

    def publish(self, topic: str, frame: bytes) -> None:
        self._sends.append(Publish(topic, frame))

    def add_send(self, send: Send) -> None:
        self._sends.append(send)

    def event(self, kind: str, universe_id: bytes, body: Mapping[str, Any]) -> None:
        self._events.append(Event(kind, universe_id, dict(body)))

    def name_people(self, named: Callable[[Event], Event]) -> None:
        """Let every event gathered so far say what the people in it are called."""
        self._events = [named(event) for event in self._events]

    def between(self, least: int, most: int) -> int:
        """A uniform integer from `least` to `most`, both included (bias below 2^-64)."""
        return least + int.from_bytes(self.random(16)) % (most - least + 1)

    def jittered(self, duration: int) -> int:
        """The duration, three quarters to five quarters of it."""
        return self.between(duration * 3 // 4, duration * 5 // 4)

    def step(self, wake_at: int | None, result: Any) -> Step:
        return Step(tuple(self._writes), tuple(self._sends), tuple(self._events), wake_at, result)
