"""What the demos share: people with nodes and apps, who found a universe, join it and talk; and waiting for things."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from node_process import Listener, Node, NodeError
from tally import Tally

UNIVERSE = "demo"
JOIN_SECONDS = 40.0
DELIVERY_SECONDS = 60.0
CONVERGENCE_SECONDS = 40.0
NOT_RUNNING = 3

started = time.monotonic()


def say(text: str = "") -> None:
    print(text, flush=True)


def progress(text: str) -> None:
    say(f"[{time.monotonic() - started:5.1f} s] {text}")


class Cut(Exception):
    """A sender's daemon went away under it."""


@dataclass
class Person:
    """A node, its app, and what it says."""

    node: Node
    app: Listener | None = None
    heard: list[tuple[str, str]] = field(default_factory=list)
    unanswered: tuple[str, str] | None = None
    said: int = 0

    @property
    def name(self) -> str:
        return self.node.name


class Stage:
    """Some people; what they do and what is waited for. `kinds` are the events that their apps hear.

    `others` have nodes as well, and do not take part in all of it.
    """

    kinds: tuple[str, ...] = ("message.received",)

    def __init__(self, people: list[Person], others: Sequence[Person] = ()) -> None:
        self.stopping = threading.Event()
        self.people = people
        self.others = others
        self.tally = Tally([person.name for person in [*people, *others]])
        self.converged = False

    # beginning

    def found_and_join(self, founder: Person) -> None:
        progress("making the nodes")
        with self.senders() as pool:
            finish([pool.submit(person.node.init) for person in self.people])
            finish([pool.submit(person.node.start) for person in self.people])
        progress(f"{len(self.people)} daemons are running; {founder.name} founds a universe")
        founder.node.starling("universe", "create", UNIVERSE)
        for person in self.people[1:]:
            self.join(founder, person)
            progress(f"{person.name} has joined by a ticket")
        self.wait_in_all_groups(self.people)

    def ticket(self, person: Person) -> bytes:
        """The text of a new ticket."""
        (invite,) = person.node.starling("invite", "create", UNIVERSE)
        return str(invite["ticket"]).encode()

    def join(self, inviter: Person, person: Person) -> None:
        """The ticket is passed on as a person would: as text."""
        person.node.starling("join", "-", stdin=self.ticket(inviter))

    def wait_in_all_groups(self, people: Sequence[Person]) -> None:
        """Wait until each of them sees just these in all their groups."""

        def missing() -> list[Person]:
            return [person for person in people if not self.is_in_all_groups(person, len(people))]

        wait_until(
            lambda: not missing(), JOIN_SECONDS, lambda: self.not_in("is not in all groups", missing())
        )

    def is_in_all_groups(self, person: Person, count: int) -> bool:
        try:
            members = person.node.starling("members", UNIVERSE)
        except NodeError:
            return False
        return len(members) == count and all(m["joined"] and m["in_groups"] == count for m in members)

    # the apps

    def open_app(self, person: Person) -> None:
        """Start the app of a node; under its cursor it goes on where it stopped."""
        self.tally.app_started(person.name)
        person.app = Listener(
            person.node, UNIVERSE, "app", lambda event: self.hear(person, event), self.kinds
        )

    def hear(self, person: Person, event: dict[str, Any]) -> None:
        """An event came to a person's app; called from its thread."""
        if event.get("kind") != "message.received":
            return
        body = event["body"]
        text = str(body["body"])
        if self.tally.received(person.name, event["seq"], body["id"], body["sender_name"], text):
            person.heard.append((body["sender_name"], text))

    def say_one(self, person: Person, text: str) -> str:
        """Say something to all; the message's id is given back."""
        message_id = os.urandom(16).hex()
        self.tally.will_send(person.name, message_id, text, self.readers())
        person.unanswered = (message_id, text)
        self.send(person, message_id, ["send", UNIVERSE, text], b"")
        person.said += 1
        person.unanswered = None
        return message_id

    def readers(self) -> Iterable[str]:
        """Who may read what is said now."""
        return [person.name for person in self.people]

    def send(self, person: Person, message_id: str, command: list[str], stdin: bytes) -> None:
        """Send until the daemon reports to how many; raises Cut where the daemon went away."""
        for _ in range(4):
            try:
                (answer,) = person.node.starling(*command, "--id", message_id, stdin=stdin)
            except NodeError as error:
                if error.code == NOT_RUNNING and not person.node.is_running:
                    raise Cut from None
                raise
            if answer["state"] == "sent":
                self.tally.sent(message_id, answer["recipients"])
                return
        raise NodeError(f"{person.name}'s message is still not sent", person.node)

    # waiting

    def wait_delivered(self) -> None:
        def late() -> list[Person]:
            return [person for person in self.people if self.tally.missing(person.name)]

        def failure() -> NodeError:
            return self.not_in("has not received everything", late())

        wait_until(lambda: not late(), DELIVERY_SECONDS, failure, pause=0.1)
        progress("every app has every message")

    def wait_converged(self) -> None:
        def late() -> list[Person]:
            return [
                p for p in self.people if not p.node.starling("universe", "show", UNIVERSE)[0]["converged"]
            ]

        wait_until(lambda: not late(), CONVERGENCE_SECONDS, lambda: self.not_in("has not converged", late()))
        self.converged = True
        progress("all nodes report that the universe has converged")

    def not_in(self, what: str, people: list[Person]) -> NodeError:
        names = ", ".join(person.name for person in people)
        return NodeError(f"{names} {what} in time", people[0].node if people else None)

    @contextlib.contextmanager
    def senders(self) -> Iterator[ThreadPoolExecutor]:
        """Threads, which are not waited for where something goes wrong in one of them."""
        pool = ThreadPoolExecutor(max_workers=len(self.people) + 1)
        try:
            yield pool
        except BaseException:
            self.stopping.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        pool.shutdown()

    # the end

    def outcome(self) -> dict[str, Any]:
        tally = self.tally
        return {
            "nodes": len(self.people),
            "sent": tally.sent_count,
            "expected": tally.expected,
            "delivered": tally.delivered,
            "lost": tally.lost,
            "duplicates": tally.duplicates,
            "converged": self.converged,
            "seconds": round(time.monotonic() - started, 1),
        }

    def clean_up(self) -> None:
        """End every process that was started here, in order where it can be."""
        everybody = [*self.people, *self.others]
        for person in everybody:
            if person.app is not None:
                person.app.stop()
        self.stopping.set()
        enders = [threading.Thread(target=person.node.stop) for person in everybody]
        for ender in enders:
            ender.start()
        for ender in enders:
            ender.join()


