"""What was sent against what the apps received: lost, repeated, and wrong messages."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

ACKNOWLEDGED = 3.0
"""`starling listen` acknowledges what it printed at once: certainly within these seconds."""


@dataclass
class Received:
    """What one app was given through its socket."""

    run: int = 0
    cut_at: float = 0.0
    ids: dict[str, tuple[int, int, float]] = field(default_factory=dict)
    """By message id: the event's number, in which run of the app it last came, and when it first came."""
    forgotten: set[str] = field(default_factory=set)
    """What it was given, and forgot when its node was put back: it may be given again, and need not."""
    duplicates: int = 0
    wrong: int = 0
    not_for_it: int = 0
    """Messages that were for others alone."""


class Tally:
    """Counts for all nodes; called from the threads of senders and apps.

    A message given again after the app was cut off before it could acknowledge it is no duplicate: that is
    what a cursor promises. One given again although its event was acknowledged, or as another event, is.
    """

    def __init__(self, names: list[str]) -> None:
        self._lock = threading.Lock()
        self._bodies: dict[str, tuple[str, str]] = {}
        self._readers: dict[str, frozenset[str]] = {}
        self._recipients: dict[str, int] = {}
        self._received = {name: Received() for name in names}

    def will_send(
        self, sender: str, message_id: str, body: str, readers: Iterable[str] | None = None
    ) -> None:
        """To be told before the message is sent, since it may arrive before the sender's answer. `readers` may read
        it: all but the sender where nothing else is said."""
        with self._lock:
            self._bodies[message_id] = (sender, body)
            self._readers[message_id] = frozenset(self._received if readers is None else readers) - {sender}

    def sent(self, message_id: str, recipients: int) -> None:
        """The sender's daemon reported to how many others the message went."""
        with self._lock:
            self._recipients[message_id] = recipients

    def app_started(self, name: str) -> None:
        """The app begins, or goes on under its cursor."""
        with self._lock:
            self._received[name].run += 1

    def app_cut(self, name: str) -> None:
        """The app's daemon was killed just now."""
        with self._lock:
            self._received[name].cut_at = time.monotonic()

    def copied(self, name: str) -> frozenset[str]:
        """The node of an app was copied just now: what the app had been given."""
        with self._lock:
            return frozenset(self._received[name].ids)

    def put_back(self, name: str, known: frozenset[str]) -> None:
        """The copy took the place of the node: it knows again what it knew then, and nothing else."""
        with self._lock:
            app = self._received[name]
            later = app.ids.keys() - known
            app.forgotten |= later
            for message_id in later:
                del app.ids[message_id]

    def received(self, name: str, seq: int, message_id: str, sender: str, body: str) -> bool:
        """The app was given a message; whether for the first time."""
        with self._lock:
            app = self._received[name]
            if sender == name or self._bodies.get(message_id) != (sender, body):
                app.wrong += 1
                return False
            if name not in self._readers[message_id]:
                app.not_for_it += 1
                return False
            before = app.ids.get(message_id)
            if before is None:
                app.ids[message_id] = (seq, app.run, time.monotonic())
                return True
            its_seq, its_run, its_time = before
            acknowledged = its_time < app.cut_at - ACKNOWLEDGED
            if its_seq != seq or its_run == app.run or acknowledged:
                app.duplicates += 1
            app.ids[message_id] = (seq, app.run, its_time)
            return False

    @property
    def sent_count(self) -> int:
        return len(self._recipients)

    @property
    def expected(self) -> int:
        return sum(self._recipients.values())

    @property
    def delivered(self) -> int:
        with self._lock:
            return sum(
                len((app.ids.keys() | app.forgotten) & self._recipients.keys())
                for app in self._received.values()
            )

    @property
    def lost(self) -> int:
        return self.expected - self.delivered

    @property
    def duplicates(self) -> int:
        return sum(app.duplicates for app in self._received.values())

    @property
    def wrong(self) -> int:
        """Messages that nobody sent so, or that came back to their sender."""
        return sum(app.wrong for app in self._received.values())

    @property
    def overheard(self) -> int:
        """Messages that came to somebody for whom they were not."""
        return sum(app.not_for_it for app in self._received.values())

    def missing(self, name: str) -> int:
        """How many messages for it, reported as sent, one app has not received."""
        with self._lock:
            app = self._received[name]
            had = app.ids.keys() | app.forgotten
            return sum(name in self._readers[m] and m not in had for m in self._recipients)

    def not_for(self, name: str) -> int:
        """How many of them came to this one."""
        with self._lock:
            return self._received[name].not_for_it

    def has(self, name: str, message_id: str) -> bool:
        """Whether an app has received a message that was for it."""
        with self._lock:
            return message_id in self._received[name].ids
