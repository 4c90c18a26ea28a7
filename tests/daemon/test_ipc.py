"""The socket: JSON-RPC 2.0 to the letter, hostile and lazy clients, limits, subscriptions and cursors."""

from __future__ import annotations

import json
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trio
from tests.daemon.node import Client, home, running

from starling.daemon.ipc import framing
from starling.daemon.ipc.limits import MAX_BATCH, MAX_CLIENTS, MAX_LINE
from starling.daemon.ipc.schema import METHODS
from starling.protocol.engine import inputs


async def universe(client: Client, name: str = "lab") -> str:
    made = await client.result("universe.create", name=name)
    return str(made["universe_id"])


async def test_modes_and_hello(tmp_path: Path) -> None:
    async with running(home(tmp_path)) as node:
        assert stat.S_IMODE(os.stat(node.paths.socket).st_mode) == 0o600
        assert stat.S_IMODE(os.stat(node.paths.runtime).st_mode) == 0o700
        client = await node.client()
        hello = await client.result("hello", client="test", want="1.x")
        assert hello["api"] == {"major": 1, "minor": 0}
        assert hello["profile"]["name"] == "Ann"
        assert await client.error("hello", want="2.x") == (-32000, "api_version")
        assert (await client.result("daemon.status"))["socket"] == str(node.paths.socket)


async def test_what_is_no_request_is_answered_and_survived(tmp_path: Path) -> None:
    async with running(home(tmp_path)) as node:
        client = await node.client()
        for line, number, identifier in [
            (b'{"jsonrpc": "2.0", "method', -32700, None),
            (b"\xff\xfe", -32700, None),
            (b"[" * 100_000, -32700, None),
            (b"[]", -32600, None),
            (b"17", -32600, None),
            (b'{"method": "ping", "id": 3}', -32600, 3),
            (b'{"jsonrpc": "2.0", "method": 1, "id": "a"}', -32600, "a"),
            (b'{"jsonrpc": "2.0", "method": "ping", "id": {}}', -32600, None),
            (b'{"jsonrpc": "2.0", "method": "ping", "id": 4, "params": 5}', -32600, 4),
            (b'{"jsonrpc": "2.0", "method": "pong", "id": 5}', -32601, 5),
            (b'{"jsonrpc": "2.0", "method": "ping", "id": 6, "params": {"x": 1}}', -32602, 6),
            (b'{"jsonrpc": "2.0", "method": "ping", "id": 6, "params": [1]}', -32602, 6),
            (b"x" * (MAX_LINE + 1), -32600, None),
            (b"x" * (3 * MAX_LINE), -32600, None),
        ]:
            answer = await client.line(line)
            assert (answer["error"]["code"], answer["id"]) == (number, identifier), (line[:80], answer)
        assert await client.result("ping") == {"pong": True}


async def test_unknown_method_names_the_nearest(tmp_path: Path) -> None:
    async with running(home(tmp_path)) as node:
        answer = await (await node.client()).call("message.sned")
        assert "message.send" in answer["error"]["message"]


async def test_batches_and_notifications(tmp_path: Path) -> None:
    async with running(home(tmp_path)) as node:
        client = await node.client()
        ping = {"jsonrpc": "2.0", "method": "ping"}
        answers = await client.line(json.dumps([{**ping, "id": 1}, ping, {**ping, "id": 2}, 3]).encode())
        assert sorted(str(answer["id"]) for answer in answers) == ["1", "2", "None"]
        too_many = await client.line(json.dumps([{**ping, "id": 1}] * (MAX_BATCH + 1)).encode())
        assert too_many["error"]["code"] == -32600
        # Nothing answers a batch of notifications: the next line is the answer to the call.
        await client.stream.send_all(json.dumps([ping, ping]).encode() + b"\n")
        assert await client.result("ping") == {"pong": True}


async def test_every_method_of_the_schema_has_a_handler_and_checks_its_parameters(tmp_path: Path) -> None:
    async with running(home(tmp_path)) as node:
        client = await node.client()
        for method in METHODS.values():
            for parameter in method.params:
                wrong: Any = {"string": 1, "universe": []}.get(parameter.kind, "?")
                number, _ = await client.error(method.name, **{parameter.name: wrong})
                assert number == -32602, (method.name, parameter.name)


async def test_sixty_four_clients_and_one_more(tmp_path: Path) -> None:
    async with running(home(tmp_path)) as node:
        clients = [await node.client() for _ in range(MAX_CLIENTS)]
        for client in clients:
            assert await client.result("ping")
        refused = await (await node.client()).receive()
        assert refused["error"]["data"]["code"] == "too_many_clients"
        await clients[0].stream.aclose()
        with trio.fail_after(5):
            while True:
                another = await node.client()
                if "result" in (await another.call("ping") or {}):
                    break
        assert await clients[-1].result("ping")


async def test_a_fault_in_serving_one_client_ends_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(home(tmp_path)) as node:
        client, other = await node.client(), await node.client()
        assert await other.result("ping")
        monkeypatch.setattr(node.engine, "status", lambda: {"not": {"to", "be", "encoded", 1j}})
        assert await client.call("daemon.status") is None
        monkeypatch.undo()
        assert await other.result("ping")
        assert await (await node.client()).result("daemon.status")
        assert "the connection of a client failed" in caplog.text


