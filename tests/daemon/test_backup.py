"""Backups of a running node: what they hold, and a node that is lost and comes back from one."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import trio
from tests.daemon.command_line import always, failed, starling
from tests.daemon.kits import IDENTITY, MESSAGE, NOW, PASSPHRASE, kit, places
from tests.daemon.node import CONFIG, home, running
from tests.daemon.scripted_socket import scripted
from tests.daemon.test_recover import PATIENCE, until

from starling.daemon import backup, data_directory
from starling.daemon.history import History, KeptMessage
from starling.daemon.store import DATABASE
from starling.p2p.memory import MemoryHub

pytestmark = pytest.mark.usefixtures("cheap_keys")


def test_what_is_shown_of_a_backup(tmp_path: Path) -> None:
    path = kit(
        tmp_path / "kit",
        [IDENTITY, ["record", "name", b"", b"Anna"], ["record", "contact", b"k", b"secret"]],
    )
    contents = backup.read(path, PASSPHRASE)
    assert contents.identity.name == "Anna"
    assert "secret" not in repr(contents)


async def test_of_a_damaged_store_no_backup_is_made(tmp_path: Path) -> None:
    paths = home(tmp_path)
    async with running(paths, real=True) as node:
        client = await node.client()
        await client.result("universe.create", name="lab")
        with closing(sqlite3.connect(paths.data / DATABASE)) as other:
            other.execute("UPDATE records SET value = zeroblob(length(value)) WHERE tbl = 'universe'")
            other.commit()
        refused = await client.error("backup.export", path=str(tmp_path / "kit"), passphrase=PASSPHRASE)
        assert refused == (-32000, "store")
    assert [entry.name for entry in tmp_path.iterdir()] == ["home"]


async def test_the_daemon_ends_without_waiting_for_a_backup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = KeptMessage(bytes(32), bytes(32), bytes(16), 0, NOW, b"\x80", None)

    def endless(_: History) -> Iterator[KeptMessage]:
        while True:
            begun.set()
            time.sleep(0.01)
            yield kept

    begun = threading.Event()
    monkeypatch.setattr(History, "all_kept", endless)
    place = tmp_path / "place"
    place.mkdir()
    with trio.fail_after(PATIENCE):
        async with running(home(tmp_path), real=True) as node, trio.open_nursery() as nursery:
            client = await node.client()
            nursery.start_soon(
                partial(client.call, "backup.export", path=str(place / "kit"), passphrase=PASSPHRASE)
            )
            await trio.to_thread.run_sync(begun.wait)
            assert list(place.iterdir())
            node.scope.cancel()
            await node.ended.wait()
            nursery.cancel_scope.cancel()
    assert not list(place.iterdir())


async def test_a_lost_node_comes_back(tmp_path: Path) -> None:
    hub = MemoryHub()
    ann_home, ben_home = home(tmp_path / "a"), home(tmp_path / "b", "Ben")
    path = tmp_path / "ben.kit"
    async with running(ann_home, CONFIG, hub, real=True) as ann_node:
        ann = await ann_node.client()
        await ann.result("universe.create", name="lab")
        ticket = (await ann.result("invite.create", universe="lab"))["ticket"]
        async with running(ben_home, CONFIG, hub, real=True) as ben_node:
            ben = await ben_node.client()
            await ben.result("universe.join", ticket=ticket, timeout=PATIENCE)
            await until(ben, "universe.get", lambda shown: shown["converged"], universe="lab")
            await ann.result("message.send", universe="lab", body="from Ann")
            await ben.result("message.send", universe="lab", body="from Ben")
            await until(ben, "message.history", lambda held: len(held["messages"]) == 2, universe="lab")
            assert (await ben.result("daemon.status"))["last_backup"] is None
            made = await ben.result("backup.export", path=str(path), passphrase=PASSPHRASE)
            assert (made["messages"], made["bytes"]) == (2, path.stat().st_size)
            assert (await ben.result("daemon.status"))["last_backup"] == made["time"]
            again = await ben.error("backup.export", path=str(path), passphrase=PASSPHRASE)
            assert again == (-32000, "backup.exists")
            assert await ben.error("backup.export", path="ben.kit", passphrase=PASSPHRASE) == (-32000, "path")
            me = (await ben.result("profile.get"))["identity"]
            before = (await ben.result("message.history", universe="lab"))["messages"]
        await ann.result("message.send", universe="lab", body="while he is away")
        new_home = places(tmp_path / "new")
        restored = data_directory.restore(
            new_home, path, PASSPHRASE, now=before[-1]["time"] + 1000, passphrase="another one"
        )
        assert (restored.identity.name, restored.messages) == ("Ben", 2)
        async with running(new_home, CONFIG, hub, real=True, ask_passphrase=lambda: "another one") as node:
            ben = await node.client()
            assert (await ben.result("profile.get"))["identity"] == me
            assert (await ben.result("message.history", universe="lab"))["messages"] == before
            await ben.result("message.send", universe="lab", body="back", wait=False)
            shown = await ben.result("universe.get", universe="lab")
            assert shown["state"] == "asking"
            await until(
                ann,
                "member.list",
                lambda held: any(member["asks_again"] for member in held["members"]),
                universe="lab",
            )
            await ann.result("member.readmit", universe="lab", member=me, verification=shown["verification"])
            page = await until(
                ben, "message.history", lambda held: len(held["messages"]) == 4, universe="lab"
            )
            said = {message["body"] for message in page["messages"]}
            assert said == {"from Ann", "from Ben", "back", "while he is away"}
            with trio.fail_after(PATIENCE):
                await until(
                    ann,
                    "message.history",
                    lambda held: [message["body"] for message in held["messages"]].count("back") == 1,
                    universe="lab",
                )


async def test_an_archiver_has_nothing_to_back_up(tmp_path: Path) -> None:
    config = replace(CONFIG, node_role="archiver")
    async with running(home(tmp_path), config, real=True) as node:
        client = await node.client()
        refused = await client.error("backup.export", path=str(tmp_path / "kit"), passphrase=PASSPHRASE)
        assert refused == (-32000, "role")


def test_the_commands(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.touch(0o600)
    secret.write_text(PASSPHRASE + "\n")
    path = kit(tmp_path / "kit", [IDENTITY, MESSAGE])
    target = tmp_path / "home"
    opened = ("--backup-passphrase-file", str(secret))
    failed(starling(target, "restore", str(tmp_path / "none"), *opened), 1, "cannot read the backup")
    failed(starling(target, "restore", str(path)), 1, "--backup-passphrase-file")
    done = starling(target, "restore", str(path), *opened, "--json")
    made = json.loads(done.stdout)
    assert (made["name"], made["messages"], made["passphrase"]) == ("Ann", 1, False)
    failed(starling(target, "restore", str(path), *opened), 1, "there is an identity")
    failed(starling(target, "backup", str(tmp_path / "new"), *opened), 3)
    with scripted(tmp_path / "scripted", always({"messages": 3, "bytes": 500})) as served:
        done = starling(tmp_path / "scripted", "backup", str(tmp_path / "new"), *opened)
    assert done.stdout.startswith(f"backed up to {tmp_path / 'new'}: 3 messages, 500 bytes")
    assert served.calls("backup.export") == [{"path": str(tmp_path / "new"), "passphrase": PASSPHRASE}]
