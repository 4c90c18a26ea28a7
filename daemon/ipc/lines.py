"""Lines of bounded length from a stream of bytes."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import trio

from starling.daemon.ipc.schema import MAX_LINE

_CHUNK = 64 * 1024


async def read_lines(stream: trio.SocketStream) -> AsyncGenerator[bytes | None, None]:
    """Each line without its end; None for one that is longer than `MAX_LINE`, which is passed over."""
    buffer = bytearray()
    searched = 0
    skipping = False
    while True:
        end = buffer.find(b"\n", searched)
        if end >= 0:
            line = bytes(buffer[:end])
            del buffer[: end + 1]
            searched = 0
            if skipping:
                skipping = False
            else:
                yield line if len(line) <= MAX_LINE else None
            continue
        searched = len(buffer)
        if len(buffer) > MAX_LINE:
            buffer.clear()
            searched = 0
            if not skipping:
                skipping = True
                yield None
        try:
            chunk = await stream.receive_some(_CHUNK)
        except trio.BrokenResourceError:
            return
        if not chunk:
            if buffer and not skipping:
                yield bytes(buffer)
            return
        buffer += chunk
