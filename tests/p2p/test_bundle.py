"""Bundles: the bytes, and when they are sent."""

from __future__ import annotations

from collections import Counter

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from starling.p2p.bundle import (
    GATHER,
    MAX_BUNDLE,
    MAX_FRAMES,
    MAX_QUEUED_FRAMES,
    BundleError,
    BundleQueue,
    join,
    split,
)
from starling.p2p.interface import MAX_FRAME


@given(st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=40))
def test_a_bundle_gives_back_its_frames(frames: list[bytes]) -> None:
    assert split(join(frames)) == frames


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_are_what_join_makes(data: bytes) -> None:
    try:
        frames = split(data)
    except BundleError:
        return
    assert join(frames) == data


def test_the_longest_frame_fits_alone() -> None:
    assert len(join([bytes(MAX_FRAME)])) == MAX_BUNDLE


@pytest.mark.parametrize(
    "bundle",
    [
        b"",
        b"\x00",
        b"\x00\x00",
        b"\x00\x02a",
        b"\x00\x01ab",
        (MAX_FRAME + 1).to_bytes(2) + bytes(MAX_FRAME + 1),
        bytes(MAX_BUNDLE + 1),
        b"\x00\x01a" * (MAX_FRAMES + 1),
    ],
)
def test_what_is_no_bundle_is_refused(bundle: bytes) -> None:
    with pytest.raises(BundleError):
        split(bundle)


async def test_a_lone_frame_goes_at_once(autojump_clock: trio.testing.MockClock) -> None:
    queue = BundleQueue(Counter())
    queue.put("t", b"one")
    before = trio.current_time()
    assert await queue.get() == ("t", join([b"one"]))
    assert trio.current_time() == before


async def test_frames_that_follow_are_gathered(autojump_clock: trio.testing.MockClock) -> None:
    counters: Counter[str] = Counter()
    queue = BundleQueue(counters)
    queue.put("t", b"0")
    await queue.get()
    before = trio.current_time()
    for number in range(1, 8):
        queue.put("t", b"%d" % number)
    _, bundle = await queue.get()
    assert split(bundle) == [b"%d" % number for number in range(1, 8)]
    assert trio.current_time() - before == pytest.approx(GATHER)
    assert counters["bundles_published"] == 2


async def test_topics_take_turns_and_bundles_stay_in_bounds(autojump_clock: trio.testing.MockClock) -> None:
    queue = BundleQueue(Counter())
    for _ in range(3):
        queue.put("a", bytes(MAX_FRAME // 2 + 1))
    queue.put("b", b"b")
    got = [await queue.get() for _ in range(4)]
    assert [topic for topic, _ in got] == ["a", "b", "a", "a"]
    assert all(len(bundle) <= MAX_BUNDLE for _, bundle in got)


async def test_the_rate_of_bundles_is_limited(autojump_clock: trio.testing.MockClock) -> None:
    queue = BundleQueue(Counter())
    before = trio.current_time()
    for _ in range(225):
        queue.put("t", b"x")
        await queue.get()
    assert trio.current_time() - before >= 4.9


async def test_a_full_queue_drops_and_counts() -> None:
    counters: Counter[str] = Counter()
    queue = BundleQueue(counters)
    assert all(queue.put("t", b"x") for _ in range(MAX_QUEUED_FRAMES))
    assert not queue.put("t", b"x")
    assert counters["frames_dropped"] == 1


@pytest.mark.parametrize("size", [0, MAX_FRAME + 1])
async def test_a_frame_of_another_size_is_the_callers_fault(size: int) -> None:
    with pytest.raises(ValueError, match="bytes"):
        BundleQueue(Counter()).put("t", bytes(size))
