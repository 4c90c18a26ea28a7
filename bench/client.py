"""A client that keeps its connection to a daemon's socket and does not wait for one answer before the next request."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import trio

_CHUNK = 2**18

Answer = Callable[[dict[str, Any]], None]


class CallError(Exception):
    """The daemon answered with an error."""


class Client:
    """One connection. `run` reads until the daemon closes it; `on_event` is given each event."""

    def __init__(self, stream: trio.SocketStream, on_event: Answer) -> None:
        self._stream = stream
        self._on_event = on_event
        self._waiting: dict[int, Answer] = {}
        self._last_id = 0
        self._writing = trio.Lock()

    async def run(self) -> None:
        buffer = bytearray()
        while chunk := await self._stream.receive_some(_CHUNK):
            buffer += chunk
            *lines, rest = buffer.split(b"\n")
            buffer = rest
            for line in lines:
                self._take(json.loads(line))

    def _take(self, message: dict[str, Any]) -> None:
        if message.get("method") == "events.event":
            self._on_event(message["params"]["event"])
        elif "id" in message and message["id"] in self._waiting:
            self._waiting.pop(message["id"])(message)

    def request(self, method: str, params: dict[str, Any], answered: Answer) -> bytes:
        """The line of a request, to be given to `write`; `answered` gets the whole answer."""
        self._last_id += 1
        self._waiting[self._last_id] = answered
        request = {"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": params}
        return json.dumps(request, separators=(",", ":")).encode() + b"\n"

    async def write(self, data: bytes) -> None:
        async with self._writing:
            await self._stream.send_all(data)

    async def call(self, method: str, **params: Any) -> Any:
        """Ask and wait for the result; CallError for an error."""
        done = trio.Event()
        answers: list[dict[str, Any]] = []

        def answered(answer: dict[str, Any]) -> None:
            answers.append(answer)
            done.set()

        await self.write(self.request(method, params, answered))
        await done.wait()
        if "error" in answers[0]:
            raise CallError(f"{method}: {answers[0]['error']['message']}")
        return answers[0]["result"]


async def connect(nursery: trio.Nursery, path: str, on_event: Answer) -> Client:
    """A connected client whose reader runs in the nursery."""
    client = Client(trio.SocketStream(await _socket(path)), on_event)
    nursery.start_soon(client.run)
    return client


async def _socket(path: str) -> Any:
    sock = trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM)
    await sock.connect(path)
    return sock
