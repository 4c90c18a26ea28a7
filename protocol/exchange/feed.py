"""What one node takes from another's list of frames: ids in pages, then the frames of a page that it lacks.

Members and archivers read each other's lists by this, since an archiver cannot compare places in a writer's log: it
sees no generations. Each id crosses once, each frame only where it is lacking. What cannot be used yet is put off:
the list is read again from there, the more seldom the longer nothing comes of it.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from starling.protocol.exchange.archiver_messages import MAX_LISTED, Listed, ListedRow, WantFrames, WantList
from starling.protocol.exchange.listing import Listing

FRAMES_ASKED = 128
"""How many frames are asked for at a time."""

ASK_AGAIN = 4_000
READ_AGAIN = 4_000
READ_SELDOM = 3600_000
"""How soon, and how seldom at the last, what was put off is looked at again, in milliseconds."""

NOTHING_NEW = 50
"""The pause after a page without anything new: a list without end costs its reader little."""

MOST_ATTEMPTS = 4
MAX_DONE = 2048
"""Ids of frames that need not come again and stand after something that was put off."""


class FrameKind(enum.IntEnum):
    """What a list says of a frame; the numbers are on the wire."""

    MESSAGE = 0
    COMMIT = 1
    WELCOME = 2
    """A commit with a Welcome."""


class Verdict(enum.Enum):
    """What to do about a frame that another node lists."""

    TAKE = enum.auto()
    LATER = enum.auto()
    LEAVE = enum.auto()


@dataclass(frozen=True, slots=True)
class ListedFrame:
    """One frame of another's list: unverified."""

    frame_id: bytes
    group_id: bytes
    number: int
    dmls_epoch: bytes
    kind: int
    place: int = 0


