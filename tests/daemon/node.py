"""A whole daemon in the test's own process: real store and socket, fake engine, network in memory."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio
from tests.daemon.fake_engine import FakeEngine

from starling.daemon import app, data_directory
from starling.daemon.config import Config
from starling.daemon.errors import DaemonError
from starling.daemon.ipc.schema import METHODS
from starling.daemon.paths import Paths
from starling.p2p.interface import NetworkOptions
from starling.p2p.memory import MemoryHub, MemoryNetwork

CONFIG = Config(network_listen=("/ip4/127.0.0.1/tcp/0",), network_mdns=False, events_keep=1000)


_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "object": dict,
    "list": list,
}


def check_answer(method: str, result: dict[str, Any]) -> None:
    """An answer is what the schema says."""
    members = {member.name: member for member in METHODS[method].result}
    assert result.keys() <= members.keys(), (method, result.keys() - members.keys())
    for member in members.values():
        if result.get(member.name) is None:
            assert member.optional, (method, member.name)
        else:
            assert isinstance(result[member.name], _TYPES[member.kind]), (method, member.name)


class Client:
    """A raw client of the socket."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.notifications: list[dict[str, Any]] = []
        self._buffer = b""
        self._last_id = 0

    async def line(self, data: bytes) -> Any:
        """Send a line as it is, and return the next object that comes."""
        await self.stream.send_all(data + b"\n")
        return await self.receive()

    async def receive(self) -> Any:
        with trio.fail_after(20):
            while b"\n" not in self._buffer:
                chunk = await self.stream.receive_some(2**18)
                if not chunk:
                    return None
                self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return json.loads(line)

    async def call(self, method: str, **params: Any) -> Any:
        """The whole answer to a call; notifications that come before it are kept."""
        self._last_id += 1
        request = {"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": params}
        await self.stream.send_all(json.dumps(request).encode() + b"\n")
        while (answer := await self.receive()) is not None and "method" in answer:
            self.notifications.append(answer)
        return answer

    async def result(self, method: str, **params: Any) -> Any:
        answer = await self.call(method, **params)
        assert "result" in answer, answer
        check_answer(method, answer["result"])
        return answer["result"]

    async def error(self, method: str, **params: Any) -> tuple[int, str]:
        """Number and word of the error that a call gives."""
        answer = await self.call(method, **params)
        assert "error" in answer, answer
        return answer["error"]["code"], answer["error"]["data"]["code"]

    async def event(self) -> dict[str, Any]:
        """The next event of a subscription."""
        told = self.notifications.pop(0) if self.notifications else await self.receive()
        assert told["method"] == "events.event", told
        event: dict[str, Any] = told["params"]["event"]
        return event


class Node:
    """A running daemon."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self.engine: FakeEngine
        self.network: MemoryNetwork
        self.ready: dict[str, Any] = {}
        self.scope = trio.CancelScope()
        self.ended = trio.Event()
        self.error: DaemonError | None = None
        self._streams: list[trio.SocketStream] = []

    async def client(self) -> Client:
        stream = await trio.open_unix_socket(os.fspath(self.paths.socket))
        self._streams.append(stream)
        return Client(stream)

    async def close_clients(self) -> None:
        for stream in self._streams:
            await stream.aclose()


def home(tmp_path: Path, name: str = "Ann") -> Paths:
    """The places below a new home with an identity."""
    paths = Paths.find(str(tmp_path / "home"), {})
    data_directory.init(paths, name)
    return paths


@asynccontextmanager
async def running(
    paths: Paths,
    config: Config = CONFIG,
    hub: MemoryHub | None = None,
    stdio: trio.abc.Stream | None = None,
    ask_passphrase: Callable[[], str] = app.no_passphrase,
    *,
    real: bool = False,
) -> AsyncIterator[Node]:
    """A daemon until the end of the block, with the real engine where that is said; raises the error with which it
    ended."""
    node = Node(paths)
    started = trio.Event()
    hub = hub or MemoryHub()

    def engine_factory(identity: Any, records: Any, now: int, config: Config) -> FakeEngine:
        node.engine = FakeEngine(identity, records)
        return node.engine

    def network_factory(options: NetworkOptions) -> MemoryNetwork:
        node.network = hub.network(options)
        return node.network

    def ready(said: dict[str, Any]) -> None:
        node.ready = said
        started.set()

    async def run() -> None:
        try:
            with node.scope:
                await app.run(
                    paths,
                    config,
                    ready=ready,
                    stdio=stdio,
                    ask_passphrase=ask_passphrase,
                    engine_factory=app.real_engine if real else engine_factory,
                    network_factory=network_factory,
                )
        except DaemonError as error:
            node.error = error
            nursery.cancel_scope.cancel()
        node.ended.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        with trio.fail_after(10):
            await started.wait()
        try:
            yield node
        finally:
            with trio.CancelScope(shield=True):
                await node.close_clients()
            node.scope.cancel()
    if node.error is not None:
        raise node.error
