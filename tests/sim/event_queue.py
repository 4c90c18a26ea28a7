"""Virtual time: a queue of things to do, in order of their time and then of their being asked for."""

from __future__ import annotations

import heapq
from collections.abc import Callable

BEGINNING = 1_800_000_000_000


class EventQueue:
    """`now` only moves while `run_until` works through what is due."""

    def __init__(self, now: int = BEGINNING) -> None:
        self.now = now
        self._heap: list[tuple[int, int, Callable[[], object]]] = []
        self._count = 0

    def at(self, time: int, action: Callable[[], object]) -> None:
        self._count += 1
        heapq.heappush(self._heap, (max(time, self.now), self._count, action))

    def after(self, delay: int, action: Callable[[], object]) -> None:
        self.at(self.now + delay, action)

    def run_until(self, time: int) -> None:
        while self._heap and self._heap[0][0] <= time:
            due, _, action = heapq.heappop(self._heap)
            self.now = due
            action()
        self.now = max(self.now, time)

    def __len__(self) -> int:
        return len(self._heap)
