"""What is under way in a universe: the start of a run, a join, requests to start anew, and what is due when."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field, fields

from starling.protocol.distributed import policy
from starling.protocol.distributed.readmit_request import ReadmitRequestTBS
from starling.protocol.distributed.ticket import Ticket
from starling.protocol.distributed.vouched_info import VouchedInfo


@dataclass(slots=True)
class Boot:
    """A start is followed by a boot commit before anything is sent (B2, B3).

    Where a member names a newer head of ours, `waits_for_proof` is until it has shown the commit, and
    `waits_for_roster`, after that, until it has told what the roster lacks. `asks` is where the members that are
    connected have to be asked.
    """

    deadline: int
    asks: bool = False
    answered: bool = False
    waits_for_proof: bool = False
    waits_for_roster: bool = False
    failed: set[bytes] = field(default_factory=set)
    done: bool = False


@dataclass(slots=True)
class Proven:
    """A sponsor that knows the ticket: what it vouches for, and the private key that its answer is sealed to."""

    vouched: VouchedInfo
    answer_key: bytes = field(repr=False)


@dataclass(slots=True)
class Joining:
    """A join under way: the ticket, the nonces that sponsors are to prove themselves on, who has, the next try.

    `asked` is the sponsor that was asked last, since `asked_at`; `hurried` counts what was asked again at once.
    """

    ticket: Ticket
    next_try: int
    nonces: dict[bytes, bytes] = field(default_factory=dict)
    proven: dict[bytes, Proven] = field(default_factory=dict)
    asked: bytes = b""
    asked_at: int = 0
    hurried: int = 0

    def waits_for_another(self, peer_id: bytes, connected: Container[bytes], now: int) -> bool:
        """Whether another sponsor was asked that may still answer: two would both admit us."""
        recent = 0 <= now - self.asked_at < policy.JOIN_ELSEWHERE
        return recent and self.asked not in (b"", peer_id) and self.asked in connected


@dataclass(frozen=True, slots=True)
class AsksAgain:
    """A member's request to start anew, checked, which waits for somebody's word; `verification` are its digits, which
    two people compare (5.6 B7)."""

    request: ReadmitRequestTBS
    verification: str
    profile: tuple[tuple[bytes, ...], bytes] = field(repr=False)
    asked_at: int
    is_told: bool = True
    """Whether a person is asked; else it is waited whether another node with the same keys denies it."""


@dataclass(slots=True)
class Timers:
    """When things are due, in milliseconds; None is not."""

    report: int | None = None
    report_first: int | None = None
    """When the oldest change that the next report tells happened."""
    reported_at: int = 0
    report_gap: int = policy.REPORT_MIN_GAP
    """How far apart reports are while changes keep coming."""
    imports: int | None = None
    first_path: int | None = None
    retention: int | None = None
    full_sweep: int | None = None
    last_import: int = 0
    last_update: int = 0
    messages_since_update: int = 0
    align: int | None = None
    topic: int | None = None
    """When it is this node's turn to make a new gossip topic."""
    readd: int | None = None
    resolve: int | None = None
    unread: int | None = None
    """Since when all connected members are on another branch of the own group."""
    profile_asks: int = 0
    """How often in a row KeyPackages were asked for that nobody gave."""
    look: int | None = None
    """When to look again who is stale and who lags."""
    readmit: int | None = None
    """When to ask again to be admitted anew, or for what is needed then."""
    undenied: int | None = None
    """Since when this node asks, and no other one with its keys has denied to be it."""
    readmitted: int | None = None
    """Admitted anew: until when the others' KeyPackages are waited for."""

    def plan_report(self, now: int) -> None:
        """There is a change to report (R1): as soon as no other has come for a while, and at the latest a gap after
        the first. The gap is short after a quiet time, and grows while changes keep coming: a report costs as much
        as there are members, and goes to each of them."""
        self.report_first = self.report_first or now
        if now - self.reported_at >= policy.REPORT_BUSY * self.report_gap:
            self.report_gap = policy.REPORT_MIN_GAP
        quiet = policy.REPORT_QUIET * self.report_gap // policy.REPORT_MIN_GAP
        earliest = max(now + quiet, self.reported_at + policy.REPORT_MIN_GAP)
        self.report = min(earliest, self.report_first + self.report_gap)

    def note_reported(self, now: int) -> None:
        """All changes are reported now."""
        if now - self.reported_at < policy.REPORT_BUSY * self.report_gap:
            self.report_gap = min(2 * self.report_gap, policy.REPORT_UNDER_LOAD)
        self.report = self.report_first = None
        self.reported_at = now

    def report_soon(self, now: int) -> None:
        """Somebody has come who may know more, or less: what there is to tell is told as after a quiet time."""
        self.report_gap = policy.REPORT_MIN_GAP
        if self.report is not None:
            self.plan_report(now)

    def come_back_to(self, now: int) -> None:
        """The clock was set: nothing is to wait for what was the future, or seem to have happened in it."""
        for item in fields(self):
            value = getattr(self, item.name)
            if value is not None and item.name not in _NO_TIMES:
                setattr(self, item.name, min(value, now))


_NO_TIMES = ("messages_since_update", "profile_asks", "report_gap")
