"""Messages to one member over the socket: three whole daemons with real engines, the network in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import trio
from tests.daemon.node import CONFIG, Client, home, running
from tests.daemon.test_recover import PATIENCE, until

from starling.p2p.memory import MemoryHub

ID = "ab" * 16


@asynccontextmanager
async def _three(tmp_path: Path) -> AsyncIterator[list[Client]]:
    """Ann, Ben and Cem, members of one universe, who are in each other's groups."""
    hub = MemoryHub()
    async with AsyncExitStack() as stack:
        clients = []
        for name in ("Ann", "Ben", "Cem"):
            node = await stack.enter_async_context(
                running(home(tmp_path / name, name), CONFIG, hub, real=True)
            )
            clients.append(await node.client())
        ann = clients[0]
        await ann.result("universe.create", name="lab")
        ticket = (await ann.result("invite.create", universe="lab", uses=2))["ticket"]
        for other in clients[1:]:
            joined = await other.result("universe.join", ticket=ticket, timeout=PATIENCE)
            assert joined["state"] == "joined"
        for client in clients:
            await until(
                client,
                "universe.get",
                lambda shown: shown["converged"] and shown["send_groups"] == 3,
                universe="lab",
            )
        yield clients


async def _identity(client: Client) -> str:
    identity: str = (await client.result("profile.get"))["identity"]
    return identity


async def _history(client: Client, count: int) -> list[dict[str, Any]]:
    shown = await until(
        client, "message.history", lambda page: len(page["messages"]) >= count, universe="lab"
    )
    messages: list[dict[str, Any]] = shown["messages"]
    return messages


async def test_a_message_to_one_member_reaches_it_alone_and_is_marked(tmp_path: Path) -> None:
    async with _three(tmp_path) as (ann, ben, cem):
        bens = await _identity(ben)
        await ben.result("events.subscribe", kinds=["message.received"], cursor="app")
        sent = await ann.result("message.send", universe="lab", body="for Ben", to="Ben", id=ID)
        assert (sent["state"], sent["recipients"]) == ("sent", 1)
        await ann.result("message.send", universe="lab", body="for all")
        own, common = await _history(ann, 2)
        assert (own["body"], own["to"], own["to_name"], own["state"]) == ("for Ben", bens, "Ben", "sent")
        assert (common["to"], common["own"]) == (None, True)
        got, also = await _history(ben, 2)
        assert (got["body"], got["to"], got["id"], got["own"]) == ("for Ben", bens, ID, False)
        assert (also["body"], also["to"]) == ("for all", None)
        (only,) = await _history(cem, 1)
        assert only["body"] == "for all"
        with trio.fail_after(PATIENCE):
            told = await ben.event()
        assert (told["body"]["body"], told["body"]["to"]) == ("for Ben", bens)


async def test_who_is_meant_is_found_by_name_petname_or_identity_and_said_where_nobody_is(
    tmp_path: Path,
) -> None:
    async with _three(tmp_path) as (ann, ben, cem):
        bens, anns = await _identity(ben), await _identity(ann)
        await ann.result("member.name", universe="lab", member="Ben", petname="neighbour")
        for number, to in enumerate(("neighbour", bens, bens[:12])):
            sent = await ann.result("message.send", universe="lab", body=str(number), to=to)
            assert sent["recipients"] == 1
        assert [message["body"] for message in await _history(ben, 3)] == ["0", "1", "2"]
        assert (await _history(ann, 3))[0]["to_name"] == "neighbour"
        for to, code in (("Dan", "member.unknown"), (anns, "recipient.self"), ("Ann", "recipient.self")):
            refused = await ann.error("message.send", universe="lab", body="x", to=to)
            assert refused == (-32000, code), to
        assert await ann.error("message.send", universe="lab", body="x", to="") == (-32602, "bad_params")
        assert await ann.error("message.send", universe="lab", body="x", to=7) == (-32602, "bad_params")
        await ann.result("message.send", universe="lab", body="y", to="neighbour", id=ID)
        for other in ({"to": "Cem"}, {}):
            again = await ann.error("message.send", universe="lab", body="y", id=ID, **other)
            assert again == (-32000, "id_used")
        assert len((await ann.result("message.history", universe="lab"))["messages"]) == 4
        assert not (await cem.result("message.history", universe="lab"))["messages"]


async def test_what_cannot_be_sent_any_more_is_told_and_stays_in_the_history(tmp_path: Path) -> None:
    """Its recipient is blocked while the message waits for the boot commit."""
    hub = MemoryHub()
    ann_home = home(tmp_path / "a")
    async with running(home(tmp_path / "b", "Ben"), CONFIG, hub, real=True) as ben_node:
        ben = await ben_node.client()
        async with running(ann_home, CONFIG, hub, real=True) as ann_node:
            ann = await ann_node.client()
            await ann.result("universe.create", name="lab")
            ticket = (await ann.result("invite.create", universe="lab"))["ticket"]
            await ben.result("universe.join", ticket=ticket, timeout=PATIENCE)
            await until(ann, "universe.get", lambda shown: shown["converged"], universe="lab")
        await until(
            ben,
            "member.list",
            lambda held: not held["members"][0]["connected"] or not held["members"][1]["connected"],
            universe="lab",
        )
        await ben.result("universe.recover", universe="lab")
        queued = await ben.result("message.send", universe="lab", body="hi", to="Ann", id=ID, wait=False)
        assert queued["state"] == "queued"
        await ben.result("events.subscribe", kinds=["message.undelivered"], cursor="app")
        await ben.result("member.block", universe="lab", member="Ann")
        with trio.fail_after(PATIENCE):
            told = (await ben.event())["body"]
        assert (told["id"], told["to_name"], told["reason"]) == (ID, "Ann", "blocked")
        (kept,) = await _history(ben, 1)
        assert (kept["state"], kept["reason"], kept["to_name"]) == ("undelivered", "blocked", "Ann")
        again = await ben.result("message.send", universe="lab", body="hi", to="Ann", id=ID)
        assert again["state"] == "undelivered"
        refused = await ben.error("message.send", universe="lab", body="more", to="Ann")
        assert refused == (-32000, "member.blocked")
