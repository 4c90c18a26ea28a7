"""Reading another node's list of frames: each id once, each frame where it is lacking."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Collection

from starling.protocol.exchange.archiver_messages import MAX_LISTED, Listed, WantFrames, WantList
from starling.protocol.exchange.feed import (
    MAX_DONE,
    MOST_ATTEMPTS,
    READ_AGAIN,
    READ_SELDOM,
    Feed,
    FrameKind,
    ListedFrame,
    Verdict,
    page_of,
)
from starling.protocol.exchange.listing import Listing
from starling.protocol.exchange.messages import attach, decode_message

UNIVERSE = b"\x01" * 32
LIST = b"\x02" * 16
HOUR = 3600_000


def name(number: int) -> bytes:
    return hashlib.sha256(number.to_bytes(4)).digest()


class Source:
    """A list whose frames are spread over a few epochs of one group."""

    def __init__(self, count: int) -> None:
        self.listing = Listing()
        self.frames: dict[bytes, ListedFrame] = {}
        for number in range(count):
            self.add(number)

    def add(self, number: int) -> bytes:
        frame = ListedFrame(name(number), b"group", number // 100, b"e" * 32, FrameKind.MESSAGE)
        self.frames[frame.frame_id] = frame
        self.listing.add(frame.frame_id)
        return frame.frame_id

    def page(self, want: WantList) -> Listed:
        page = page_of(UNIVERSE, want.list_id, self.listing, want.after, self.frames.get)
        decoded, _ = decode_message(attach(page.encode(), []))
        assert decoded == page
        return page


class Reader:
    """Reads a source, and counts what crosses."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.feed = Feed(UNIVERSE)
        self.held: set[bytes] = set()
        self.now = 0
        self.ids = 0
        self.fetched: list[bytes] = []

    def judge(self, frame: ListedFrame) -> Verdict:
        return Verdict.LEAVE if frame.frame_id in self.held else Verdict.TAKE

    def read(
        self,
        judge: Callable[[ListedFrame], Verdict] | None = None,
        withheld: Collection[bytes] = (),
        used: bool = True,
    ) -> None:
        self.feed.hear(LIST, self.source.listing.last, self.now)
        for _ in range(1000):
            wake = self.feed.wake_at
            if self.feed.is_current or wake is None:
                return
            self.now = max(self.now, wake)
            match self.feed.next_request(self.now):
                case WantList() as want:
                    page = self.source.page(want)
                    self.ids += sum(len(frames) for *_, frames in page.rows)
                    self.feed.take_page(page, judge or self.judge, self.now)
                case WantFrames(_, frame_ids):
                    for frame_id in frame_ids[:50]:
                        if frame_id not in withheld:
                            assert self.feed.expects(frame_id)
                            self.fetched.append(frame_id)
                            self.held |= {frame_id} if used else set()
                            self.feed.take_frame(frame_id, used=used)
                    self.feed.end_answer(self.now)
        raise AssertionError("the list is never read to its end")


def test_a_list_is_read_in_order_and_once() -> None:
    source = Source(MAX_LISTED * 2 + 7)
    reader = Reader(source)
    reader.read()
    assert reader.fetched == [frame_id for _, frame_id in source.listing.after(0)]
    assert reader.ids == len(reader.fetched)
    reader.read()
    new = source.add(10_000)
    reader.read()
    assert reader.fetched[-1] == new
    assert reader.ids == len(reader.fetched) == len(source.frames)


def test_what_is_held_is_not_fetched() -> None:
    source = Source(10)
    reader = Reader(source)
    reader.held = {name(number) for number in range(0, 10, 2)}
    reader.read()
    assert reader.fetched == [name(number) for number in range(1, 10, 2)]


def test_what_is_put_off_is_read_again_ever_more_seldom() -> None:
    source = Source(3)
    reader = Reader(source)
    reader.read(lambda frame: Verdict.LATER)
    assert (reader.fetched, reader.feed.safe_place) == ([], 0)
    times = []
    for _ in range(20):
        wake = reader.feed.wake_at
        assert wake is not None
        reader.now = max(reader.now, wake)
        times.append(reader.now)
        request = reader.feed.next_request(reader.now)
        assert isinstance(request, WantList)
        reader.feed.take_page(source.page(request), lambda frame: Verdict.LATER, reader.now)
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert gaps[0] <= 3 * READ_AGAIN
    assert gaps[-1] >= READ_SELDOM - READ_AGAIN
    reader.feed.progressed(reader.now)
    wake = reader.feed.wake_at
    assert wake is not None
    assert wake <= reader.now + READ_AGAIN
    reader.now = wake
    request = reader.feed.next_request(wake)
    assert isinstance(request, WantList)
    reader.feed.take_page(source.page(request), reader.judge, wake)
    reader.read()
    assert len(reader.fetched) == 3
    assert reader.feed.safe_place == source.listing.last


