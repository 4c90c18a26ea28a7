"""The loop: durable before visible, one transaction for many inputs, what a failing store or engine does."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import trio
from tests.daemon.node import CONFIG, home, running

from starling.daemon.errors import DaemonError
from starling.daemon.ipc.methods import Methods
from starling.daemon.loop import Clock
from starling.daemon.store import Batch, Store
from starling.p2p.interface import Discovered, Frame, Message
from starling.protocol.engine import inputs
from starling.protocol.engine.step import KnownPeers, Step
from starling.protocol.errors import Pending, UsageError, VerificationFailed

PEER = b"p" * 38


async def test_nothing_leaves_before_it_is_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """I1: no answer, event, frame or view of a state before its commit."""
    commit = Store.commit
    gate = trio.Event()
    waiting = trio.Event()
    left: list[str] = []

    def slow_commit(store: Store, batch: Batch) -> Any:
        if batch.messages:
            trio.from_thread.run_sync(waiting.set)
            trio.from_thread.run(gate.wait)
            left.append("saved")
        return commit(store, batch)

    monkeypatch.setattr(Store, "commit", slow_commit)
    async with running(home(tmp_path)) as node:
        client, listener, viewer = await node.client(), await node.client(), await node.client()
        await client.result("universe.create", name="lab")
        await listener.result("events.subscribe", **{"from": "now"})
        monkeypatch.setattr(node.network, "publish", lambda topic, frame: left.append("published"))

        async def send() -> None:
            await client.result("message.send", universe="lab", body="hi")
            left.append("answered")

        async def hear() -> None:
            await listener.event()
            left.append("told")

        async def view() -> None:
            await waiting.wait()
            await viewer.result("universe.list")
            left.append("shown")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            nursery.start_soon(hear)
            nursery.start_soon(view)
            await waiting.wait()
            await trio.sleep(0.1)
            assert left == []
            gate.set()
    assert left[0] == "saved"
    assert sorted(left[1:]) == ["answered", "published", "shown", "told"]


async def test_what_waits_is_saved_in_one_transaction(tmp_path: Path) -> None:
    async with running(home(tmp_path)) as node:
        client = await node.client()
        await client.result("events.subscribe", **{"from": "now"})
        before = (await client.result("daemon.status"))["commits"]
        for number in range(200):
            node.network._events.put_frame(Frame("topic", PEER, b"%016d" % number))
        told = [await client.event() for _ in range(200)]
        assert [event["body"]["body"] for event in told] == [f"{number:016d}" for number in range(200)]
        assert (await client.result("daemon.status"))["commits"] - before < 40


async def test_stored_frames_are_attached_to_messages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[bytes, bytes]] = []
    async with running(home(tmp_path)) as node:
        client = await node.client()
        await client.result("universe.create", name="lab")
        await client.result("message.send", universe="lab", body="hi", id="ab" * 16)
        heard = trio.Event()

        def send(peer_id: bytes, data: bytes) -> bool:
            sent.append((peer_id, data))
            heard.set()
            return True

        monkeypatch.setattr(node.network, "send", send)
        await node.network._events.put_message(Message(PEER, b"\xab" * 16))
        with trio.fail_after(5):
            await heard.wait()
    from starling.protocol.exchange.messages import attach

    assert sent == [(PEER, attach(b"answer", [b"Fhi"]))]


async def test_a_full_disk_stops_the_node_with_one_line(tmp_path: Path) -> None:
    paths = home(tmp_path)
    with pytest.raises(DaemonError, match="is full; free some space") as caught:
        async with running(paths) as node:
            client = await node.client()
            await client.result("universe.create", name="lab")
            (loop,) = _loops()
            pages = loop.store._writer.execute("PRAGMA page_count").fetchone()[0]
            loop.store._writer.execute(f"PRAGMA max_page_count = {pages}")
            answer = await client.call("message.send", universe="lab", body="x" * 200_000)
            assert answer["error"]["data"]["code"] == "disk_full"
            # Nothing more is taken from now on: what follows would rest on a state that is not saved.
            answer = await client.call("message.send", universe="lab", body="small")
            assert answer is None or answer["error"]["data"]["code"] == "disk_full"
            with trio.fail_after(5):
                await trio.sleep_forever()
    assert caught.value.code == "disk_full"
    async with running(paths) as node:
        assert list(node.engine.names.values()) == ["lab"]
        assert node.engine.messages == {}


def _loops() -> list[Any]:
    import gc

    from starling.daemon.loop import Loop

    return [found for found in gc.get_objects() if isinstance(found, Loop) and found._failure is None]


async def test_a_fault_of_the_engine_ends_the_node_without_its_details(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(DaemonError, match="internal error") as caught:
        async with running(home(tmp_path)) as node:
            node.network._events.put_frame(Frame("topic", PEER, b"crash"))
            with trio.fail_after(5):
                await trio.sleep_forever()
    assert "secret detail" not in str(caught.value)
    assert "the daemon failed" in caplog.text


@pytest.mark.parametrize("fault", [VerificationFailed(), Pending("later"), UsageError("no", "no")])
async def test_a_step_that_failed_half_way_ends_the_node(tmp_path: Path, fault: Exception) -> None:
    """Its memory is then ahead of the disk; a peer's input can be refused by the engine itself only."""
    paths = home(tmp_path)
    with pytest.raises(
        DaemonError, match=f"internal error \\({type(fault).__name__}.*start the daemon again"
    ):
        async with running(paths) as node:
            client = await node.client()
            await client.result("universe.create", name="lab")
            node.engine.fault = fault
            node.network._events.put_frame(Frame("topic", PEER, b"fault"))
            with trio.fail_after(5):
                await trio.sleep_forever()
    async with running(paths) as node:
        assert list(node.engine.names.values()) == ["lab"]


