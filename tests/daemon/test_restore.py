"""A data directory that is made of a backup: whole, or not at all."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.daemon.kits import IDENTITY, MESSAGE, NOW, PASSPHRASE, kit, places
from tests.daemon.node import home, running

from starling.daemon import data_directory
from starling.daemon.account_kit import Row
from starling.daemon.errors import BackupError, DaemonError, StoreError
from starling.daemon.node_key import create_key_file
from starling.daemon.store import DATABASE, Store
from starling.protocol.distributed.identity import Identity

pytestmark = pytest.mark.usefixtures("cheap_keys")


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [["identity", b"no identity"]],
        [IDENTITY, IDENTITY],
        [IDENTITY, ["unknown word"]],
        [IDENTITY, []],
        [IDENTITY, 5],
        [IDENTITY, ["record", "universe", bytes(32)]],
        [IDENTITY, ["record", "universe", bytes(32), b"no universe"]],
        [IDENTITY, ["record", "contact", bytes(32), b"\xff"]],
        [IDENTITY, ["record", "name", b"", b"\xff"]],
        [IDENTITY, ["record", "epoch", bytes(64), b""]],
        [IDENTITY, [*MESSAGE[:-2], b"\x90", None]],
        [IDENTITY, [*MESSAGE[:-1], b"\xc1"]],
        [IDENTITY, [*MESSAGE[:4], 2, *MESSAGE[5:]]],
    ],
)
def test_what_is_no_backup_makes_no_node(tmp_path: Path, rows: list[Row]) -> None:
    paths = places(tmp_path / "home")
    with pytest.raises(BackupError, match="not what a backup holds"):
        data_directory.restore(paths, kit(tmp_path / "kit", rows), PASSPHRASE, now=NOW)
    data_directory.restore(paths, kit(tmp_path / "good", [IDENTITY, MESSAGE]), PASSPHRASE, now=NOW)


def test_there_is_one_identity_in_a_directory(tmp_path: Path) -> None:
    paths = home(tmp_path)
    key = paths.key_file.read_bytes()
    with pytest.raises(DaemonError, match="there is an identity"):
        data_directory.restore(paths, kit(tmp_path / "kit", [IDENTITY]), PASSPHRASE, now=NOW)
    assert paths.key_file.read_bytes() == key


async def test_a_restore_that_was_cut_short_begins_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = places(tmp_path / "home")
    path = kit(tmp_path / "kit", [IDENTITY, MESSAGE])

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
    path = kit(tmp_path / "kit", [IDENTITY, MESSAGE])
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
        data_directory.restore(paths, kit(tmp_path / "kit", [IDENTITY, MESSAGE]), PASSPHRASE, now=NOW)
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
            data_directory.restore(paths, kit(tmp_path / "kit", [IDENTITY]), PASSPHRASE, now=NOW)
    assert Identity.load(Store(paths.data, key).identity()).name == "Ann"
