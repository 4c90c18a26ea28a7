"""The lines that wait to be written to one client: bounded in bytes, whoever adds to it waits."""

from __future__ import annotations

from collections import deque

import trio

MAX_BYTES = 4 * 2**20
_CHUNK = 256 * 1024


class Outbox:
    """A queue of lines with a limit in bytes."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._lines: deque[bytes] = deque()
        self._bytes = 0
        self._room = trio.lowlevel.ParkingLot()
        self._filled = trio.lowlevel.ParkingLot()
        self._closed = False

    async def put(self, line: bytes) -> None:
        """Add a line, once there is room for it."""
        while self._bytes and self._bytes + len(line) > self._max_bytes:
            await self._room.park()
        self.put_now(line)

    def put_now(self, line: bytes) -> None:
        """Add a line whatever the limit: only for what is few and short by itself."""
        self._lines.append(line)
        self._bytes += len(line)
        self._filled.unpark_all()

    def close(self) -> None:
        """Nothing more comes."""
        self._closed = True
        self._filled.unpark_all()

    async def take(self) -> bytes:
        """As many lines as fit into one write, empty at the end."""
        while not self._lines:
            if self._closed:
                return b""
            await self._filled.park()
        taken = [self._lines.popleft()]
        size = len(taken[0])
        while self._lines and size + len(self._lines[0]) <= _CHUNK:
            taken.append(self._lines.popleft())
            size += len(taken[-1])
        self._bytes -= size
        self._room.unpark_all()
        return b"".join(taken)
