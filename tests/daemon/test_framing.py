"""The framings of the socket: msgpack by negotiation, bounds, and the client on standard input and output."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgpack
import pytest
import trio
from tests.daemon.node import Client, home, running
from trio.testing import memory_stream_pair

from starling.daemon.ipc.framing import FRAMINGS, FrameReader, TooLong
from starling.daemon.ipc.limits import MAX_LINE

HELLO = {"jsonrpc": "2.0", "id": 0, "method": "hello", "params": {"framing": "msgpack"}}


class MsgpackClient:
    """A client that has chosen msgpack."""

    def __init__(self, client: Client) -> None:
        self.stream = client.stream
        self._buffer = b""

    async def send(self, *values: Any) -> None:
        packed = [msgpack.packb(value) for value in values]
        await self.stream.send_all(b"".join(len(data).to_bytes(4) + data for data in packed))

    async def receive(self) -> Any:
        """The next object, None at the end."""
        length = int.from_bytes(await self._take(4))
        return msgpack.unpackb(await self._take(length)) if length else None

    async def call(self, method: str, **params: Any) -> Any:
        await self.send({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        return await self.receive()

    async def _take(self, count: int) -> bytes:
        with trio.fail_after(10):
            while len(self._buffer) < count:
                chunk = await self.stream.receive_some(2**18)
                if not chunk:
                    return b""
                self._buffer += chunk
        data, self._buffer = self._buffer[:count], self._buffer[count:]
        return data


async def speaking_msgpack(client: Client) -> MsgpackClient:
    hello = await client.line(json.dumps(HELLO).encode())
    assert hello["result"]["framing"] == "msgpack"
    return MsgpackClient(client)


@pytest.mark.parametrize("name", FRAMINGS)
@pytest.mark.parametrize("seed", range(3))
async def test_objects_come_whole_however_the_stream_cuts_them(name: str, seed: int) -> None:
    source = random.Random(seed)
    framing = FRAMINGS[name]
    objects: list[Any] = []
    data = b""
    for number in range(60):
        size = source.choice((0, 1, 10, 1000, 70_000))
        objects.append({"n": number, "text": "ü\n" * size})
        data += framing.frame(framing.encode(objects[-1]))
        if name == "json" and source.random() < 0.2:
            # What is too long is passed over, whatever it holds, and told once.
            data += b"[" * (MAX_LINE + 1 + source.randrange(MAX_LINE)) + b"\n"
            objects.append(TooLong)
    ours, theirs = memory_stream_pair()

    async def write() -> None:
        at = 0
        while at < len(data):
            end = at + source.choice((1, 2, 5, 4096, 100_000, 900_000))
            await ours.send_all(data[at:end])
            at = end
        await ours.send_stream.aclose()

    async def read() -> list[Any]:
        reader, seen = FrameReader(theirs, framing), []
        while True:
            try:
                encoded = await reader.next()
            except TooLong:
                seen.append(TooLong)
                continue
            if encoded is None:
                return seen
            seen.append(framing.decode(encoded))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        assert await read() == objects


async def test_the_same_objects_in_msgpack(tmp_path: Path) -> None:
    async with running(home(tmp_path)) as node:
        plain = await node.client()
        client = await speaking_msgpack(await node.client())
        made = await client.call("universe.create", name="grüße")
        lab = made["result"]["universe_id"]
        subscribed = await client.call("events.subscribe", **{"from": 0})
        assert subscribed["result"]["subscription"] == 1
        event = await client.receive()
        (listed,) = (await plain.result("events.list"))["events"]
        assert event["method"] == "events.event"
        assert event["params"] == {"subscription": 1, "event": listed}
        sent = await client.call("message.send", universe=lab, body="/wA=", encoding="base64", id="ab" * 16)
        told = [sent, await client.receive()]
        assert {"result", "method"} == {key for value in told for key in value} - {"jsonrpc", "id", "params"}
        (message,) = (await plain.result("message.history", universe=lab))["messages"]
        assert (message["body"], message["encoding"]) == ("/wA=", "base64")


async def test_what_follows_the_hello_may_come_with_it(tmp_path: Path) -> None:
    async with running(home(tmp_path)) as node:
        for _ in range(20):
            client = await node.client()
            packed = msgpack.packb({"jsonrpc": "2.0", "id": 1, "method": "ping"})
            await client.stream.send_all(
                json.dumps(HELLO).encode() + b"\n" + (len(packed).to_bytes(4) + packed) * 3
            )
            assert (await client.receive())["id"] == 0
            later = MsgpackClient(client)
            later._buffer = client._buffer
            for _ in range(3):
                assert (await later.receive())["result"] == {"pong": True}


async def test_only_the_first_request_chooses(tmp_path: Path) -> None:
    async with running(home(tmp_path)) as node:
        client = await node.client()
        assert await client.error("hello", framing="xml") == (-32602, "bad_params")
        assert await client.error("hello", framing="msgpack") == (-32000, "framing")
        assert (await client.result("hello", framing="json"))["framing"] == "json"
        batch = await node.client()
        (answer,) = await batch.line(json.dumps([HELLO]).encode())
        assert answer["error"]["data"]["code"] == "framing"
        assert await batch.result("ping")


async def test_what_is_no_msgpack_is_answered_and_survived(tmp_path: Path) -> None:
    async with running(home(tmp_path)) as node:
        client = await speaking_msgpack(await node.client())
        ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
        for data, number in [
            (b"\xc1", -32700),
            (b"", -32700),
            (b"\x91" * 5000, -32700),
            (b"\xdd\xff\xff\xff\xff", -32700),
            (b"\x81\xc4\x01a\x01\x01", -32700),
            (b" ", -32600),
            (msgpack.packb({b"jsonrpc": "2.0"}), -32600),
            (msgpack.packb(ping | {"params": {b"x": 1}}), -32602),
            (msgpack.packb(ping | {"id": b"bytes"}), -32600),
            (msgpack.packb(ping | {"id": msgpack.Timestamp(1)}), -32600),
            (msgpack.packb(ping | {"method": "member.list", "params": {"universe": b"lab"}}), -32602),
        ]:
            await client.stream.send_all(len(data).to_bytes(4) + data)
            assert (await client.receive())["error"]["code"] == number, data[:40]
        await client.send([ping, ping | {"id": 2}, 3])
        answers = await client.receive()
        assert [answer["id"] for answer in answers] == [1, 2, None]
        assert (await client.call("ping"))["result"] == {"pong": True}
        await client.stream.send_all((MAX_LINE + 1).to_bytes(4) + b"x" * 100)
        assert (await client.receive())["error"]["data"]["code"] == "line_too_long"


async def test_a_client_on_standard_input_and_output_is_served_beside_the_socket(tmp_path: Path) -> None:
    ours, theirs = memory_stream_pair()
    with trio.fail_after(10):
        async with running(home(tmp_path), stdio=theirs) as node:
            app, other = Client(ours), await node.client()
            await app.result("universe.create", name="lab")
            assert (await other.result("universe.list"))["universes"][0]["name"] == "lab"
            # The last request needs no line end; the daemon ends with its app, once that is answered.
            await ours.send_all(b'{"jsonrpc":"2.0","id":9,"method":"ping"}')
            await ours.send_stream.aclose()
            assert (await app.receive())["id"] == 9
            await node.ended.wait()
            assert not node.paths.socket.exists()


@pytest.mark.parametrize("framing", ["json", "msgpack"])
def test_the_real_daemon_on_standard_input_and_output(tmp_path: Path, framing: str) -> None:
    base = [sys.executable, "-m", "starling.daemon.cli.main", "--home", str(tmp_path / "home")]
    subprocess.run([*base, "init", "--name", "Ann"], check=True, capture_output=True)
    (tmp_path / "home" / "starling.toml").write_text("[network]\nlisten = []\nmdns = false\n")
    said = json.dumps(HELLO | {"params": {"framing": framing}}).encode() + b"\n"
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    packed = msgpack.packb(ping)
    said += json.dumps(ping).encode() if framing == "json" else len(packed).to_bytes(4) + packed
    done = subprocess.run([*base, "daemon", "--stdio"], input=said, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert b"ready socket=" in done.stderr
    hello, _, rest = done.stdout.partition(b"\n")
    assert json.loads(hello)["result"]["profile"]["name"] == "Ann"
    answer = json.loads(rest) if framing == "json" else msgpack.unpackb(rest[4:])
    assert answer == {"jsonrpc": "2.0", "id": 1, "result": {"pong": True}}


def test_the_real_daemon_with_closed_standard_streams(tmp_path: Path) -> None:
    home = tmp_path / "home"
    base = [sys.executable, "-m", "starling.daemon.cli.main", "--home", str(home)]
    subprocess.run([*base, "init", "--name", "Ann"], check=True, capture_output=True)
    (home / "starling.toml").write_text("[network]\nlisten = []\nmdns = false\n")
    command = f"{' '.join(base)} daemon --stdio <&- >&-"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "ready socket=" in done.stderr and "Traceback" not in done.stderr
