"""Events, cursors and history in the store: numbered without gaps, and each message once."""

from __future__ import annotations

from pathlib import Path

from tests.daemon.stored import ME, NODE_KEY, UNIVERSE, commit, own, received

from starling.daemon.store import Batch, Store
from starling.protocol.engine.step import Event, Put

# events and cursors


def test_events_are_numbered_without_gaps_across_a_restart(home: Path) -> None:
    store = Store(home, NODE_KEY)
    stored = store.commit(Batch(5, events=[received(1), Event("converged", UNIVERSE, {})]))
    assert [(event.seq, event.time, event.kind) for event in stored] == [
        (1, 5, "message.received"),
        (2, 5, "converged"),
    ]
    store.close()
    store = Store(home, NODE_KEY)
    assert [event.seq for event in store.commit(Batch(6, events=[received(2)]))] == [3]
    assert [event.seq for event in store.events.after(1, 10)] == [2, 3]
    assert store.events.after(0, 1)[0].body == received(1).body
    assert store.events.after(3, 10) == []
    store.close()


def test_the_oldest_events_go_past_the_limit(home: Path) -> None:
    store = Store(home, NODE_KEY, keep_events=1_000)
    for start in range(0, 3_000, 500):
        store.commit(Batch(1, events=[Event("k", UNIVERSE, {"n": start + n}) for n in range(500)]))
    assert store.events.last_seq() == 3_000
    first = store.events.first_seq()
    assert 3_000 - 1_000 - 1_024 <= first <= 2_001
    assert store.events.after(0, 1)[0].seq == first
    store.close()


def test_a_cursor_moves_forward_only_and_not_past_the_last_event(home: Path, store: Store) -> None:
    commit(store, events=[received(number) for number in range(1, 6)])
    assert store.cursor("app") is None
    for given, kept in ((3, 3), (2, 3), (5, 5), (99, 5)):
        commit(store, cursors={"app": given})
        assert store.cursor("app") == kept
    assert store.cursor("other") is None
    other = Store(home, NODE_KEY)
    assert other.cursor("app") == 5
    other.close()


# history


def test_history_holds_received_and_own_messages_once(store: Store) -> None:
    commit(store, events=[received(1), received(1)], messages=[own(2), own(2)])
    commit(store, events=[received(1)])
    page = store.history.page(UNIVERSE, None, 10)
    assert sorted((message["id"], message["own"]) for message in page) == [
        ((1).to_bytes(16), False),
        ((2).to_bytes(16), True),
    ]


def test_history_knows_how_an_own_message_was_sent(store: Store) -> None:
    commit(store, messages=[own(1)])
    queued = store.history.own(UNIVERSE, ME, (1).to_bytes(16))
    assert queued is not None
    assert queued["sent"] is None
    told = {"id": (1).to_bytes(16), "recipients": 2, "epoch": 7, "dmls_epoch": b"e"}
    # Somebody else may draw the same id; it stays theirs.
    commit(store, events=[received(1), Event("message.sent", UNIVERSE, told)])
    sent = store.history.own(UNIVERSE, ME, (1).to_bytes(16))
    assert sent is not None
    assert sent["sent"] == {"recipients": 2, "epoch": 7, "dmls_epoch": b"e"}
    assert [message["own"] for message in store.history.page(UNIVERSE, None, 9) if message["sent"]] == [True]
    assert store.history.own(UNIVERSE, ME, (2).to_bytes(16)) is None


def test_a_commit_costs_the_same_however_much_is_stored(store: Store) -> None:
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    def told(number: int) -> Event:
        return Event("message.sent", UNIVERSE, {"id": number.to_bytes(16), "recipients": 2})

    def cost(number: int) -> int:
        """In hundreds of steps of SQLite's machine: what it costs to send and to receive thirty messages."""
        nonlocal steps
        numbers = range(number, number + 30)
        steps = 0
        store._writer.set_progress_handler(count, 100)
        commit(store, Put("message", number.to_bytes(16), b""), messages=[own(n) for n in numbers])
        commit(store, events=[*map(told, numbers), *map(received, numbers)])
        store._writer.set_progress_handler(None, 0)
        return steps

    few = cost(0)
    commit(store, events=[received(number) for number in range(1_000, 3_000)])
    assert cost(10_000) <= 2 * few


def test_history_comes_in_pages_oldest_first(store: Store) -> None:
    commit(store, events=[received(number) for number in range(1, 8)])
    newest = store.history.page(UNIVERSE, None, 3)
    assert [int.from_bytes(message["id"]) for message in newest] == [5, 6, 7]
    before = store.history.page(UNIVERSE, newest[0]["number"], 3)
    assert [int.from_bytes(message["id"]) for message in before] == [2, 3, 4]
    assert store.history.page(b"v" * 32, None, 3) == []
