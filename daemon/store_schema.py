"""The tables of the store, its version, and the texts of what can be wrong with it."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

from starling.daemon.errors import StoreError

APPLICATION_ID = 0x53544C47
VERSION = 3
KEY_SCHEDULE = "punctured"
"""How the engine's epochs derive their secrets; a store of another kind cannot be continued."""

TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE scopes (slot INTEGER PRIMARY KEY, name BLOB NOT NULL UNIQUE);
CREATE TABLE records (tbl TEXT NOT NULL, key BLOB NOT NULL, slot INTEGER NOT NULL,
  value BLOB NOT NULL, UNIQUE (tbl, key));
CREATE INDEX records_of_scope ON records (slot) WHERE slot > 1;
CREATE TABLE frames (id BLOB NOT NULL UNIQUE, value BLOB NOT NULL);
CREATE TABLE events (seq INTEGER PRIMARY KEY, time INTEGER NOT NULL, kind TEXT NOT NULL,
  universe BLOB NOT NULL, body BLOB NOT NULL);
CREATE TABLE cursors (name TEXT PRIMARY KEY, seq INTEGER NOT NULL, time INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE history (number INTEGER PRIMARY KEY, universe BLOB NOT NULL, sender BLOB NOT NULL,
  id BLOB NOT NULL, own INTEGER NOT NULL,
  time INTEGER NOT NULL, body BLOB NOT NULL, sent BLOB, UNIQUE (universe, id, sender));
CREATE INDEX history_of_universe ON history (universe, number);
"""


BEGIN_ANEW = "begin anew with another --home, by 'starling restore' of a backup or by a new ticket"
"""What can be done about a store that is lost: an old copy of it would be taken for a thief's."""


def explain(error: sqlite3.Error | OSError, path: Path) -> StoreError:
    """The line for a person, for whatever SQLite or the system said about the store."""
    if isinstance(error, OSError):
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return disk_full(path)
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            return read_only(path)
        return StoreError(f"cannot use the store {path}: {error.strerror}")
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return disk_full(path)
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
        return read_only(path)
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return StoreError(f"the store {path} is damaged; {BEGIN_ANEW}")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreError(f"another program has the store {path} open; close it and start again")
    return StoreError(f"cannot use the store {path}: {error}")


def disk_full(path: Path) -> StoreError:
    return StoreError(
        f"the disk that holds {path} is full; free some space and start the daemon again, "
        "nothing is half saved",
        "disk_full",
    )


def read_only(path: Path) -> StoreError:
    return StoreError(
        f"the store {path} cannot be written; "
        "check its owner, its mode and whether its disk is mounted read-only",
        "read_only",
    )


def check_kind(database: sqlite3.Connection, path: Path) -> None:
    """Refuse a database that is not a store, or a store of another version or key schedule."""
    (application,) = database.execute("PRAGMA application_id").fetchone()
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if application == 0 and version == 0:
        raise StoreError(f"{path} is not finished; run 'starling init' again", "not_initialised")
    if application != APPLICATION_ID:
        raise StoreError(f"{path} is not a store of starling; choose another directory with --home")
    if version != VERSION:
        raise StoreError(
            f"{path} is a store of version {version}, this starling reads version {VERSION}; "
            "use the starling that made it, or begin anew with another --home"
        )
    query = "SELECT CAST(value AS TEXT) FROM meta WHERE key = 'key_schedule'"
    (found,) = database.execute(query).fetchone() or ("none",)
    if found != KEY_SCHEDULE:
        raise StoreError(
            f"{path} was made for the key schedule {found!r}, this starling has {KEY_SCHEDULE!r}; "
            "use the starling that made it, or begin anew with another --home"
        )
