"""Token buckets, offences, peer ids, and the queue of events with its bounds."""

from __future__ import annotations

import gc
import warnings
from collections import Counter

import pytest
import trio
import trio.testing

from starling.p2p.events import MAX_BYTES, MAX_HINTS, MAX_MESSAGES, EventQueue
from starling.p2p.interface import (
    DialFailed,
    Frame,
    Message,
    NetworkOptions,
    PeerConnected,
    peer_id_from_text,
    peer_id_of_seed,
    peer_id_text,
)
from starling.p2p.limits import Offences, TokenBucket


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    bucket = TokenBucket(rate=2, burst=3)
    assert [bucket.take(10.0) for _ in range(4)] == [True, True, True, False]
    assert bucket.wait(10.0) == pytest.approx(0.5)
    assert bucket.take(10.5)
    assert not bucket.take(10.5)
    assert bucket.spend(10.5, 4) == pytest.approx(2.0)
    assert not bucket.take(12.0)
    assert bucket.take(1000.0, 3)


def test_offences_are_forgotten_and_bans_end() -> None:
    offences = Offences(limit=3, memory=10, ban=20)
    assert not offences.record(b"a", 0)
    assert not offences.record(b"a", 1)
    assert not offences.record(b"a", 12)
    assert not offences.is_banned(b"a", 12)
    assert not offences.record(b"a", 13)
    assert offences.record(b"a", 14)
    assert offences.is_banned(b"a", 30)
    assert not offences.is_banned(b"a", 35)


def test_offenders_beyond_number_take_no_memory() -> None:
    offences = Offences(limit=1)
    for number in range(5000):
        offences.record(number.to_bytes(4), 0)
    assert len(offences._banned_until) <= 1024
    patient = Offences(limit=2)
    for number in range(5000):
        patient.record(number.to_bytes(4), 0)
    assert len(patient._times) <= 1024


async def test_messages_wait_for_room_and_frames_do_not() -> None:
    counters: Counter[str] = Counter()
    queue = EventQueue(counters)
    for _ in range(MAX_MESSAGES):
        await queue.put_message(Message(b"p", b"x"))
    with trio.move_on_after(0.01) as waiting:
        await queue.put_message(Message(b"p", b"late"))
    assert waiting.cancelled_caught
    assert queue.put_frame(Frame("t", b"p", b"f"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(queue.put_message, Message(b"p", b"last"))
        await trio.testing.wait_all_tasks_blocked()
        assert await queue.receive() == Message(b"p", b"x")
    seen = []
    queue.close()
    async for event in queue:
        seen.append(event)
    assert seen[-1] == Message(b"p", b"last")
    assert Frame("t", b"p", b"f") in seen
    assert not counters["frames_lost"]


async def test_a_receiver_that_ends_early_leaves_nothing_behind() -> None:
    queue = EventQueue(Counter())
    queue.put(PeerConnected(b"p"))
    queue.put(PeerConnected(b"q"))
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        async for event in queue:
            assert event == PeerConnected(b"p")
            break
        gc.collect()
    assert not warned
    assert await queue.receive() == PeerConnected(b"q")


async def test_bytes_bound_messages_and_frames() -> None:
    counters: Counter[str] = Counter()
    queue = EventQueue(counters)
    await queue.put_message(Message(b"p", bytes(MAX_BYTES)))
    with trio.move_on_after(0.01) as waiting:
        await queue.put_message(Message(b"p", b"x"))
    assert waiting.cancelled_caught
    for _ in range(300):
        queue.put_frame(Frame("t", b"p", bytes(60_000)))
    assert counters["frames_lost"] == 300 - MAX_BYTES // 60_000


async def test_hints_are_dropped_and_connections_never() -> None:
    counters: Counter[str] = Counter()
    queue = EventQueue(counters)
    for _ in range(MAX_HINTS + 5):
        queue.put(DialFailed(b"p"))
        queue.put(PeerConnected(b"p"))
    assert counters["hints_lost"] == 5
    assert queue.congested
    queue.close()
    connected = [event async for event in queue if isinstance(event, PeerConnected)]
    assert len(connected) == MAX_HINTS + 5
    with pytest.raises(trio.EndOfChannel):
        await queue.receive()


def test_peer_ids_as_text() -> None:
    peer_id = peer_id_of_seed(b"1" * 32)
    assert len(peer_id) == 38
    assert peer_id_text(peer_id) == "12D3KooWEfY2TmhEWp1scTkNTgGcB6sBdaeicFJXJjeBmUpFMyg8"
    assert peer_id_from_text(peer_id_text(peer_id)) == peer_id
    for text in ("", "0OIl", "12D3KooW", "1" * 500, peer_id_text(peer_id)[:-1], "é"):
        with pytest.raises(ValueError, match="not a peer id"):
            peer_id_from_text(text)


def test_a_seed_is_never_shown() -> None:
    assert "31" not in repr(NetworkOptions(b"1" * 32))
    assert "111" not in repr(NetworkOptions(b"1" * 32))
    with pytest.raises(ValueError, match="32 bytes"):
        NetworkOptions(b"1" * 31)