async def test_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(home(tmp_path)) as node:
        uid = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: uid + 1)
        assert await (await node.client()).receive() is None


async def test_sending_is_idempotent_by_id_also_after_a_restart(tmp_path: Path) -> None:
    paths = home(tmp_path)
    message_id = "ab" * 16
    async with running(paths) as node:
        client = await node.client()
        lab = await universe(client)
        first = await client.result("message.send", universe="lab", body="hi", id=message_id)
        assert first == {
            "id": message_id,
            "state": "sent",
            "recipients": 2,
            "epoch": 1,
            "dmls_epoch": "64" * 32,
        }
        assert await client.result("message.send", universe=lab[-64:], body="hi", id=message_id) == first
        other = await client.error("message.send", universe="lab", body="other", id=message_id)
        assert other == (-32000, "id_used")
    async with running(paths) as node:
        client = await node.client()
        assert await client.result("message.send", universe="lab", body="hi", id=message_id) == first
        assert not any(isinstance(item, inputs.SendMessage) for item in node.engine.handled)
        (message,) = (await client.result("message.history", universe="lab"))["messages"]
        assert (message["body"], message["own"], message["state"]) == ("hi", True, "sent")


async def test_a_send_waits_for_its_encryption(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(home(tmp_path)) as node:
        client, other = await node.client(), await node.client()
        await universe(client)
        node.engine.hold = True
        queued = await client.result("message.send", universe="lab", body="a", wait=False)
        assert queued["state"] == "queued"
        late = await client.result("message.send", universe="lab", body="b", timeout=0.01)
        assert late["state"] == "queued"
        states = [m["state"] for m in (await client.result("message.history", universe="lab"))["messages"]]
        assert states == ["queued", "queued"]
        async with trio.open_nursery() as nursery:

            async def send() -> None:
                sent = await client.result("message.send", universe="lab", body="c", id="cd" * 16)
                assert (sent["state"], sent["recipients"]) == ("sent", 2)

            nursery.start_soon(send)
            while len(node.engine.queued) < 3:
                await other.result("ping")
            node.engine.hold = False
            from starling.p2p.interface import Listening

            # Whatever wakes the engine: here a frame, then its timer, for each step asks to be woken at once.
            node.network._events.put(Listening(("/ip4/127.0.0.1/tcp/1",)))
            monkeypatch.setattr(node.engine, "handle", _waking(node.engine.handle))
            await other.result("security.update", universe="lab")
        states = [
            m["state"]
            for m in (await client.result("message.history", universe="00" * 31 + "01"))["messages"]
        ]
        assert states == ["sent", "sent", "sent"]


def _waking(handle: Any) -> Any:
    def with_timer(what: Any, now: int) -> Any:
        from dataclasses import replace

        step = handle(what, now)
        return step if isinstance(what, inputs.Wake) else replace(step, wake_at=now)

    return with_timer


async def test_commands_of_one_client_keep_their_order(tmp_path: Path) -> None:
    async with running(home(tmp_path)) as node:
        client = await node.client()
        lab = await universe(client)
        requests = [
            {"jsonrpc": "2.0", "id": n, "method": "message.send", "params": {"universe": lab, "body": str(n)}}
            for n in range(300)
        ]
        await client.stream.send_all(b"".join(json.dumps(request).encode() + b"\n" for request in requests))
        answers = [await client.receive() for _ in requests]
        assert {answer["id"] for answer in answers} == set(range(300))
        sent = [int(item.body) for item in node.engine.handled if isinstance(item, inputs.SendMessage)]
        assert sent == list(range(300))


async def test_bodies_are_text_or_base64(tmp_path: Path) -> None:
    async with running(home(tmp_path)) as node:
        client = await node.client()
        await universe(client)
        await client.result("message.send", universe="lab", body="/wA=", encoding="base64", type="binary")
        await client.result("message.send", universe="lab", body="grüße\u2028\n")
        assert await client.error("message.send", universe="lab", body="?", encoding="base64") == (
            -32000,
            "bad_body",
        )
        first, second = (await client.result("message.history", universe="lab"))["messages"]
        assert (first["body"], first["encoding"]) == ("/wA=", "base64")
        assert (second["body"], second["encoding"]) == ("grüße\u2028\n", "utf8")


async def test_history_in_pages_that_fit_a_line(tmp_path: Path) -> None:
    async with running(home(tmp_path)) as node:
        client = await node.client()
        lab = await universe(client)
        for number in range(5):
            await client.result("message.send", universe=lab, body=str(number) * 400_000)
        seen: list[str] = []
        before = None
        while True:
            page = await client.result("message.history", universe=lab, before=before)
            seen = [message["body"][0] for message in page["messages"]] + seen
            before = page["messages"][0]["number"]
            if not page["more"]:
                break
        assert seen == list("01234")


async def test_errors_of_the_engine_reach_the_client(tmp_path: Path) -> None:
    async with running(home(tmp_path)) as node:
        client = await node.client()
        assert await client.error("universe.join", ticket="expired") == (-32000, "ticket.expired")
        assert await client.error("message.send", universe="nowhere", body="x") == (
            -32000,
            "universe.unknown",
        )
        assert await client.error("message.send", universe="07" * 32, body="x") == (
            -32000,
            "universe.unknown",
        )
        assert await client.error("universe.get", universe="07" * 32) == (-32000, "universe.unknown")
        assert await client.error("invite.inspect", ticket="nonsense") == (-32000, "ticket.bad")
        answer = await client.call("universe.join", ticket="revoked")
        assert answer["error"]["message"] == "cannot join: the ticket was taken back; ask for a new ticket"
        assert answer["error"]["data"] == {"code": "join.failed", "reason": "ticket.revoked"}
        joining = await client.result("universe.join", ticket="good", timeout=0)
        assert joining["state"] == "joining"


async def test_a_name_is_given_to_one_universe_of_a_node(tmp_path: Path) -> None:
    async with running(home(tmp_path)) as node:
        client = await node.client()
        lab = await universe(client)
        answer = await client.call("universe.create", name="lab")
        assert answer["error"]["data"] == {"code": "universe.exists", "universe_id": lab}
        assert lab[:12] in answer["error"]["message"]
        # A universe of others that is joined may have the same name.
        ids = [lab, "00" * 30 + "ab01", "00" * 30 + "ab02"]
        node.engine.names |= {bytes.fromhex(i): "lab" for i in ids[1:]}
        for method, params in [
            ("message.send", {"body": "x"}),
            ("member.list", {}),
            ("events.subscribe", {}),
        ]:
            answer = await client.call(method, universe="lab", **params)
            assert answer["error"]["data"] == {"code": "ambiguous", "universe_ids": ids}
            assert "3 universes are called 'lab'" in answer["error"]["message"]
            # Three that cannot be told apart by their first digits are shown as far as they differ.
            assert "ab01" in answer["error"]["message"]
        answer = await client.call("member.list", universe="0000")
        assert "begin with '0000'" in answer["error"]["message"]
        assert await client.result("member.list", universe=ids[1][:62] + "01")


async def test_a_send_warns_while_something_is_wrong_with_the_node(tmp_path: Path) -> None:
    async with running(home(tmp_path)) as node:
        client = await node.client()
        await universe(client)
        params = {"universe": "lab", "body": "hi", "id": "ab" * 16}
        assert "warning" not in await client.result("message.send", **params)
        for trouble, words in (
            ("rollback", "put back to an old state"),
            ("twice", "end one of the two"),
            ("asking", "an admin confirms"),
            ("superseded", "admitted in its place"),
        ):
            node.engine.in_trouble = trouble
            again = await client.result("message.send", **params)
            assert words in again["warning"]
        node.engine.hold = True
        queued = await client.result("message.send", universe="lab", body="hi", wait=False)
        assert (queued["state"], "warning" in queued) == ("queued", True)


async def test_the_interface_describes_itself(tmp_path: Path) -> None:
    async with running(home(tmp_path)) as node:
        found = await (await node.client()).result("rpc.discover")
        assert [method["name"] for method in found["methods"]] == list(METHODS)
        by_name = {method["name"]: method for method in found["methods"]}
        send = {param["name"]: param for param in by_name["message.send"]["params"]}
        assert send["body"]["required"] and not send["id"]["required"]
        assert send["id"]["schema"] == {"type": "string", "pattern": "^[0-9a-fA-F]{32}$"}
        assert send["timeout"]["schema"] == {"type": "number", "minimum": 0, "maximum": 60, "default": 15}


async def test_a_line_that_is_begun_and_not_ended_holds_no_slot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(framing, "LINE_SECONDS", 0.3)
    async with running(home(tmp_path)) as node:
        idle = await node.client()
        assert await idle.result("ping")
        lazy = [await node.client() for _ in range(MAX_CLIENTS - 1)]
        for client in lazy:
            await client.stream.send_all(b'{"jsonrpc":"2.0",')
        dripping = lazy[0]
        with trio.move_on_after(2), suppress(trio.BrokenResourceError):
            # Each byte is in time, the line is not; a line that is too long goes on for ever in the same way.
            while True:
                await dripping.stream.send_all(b" ")
                await lazy[1].stream.send_all(b"x" * (MAX_LINE // 8))
                await trio.sleep(0.05)
        for client in lazy[2:]:
            answer = await client.receive()
            assert answer["error"]["data"]["code"] == "line_too_slow"
            assert await client.receive() is None
        for _ in lazy[2:]:
            assert await (await node.client()).result("ping")
        # Who has said all it wanted to say may be silent as long as it likes.
        assert await idle.result("ping")


async def test_shutdown_answers_first(tmp_path: Path) -> None:
    async with running(home(tmp_path)) as node:
        client = await node.client()
        assert await client.result("daemon.shutdown") == {"stopping": True}
        with trio.fail_after(5):
            await node.ended.wait()
        assert not node.paths.socket.exists()
