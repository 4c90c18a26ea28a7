"""The store: what is committed survives, what is erased cannot be read again, and nothing is half saved."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
from tests.daemon.stored import BOB, NODE_KEY, UNIVERSE, commit, own, received

from starling.daemon.errors import StoreError
from starling.daemon.key_slots import SLOT_SIZE, KeySlots
from starling.daemon.sealing import Nonces, Sealer, Unsealable
from starling.daemon.store import DATABASE, SLOTS, Batch, Store
from starling.protocol.engine.step import Delete, EraseScope, Put, Write

SECRET = b"a secret that must not be found on the disk"


def rows(store: Store) -> dict[tuple[str, bytes], bytes]:
    return {(table, key): value for table, key, value in store.records()}


def again(home: Path) -> dict[tuple[str, bytes], bytes]:
    """The rows that the next start reads."""
    opened = Store(home, NODE_KEY)
    try:
        return rows(opened)
    finally:
        opened.close()


def on_disk(home: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(home.iterdir()))


# rows


def test_rows_survive_and_the_last_write_of_a_row_counts(home: Path, store: Store) -> None:
    commit(store, Put("t", b"1", b"old"), Put("t", b"2", b"gone"), Put("t", b"1", b"new"), Delete("t", b"2"))
    commit(store, Put("t", b"3", b"scoped", b"scope"), Delete("t", b"none"))
    assert rows(store) == again(home) == {("t", b"1"): b"new", ("t", b"3"): b"scoped"}
    assert store.identity() == b"identity record"


def test_rows_come_back_in_the_order_in_which_they_were_first_written(store: Store) -> None:
    commit(store, *(Put("t", bytes([key]), b"") for key in (5, 1, 3)))
    commit(store, Put("t", b"\x05", b"changed"))
    assert [key for _, key, _ in store.records()] == [b"\x05", b"\x01", b"\x03"]


def test_frames_are_fetched_one_by_one_and_are_no_records(store: Store) -> None:
    commit(store, Put("frame", b"f", b"bytes"), Put("frame", b"g", b"more"))
    commit(store, Delete("frame", b"g"))
    assert store.frame(b"f") == b"bytes"
    assert store.frame(b"g") is None
    assert rows(store) == {}


def test_nothing_secret_is_on_the_disk_in_the_clear(home: Path, store: Store) -> None:
    commit(store, Put("t", b"k", SECRET), Put("t", b"l", SECRET, b"scope"))
    commit(store, events=[received(1, text=SECRET)], messages=[own(2)])
    found = on_disk(home)
    for text in (SECRET, b"mine", b"identity record", NODE_KEY):
        assert text not in found


def test_a_row_that_was_moved_does_not_open(home: Path, store: Store) -> None:
    commit(store, Put("t", b"k", b"one"), Put("t", b"l", b"two"))
    database = sqlite3.connect(home / DATABASE, isolation_level=None)
    (value,) = database.execute("SELECT value FROM records WHERE key = ?", (b"k",)).fetchone()
    database.execute("UPDATE records SET value = ? WHERE key = ?", (value, b"l"))
    database.close()
    with pytest.raises(StoreError, match="damaged"):
        rows(store)


# erasure


def test_an_erased_scope_takes_its_rows_and_its_key_along(home: Path, store: Store) -> None:
    commit(store, Put("t", b"a", SECRET, b"one"), Put("t", b"b", b"stays", b"two"))
    database = sqlite3.connect(home / DATABASE)
    ((slot,),) = database.execute("SELECT slot FROM scopes WHERE name = ?", (b"one",)).fetchall()
    database.close()
    commit(store, EraseScope(b"one"))
    assert rows(store) == again(home) == {("t", b"b"): b"stays"}
    assert (home / SLOTS).read_bytes()[slot * SLOT_SIZE : (slot + 1) * SLOT_SIZE] == bytes(SLOT_SIZE)


def test_a_copy_of_the_rows_is_of_no_use_once_the_key_is_erased(home: Path, store: Store) -> None:
    commit(store, Put("t", b"a", SECRET, b"one"))
    thief = sqlite3.connect(home / DATABASE)
    ((slot, sealed),) = thief.execute("SELECT slot, value FROM records").fetchall()
    thief.close()
    keys = KeySlots(home / SLOTS, NODE_KEY, Nonces())
    key = keys.read(slot, b"one")
    assert Sealer(key, Nonces()).unseal(sealed, b"record", b"t", b"a", b"one") == SECRET
    commit(store, EraseScope(b"one"))
    with pytest.raises(Unsealable):
        keys.read(slot, b"one")
    keys.close()


def test_a_scope_named_again_gets_another_key(home: Path, store: Store) -> None:
    commit(store, Put("t", b"a", b"old", b"one"))
    commit(store, EraseScope(b"one"), Put("t", b"b", b"new", b"one"))
    assert rows(store) == again(home) == {("t", b"b"): b"new"}
    commit(store, Put("t", b"c", b"lost", b"two"), EraseScope(b"two"))
    commit(store, EraseScope(b"never named"))
    assert rows(store) == again(home) == {("t", b"b"): b"new"}


def test_a_scope_has_at_most_64_bytes(store: Store) -> None:
    commit(store, Put("t", b"a", b"", b"s" * 64))
    with pytest.raises(ValueError, match="64"):
        commit(store, Put("t", b"b", b"", b"s" * 65))


# an end in between


class Died(BaseException):
    """The process ends here."""


def test_an_end_between_the_slots_and_the_transaction(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(home, NODE_KEY)
    commit(store, Put("t", b"a", b"kept", b"one"))
    write = KeySlots.write

    def written_then_dead(slots: KeySlots, keys: Any) -> None:
        write(slots, keys)
        raise Died

    monkeypatch.setattr(KeySlots, "write", written_then_dead)
    with pytest.raises(Died):
        commit(store, Put("t", b"b", b"never was", b"two"))
    monkeypatch.undo()
    store.close()
    assert (home / SLOTS).read_bytes().count(b"SK1\n") == 4
    assert again(home) == {("t", b"a"): b"kept"}
    assert (home / SLOTS).read_bytes().count(b"SK1\n") == 3


def test_an_end_between_the_transaction_and_the_overwriting(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(home, NODE_KEY)
    commit(store, Put("t", b"a", SECRET, b"one"))

    def dead(slots: KeySlots, numbers: Any) -> None:
        raise Died

    monkeypatch.setattr(KeySlots, "erase", dead)
    with pytest.raises(Died):
        commit(store, EraseScope(b"one"))
    monkeypatch.undo()
    store.close()
    assert (home / SLOTS).read_bytes().count(b"SK1\n") == 3
    assert again(home) == {}
    assert (home / SLOTS).read_bytes().count(b"SK1\n") == 2


def limit_pages(store: Store) -> None:
    (pages,) = store._writer.execute("PRAGMA page_count").fetchone()
    store._writer.execute(f"PRAGMA max_page_count = {pages + 2}")


def test_a_full_disk_is_one_clear_line_and_saves_nothing_of_the_batch(home: Path, store: Store) -> None:
    commit(store, Put("t", b"a", b"before", b"one"), events=[received(1)])
    limit_pages(store)
    batch: list[Write] = [
        Put("t", b"a", b"after", b"one"),
        EraseScope(b"one"),
        Put("t", b"b", bytes(10**6), b"two"),
    ]
    with pytest.raises(StoreError, match="full; free some space") as caught:
        commit(store, *batch, events=[received(2)], messages=[own(3)], cursors={"app": 1})
    assert caught.value.code == "disk_full"
    assert "\n" not in str(caught.value)
    assert rows(store) == again(home) == {("t", b"a"): b"before"}
    assert [event.seq for event in store.events.after(0, 10)] == [1]
    assert store.cursor("app") is None
    assert len(store.history.page(UNIVERSE, None, 10)) == 1


def test_after_a_full_disk_the_same_store_can_go_on(home: Path, store: Store) -> None:
    limit_pages(store)
    with pytest.raises(StoreError):
        commit(store, Put("t", b"b", bytes(10**6), b"two"))
    store._writer.execute("PRAGMA max_page_count = 1000000")
    commit(store, Put("t", b"b", b"fits", b"two"), events=[received(1)])
    assert rows(store) == again(home) == {("t", b"b"): b"fits"}


def test_an_error_in_the_middle_of_a_transaction_undoes_all_of_it(
    home: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise sqlite3.OperationalError("broken")

    monkeypatch.setattr(store._history_writer, "note", broken)
    with pytest.raises(StoreError, match="broken"):
        commit(store, Put("t", b"a", b""), events=[received(1)])
    monkeypatch.undo()
    assert rows(store) == again(home) == {}
    commit(store, Put("t", b"b", b""), events=[received(1)])
    assert [event.seq for event in store.events.after(0, 9)] == [1]
    assert again(home).keys() == {("t", b"b")}


def test_a_store_that_cannot_be_written(home: Path, store: Store) -> None:
    store._writer.execute("PRAGMA query_only = ON")
    with pytest.raises(StoreError, match="cannot be written") as caught:
        commit(store, Put("t", b"a", b""))
    assert caught.value.code == "read_only"


# which store


def test_the_key_of_another_store(home: Path) -> None:
    with pytest.raises(StoreError, match="key file does not open") as caught:
        Store(home, os.urandom(32))
    assert caught.value.code == "wrong_key"


def test_no_store_and_two_stores(home: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(StoreError, match="starling init") as caught:
        Store(tmp_path_factory.mktemp("empty"), NODE_KEY)
    assert caught.value.code == "not_initialised"
    with pytest.raises(StoreError, match="already"):
        Store.create(home, NODE_KEY, b"another", os.urandom)


@pytest.mark.parametrize(
    ("statement", "line"),
    [
        ("PRAGMA user_version = 9", "store of version 9"),
        ("PRAGMA application_id = 7", "not a store of starling"),
        (
            "UPDATE meta SET value = CAST('rfc9420' AS BLOB) WHERE key = 'key_schedule'",
            "key schedule 'rfc9420'",
        ),
    ],
)
def test_a_store_of_another_kind_or_version(home: Path, statement: str, line: str) -> None:
    database = sqlite3.connect(home / DATABASE, isolation_level=None)
    database.execute(statement)
    database.close()
    with pytest.raises(StoreError, match=line):
        Store(home, NODE_KEY)


def test_a_file_that_is_no_database(home: Path) -> None:
    for left in home.glob(DATABASE + "*"):
        left.unlink()
    (home / DATABASE).write_bytes(b"no database at all" * 100)
    with pytest.raises(StoreError, match="damaged"):
        Store(home, NODE_KEY)


# how long it takes


def test_ten_thousand_stored_messages_load_in_well_under_two_seconds(home: Path) -> None:
    store = Store(home, NODE_KEY)
    for start in range(0, 10_000, 1_000):
        numbers = range(start, start + 1_000)
        writes: list[Write] = []
        for number in numbers:
            writes.append(Put("delivered", UNIVERSE + BOB + number.to_bytes(16), number.to_bytes(8)))
            writes.append(Put("log", number.to_bytes(32), bytes(150)))
            writes.append(Put("frame", number.to_bytes(32), bytes(400)))
        store.commit(Batch(1, writes, [received(number, text=bytes(200)) for number in numbers]))
    store.close()
    began = time.process_time()
    store = Store(home, NODE_KEY)
    assert sum(1 for _ in store.records()) == 20_000
    assert store.events.last_seq() == 10_000
    taken = time.process_time() - began
    store.close()
    assert taken < 1.0, taken
