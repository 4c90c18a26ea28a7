"""Backups: the sealed file, and a node that is lost and comes back from one."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from tests.daemon.command_line import always, failed, starling
from tests.daemon.node import CONFIG, home, running
from tests.daemon.scripted_socket import scripted
from tests.daemon.test_recover import PATIENCE, until

from starling.daemon import account_kit, backup, data_directory
from starling.daemon.account_kit import Row, read_kit, write_kit
from starling.daemon.errors import BackupError, DaemonError, StoreError
from starling.daemon.history import History, KeptMessage
from starling.daemon.node_key import create_key_file
from starling.daemon.passphrase import SALT_SIZE, PassphraseKey
from starling.daemon.paths import Paths
from starling.daemon.store import DATABASE, Store
from starling.p2p.memory import MemoryHub
from starling.protocol.distributed.identity import Identity

PASSPHRASE = "correct horse battery"
NOW = 1_700_000_000_000


@pytest.fixture(autouse=True)
def cheap_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """What keys cost stands in the file; here it is next to nothing."""

    def generate(random: Callable[[int], bytes]) -> PassphraseKey:
        return PassphraseKey(random(SALT_SIZE), 1, 64, 1)

    monkeypatch.setattr(PassphraseKey, "generate", generate)


def kit(path: Path, rows: list[Row]) -> Path:
    write_kit(path, PASSPHRASE, rows, os.urandom)
    return path


def places(path: Path) -> Paths:
    return Paths.find(str(path), {})


# the file


@pytest.mark.parametrize("count", [0, 1, 5000])
def test_what_is_written_is_read(tmp_path: Path, count: int) -> None:
    rows: list[Row] = [["message", number, bytes(200), None] for number in range(count)]
    path = kit(tmp_path / "kit", rows)
    assert list(read_kit(path, PASSPHRASE)) == rows
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["kit"]


def test_another_passphrase_opens_nothing(tmp_path: Path) -> None:
    path = kit(tmp_path / "kit", [["word", b"secret value"]])
    assert b"secret value" not in path.read_bytes()
    with pytest.raises(BackupError, match="does not open") as caught:
        list(read_kit(path, PASSPHRASE + "!"))
    assert caught.value.code == "wrong_passphrase"
    assert PASSPHRASE not in str(caught.value)


def test_no_changed_file_is_taken_for_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account_kit, "_PIECE", 100)
    path = kit(tmp_path / "kit", [["word", bytes([number]) * 60] for number in range(6)])
    whole = path.read_bytes()
    pieces = []
    start = whole.index(b"\n", whole.index(b"\n") + 1) + 1
    at = start
    while at < len(whole):
        end = at + 4 + int.from_bytes(whole[at : at + 4])
        pieces.append(whole[at:end])
        at = end
    assert len(pieces) > 3
    head = whole[:start]
    changed = [
        head + b"".join(pieces[:-1]),
        head + b"".join(pieces[1:]),
        head + b"".join([pieces[1], pieces[0], *pieces[2:]]),
        head + b"".join([*pieces, pieces[-1]]),
        head,
        whole + b"\x00",
        whole[:-1],
        whole[: start + 2],
        b"something else\n" + whole,
        whole.replace(b"t=1", b"t=2", 1),
        whole.replace(b"argon2id", b"argon2i", 1),
        head + b"\xff\xff\xff\xff" + whole[start + 4 :],
        b"",
    ]
    changed += [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in range(start, len(whole), 37)]
    for data in changed:
        path.write_bytes(data)
        with pytest.raises(BackupError):
            list(read_kit(path, PASSPHRASE))


def test_the_name_of_a_backup_is_on_the_disk_before_it_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[bool, bool]] = []
    path = tmp_path / "kit"

    def fsync(descriptor: int) -> None:
        synced.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), path.exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    kit(path, [["word", 1]])
    assert synced == [(False, False), (True, True)]


def test_a_backup_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = kit(tmp_path / "kit", [["word", 1]])
    before = path.read_bytes()
    with pytest.raises(BackupError, match="choose another name") as caught:
        kit(path, [["word", 2]])
    assert caught.value.code == "backup.exists" and path.read_bytes() == before

    def failing() -> Any:
        yield ["word", 1]
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_kit(tmp_path / "other", PASSPHRASE, failing(), os.urandom)
    with pytest.raises(BackupError, match="cannot write"):
        kit(tmp_path / "none" / "kit", [])
    with pytest.raises(BackupError, match="cannot read"):
        list(read_kit(tmp_path / "none", PASSPHRASE))
    assert [entry.name for entry in tmp_path.iterdir()] == ["kit"]


def test_what_is_there_already_stays(tmp_path: Path) -> None:
    path, other = tmp_path / "kit", tmp_path / "kit.part"
    other.write_bytes(b"of somebody else")
    kit(path, [["word", 1]])
    assert other.read_bytes() == b"of somebody else"
    late = tmp_path / "late"

    def rows() -> Any:
        yield ["word", 1]
        late.write_bytes(b"came meanwhile")

    with pytest.raises(BackupError, match="choose another name"):
        write_kit(late, PASSPHRASE, rows(), os.urandom)
    assert late.read_bytes() == b"came meanwhile"
    link = tmp_path / "link"
    link.symlink_to("nowhere")
    with pytest.raises(BackupError, match="choose another name"):
        kit(link, [])
    assert link.is_symlink()
    assert {entry.name for entry in tmp_path.iterdir()} == {"kit", "kit.part", "late", "link"}


@pytest.mark.parametrize("name", ["/", "/tmp/a\0b"])
def test_what_names_no_file_is_refused(name: str) -> None:
    with pytest.raises(BackupError, match="not the name of a file"):
        kit(Path(name), [])


def test_only_a_file_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(BackupError, match="not a plain file"):
            list(read_kit(path, PASSPHRASE))


# a data directory made of one

_IDENTITY = ["identity", Identity.generate("Ann", os.urandom).save()]
_MESSAGE = ["message", bytes(32), bytes(32), bytes(16), 0, NOW, b"\x80", None]


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [["identity", b"no identity"]],
        [_IDENTITY, _IDENTITY],
        [_IDENTITY, ["unknown word"]],
        [_IDENTITY, []],
        [_IDENTITY, 5],
        [_IDENTITY, ["record", "universe", bytes(32)]],
        [_IDENTITY, ["record", "universe", bytes(32), b"no universe"]],
        [_IDENTITY, ["record", "contact", bytes(32), b"\xff"]],
        [_IDENTITY, ["record", "name", b"", b"\xff"]],
        [_IDENTITY, ["record", "epoch", bytes(64), b""]],
        [_IDENTITY, [*_MESSAGE[:-2], b"\x90", None]],
        [_IDENTITY, [*_MESSAGE[:-1], b"\xc1"]],
        [_IDENTITY, [*_MESSAGE[:4], 2, *_MESSAGE[5:]]],
    ],
)
def test_what_is_no_backup_makes_no_node(tmp_path: Path, rows: list[Row]) -> None:
    paths = places(tmp_path / "home")
    with pytest.raises(BackupError, match="not what a backup holds"):
        data_directory.restore(paths, kit(tmp_path / "kit", rows), PASSPHRASE, now=NOW)
    data_directory.restore(paths, kit(tmp_path / "good", [_IDENTITY, _MESSAGE]), PASSPHRASE, now=NOW)


def test_there_is_one_identity_in_a_directory(tmp_path: Path) -> None:
    paths = home(tmp_path)
    key = paths.key_file.read_bytes()
    with pytest.raises(DaemonError, match="there is an identity"):
        data_directory.restore(paths, kit(tmp_path / "kit", [_IDENTITY]), PASSPHRASE, now=NOW)
    assert paths.key_file.read_bytes() == key


async def test_a_restore_that_was_cut_short_begins_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = places(tmp_path / "home")
    path = kit(tmp_path / "kit", [_IDENTITY, _MESSAGE])

    def cut(*_: Any) -> None:
        raise KeyboardInterrupt

    for function in (Path.rename, Path.rmdir):
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(Path, function.__name__, cut)
            data_directory.restore(paths, path, PASSPHRASE, now=NOW)
        if function is Path.rename:
            with pytest.raises(DaemonError, match="no store"):
                async with running(paths):
                    pass
    async with running(paths, real=True) as node:
        assert (await (await node.client()).result("profile.get"))["name"] == "Ann"


def test_what_the_new_database_does_not_hold_itself_is_no_restored_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a full disk: what SQLite could not put into the database is lost with the WAL."""
    paths = places(tmp_path / "home")
    path = kit(tmp_path / "kit", [_IDENTITY, _MESSAGE])
    held: list[Store] = []

    def leave_open(store: Store) -> None:
        held.append(store)

    with monkeypatch.context() as patched:
        patched.setattr(Store, "close", leave_open)
        with pytest.raises(StoreError, match="is there room"):
            data_directory.restore(paths, path, PASSPHRASE, now=NOW)
    held[0].close()
    assert not (paths.data / DATABASE).exists()
    data_directory.restore(paths, path, PASSPHRASE, now=NOW)