class Feed:
    """The reading of one peer's list of one universe."""

    def __init__(self, universe_id: bytes, *, list_id: bytes = b"", place: int = 0) -> None:
        self._universe_id = universe_id
        self._list_id = list_id
        self._place = place
        """All up to here has been looked at."""
        self._last = place
        self._page: int | None = None
        """The place that is reached when what is wanted of the page is here."""
        self._wanted: deque[ListedFrame] = deque()
        self._asked: dict[bytes, ListedFrame] = {}
        self._listing: int | None = None
        """The place after which a page was asked for."""
        self._put_off: int | None = None
        self._pause = READ_AGAIN
        self._again_at = 0
        self._done: dict[bytes, int] = {}
        """What need not come again, with its place: of what the list may be read again for."""
        self._due = 0
        self._attempts = 0
        self._came = False
        """Whether the answer that is being handled had any frame that was asked for."""

    @property
    def list_id(self) -> bytes:
        return self._list_id

    @property
    def safe_place(self) -> int:
        """The place before which nothing is open: where to go on after a restart."""
        return self._place if self._put_off is None else min(self._place, self._put_off)

    @property
    def is_current(self) -> bool:
        """Whether the list has been read to its end, as far as it is known."""
        return not self._wanted and not self._asked and self._page is None and self._place >= self._last

    @property
    def wake_at(self) -> int | None:
        """When `next_request` has something to say at the latest."""
        if not self.is_current:
            return self._due
        return self._again_at if self._put_off is not None else None

    def hear(self, list_id: bytes, last: int, now: int) -> None:
        """How far the list goes now. One that is another, or shorter than it was, is read from its beginning."""
        if list_id != self._list_id or last < self._place:
            self._list_id = list_id
            self._place = 0
            self._put_off = None
            self.reconnect(now)
        if self.is_current and last > self._place:
            self._due = now
        self._last = last

    def reconnect(self, now: int) -> None:
        """Nothing that was asked for will be answered any more."""
        self._wanted.clear()
        self._asked.clear()
        self._page = self._listing = None
        self._attempts = 0
        self._due = now

    def progressed(self, now: int) -> None:
        """Something has changed that may make use of what was put off."""
        self._pause = READ_AGAIN
        self._again_at = min(self._again_at, now + READ_AGAIN)

    def next_request(self, now: int) -> WantList | WantFrames | None:
        """What to ask for now, if anything is due."""
        if self.is_current and self._put_off is not None and now >= self._again_at:
            self._place, self._put_off = self._put_off, None
            self._due = now
            self._again_at = now + self._pause
            self._pause = min(2 * self._pause, READ_SELDOM)
        if self.is_current or now < self._due:
            return None
        if self._asked or self._listing is not None:
            self._attempts += 1
            if self._attempts > MOST_ATTEMPTS and self._asked:
                self._give_up()
        self._due = now + (ASK_AGAIN << min(self._attempts, 6))
        if self._wanted or self._asked:
            while self._wanted and len(self._asked) < FRAMES_ASKED:
                frame = self._wanted.popleft()
                self._asked[frame.frame_id] = frame
            return WantFrames(self._universe_id, tuple(self._asked))
        if self._page is not None:
            self._turn()
            if self.is_current:
                return None
        self._listing = self._place
        return WantList(self._universe_id, self._list_id, self._place)

    def _give_up(self) -> None:
        """What the peer lists and does not give is asked for again later."""
        for frame in self._asked.values():
            self._put_back(frame)
        self._asked.clear()
        self._attempts = 0

    def _put_back(self, frame: ListedFrame) -> None:
        place = frame.place - 1
        self._put_off = place if self._put_off is None else min(self._put_off, place)

    def _turn(self) -> None:
        assert self._page is not None
        self._place, self._page = self._page, None
        self._last = max(self._last, self._place)
        safe = self.safe_place
        self._done = {name: place for name, place in self._done.items() if place > safe}

    def take_page(self, message: Listed, judge: Callable[[ListedFrame], Verdict], now: int) -> None:
        """A page came: note what of it is wanted. One that was not asked for is passed over."""
        asked = (message.list_id, message.after) == (self._list_id, self._listing)
        if not asked or message.upto < message.after:
            return
        self._listing = None
        self._attempts = 0
        self._page = message.upto
        if message.upto == message.after:
            self._last = self._place  # the list ends here, whatever was said of it
        for group_id, number, dmls_epoch, frames in message.rows:
            for frame_id, kind, place in frames:
                if frame_id in self._done or not message.after < place <= message.upto:
                    continue
                frame = ListedFrame(frame_id, group_id, number, dmls_epoch, kind, place)
                verdict = judge(frame)
                if verdict is Verdict.TAKE:
                    self._wanted.append(frame)
                elif verdict is Verdict.LATER:
                    self._put_back(frame)
        self._due = now
        if not self._wanted:
            self._turn()
            self._due = now + NOTHING_NEW

    def expects(self, frame_id: bytes) -> bool:
        """Whether this frame was asked for and has not come."""
        return frame_id in self._asked

    def take_frame(self, frame_id: bytes, *, used: bool) -> None:
        """A frame that was asked for came, and has been handled; `used` where it need not come again."""
        frame = self._asked.pop(frame_id, None)
        if frame is None:
            return
        self._attempts = 0
        self._came = True
        if not used:
            self._put_back(frame)
            return
        self._done[frame_id] = frame.place
        if len(self._done) > MAX_DONE:
            del self._done[next(iter(self._done))]

    def end_answer(self, now: int) -> None:
        """All frames of an answer were handled: what did not fit into it is asked for at once. An answer without any
        says that the peer has none of them any more."""
        if self._asked and not self._came:
            self._give_up()
        self._came = False
        self._due = now
        if not self._asked and not self._wanted and self._page is not None:
            self._turn()


def page_of(
    universe_id: bytes,
    list_id: bytes,
    listing: Listing,
    after: int,
    describe: Callable[[bytes], ListedFrame | None],
) -> Listed:
    """The page of a list after a place; what `describe` knows nothing of is left out."""
    upto = after
    found: list[ListedFrame] = []
    for place, frame_id in listing.after(after):
        frame = describe(frame_id)
        if frame is not None:
            found.append(replace(frame, place=place))
        upto = place
        if len(found) == MAX_LISTED:
            break
    else:
        upto = max(upto, listing.last)
    return Listed(universe_id, list_id, after, upto, tuple(_rows(found)))


def _rows(frames: Iterable[ListedFrame]) -> Iterable[ListedRow]:
    """Frames that follow each other in one epoch share a row."""
    row: tuple[bytes, int, bytes] | None = None
    held: list[tuple[bytes, int, int]] = []
    for frame in frames:
        epoch = (frame.group_id, frame.number, frame.dmls_epoch)
        if row is not None and epoch != row:
            yield (*row, tuple(held))
            held = []
        row = epoch
        held.append((frame.frame_id, int(frame.kind), frame.place))
    if row is not None:
        yield (*row, tuple(held))
