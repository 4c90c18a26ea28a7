"""What a node keeps: SQLite in WAL mode, synchronous FULL, rows sealed, one transaction for each batch.

Order of a commit: new key slots are written and synced, then the transaction, then the slots of erased
scopes are overwritten. At the start, slots that no row of `scopes` names are overwritten: they are left of a
crash between two of these. So an erased key never comes back, and a kept row never lacks its key.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from starling.daemon.errors import StoreError
from starling.daemon.event_log import EventLog, StoredEvent
from starling.daemon.history import History, KeptMessage, OwnMessage
from starling.daemon.key_slots import KeySlots
from starling.daemon.paths import sync_directory
from starling.daemon.sealing import KEY_SIZE, Nonces, Sealer, Unsealable
from starling.daemon.store_schema import (
    APPLICATION_ID,
    BEGIN_ANEW,
    KEY_SCHEDULE,
    TABLES,
    VERSION,
    check_kind,
    explain,
)
from starling.protocol.engine.step import Delete, EraseScope, Event, Put, Write

DATABASE = "starling.db"
SLOTS = "keys"
FRAME_TABLE = "frame"
MAX_SCOPE = 64

_LASTING, _HISTORY = 0, 1
_SET_NOTE = "INSERT OR REPLACE INTO meta VALUES (?, ?)"
_RESERVED = {_LASTING: b"lasting", _HISTORY: b"history"}


@dataclass(slots=True)
class Batch:
    """What one transaction saves: writes and events of some Steps in order, own messages and those of a backup, moved
    cursors, the daemon's notes."""

    now: int
    writes: list[Write] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    messages: list[OwnMessage] = field(default_factory=list)
    put_back: list[KeptMessage] = field(default_factory=list)
    cursors: dict[str, int] = field(default_factory=dict)
    notes: dict[str, bytes] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return any((self.writes, self.events, self.messages, self.put_back, self.cursors, self.notes))


