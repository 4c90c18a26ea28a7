"""A new data directory: with a new identity, or from a backup."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from starling.daemon import backup
from starling.daemon.errors import DaemonError, StoreError
from starling.daemon.lock import single_writer
from starling.daemon.node_key import create_key_file
from starling.daemon.paths import Paths, private_directory, sync_directory
from starling.daemon.store import DATABASE, SLOTS, Store
from starling.protocol.distributed.identity import Identity

_UNFINISHED = "restoring"
_WAL, _SHARED = DATABASE + "-wal", DATABASE + "-shm"


def init(paths: Paths, name: str, passphrase: str | None = None) -> Identity:
    """Make the data directory, the key file and an identity; with a passphrase the key file alone opens nothing.

    Raises DaemonError, UsageError for a bad name.
    """
    identity = Identity.generate(name, os.urandom)
    with _new(paths):
        node_key = create_key_file(paths.key_file, os.urandom, passphrase)
        Store.create(paths.data, node_key, identity.save(), os.urandom)
    return identity


def restore(
    paths: Paths,
    file: Path,
    opened_by: str,
    *,
    now: int,
    passphrase: str | None = None,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> backup.Contents:
    """Make a data directory as `init` does, of a backup that the passphrase `opened_by` opens; whole or not at all.

    Raises DaemonError; for a bad backup nothing is made.
    """
    contents = backup.read(file, opened_by)
    with _new(paths):
        node_key = create_key_file(paths.key_file, os.urandom, passphrase)
        unfinished = private_directory(paths.data / _UNFINISHED, create=True)
        Store.create(unfinished, node_key, contents.identity.save(), os.urandom)
        store = Store(unfinished, node_key)
        try:
            backup.fill(
                store,
                contents,
                file,
                opened_by,
                now=now,
                random=os.urandom,
                progress=lambda done: progress(done, contents.messages),
            )
        finally:
            store.close()
        _finish(paths.data, unfinished)
    return contents


def _finish(data: Path, unfinished: Path) -> None:
    try:
        if (unfinished / _WAL).exists():
            raise StoreError(f"cannot finish the store in {data}: is there room on the disk? Try again")
        # The database last: without it there is no store, and restoring can begin again.
        for name in (SLOTS, DATABASE):
            (unfinished / name).rename(data / name)
        sync_directory(data)
        unfinished.rmdir()
    except OSError as error:
        raise StoreError(f"cannot finish the store in {data}: {error.strerror}") from None


@contextmanager
def _new(paths: Paths) -> Iterator[None]:
    """Make the directory, and keep others out, where there is no store yet."""
    private_directory(paths.data, create=True)
    with single_writer(paths.lock):
        if (paths.data / DATABASE).exists() and _is_store(paths.data / DATABASE):
            raise DaemonError(f"there is an identity in {paths.data} already; use it, or another --home")
        # What was cut short opens nothing yet; a WAL of it would be taken for that of the new database.
        for path in (paths.key_file, *(paths.data / name for name in (DATABASE, _WAL, _SHARED, SLOTS))):
            path.unlink(missing_ok=True)
        shutil.rmtree(paths.data / _UNFINISHED, ignore_errors=True)
        yield


def _is_store(path: Path) -> bool:
    # An init that was cut short leaves a database without tables. What it did at the end may be in the WAL alone. A
    # store that lacks its key slots is one all the same: they may be put back, and are of no use without the key file.
    try:
        with closing(sqlite3.connect(path)) as database:
            return bool(database.execute("PRAGMA user_version").fetchone() != (0,))
    except sqlite3.Error:
        return True
