"""Events over the socket: cursors, replay, what is lost, and clients that do not read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trio
from tests.daemon.node import home, running
from tests.daemon.test_ipc import universe

from starling.daemon.ipc import connection


async def test_a_cursor_continues_where_it_stopped(tmp_path: Path) -> None:
    paths = home(tmp_path)
    async with running(paths) as node:
        client = await node.client()
        await universe(client)
        for number in range(6):
            await client.result("message.send", universe="lab", body=str(number))
        await client.result("events.subscribe", cursor="app", kinds=["message.sent"])
        told = [await client.event() for _ in range(6)]
        assert [event["body"]["body"] for event in told] == list("012345")
        await client.result("events.ack", cursor="app", seq=told[2]["seq"])
        # A late acknowledgement of something older moves nothing back.
        assert (await client.result("events.ack", cursor="app", seq=1))["seq"] == told[2]["seq"]
        assert await client.error("events.ack", cursor="app", seq=10_000) == (-32000, "unknown_event")
    async with running(paths) as node:
        client = await node.client()
        await client.result("events.subscribe", cursor="app", kinds=["message.sent"])
        assert [(await client.event())["seq"] for _ in range(3)] == [event["seq"] for event in told[3:]]
        await client.result("message.send", universe="lab", body="live")
        assert (await client.event())["body"]["body"] == "live"


async def test_replay_goes_over_to_live_without_a_gap(tmp_path: Path) -> None:
    async with running(home(tmp_path)) as node:
        client, writer = await node.client(), await node.client()
        lab = await universe(writer)
        for number in range(20):
            await writer.result("message.send", universe=lab, body=str(number))
        async with trio.open_nursery() as nursery:

            async def write() -> None:
                for number in range(20, 60):
                    await writer.result("message.send", universe=lab, body=str(number))

            nursery.start_soon(write)
            await client.result("events.subscribe", **{"from": 0})
            seqs = [(await client.event())["seq"] for _ in range(61)]
        assert seqs == list(range(1, 62))
        assert await client.result("events.unsubscribe", subscription=1) == {"ended": 1}
        assert await client.error("events.unsubscribe", subscription=9) == (-32000, "unknown_subscription")


async def test_events_that_are_no_longer_kept_are_told_as_lost(tmp_path: Path) -> None:
    async with running(home(tmp_path)) as node:
        client = await node.client()
        lab = await universe(client)
        requests = [
            {"jsonrpc": "2.0", "id": n, "method": "message.send", "params": {"universe": lab, "body": "x"}}
            for n in range(2100)
        ]
        async with trio.open_nursery() as nursery:
            lines = b"".join(json.dumps(request).encode() + b"\n" for request in requests)
            nursery.start_soon(client.stream.send_all, lines)
            for _ in requests:
                await client.receive()
    async with running(node.paths) as node:
        client = await node.client()
        await client.result("events.subscribe", **{"from": 5})
        lost = client.notifications.pop(0) if client.notifications else await client.receive()
        assert lost["method"] == "events.lost"
        assert lost["params"]["from"] == 6
        assert (await client.event())["seq"] == lost["params"]["to"] + 1


async def test_a_kind_of_event_that_never_happens_is_refused(tmp_path: Path) -> None:
    async with running(home(tmp_path)) as node:
        client = await node.client()
        for method in ("events.subscribe", "events.list"):
            answer = await client.call(method, kinds=["message.sent", "message.recieved"])
            assert answer["error"]["code"] == -32602
            assert "did you mean 'message.received'?" in answer["error"]["message"]
            answer = await client.call(method, kinds=["bogus"])
            assert "known are message.received, message.sent" in answer["error"]["message"]


async def test_a_subscription_is_answered_before_its_first_event(tmp_path: Path) -> None:
    async with running(home(tmp_path)) as node:
        client = await node.client()
        lab = await universe(client)
        for number in range(20):
            await client.result("message.send", universe=lab, body=str(number))
        for number in range(1, 9):
            await client.result("events.subscribe", **{"from": 0})
            assert client.notifications == []
            for seq in range(1, 22):
                assert (await client.event())["seq"] == seq
            await client.result("events.unsubscribe", subscription=number)
        # A batch too.
        subscribe = {"jsonrpc": "2.0", "method": "events.subscribe", "params": {"from": 0}}
        first = await client.line(json.dumps([{**subscribe, "id": 1}, {**subscribe, "id": 2}]).encode())
        assert [answer["result"]["subscription"] for answer in first] == [9, 10]


async def test_a_client_that_never_reads_harms_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "LAG_SECONDS", 0.2)
    async with running(home(tmp_path)) as node:
        lazy, busy = await node.client(), await node.client()
        lab = await universe(busy)
        await lazy.result("events.subscribe", **{"from": "now"})
        for number in range(40):
            await busy.result("message.send", universe=lab, body=str(number % 10) * 300_000)
        await trio.sleep(0.3)
        assert await busy.result("ping")
        # When it reads at last it is told, and can subscribe again from there.
        seen = []
        while True:
            told = await lazy.receive()
            if told["method"] == "events.lagged":
                break
            seen.append(told["params"]["event"]["seq"])
        assert told["params"]["seq"] == seen[-1] < 41
        await lazy.result("events.subscribe", **{"from": told["params"]["seq"]})
        assert (await lazy.event())["seq"] == seen[-1] + 1


async def test_a_client_that_asks_and_never_reads_is_read_no_further(tmp_path: Path) -> None:
    async with running(home(tmp_path)) as node:
        client, other = await node.client(), await node.client()
        request = b'{"jsonrpc":"2.0","id":1,"method":"daemon.status"}\n'
        with trio.move_on_after(1) as scope:
            for _ in range(200):
                await client.stream.send_all(request * 1000)
        assert scope.cancelled_caught
        assert await other.result("ping")