class Store:
    """An open store. `commit` may run in a worker thread; everything else is for one other thread.

    `events` and `history` read what was committed.
    """

    def __init__(self, directory: Path, node_key: bytes, *, keep_events: int = 100_000) -> None:
        """Open what `create` made. Raises StoreError, with a line for people."""
        self.path = directory / DATABASE
        self._keep_events = keep_events
        self._nonces = Nonces()
        if not self.path.exists():
            raise StoreError(
                f"there is no store in {directory}; run 'starling init' first", "not_initialised"
            )
        opened: list[sqlite3.Connection] = []
        try:
            self._writer = _connect(self.path)
            opened.append(self._writer)
            check_kind(self._writer, self.path)
            self._reader = _connect(self.path)
            opened.append(self._reader)
            self._reader.execute("PRAGMA query_only = ON")
            self._slots = KeySlots(directory / SLOTS, node_key, self._nonces)
            self._load_keys(directory)
        except (sqlite3.Error, OSError) as error:
            for connection in opened:
                connection.close()
            raise explain(error, self.path) from None
        except StoreError:
            for connection in opened:
                connection.close()
            raise

    @classmethod
    def create(
        cls, directory: Path, node_key: bytes, identity: bytes, random: Callable[[int], bytes]
    ) -> None:
        """Make a store in a directory, with the saved identity record. Raises StoreError where one is."""
        path = directory / DATABASE
        try:
            database = _connect(path)
            try:
                if database.execute("PRAGMA user_version").fetchone() != (0,):
                    raise StoreError(
                        f"there is a store in {directory} already; use it, or choose another --home"
                    )
                slots = KeySlots(directory / SLOTS, node_key, nonces := Nonces())
                try:
                    slots.erase(slots.occupied)
                    lasting = random(KEY_SIZE)
                    history = random(KEY_SIZE)
                    slots.write(
                        [(_LASTING, _RESERVED[_LASTING], lasting), (_HISTORY, _RESERVED[_HISTORY], history)]
                    )
                finally:
                    slots.close()
                sealed = Sealer(lasting, nonces).seal(identity, b"meta", b"identity")
                database.execute("BEGIN IMMEDIATE")
                for statement in filter(str.strip, TABLES.split(";")):
                    database.execute(statement)
                database.executemany(
                    "INSERT INTO meta VALUES (?, ?)",
                    [("key_schedule", KEY_SCHEDULE.encode()), ("identity", sealed)],
                )
                database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                database.execute(f"PRAGMA user_version = {VERSION}")
                database.execute("COMMIT")
            finally:
                database.close()
            sync_directory(directory)
        except (sqlite3.Error, OSError) as error:
            raise explain(error, path) from None

    def _load_keys(self, directory: Path) -> None:
        """Read the keys, and overwrite the slots that a crash left behind."""
        names = {slot: bytes(name) for slot, name in self._writer.execute("SELECT slot, name FROM scopes")}
        try:
            keys = {slot: self._slots.read(slot, name) for slot, name in (_RESERVED | names).items()}
        except Unsealable:
            self._slots.close()
            raise StoreError(
                f"the key file does not open the store in {directory}; put back the key file and the file "
                f"'{SLOTS}' that belong to it",
                "wrong_key",
            ) from None
        self._slots.erase(self._slots.occupied - keys.keys())
        self._scopes = {name: slot for slot, name in names.items()}
        self._sealers = {slot: Sealer(key, self._nonces) for slot, key in keys.items()}
        # The reading side has sealers of its own: a Sealer is not for several threads at once.
        self._lasting = Sealer(keys[_LASTING], self._nonces)
        reading = Sealer(keys[_HISTORY], self._nonces)
        self.events = EventLog(self._reader, reading)
        self.history = History(self._reader, reading)
        self._event_writer = EventLog(self._writer, self._sealers[_HISTORY])
        self._history_writer = History(self._writer, self._sealers[_HISTORY])
        self._last_seq = self.events.last_seq()

    def close(self) -> None:
        self._reader.close()
        self._writer.close()
        self._slots.close()

    def identity(self) -> bytes:
        """The saved identity record."""
        return _identity(self._reader, self._lasting)

    def note(self, key: str) -> bytes | None:
        """A small public value that the daemon keeps for itself."""
        row = self._reader.execute("SELECT value FROM meta WHERE key = ?", ("note." + key,)).fetchone()
        return None if row is None else bytes(row[0])

    def set_note(self, key: str, value: bytes) -> None:
        """Keep such a value, at once; before anything is committed by another thread."""
        try:
            self._writer.execute(_SET_NOTE, ("note." + key, value))
        except sqlite3.Error as error:
            raise explain(error, self.path) from None

    def records(self) -> Iterator[tuple[str, bytes, bytes]]:
        """Every stored row but frames, as (table, key, value)."""
        names = {slot: name for name, slot in self._scopes.items()} | {_LASTING: b""}
        for table, key, slot, value in self._reader.execute("SELECT tbl, key, slot, value FROM records"):
            try:
                sealer = self._lasting if slot == _LASTING else self._sealers[slot]
                yield table, key, sealer.unseal(value, b"record", table.encode(), key, names[slot])
            except (Unsealable, KeyError):
                raise StoreError(
                    f"the store {self.path} is damaged (a row of {table!r}); {BEGIN_ANEW}"
                ) from None

    def snapshot(self) -> Snapshot:
        """What is saved now, to be read by another thread while this store goes on; to be closed by who asks."""
        try:
            keys = [self._slots.read(slot, _RESERVED[slot]) for slot in (_LASTING, _HISTORY)]
            return Snapshot(_connect(self.path), *(Sealer(key, self._nonces) for key in keys))
        except (sqlite3.Error, OSError) as error:
            raise explain(error, self.path) from None

    def frame(self, frame_id: bytes) -> bytes | None:
        """A stored frame, None where it is not (or no longer) kept."""
        row = self._reader.execute("SELECT value FROM frames WHERE id = ?", (frame_id,)).fetchone()
        return None if row is None else row[0]

    def cursor(self, name: str) -> int | None:
        """How far a named cursor has acknowledged; None for a name not seen yet."""
        row = self._reader.execute("SELECT seq FROM cursors WHERE name = ?", (name,)).fetchone()
        return None if row is None else row[0]

    def cursor_count(self) -> int:
        (count,) = self._reader.execute("SELECT count(*) FROM cursors").fetchone()
        return int(count)

    def commit(self, batch: Batch) -> list[StoredEvent]:
        """Save a batch in one transaction, and say under which numbers its events are kept.

        Raises StoreError, and then nothing of the batch is saved: the caller must stop, or build the
        engine anew from what is saved.
        """
        try:
            return self._commit(batch)
        except (sqlite3.Error, OSError) as error:
            if self._writer.in_transaction:
                self._writer.rollback()
            raise explain(error, self.path) from None

    def _commit(self, batch: Batch) -> list[StoredEvent]:
        rows, erased = _last_words(batch.writes)
        new = self._new_scopes(rows, erased)
        if new:
            self._slots.write((slot, name, key) for name, (slot, key) in new.items())
        sealers = {name: (slot, Sealer(key, self._nonces)) for name, (slot, key) in new.items()}
        gone = [self._scopes[name] for name in erased if name in self._scopes]

        execute = self._writer.execute
        execute("BEGIN IMMEDIATE")
        for slot in gone:
            execute("DELETE FROM records WHERE slot = ? AND slot > 1", (slot,))
            execute("DELETE FROM scopes WHERE slot = ?", (slot,))
        for name, (slot, _) in sealers.items():
            execute("INSERT INTO scopes VALUES (?, ?)", (slot, name))
        for (table, key), put in rows.items():
            if table == FRAME_TABLE:
                if put is None:
                    execute("DELETE FROM frames WHERE id = ?", (key,))
                else:
                    execute("INSERT OR REPLACE INTO frames VALUES (?, ?)", (key, put.value))
            elif put is None:
                execute("DELETE FROM records WHERE tbl = ? AND key = ?", (table, key))
            else:
                slot, sealer = sealers.get(put.scope) or self._sealer(put.scope)
                value = sealer.seal(put.value, b"record", table.encode(), key, put.scope)
                execute(
                    "INSERT INTO records VALUES (?, ?, ?, ?) ON CONFLICT (tbl, key) "
                    "DO UPDATE SET slot = excluded.slot, value = excluded.value",
                    (table, key, slot, value),
                )
        stored = self._event_writer.append(self._last_seq, batch.events, batch.now, self._keep_events)
        for kept in batch.put_back:
            self._history_writer.put_back(kept)
        for message in batch.messages:
            self._history_writer.add_own(message, batch.now)
        for event in batch.events:
            self._history_writer.note(event, batch.now)
        for cursor, seq in batch.cursors.items():
            execute(
                "INSERT INTO cursors VALUES (:name, :seq, :time) ON CONFLICT (name) "
                "DO UPDATE SET seq = max(seq, excluded.seq), time = excluded.time",
                {"name": cursor, "seq": min(seq, self._last_seq + len(stored)), "time": batch.now},
            )
        for note, value in batch.notes.items():
            execute(_SET_NOTE, ("note." + note, value))
        execute("COMMIT")

        self._last_seq += len(stored)
        for scope in erased:
            self._sealers.pop(self._scopes.pop(scope, -1), None)
        for name, (slot, sealer) in sealers.items():
            self._scopes[name] = slot
            self._sealers[slot] = sealer
        self._slots.erase(gone)
        return stored

    def _sealer(self, scope: bytes) -> tuple[int, Sealer]:
        slot = self._scopes[scope] if scope else _LASTING
        return slot, self._sealers[slot]

    def _new_scopes(
        self, rows: dict[tuple[str, bytes], Put | None], erased: Sequence[bytes]
    ) -> dict[bytes, tuple[int, bytes]]:
        """A slot and a fresh key for each scope named for the first time (or again after its erasure)."""
        names = {put.scope: None for put in rows.values() if put is not None and put.scope}
        wanted = [name for name in names if name not in self._scopes or name in erased]
        if any(len(name) > MAX_SCOPE for name in wanted):
            raise ValueError(f"a scope has at most {MAX_SCOPE} bytes")
        free = self._slots.free(len(wanted))
        return {name: (slot, os.urandom(KEY_SIZE)) for name, slot in zip(wanted, free, strict=True)}


