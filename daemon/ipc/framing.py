"""How one object is told from the next on a stream: a JSON text on a line, or msgpack behind its length.

Both carry the same objects. A connection begins with lines of JSON; its first request, a `hello`, may choose
msgpack for everything that follows.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Protocol

import msgpack
import trio

from starling.daemon.event_log import StoredEvent
from starling.daemon.ipc.limits import MAX_LINE
from starling.daemon.render import encode_json

LINE_SECONDS = 30.0
"""How long the rest of an object may take once its first byte is there."""

_CHUNK = 64 * 1024
_LENGTH_SIZE = 4


class Framing(Protocol):
    """One way to frame. Objects are encoded without their frame, so that several can become one."""

    def encode(self, value: Any) -> bytes: ...

    def decode(self, data: bytes) -> Any:
        """The object; ValueError or RecursionError for bytes that are none."""

    def encode_event(self, subscription: int, event: StoredEvent) -> bytes:
        """The notification `events.event`."""

    def frame(self, encoded: bytes) -> bytes:
        """One object as it goes out."""

    def frame_batch(self, encoded: Sequence[bytes]) -> bytes:
        """Several objects as one list."""

    def split(self, buffer: bytearray, searched: int) -> tuple[bytes | None, int]:
        """Take one whole object off the buffer; else None, and how far there is nothing to find.

        TooLong for one that is longer than `MAX_LINE`; it stays there.
        """

    def skip(self, buffer: bytearray) -> bool:
        """Take off what is there of an object that is too long; whether its end was there too."""

    def rest(self, buffer: bytearray) -> bytes:
        """What the end of the stream makes an object of."""


class TooLong(Exception):
    """An object is longer than may be."""


class JsonLines:
    """JSON in UTF-8, one object a line."""

    name = "json"

    def encode(self, value: Any) -> bytes:
        return encode_json(value)

    def decode(self, data: bytes) -> Any:
        return json.loads(data)

    def encode_event(self, subscription: int, event: StoredEvent) -> bytes:
        # Put together from what is encoded once for all listeners.
        head = b'{"jsonrpc":"2.0","method":"events.event","params":{"subscription":%d,"event":' % subscription
        return head + event.json + b"}}"

    def frame(self, encoded: bytes) -> bytes:
        return encoded + b"\n"

    def frame_batch(self, encoded: Sequence[bytes]) -> bytes:
        return b"[" + b",".join(encoded) + b"]\n"

    def split(self, buffer: bytearray, searched: int) -> tuple[bytes | None, int]:
        end = buffer.find(b"\n", searched)
        if (end if end >= 0 else len(buffer)) > MAX_LINE:
            raise TooLong
        if end < 0:
            return None, len(buffer)
        line = bytes(buffer[:end])
        del buffer[: end + 1]
        return line, 0

    def skip(self, buffer: bytearray) -> bool:
        end = buffer.find(b"\n")
        del buffer[: end + 1 if end >= 0 else len(buffer)]
        return end >= 0

    def rest(self, buffer: bytearray) -> bytes:
        # A last line needs no end.
        return bytes(buffer)


class MsgpackFrames:
    """msgpack behind a length of 4 bytes, big-endian."""

    name = "msgpack"

    def encode(self, value: Any) -> bytes:
        packed: bytes = msgpack.packb(value, use_bin_type=True, unicode_errors="replace")
        return packed

    def decode(self, data: bytes) -> Any:
        try:
            return msgpack.unpackb(data, raw=False)
        except msgpack.UnpackException as error:
            raise ValueError(str(error)) from None

    def encode_event(self, subscription: int, event: StoredEvent) -> bytes:
        params = {"subscription": subscription, "event": event.shown}
        return self.encode({"jsonrpc": "2.0", "method": "events.event", "params": params})

    def frame(self, encoded: bytes) -> bytes:
        return len(encoded).to_bytes(_LENGTH_SIZE) + encoded

    def frame_batch(self, encoded: Sequence[bytes]) -> bytes:
        return self.frame(msgpack.Packer().pack_array_header(len(encoded)) + b"".join(encoded))

    def split(self, buffer: bytearray, searched: int) -> tuple[bytes | None, int]:
        if len(buffer) < _LENGTH_SIZE:
            return None, 0
        length = int.from_bytes(buffer[:_LENGTH_SIZE])
        if length > MAX_LINE:
            raise TooLong
        if len(buffer) < _LENGTH_SIZE + length:
            return None, 0
        data = bytes(buffer[_LENGTH_SIZE : _LENGTH_SIZE + length])
        del buffer[: _LENGTH_SIZE + length]
        return data, 0

    def skip(self, buffer: bytearray) -> bool:
        # Up to 4 GiB: the time that an object may take ends the connection long before.
        buffer.clear()
        return False

    def rest(self, buffer: bytearray) -> bytes:
        return b""


FRAMINGS: dict[str, Framing] = {framing.name: framing for framing in (JsonLines(), MsgpackFrames())}


class TooSlow(Exception):
    """An object was begun and not ended in time."""


class FrameReader:
    """Objects of bounded length, one after another; `framing` may be changed between two of them."""

    def __init__(self, stream: trio.abc.ReceiveStream, framing: Framing) -> None:
        self.framing = framing
        self._stream = stream
        self._buffer = bytearray()
        self._searched = 0
        self._skipping = False
        self._ended = False

    async def next(self) -> bytes | None:
        """The next object, None at the end.

        TooLong for one that is, which is passed over; TooSlow for one whose end does not come.
        """
        # The time runs only while this waits for the client, not while the client waits for the daemon.
        deadline = trio.current_time() + LINE_SECONDS
        while True:
            data = self._split()
            if data is not None:
                return data
            if self._ended:
                rest = self.framing.rest(self._buffer)
                self._buffer.clear()
                return rest or None
            begun = self._skipping or bool(self._buffer)
            try:
                with trio.fail_at(deadline if begun else float("inf")):
                    chunk = await self._stream.receive_some(_CHUNK)
            except trio.TooSlowError:
                raise TooSlow from None
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                chunk = b""
            if not begun:
                deadline = trio.current_time() + LINE_SECONDS
            self._ended = not chunk
            self._buffer += chunk

    def _split(self) -> bytes | None:
        if self._skipping:
            self._skipping = not self.framing.skip(self._buffer)
            self._searched = 0
            if self._skipping:
                return None
        try:
            data, self._searched = self.framing.split(self._buffer, self._searched)
        except TooLong:
            self._skipping = True
            raise
        return data
