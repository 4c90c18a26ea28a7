"""Many small frames in one gossip message.

A gossip message costs 1.3 to 1.8 ms of CPU on every link whatever its size, so frames that are published
shortly after another travel together. A bundle is `uint16 length, frame` one to `MAX_FRAMES` times, big
endian, `MAX_BUNDLE` bytes at most.
"""

from __future__ import annotations

from collections import Counter, deque

import trio

from starling.p2p.interface import MAX_FRAME
from starling.p2p.limits import TokenBucket

MAX_BUNDLE = MAX_FRAME + 2
MAX_FRAMES = 512

GATHER = 0.004
"""Seconds between two bundles at least: what is published in between travels together."""

BUNDLES = (20.0, 15.0)
"""Bundles a second and burst of one node; under load each bundle then holds more frames."""

MAX_QUEUED_FRAMES = 8192
MAX_QUEUED_BYTES = 4 * 2**20


class BundleError(ValueError):
    """The bytes are no bundle."""


def join(frames: list[bytes]) -> bytes:
    """The bundle of some frames, which fit by the limits."""
    return b"".join(len(frame).to_bytes(2) + frame for frame in frames)


def split(bundle: bytes) -> list[bytes]:
    """The frames of a bundle; `BundleError` for anything that `join` does not make."""
    if not 0 < len(bundle) <= MAX_BUNDLE:
        raise BundleError("size")
    frames: list[bytes] = []
    at = 0
    while at < len(bundle):
        end = at + 2 + int.from_bytes(bundle[at : at + 2])
        if end > len(bundle) or end <= at + 2 or end - at - 2 > MAX_FRAME or len(frames) == MAX_FRAMES:
            raise BundleError("frame")
        frames.append(bundle[at + 2 : end])
        at = end
    return frames


class BundleQueue:
    """Frames on their way out: sent at once when it is quiet, else gathered for some milliseconds."""

    def __init__(self, counters: Counter[str]) -> None:
        self._counters = counters
        self._topics: dict[str, deque[bytes]] = {}
        self._count = self._bytes = 0
        self._ready = trio.Event()
        self._bucket = TokenBucket(*BUNDLES)
        self._next_at = 0.0

    def put(self, topic: str, frame: bytes) -> bool:
        """Queue a frame of 1 to `MAX_FRAME` bytes; False, counted, where the queue is full."""
        if not 0 < len(frame) <= MAX_FRAME:
            raise ValueError(f"a gossiped frame has 1 to {MAX_FRAME} bytes")
        if self._count >= MAX_QUEUED_FRAMES or self._bytes + len(frame) > MAX_QUEUED_BYTES:
            self._counters["frames_dropped"] += 1
            return False
        self._topics.setdefault(topic, deque()).append(frame)
        self._count += 1
        self._bytes += len(frame)
        self._counters["frames_published"] += 1
        self._ready.set()
        return True

    async def get(self) -> tuple[str, bytes]:
        """The next bundle and its topic, when it is time to send it; topics take turns."""
        while not self._topics:
            self._ready = trio.Event()
            await self._ready.wait()
        now = trio.current_time()
        await trio.sleep(max(self._next_at - now, self._bucket.wait(now), 0))
        now = trio.current_time()
        self._bucket.spend(now)
        self._next_at = now + GATHER
        topic, waiting = next(iter(self._topics.items()))
        frames: list[bytes] = []
        size = 0
        while waiting and len(frames) < MAX_FRAMES and size + 2 + len(waiting[0]) <= MAX_BUNDLE:
            frames.append(waiting.popleft())
            size += 2 + len(frames[-1])
        self._count -= len(frames)
        self._bytes -= size - 2 * len(frames)
        del self._topics[topic]
        if waiting:
            self._topics[topic] = waiting
        self._counters["bundles_published"] += 1
        return topic, join(frames)