class Snapshot:
    """What a store held at one moment: who the node is, the rows under its lasting key, the history."""

    def __init__(self, database: sqlite3.Connection, lasting: Sealer, history: Sealer) -> None:
        self._database = database
        self._lasting = lasting
        self._database.execute("PRAGMA query_only = ON")
        self._database.execute("BEGIN")
        self.identity = _identity(database, lasting)
        self.history = History(database, history)

    def records(self) -> Iterator[tuple[str, bytes, bytes]]:
        """The rows that no scope seals, as (table, key, value)."""
        query = "SELECT tbl, key, value FROM records WHERE slot = ?"
        for table, key, value in self._database.execute(query, (_LASTING,)):
            yield table, key, self._lasting.unseal(value, b"record", table.encode(), key, b"")

    def close(self) -> None:
        self._database.close()


def _identity(database: sqlite3.Connection, lasting: Sealer) -> bytes:
    (sealed,) = database.execute("SELECT value FROM meta WHERE key = 'identity'").fetchone()
    return lasting.unseal(bytes(sealed), b"meta", b"identity")


def _last_words(writes: Iterable[Write]) -> tuple[dict[tuple[str, bytes], Put | None], list[bytes]]:
    """What the writes come to: the last Put of each row (None: deleted), and the erased scopes."""
    rows: dict[tuple[str, bytes], Put | None] = {}
    erased: dict[bytes, None] = {}
    for write in writes:
        if isinstance(write, EraseScope):
            erased[write.scope] = None
            for row, put in rows.items():
                if put is not None and put.scope == write.scope and row[0] != FRAME_TABLE:
                    rows[row] = None
        elif isinstance(write, Delete):
            rows[write.table, write.key] = None
        else:
            rows[write.table, write.key] = write
    return rows, list(erased)


def _connect(path: Path) -> sqlite3.Connection:
    # A commit runs in a worker thread while no other thread uses that connection.
    previous = os.umask(0o077)
    try:
        database = sqlite3.connect(path, timeout=1.0, isolation_level=None, check_same_thread=False)
        database.execute("PRAGMA journal_mode = WAL")
    finally:
        os.umask(previous)
    database.execute("PRAGMA synchronous = FULL")
    database.execute("PRAGMA temp_store = MEMORY")
    return database