def finish(futures: list[Future[Any]]) -> None:
    """Wait for all of them; raises the first error."""
    for future in futures:
        future.result()


def wait_until(
    done: Callable[[], bool], seconds: float, failure: Callable[[], NodeError], pause: float = 0.3
) -> None:
    until = time.monotonic() + seconds
    while not done():
        if time.monotonic() > until:
            raise failure()
        time.sleep(pause)


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the demo like Ctrl-C, so that it cleans up."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    yield


def play(stage: Stage, run: Callable[[], None]) -> bool:
    """Run a story and clean up after it; whether it came to its end. What fails is told, with a node's log."""
    try:
        run()
        return True
    except NodeError as error:
        tell_failure(error)
    except KeyboardInterrupt:
        print("demo: interrupted; ending the nodes", file=sys.stderr)
    finally:
        stage.clean_up()
        if stage.tally.wrong:
            print(f"demo: {stage.tally.wrong} messages came that nobody sent so", file=sys.stderr)
        if stage.tally.overheard:
            print(f"demo: {stage.tally.overheard} messages came to somebody else", file=sys.stderr)
    return False


def tell_failure(error: NodeError) -> None:
    print(f"demo: {error}", file=sys.stderr)
    if error.node is not None:
        print(f"The end of {error.node.name}'s log:", file=sys.stderr)
        for line in error.log_tail:
            print(f"    {line}", file=sys.stderr)
