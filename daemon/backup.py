"""What goes into a backup, and how a store is filled from one (PROTOCOL 5.6 B8)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgpack

from starling.daemon.account_kit import Row, read_kit, write_kit
from starling.daemon.errors import BackupError
from starling.daemon.history import KeptMessage
from starling.daemon.sealing import Unsealable
from starling.daemon.store import Batch, Snapshot, Store
from starling.protocol.distributed.identity import Identity
from starling.protocol.engine.step import Put
from starling.protocol.errors import DecodeError, UsageError
from starling.protocol.packed import Blob, Either, Text, Uint, shape

if TYPE_CHECKING:
    from starling.protocol.engine.account import Record

AccountOf = Callable[[Iterable["Record"]], Iterator["Record"]]
Random = Callable[[int], bytes]

_BATCH = 1000
_MAX_VALUE = 4 * 1024 * 1024
_SHAPES: dict[str, Any] = {
    "identity": (Blob(1024),),
    "record": (Text(32), Blob(256), Blob(_MAX_VALUE)),
    "message": (
        Blob.of(32), Blob.of(32), Blob.of(16), Uint(1), Uint(),
        Blob(_MAX_VALUE), Either(None, Blob(_MAX_VALUE)),
    ),
}  # fmt: skip


@dataclass(slots=True)
class Contents:
    """What a backup holds but the messages, which are many: these are counted."""

    identity: Identity
    records: list[Record] = field(repr=False)
    messages: int


def export(
    snapshot: Snapshot,
    of_account: AccountOf,
    path: Path,
    passphrase: str,
    random: Random,
    go_on: Callable[[], None] = lambda: None,
) -> dict[str, int]:
    """Write the backup of a store to a new file: how many messages it holds, and its size in bytes.

    Blocks for as long as that takes; `go_on` is called now and then, and may raise to end it: then nothing is left of
    it. Raises BackupError.
    """
    messages = 0

    def rows() -> Iterator[Row]:
        nonlocal messages
        yield ["identity", snapshot.identity]
        for record in of_account(snapshot.records()):
            go_on()
            yield ["record", *record]
        for kept in snapshot.history.all_kept():
            go_on()
            yield ["message", *kept]
            messages += 1

    try:
        size = write_kit(path, passphrase, rows(), random)
    except (sqlite3.Error, Unsealable):
        raise BackupError(
            "the store is damaged, or its disk is, so no backup of it was made", "store"
        ) from None
    return {"messages": messages, "bytes": size}


def read(path: Path, passphrase: str) -> Contents:
    """Look through a whole backup. Raises BackupError where anything in it is not as it should be."""
    identity: Identity | None = None
    records: list[Record] = []
    messages = 0
    for word, values in _checked(read_kit(path, passphrase)):
        if word == "identity" and identity is None:
            identity = _identity(values[0])
        elif word == "record":
            records.append(values)
        elif word == "message":
            messages += 1
        else:
            raise _malformed()
    if identity is None:
        raise _malformed()
    for table, _, value in records:
        if table == "name":
            identity = _renamed(identity, value)
    return Contents(identity, records, messages)


def _renamed(identity: Identity, name: bytes) -> Identity:
    try:
        return replace(identity, name=name.decode())
    except (UnicodeDecodeError, UsageError):
        raise _malformed() from None


def fill(
    store: Store,
    contents: Contents,
    path: Path,
    passphrase: str,
    *,
    now: int,
    random: Random,
    progress: Callable[[int], None],
) -> None:
    """Put a backup into a new store, which has its identity already; `progress` is told how many messages are in it.

    Raises BackupError, StoreError.
    """
    # The whole engine, which those who only make a backup, or a new identity, need not wait for.
    from starling.protocol.engine.account import from_account

    try:
        step = from_account(contents.identity, contents.records, now=now, random=random)
    except (DecodeError, UsageError, ValueError):
        raise _malformed() from None
    puts = [Put(table, key, value) for table, key, value in contents.records]
    store.commit(Batch(now, writes=[*puts, *step.writes]))
    done = 0
    gathered: list[KeptMessage] = []
    for word, values in _checked(read_kit(path, passphrase)):
        if word == "message":
            gathered.append(KeptMessage(*values))
        if len(gathered) == _BATCH:
            store.commit(Batch(now, put_back=gathered))
            done += len(gathered)
            progress(done)
            gathered = []
    store.commit(Batch(now, events=list(step.events), put_back=gathered))
    progress(done + len(gathered))


def _checked(rows: Iterable[Row]) -> Iterator[tuple[str, Any]]:
    for row in rows:
        if not (isinstance(row, list) and row and isinstance(row[0], str) and row[0] in _SHAPES):
            raise _malformed()
        try:
            values = tuple(shape(row[1:], _SHAPES[row[0]]))
            if row[0] == "message":
                for packed in filter(None, values[-2:]):
                    _check_map(packed)
        except DecodeError:
            raise _malformed() from None
        yield row[0], values


def _check_map(packed: bytes) -> None:
    try:
        value = msgpack.unpackb(packed, raw=False)
    except (ValueError, msgpack.exceptions.UnpackException):
        raise _malformed() from None
    if not isinstance(value, dict):
        raise _malformed()


def _identity(record: bytes) -> Identity:
    try:
        return Identity.load(record)
    except DecodeError:
        raise _malformed() from None


def _malformed() -> BackupError:
    return BackupError(
        "this is not what a backup holds; it was made by another version of starling, or by something else"
    )