@pytest.mark.parametrize("again", ["init", "restore"])
def test_the_wal_of_an_init_that_was_cut_short_goes(tmp_path: Path, again: str) -> None:
    paths = places(tmp_path / "home")
    paths.data.mkdir(mode=0o700)
    with closing(sqlite3.connect(tmp_path / DATABASE)) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("CREATE TABLE left_over (value)")
        for name in (DATABASE, DATABASE + "-wal"):
            shutil.copy(tmp_path / name, paths.data / name)
    if again == "init":
        data_directory.init(paths, "Ann")
    else:
        data_directory.restore(paths, kit(tmp_path / "kit", [_IDENTITY, _MESSAGE]), PASSPHRASE, now=NOW)
    with closing(sqlite3.connect(paths.data / DATABASE)) as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
    assert "history" in tables and "left_over" not in tables


def test_an_init_of_which_only_the_wal_tells_is_one(tmp_path: Path) -> None:
    paths = places(tmp_path / "home")
    paths.data.mkdir(mode=0o700)
    key = create_key_file(paths.key_file, os.urandom)
    with closing(sqlite3.connect(paths.data / DATABASE)) as other:
        other.execute("PRAGMA journal_mode = WAL")
        # As long as another connection has read, closing the last but one leaves the WAL as it is.
        assert other.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
        Store.create(paths.data, key, Identity.generate("Ann", os.urandom).save(), os.urandom)
        assert (paths.data / DATABASE).read_bytes()[60:64] == bytes(4)
        with pytest.raises(DaemonError, match="there is an identity"):
            data_directory.init(paths, "Ann")
        with pytest.raises(DaemonError, match="there is an identity"):
            data_directory.restore(paths, kit(tmp_path / "kit", [_IDENTITY]), PASSPHRASE, now=NOW)
    assert Identity.load(Store(paths.data, key).identity()).name == "Ann"


def test_what_is_shown_of_a_backup(tmp_path: Path) -> None:
    path = kit(
        tmp_path / "kit",
        [_IDENTITY, ["record", "name", b"", b"Anna"], ["record", "contact", b"k", b"secret"]],
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
    path = kit(tmp_path / "kit", [_IDENTITY, _MESSAGE])
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
