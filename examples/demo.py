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
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from node_process import Node, NodeError
from stage import UNIVERSE, Cut, Person, Stage, ended_by_signals, finish, play, progress, say

NAMES = ("Alice", "Bob", "Carol", "Dave", "Erin", "Frank", "Grace")
LARGE = 200 * 1024
SHOWN = 4


class Demo(Stage):
    """The story, told once."""

    def __init__(self, count: int, each: int, while_away: int, folder: Path) -> None:
        super().__init__([Person(Node(name, folder)) for name in NAMES[:count]])
        self.each = each
        self.while_away = while_away
        self.folder = folder

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


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the main job on real parts.")
    parser.add_argument("--nodes", type=int, default=3, choices=range(3, len(NAMES) + 1))
    parser.add_argument("--each", type=int, default=20, help="messages that everyone sends")
    parser.add_argument("--while-away", type=int, default=100, help="messages sent while one is away")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="starling-demo-") as folder, ended_by_signals():
        demo = Demo(args.nodes, args.each, args.while_away, Path(folder))
        succeeded = play(demo, demo.run)
        outcome = demo.outcome()
        say(json.dumps(outcome))
    right = not (outcome["lost"] or outcome["duplicates"] or demo.tally.wrong)
    return 0 if succeeded and right and outcome["converged"] else 1


if __name__ == "__main__":
    sys.exit(main())
