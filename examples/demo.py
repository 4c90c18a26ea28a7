"""The main job on real parts: some nodes found a universe, talk, and one of them is killed and comes back.

Each node is a process of its own with its own home, store and socket, on real libp2p over TCP on the loopback
interface; everything is done by the `starling` command. Run it by `make demo`, or with `--nodes 5`.
The last line is one JSON object; the exit code is 0 only if nothing was lost or repeated and all converged.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from node_process import Listener, Node, NodeError
from tally import Tally

NAMES = ("Alice", "Bob", "Carol", "Dave", "Erin", "Frank", "Grace")
UNIVERSE = "demo"
LARGE = 200 * 1024
JOIN_SECONDS = 40.0
DELIVERY_SECONDS = 60.0
CONVERGENCE_SECONDS = 40.0
SHOWN = 4
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


class Demo:
    """The story, told once."""

    def __init__(self, count: int, each: int, while_away: int, folder: Path) -> None:
        self.each = each
        self.while_away = while_away
        self.folder = folder
        self.stopping = threading.Event()
        self.people = [Person(Node(name, folder)) for name in NAMES[:count]]
        self.tally = Tally([person.node.name for person in self.people])
        self.converged = False

    def run(self) -> None:
        founder, carol = self.people[0], self.people[2]
        self.found_and_join(founder)
        for person in self.people:
            self.open_app(person)

        progress(
            f"all {len(self.people)} are in all groups; everyone sends {self.each} messages at the same time"
        )
        killed = threading.Event()

        def kill_carol() -> None:
            progress(f"{carol.node.name}'s process is killed (SIGKILL) in the middle of it")
            self.tally.app_cut(carol.node.name)
            carol.node.kill()
            killed.set()

        with self.senders() as pool:
            talks = [
                pool.submit(self.talk, person, self.each) for person in self.people if person is not carol
            ]
            carols = pool.submit(self.talk, carol, self.each, kill_carol, self.each // 2)
            finish(talks)
            with contextlib.suppress(Cut):
                carols.result()
        if not killed.is_set():
            raise NodeError(f"{carol.node.name} could not be killed in the middle of traffic", carol.node)
        assert carol.app is not None
        carol.app.wait_end()

        others = [person for person in self.people if person is not carol]
        each = -(-self.while_away // len(others))
        total = each * len(others)
        progress(
            f"while {carol.node.name} is away the others send {total} more, and one of {LARGE // 1024} KiB"
        )
        with self.senders() as pool:
            talks = [pool.submit(self.talk, person, each) for person in others]
            talks.append(pool.submit(self.send_large, founder))
            finish(talks)

        carol.node.start()
        progress(f"{carol.node.name} is back, and sends at once")
        self.open_app(carol)
        at = len(carol.heard)
        # What she said when the power went may have been kept or not: the same id makes the repeat harmless.
        self.repeat_unanswered(carol)
        self.talk(carol, self.each - carol.said)
        self.wait_delivered()
        caught_up = carol.heard[at:]
        self.wait_converged()
        self.transcript(caught_up)
        self.table()
        for person in self.people:
            if person.app is not None:
                person.app.stop()

    def found_and_join(self, founder: Person) -> None:
        progress("making the nodes")
        with self.senders() as pool:
            finish([pool.submit(person.node.init) for person in self.people])
            finish([pool.submit(person.node.start) for person in self.people])
        progress(f"{len(self.people)} daemons are running; {founder.node.name} founds a universe")
        founder.node.starling("universe", "create", UNIVERSE)
        for person in self.people[1:]:
            (invite,) = founder.node.starling("invite", "create", UNIVERSE)
            # The ticket is passed on as a person would: as text.
            person.node.starling("join", "-", stdin=invite["ticket"].encode())
            progress(f"{person.node.name} has joined by a ticket")
        count = len(self.people)

        def missing() -> list[Person]:
            return [person for person in self.people if not self.is_in_all_groups(person, count)]

        wait_until(
            lambda: not missing(), JOIN_SECONDS, lambda: self.not_in("is not in all groups", missing())
        )

    def is_in_all_groups(self, person: Person, count: int) -> bool:
        try:
            members = person.node.starling("members", UNIVERSE)
        except NodeError:
            return False
        return len(members) == count and all(m["joined"] and m["in_groups"] == count for m in members)

    def open_app(self, person: Person) -> None:
        """Start the app of a node; under its cursor it goes on where it stopped."""
        name = person.node.name
        self.tally.app_started(name)

        def take(event: dict[str, Any]) -> None:
            if event.get("kind") != "message.received":
                return
            body = event["body"]
            text = str(body["body"])
            if self.tally.received(name, event["seq"], body["id"], body["sender_name"], text):
                person.heard.append((body["sender_name"], text))

        person.app = Listener(person.node, UNIVERSE, "app", take)

    def talk(
        self, person: Person, count: int, interrupt: Callable[[], None] | None = None, at: int = 0
    ) -> None:
        """Say some things one after the other; `interrupt` runs beside the send number `at`."""
        for number in range(count):
            if self.stopping.is_set():
                return
            helper = None
            if interrupt is not None and number == at:
                helper = threading.Thread(target=interrupt)
                helper.start()
            try:
                self.say_one(person, f"{person.node.name} says no. {person.said + 1}")
            finally:
                if helper is not None:
                    helper.join()

    def say_one(self, person: Person, text: str) -> None:
        message_id = os.urandom(16).hex()
        self.tally.will_send(person.node.name, message_id, text)
        person.unanswered = (message_id, text)
        self.send(person, message_id, ["send", UNIVERSE, text], b"")
        person.said += 1
        person.unanswered = None

    def repeat_unanswered(self, person: Person) -> None:
        if person.unanswered is not None:
            message_id, text = person.unanswered
            self.send(person, message_id, ["send", UNIVERSE, "-"], text.encode())
            person.said += 1
            person.unanswered = None

    def send_large(self, person: Person) -> None:
        file = self.folder / "large.txt"
        text = ("All of this is one message. " * LARGE)[:LARGE]
        file.write_text(text)
        message_id = os.urandom(16).hex()
        self.tally.will_send(person.node.name, message_id, text)
        self.send(person, message_id, ["send", UNIVERSE, "--file", str(file)], b"")

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
        raise NodeError(f"{person.node.name}'s message is still not sent", person.node)

    def wait_delivered(self) -> None:
        def late() -> list[Person]:
            return [person for person in self.people if self.tally.missing(person.node.name)]

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
        names = ", ".join(person.node.name for person in people)
        return NodeError(f"{names} {what} in time", people[0].node if people else None)

    def transcript(self, caught_up: list[tuple[str, str]]) -> None:
        bob, carol = self.people[1], self.people[2]
        say()
        say(f"What {bob.node.name}'s app was given ({len(bob.heard)} messages):")
        lines(bob.heard)
        say(f"What {carol.node.name}'s app was given after she came back ({len(caught_up)} messages):")
        lines(caught_up)

    def table(self) -> None:
        say()
        row = "{:<8} {:>16} {:>8}  {}".format
        say(row("member", "send group epoch", "imports", "last update"))
        for person in self.people:
            (member,) = [m for m in person.node.starling("members", UNIVERSE) if m["is_self"]]
            at = member["last_update"]
            shown = time.strftime("%H:%M:%S", time.localtime(at / 1000)) if at else "-"
            say(row(member["name"], member["epoch"], member["imports"], shown))
        say()

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
        for person in self.people:
            if person.app is not None:
                person.app.stop()
        self.stopping.set()
        enders = [threading.Thread(target=person.node.stop) for person in self.people]
        for ender in enders:
            ender.start()
        for ender in enders:
            ender.join()


def lines(heard: list[tuple[str, str]]) -> None:
    """The first and the last of them, and any that is long."""
    last = None
    for number, (sender, text) in enumerate(heard):
        if SHOWN <= number < len(heard) - SHOWN and len(text) < 1000:
            continue
        if last is not None and number > last + 1:
            say(f"    ... {number - last - 1} more ...")
        last = number
        shown = text if len(text) < 60 else f"{text[:48]}... ({len(text)} characters)"
        say(f"    {sender + ':':<7} {shown}")


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


def tell_failure(error: NodeError) -> None:
    print(f"demo: {error}", file=sys.stderr)
    if error.node is not None:
        print(f"The end of {error.node.name}'s log:", file=sys.stderr)
        for line in error.log_tail:
            print(f"    {line}", file=sys.stderr)


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the main job on real parts.")
    parser.add_argument("--nodes", type=int, default=3, choices=range(3, len(NAMES) + 1))
    parser.add_argument("--each", type=int, default=20, help="messages that everyone sends")
    parser.add_argument("--while-away", type=int, default=100, help="messages sent while one is away")
    args = parser.parse_args()
    succeeded = False
    with tempfile.TemporaryDirectory(prefix="starling-demo-") as folder, ended_by_signals():
        demo = Demo(args.nodes, args.each, args.while_away, Path(folder))
        try:
            demo.run()
            succeeded = True
        except NodeError as error:
            tell_failure(error)
        except KeyboardInterrupt:
            print("demo: interrupted; ending the nodes", file=sys.stderr)
        finally:
            demo.clean_up()
        outcome = demo.outcome()
        if demo.tally.wrong:
            print(f"demo: {demo.tally.wrong} messages came that nobody sent so", file=sys.stderr)
        say(json.dumps(outcome))
    right = not (outcome["lost"] or outcome["duplicates"] or demo.tally.wrong)
    return 0 if succeeded and right and outcome["converged"] else 1


if __name__ == "__main__":
    sys.exit(main())