def test_what_came_is_remembered_only_where_the_list_may_be_read_again() -> None:
    source = Source(3 * MAX_DONE)
    reader = Reader(source)
    reader.read(judge=lambda frame: Verdict.TAKE)
    assert len(reader.fetched) == len(set(reader.fetched)) == 3 * MAX_DONE
    assert not reader.feed._done
    reader = Reader(source)
    first = name(0)
    reader.read(judge=lambda frame: Verdict.LATER if frame.frame_id == first else Verdict.TAKE)
    assert len(reader.fetched) == 3 * MAX_DONE - 1
    assert len(reader.feed._done) == MAX_DONE, "of a list that never ends neither"


def test_a_frame_that_cannot_be_used_yet_comes_again() -> None:
    source = Source(2)
    reader = Reader(source)
    reader.read(used=False)
    assert len(reader.fetched) == 2
    assert reader.feed.safe_place == 0
    wake = reader.feed.wake_at
    assert wake is not None
    reader.now = wake
    request = reader.feed.next_request(wake)
    assert isinstance(request, WantList)
    reader.feed.take_page(source.page(request), reader.judge, wake)
    reader.read()
    assert len(reader.fetched) == 4


def test_who_lists_what_it_does_not_give_is_not_asked_for_ever() -> None:
    source = Source(5)
    reader = Reader(source)
    reader.read(withheld={name(3)})
    assert len(reader.fetched) == 4
    assert reader.feed.is_current
    assert reader.feed.safe_place == 3
    assert reader.now < HOUR * MOST_ATTEMPTS


def test_what_is_gone_meanwhile_holds_nothing_up() -> None:
    source = Source(3)
    reader = Reader(source)
    reader.feed.hear(LIST, 3, 0)
    request = reader.feed.next_request(0)
    assert isinstance(request, WantList)
    reader.feed.take_page(source.page(request), reader.judge, 0)
    assert isinstance(reader.feed.next_request(0), WantFrames)
    for number in range(3):
        source.listing.remove(name(number))
    reader.feed.end_answer(0)
    reader.read()
    assert reader.feed.wake_at is not None
    reader.now = reader.feed.wake_at
    request = reader.feed.next_request(reader.now)
    assert isinstance(request, WantList)
    reader.feed.take_page(source.page(request), reader.judge, reader.now)
    assert (reader.feed.safe_place, reader.fetched) == (3, [])
    assert reader.now <= READ_AGAIN


def test_a_page_that_was_not_asked_for_changes_nothing() -> None:
    source = Source(5)
    feed = Feed(UNIVERSE)
    feed.hear(LIST, 5, 0)
    page = source.page(WantList(UNIVERSE, LIST, 0))
    feed.take_page(page, lambda frame: Verdict.TAKE, 0)
    assert not feed.expects(name(0))
    request = feed.next_request(0)
    assert request == WantList(UNIVERSE, LIST, 0)
    other = Listed(UNIVERSE, b"\x03" * 16, 0, 5, page.rows)
    feed.take_page(other, lambda frame: Verdict.TAKE, 0)
    assert feed.wake_at != 0
    feed.take_page(page, lambda frame: Verdict.TAKE, 0)
    assert isinstance(feed.next_request(0), WantFrames)


def test_a_list_that_does_not_go_as_far_as_it_said_is_left() -> None:
    feed = Feed(UNIVERSE)
    feed.hear(LIST, 2**60, 0)
    assert isinstance(feed.next_request(0), WantList)
    feed.take_page(Listed(UNIVERSE, LIST, 0, 0, ()), lambda frame: Verdict.TAKE, 0)
    assert feed.is_current


def test_another_list_is_read_from_its_beginning() -> None:
    reader = Reader(Source(5))
    reader.read()
    reader.feed.hear(b"\x09" * 16, 3, reader.now)
    assert reader.feed.next_request(reader.now) == WantList(UNIVERSE, b"\x09" * 16, 0)


def test_after_a_restart_reading_goes_on() -> None:
    source = Source(5)
    reader = Reader(source)
    reader.read()
    again = Feed(UNIVERSE, list_id=reader.feed.list_id, place=reader.feed.safe_place)
    again.hear(LIST, source.listing.last, 0)
    assert again.is_current


def test_a_list_forgets_what_is_removed() -> None:
    source = Source(1000)
    for number in range(990):
        source.listing.remove(name(number))
        source.listing.remove(name(number))
    assert len(source.listing) == 10
    assert [frame_id for _, frame_id in source.listing.after(0)] == [name(n) for n in range(990, 1000)]
    assert next(source.listing.after(995))[1] == name(995)
    assert name(0) not in source.listing
    assert name(999) in source.listing
    page = source.page(WantList(UNIVERSE, LIST, 0))
    assert page.upto == source.listing.last == 1000


def test_places_may_be_times_and_never_fall() -> None:
    listing = Listing()
    assert listing.add(name(1), 1000) == 1000
    assert listing.add(name(2), 1000) == 1001
    assert listing.add(name(3), 5) == 1002
