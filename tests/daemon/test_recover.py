"""Starting anew over the socket: two whole daemons with real engines, the network in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import trio
from tests.daemon.node import CONFIG, Client, Node, home, running

from starling.p2p.memory import MemoryHub

PATIENCE = 60


async def until(client: Client, method: str, is_so: Callable[[Any], Any], **params: Any) -> Any:
    """Ask until the answer is what is waited for."""
    with trio.fail_after(PATIENCE):
        while not is_so(answer := await client.result(method, **params)):
            await trio.sleep(0.05)
    return answer


@asynccontextmanager
async def ann_and_ben(tmp_path: Path, readmit: str) -> AsyncIterator[tuple[Node, Client, Client]]:
    """Ann has founded a universe and Ben has joined it: (Ann's node, Ann's client, Ben's client)."""
    hub = MemoryHub()
    config = replace(CONFIG, universe_readmit=readmit)
    ann_home, ben_home = home(tmp_path / "a"), home(tmp_path / "b", "Ben")
    async with (
        running(ann_home, config, hub, real=True) as ann_node,
        running(ben_home, CONFIG, hub, real=True) as ben_node,
    ):
        ann, ben = await ann_node.client(), await ben_node.client()
        await ann.result("universe.create", name="lab")
        ticket = (await ann.result("invite.create", universe="lab"))["ticket"]
        joined = await ben.result("universe.join", ticket=ticket, timeout=PATIENCE)
        assert joined["state"] == "joined"
        await until(ben, "universe.get", lambda shown: shown["converged"], universe="lab")
        yield ann_node, ann, ben


async def test_a_member_is_admitted_anew_by_the_number(tmp_path: Path) -> None:
    async with ann_and_ben(tmp_path, "confirm") as (_, ann, ben):
        me = (await ben.result("profile.get"))["identity"]
        asked = await ben.result("universe.recover", universe="lab")
        shown = await ben.result("universe.get", universe="lab")
        assert (shown["state"], shown["verification"]) == ("asking", asked["verification"])
        assert (await ben.result("message.send", universe="lab", body="queued", wait=False))[
            "state"
        ] == "queued"
        members = await until(
            ann,
            "member.list",
            lambda held: any(member["asks_again"] for member in held["members"]),
            universe="lab",
        )
        (digits,) = next(member["asks_again"] for member in members["members"] if member["identity"] == me)
        assert digits == asked["verification"]
        events = (await ann.result("events.list", kinds=["member.asks_again"]))["events"]
        assert [event["body"]["verification"] for event in events] == [digits]
        wrong = {"universe": "lab", "member": me, "verification": "0" * 12}
        assert await ann.error("member.readmit", **wrong) == (-32000, "readmit.verification")
        wrong["member"] = "00" * 32
        assert await ann.error("member.readmit", **wrong) == (-32000, "member.unknown")
        grouped = f"{digits[:4]} {digits[4:8]} {digits[8:]}"
        await ann.result("member.readmit", universe="lab", member=me, verification=grouped)
        page = await until(ann, "message.history", lambda held: len(held["messages"]) > 1, universe="lab")
        notice, message = page["messages"]
        assert (notice["notice"], notice["sender"], notice["reason"]) == ("member.key_changed", me, "keys")
        assert message["body"] == "queued" and "notice" not in message
        assert (await ben.result("universe.get", universe="lab"))["state"] == "active"


async def test_the_configuration_lets_nobody_be_asked(tmp_path: Path) -> None:
    async with ann_and_ben(tmp_path, "automatic") as (_, ann, ben):
        await ben.result("universe.recover", universe="lab")
        await ben.result("message.send", universe="lab", body="queued", timeout=PATIENCE)
        page = await until(ann, "message.history", lambda held: len(held["messages"]) > 1, universe="lab")
        assert page["messages"][-1]["body"] == "queued"
        assert not (await ann.result("events.list", kinds=["member.asks_again"]))["events"]
