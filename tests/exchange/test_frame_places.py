"""What waits, what is kept, and what is answered: bounds, order, fairness (PROTOCOL 5.3, 7)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from starling.protocol.exchange.answer import MAX_ANSWER_BYTES, MAX_ANSWER_FRAMES, take_in_turn
from starling.protocol.exchange.frame_log import FrameLog, KeptFrames, LoggedFrame
from starling.protocol.exchange.waiting import (
    MAX_BYTES_PER_FORWARDER,
    MAX_BYTES_PER_GROUP,
    MAX_FRAMES_PER_FORWARDER,
    MAX_FRAMES_PER_GROUP,
    MAX_UNKNOWN_BYTES,
    MAX_UNKNOWN_GROUPS,
    Need,
    Waiting,
    WaitingFrame,
)

NEED = Need("epoch", b"g", b"e")


def waiting_frame(
    number: int,
    *,
    group: bytes = b"g",
    size: int = 10,
    need: Need = NEED,
    known: bool = True,
    by: bytes = b"p",
) -> WaitingFrame:
    return WaitingFrame(number.to_bytes(32), b"f" * size, group, by, need, known, number)


def is_empty(waiting: Waiting) -> bool:
    """Nothing is remembered of what came and went."""
    return not any(vars(waiting).values())


def test_what_waited_comes_out_once_oldest_first() -> None:
    waiting = Waiting()
    for number in (5, 3, 4):
        assert waiting.add(waiting_frame(number))
    assert waiting.add(waiting_frame(9, need=Need("epoch", b"g", b"other")))
    assert [frame.since for frame in waiting.release(NEED)] == [5, 3, 4]
    assert waiting.release(NEED) == []
    assert len(waiting) == 1 and waiting.has_group(b"g")


def test_a_frame_waits_once() -> None:
    waiting = Waiting()
    assert waiting.add(waiting_frame(1)) and waiting.add(waiting_frame(1))
    assert len(waiting) == 1 and len(waiting.release(NEED)) == 1
    assert is_empty(waiting)


def test_a_group_has_a_share_of_frames_and_of_bytes() -> None:
    waiting = Waiting()
    for number in range(MAX_FRAMES_PER_GROUP):
        assert waiting.add(waiting_frame(number))
    assert not waiting.add(waiting_frame(999))
    assert waiting.add(waiting_frame(1000, group=b"h")), "another group has its own share"
    assert waiting.add(waiting_frame(1001, group=b"i", size=MAX_BYTES_PER_GROUP - 1))
    assert not waiting.add(waiting_frame(1002, group=b"i", size=2))
    assert waiting.add(waiting_frame(1003, group=b"i", size=1))


def test_the_first_frame_of_a_group_waits_whatever_its_size() -> None:
    assert Waiting().add(waiting_frame(1, size=MAX_BYTES_PER_GROUP + 1))


def test_unknown_groups_and_their_forwarders_have_shares() -> None:
    waiting = Waiting()
    for number in range(MAX_UNKNOWN_GROUPS):
        assert waiting.add(waiting_frame(number, group=number.to_bytes(32), known=False))
    assert not waiting.add(waiting_frame(999, group=b"one more", known=False))
    assert waiting.add(waiting_frame(1000, group=(0).to_bytes(32), known=False)), "a group that waits already"
    assert waiting.add(waiting_frame(1001, group=b"known"))
    assert waiting.add(waiting_frame(1002, group=b"one more", known=False, by=b"another"))
    big = MAX_UNKNOWN_BYTES // 2
    waiting = Waiting()
    assert waiting.add(waiting_frame(1, group=b"a", size=big, known=False))
    assert waiting.add(waiting_frame(2, group=b"b", size=big, known=False))
    assert not waiting.add(waiting_frame(3, group=b"c", size=big, known=False))
    assert waiting.add(waiting_frame(4, group=b"c", size=big, known=False, by=b"another"))


def test_nobody_keeps_the_frames_of_others_out_of_a_group() -> None:
    """5.3: a full room is shared by those who bring frames; the newest of who has the most go."""
    waiting = Waiting()
    for number in range(MAX_FRAMES_PER_GROUP):
        assert waiting.add(waiting_frame(number, by=b"greedy"))
    assert not waiting.add(waiting_frame(999, by=b"greedy"))
    for number in range(1000, 1000 + MAX_FRAMES_PER_GROUP):
        waiting.add(waiting_frame(number, by=b"second"))
    kept = [frame.since for frame in waiting.release(NEED)]
    assert kept == [*range(128), *range(1000, 1128)]
    assert is_empty(waiting)


def test_large_frames_are_shared_by_their_bytes() -> None:
    waiting = Waiting()
    tenth = MAX_BYTES_PER_GROUP // 10
    for number in range(10):
        assert waiting.add(waiting_frame(number, size=tenth, by=b"greedy"))
    for number in range(10, 20):
        assert waiting.add(waiting_frame(number, size=1000, by=b"second"))
    assert not waiting.add(waiting_frame(20, size=tenth * 8, by=b"second")), "more than half"
    assert len(waiting) == 19, "and nobody lost anything by it"


def test_one_peer_has_a_share_of_all_groups() -> None:
    waiting = Waiting()
    size = MAX_BYTES_PER_GROUP
    for number in range(MAX_BYTES_PER_FORWARDER // size):
        assert waiting.add(waiting_frame(number, group=number.to_bytes(32), size=size))
    assert not waiting.add(waiting_frame(999, group=b"one more"))
    assert waiting.add(waiting_frame(999, group=b"one more", by=b"another"))
    waiting = Waiting()
    for number in range(MAX_FRAMES_PER_FORWARDER):
        assert waiting.add(waiting_frame(number, group=(number % 100).to_bytes(32)))
    assert not waiting.add(waiting_frame(99_999, group=b"one more"))


def test_nothing_is_remembered_of_what_was_refused_or_left() -> None:
    waiting = Waiting()
    for number in range(2000):
        waiting.add(waiting_frame(number, group=number.to_bytes(32), known=False))
        waiting.add(waiting_frame(5000 + number, by=number.to_bytes(32)))
    assert not waiting.has_group((1999).to_bytes(32))
    assert len(waiting._groups) == MAX_UNKNOWN_GROUPS + 1
    assert len(waiting._forwarders) <= MAX_FRAMES_PER_GROUP + 1
    waiting.release(NEED)
    assert is_empty(waiting)


def test_what_waits_too_long_is_forgotten() -> None:
    waiting = Waiting()
    for number in (1, 2, 3):
        waiting.add(waiting_frame(number, known=number != 2))
    assert waiting.forget_before(3) == 2
    assert len(waiting) == 1
    waiting.forget_group(b"g")
    assert is_empty(waiting)


def test_a_group_tells_what_it_waits_for_in_another() -> None:
    waiting = Waiting()
    waiting.add(waiting_frame(1, need=Need("progress", b"g", b"e")))
    waiting.add(waiting_frame(2, need=NEED))
    assert waiting.blocked(b"g") is None
    waiting.add(waiting_frame(3, need=Need("epoch", b"h", b"e")))
    assert waiting.blocked(b"g") == Need("epoch", b"h", b"e")
    assert waiting.imports_from(b"h") and not waiting.imports_from(b"g")
    waiting.forget_group(b"g")
    assert not waiting.imports_from(b"h") and is_empty(waiting)


# kept frames


def logged(
    name: str,
    epoch: str,
    generation: int | None,
    *,
    child: str = "",
    adds: tuple[bytes, ...] = (),
    size: int = 10,
) -> LoggedFrame:
    return LoggedFrame(name.encode(), b"g", epoch.encode(), generation, size, False, adds, child.encode(), 0)


@pytest.fixture
def log() -> FrameLog:
    r"""A -> B -> C, and a sibling of C.

    A: a0 a1, B: b0 b2 (b1 is not held), C: c0, X: x0.
    """
    log = FrameLog(KeptFrames())
    for frame in (
        logged("a1", "A", 1), logged("a0", "A", 0), logged("A-B", "A", None, child="B", adds=(b"bob",)),
        logged("b2", "B", 2), logged("b0", "B", 0), logged("B-C", "B", None, child="C"),
        logged("B-X", "B", None, child="X", adds=(b"bob", b"carol")), logged("c0", "C", 0), logged("x0", "X", 0),
    ):  # fmt: skip
        log.add(frame)
    return log


def names(frames: Iterator[LoggedFrame]) -> list[str]:
    return [frame.frame_id.decode() for frame in frames]


def test_after_a_place_come_its_messages_its_commits_and_every_branch(log: FrameLog) -> None:
    whole = names(log.after(b"A", 0, ()))
    assert whole == ["a0", "a1", "A-B", "b0", "b2", "B-C", "B-X", "c0", "x0"]
    assert names(log.after(b"B", 1, ())) == ["b2", "B-C", "B-X", "c0", "x0"]
    assert names(log.after(b"X", 0, ())) == ["x0"]


def test_who_has_the_child_gets_only_what_is_missing_in_the_epoch(log: FrameLog) -> None:
    assert names(log.after(b"B", 0, (b"C", b"X"))) == ["b0", "b2"]
    assert names(log.after(b"B", 3, (b"C", b"X"))) == []
    assert names(log.after(b"B", 3, (b"C",))) == ["B-X", "x0"]
    assert names(log.after(b"unknown", 0, ())) == []


def test_the_newest_frame_that_adds_somebody_is_found(log: FrameLog) -> None:
    newest = log.adding(b"bob")
    assert newest is not None and newest.frame_id == b"B-X"
    assert log.adding(b"dave") is None
    log.remove(newest)
    older = log.adding(b"bob")
    assert older is not None and older.frame_id == b"A-B"


def test_removed_frames_leave_nothing(log: FrameLog) -> None:
    assert b"a0" in log and len(log) == 9
    for frame in list(log.ids.values()):
        log.remove(frame)
        log.remove(frame)
    assert len(log) == 0 and log.epochs == {} and b"a0" not in log


# answers


def queue(group: str, count: int, size: int = 10) -> Iterator[LoggedFrame]:
    return iter([logged(f"{group}{number}", group, number, size=size) for number in range(count)])


def test_groups_take_turns() -> None:
    chosen = take_in_turn([queue("a", 3), queue("b", 1), queue("c", 2)])
    assert chosen == (
        b"a0",
        b"b0",
        b"c0",
        b"a1",
        b"c1",
        b"a2",
    )


def test_a_long_group_does_not_crowd_out_another() -> None:
    chosen = take_in_turn([queue("a", 10_000), queue("b", 100)])
    assert len(chosen) == MAX_ANSWER_FRAMES
    assert sum(name.startswith(b"b") for name in chosen) == 100


def test_an_answer_has_a_size_and_at_least_one_frame() -> None:
    chosen = take_in_turn([queue("a", 10, MAX_ANSWER_BYTES // 4)])
    assert len(chosen) == 4
    assert take_in_turn([queue("a", 2, MAX_ANSWER_BYTES * 2)]) == (b"a0",)
    assert take_in_turn([]) == ()


def test_no_frame_is_given_twice() -> None:
    assert take_in_turn([queue("a", 3), queue("a", 3)]) == (b"a0", b"a1", b"a2")