async def test_a_command_that_failed_half_way_is_answered_and_ends_the_node(tmp_path: Path) -> None:
    paths = home(tmp_path)
    with pytest.raises(DaemonError, match="internal error") as caught:
        async with running(paths) as node:
            client = await node.client()
            lab = (await client.result("universe.create", name="lab"))["universe_id"]
            node.engine.fault = VerificationFailed()
            answer = await client.call("message.send", universe=lab, body="half", id="ab" * 16)
            assert answer["error"]["data"]["code"] == "internal"
            assert "start the daemon again" in answer["error"]["message"]
            # Not half a state is shown or built upon from now on.
            answer = await client.call("message.send", universe=lab, body="half", id="ab" * 16)
            assert answer is None or answer["error"]["data"]["code"] == "internal"
            with trio.fail_after(5):
                await trio.sleep_forever()
    assert caught.value.code == "internal"
    async with running(paths) as node:
        assert node.engine.messages == {}
        client = await node.client()
        assert (await client.result("message.send", universe=lab, body="half", id="ab" * 16))[
            "state"
        ] == "sent"


async def test_a_fault_of_the_store_is_answered_and_ends_the_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = home(tmp_path)
    with pytest.raises(DaemonError, match="internal error"):
        async with running(paths) as node:
            client = await node.client()
            await client.result("universe.create", name="lab")

            def fail(store: Store, batch: Batch) -> Any:
                raise ValueError("a scope that is too long")

            monkeypatch.setattr(Store, "commit", fail)
            assert await client.error("message.send", universe="lab", body="hi") == (-32000, "internal")
            with trio.fail_after(5):
                await trio.sleep_forever()
    monkeypatch.undo()
    async with running(paths) as node:
        assert node.engine.messages == {}


async def test_the_timer_wakes_the_engine(tmp_path: Path) -> None:
    async with running(home(tmp_path)) as node:
        client = await node.client()
        before = sum(isinstance(item, inputs.Wake) for item in node.engine.handled)
        await client.result("universe.join", ticket="good", wait=False)
        with trio.fail_after(5):
            while sum(isinstance(item, inputs.Wake) for item in node.engine.handled) == before:
                await trio.sleep(0.01)


async def test_addresses_seen_on_the_local_network_are_hints_for_known_peers_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(home(tmp_path)) as node:
        client = await node.client()
        told: list[Any] = []
        monkeypatch.setattr(
            node.network, "set_known_peers", lambda members, guests: told.append((members, guests))
        )
        known = KnownPeers({PEER: ("/ip4/192.0.2.1/tcp/1",)}, {})
        handle = node.engine.handle

        def with_peers(what: Any, now: int) -> Step:
            return dataclasses.replace(handle(what, now), sends=(known,))

        monkeypatch.setattr(node.engine, "handle", with_peers)
        await client.result("universe.create", name="lab")
        node.network._events.put(Discovered(b"q" * 38, ("/ip4/192.0.2.3/tcp/3",)))
        node.network._events.put(Discovered(PEER, ("/ip4/192.0.2.2/tcp/2",)))
        both = {PEER: ("/ip4/192.0.2.2/tcp/2", "/ip4/192.0.2.1/tcp/1")}
        with trio.fail_after(5):
            while (both, {}) not in told:
                await trio.sleep(0.01)
    assert told[0] == ({PEER: ("/ip4/192.0.2.1/tcp/1",)}, {})
    assert all(set(members) == {PEER} and not guests for members, guests in told)


def test_the_clock_goes_on_when_the_wall_clock_is_set() -> None:
    wall, monotonic = [5_000_000_000], [70_000_000]
    clock = Clock(lambda: wall[0], lambda: monotonic[0])
    assert clock() == 5_000
    wall[0], monotonic[0] = 1_000_000_000, 80_000_000
    assert clock() == 5_010
    monotonic[0] = 90_000_000
    assert clock() == 5_020
    wall[0] = 9_000_000_000
    assert clock() == 9_000


def test_the_clock_tells_once_that_it_was_set_far_off() -> None:
    wall, monotonic = [5_000_000_000], [70_000_000]
    clock = Clock(lambda: wall[0], lambda: monotonic[0])
    wall[0] += 3600 * 1_000_000_000
    monotonic[0] += 3600 * 1_000_000_000
    assert not clock.jumped(), "asleep"
    for jump in (90, -90):
        wall[0] += jump * 1_000_000_000
        assert clock.jumped() and not clock.jumped()
    wall[0] += 30 * 1_000_000_000
    assert not clock.jumped()


def test_every_method_has_its_handler() -> None:
    from starling.daemon.ipc.schema import METHODS

    nothing: Any = object()
    handlers = Methods(nothing, nothing, nothing, "", lambda: None).handlers
    assert handlers.keys() == METHODS.keys() and all(map(callable, handlers.values()))
    assert CONFIG.events_keep == 1000
