"""The main job on real parts: some nodes found a universe, join it while its founder is away, talk, and one of them is
killed and comes back; one is removed, one is written to alone, and an archiver carries messages between two that are
never online together.

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
from functools import partial
from pathlib import Path

from node_process import Node, NodeError
from stage import UNIVERSE, Cut, Person, Stage, ended_by_signals, finish, play, progress, say, wait_until

NAMES = ("Alice", "Bob", "Carol", "Dave", "Erin", "Frank", "Grace")
GUEST = "Mallory"
ARCHIVER = "Vault"
LARGE = 200 * 1024
SHOWN = 4
CARRIED = 5
"""Messages in each direction that the archiver carries."""
ARCHIVER_SECONDS = 60.0


class Demo(Stage):
    """The story, told once."""

    def __init__(self, count: int, each: int, while_away: int, folder: Path) -> None:
        self.guest = Person(Node(GUEST, folder))
        self.archiver = Person(Node(ARCHIVER, folder, options=("--role", "archiver")))
        super().__init__([Person(Node(name, folder)) for name in NAMES[:count]], [self.guest, self.archiver])
        self.direct = 0
        self.archived = 0
        self.each = each
        self.while_away = while_away
        self.folder = folder

    def run(self) -> None:
        founder, carol = self.people[0], self.people[2]
        self.join_without(founder)
        for person in [*self.people, self.guest]:
            self.open_app(person)
        self.remove_guest(founder)

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
        self.write_to_one(founder, carol)
        self.carry()
        self.wait_converged()
        self.transcript(caught_up)
        self.table()
        for person in self.people:
            if person.app is not None:
                person.app.stop()

    # who is a member

    def join_without(self, founder: Person) -> None:
        """One joins with the founder there, and the others by the founder's tickets while it is away."""
        progress("making the nodes")
        second, *later = [*self.people[1:], self.guest]
        with self.senders() as pool:
            finish([pool.submit(person.node.init) for person in [*self.people, *self.others]])
            finish([pool.submit(person.node.start) for person in [*self.people, self.guest]])
        progress(f"{founder.name} founds a universe, and {second.name} joins it by a ticket")
        founder.node.starling("universe", "create", UNIVERSE)
        self.join(founder, second)
        self.wait_in_all_groups([founder, second])
        tickets = [self.ticket(founder) for _ in later]
        founder.node.stop()
        progress(f"{founder.name} has made {len(later)} tickets, and is away")
        for person, ticket in zip(later, tickets, strict=True):
            person.node.starling("join", "-", stdin=ticket)
            progress(f"{person.name} has joined, admitted by {second.name}, who alone knows who asked")
        founder.node.start()
        self.wait_in_all_groups([*self.people, self.guest])
        progress(f"{founder.name} is back and has admitted them too; all are in all groups")

    def remove_guest(self, founder: Person) -> None:
        """The guest reads what is said while it is a member, and nothing later."""
        self.tell_all(founder, f"Welcome, {self.guest.name}.", [*self.people, self.guest])
        self.wait_delivered()
        founder.node.starling("remove", UNIVERSE, self.guest.name)
        self.wait_in_all_groups(self.people)
        progress(f"{founder.name} has removed {self.guest.name}, and so has everybody else")

    def tell_all(self, person: Person, text: str, readers: list[Person]) -> None:
        message_id = os.urandom(16).hex()
        self.tally.will_send(person.name, message_id, text, [reader.name for reader in readers])
        self.send(person, message_id, ["send", UNIVERSE, text], b"")

    def write_to_one(self, person: Person, to: Person) -> None:
        """A message that the others carry and cannot read."""
        for text in ("Only for you.", "Nobody else sees this."):
            message_id = os.urandom(16).hex()
            self.tally.will_send(person.name, message_id, text, [to.name])
            self.send(person, message_id, ["send", UNIVERSE, "--to", to.name, text], b"")
            self.wait_delivered()
            self.direct += self.tally.has(to.name, message_id)
        progress(f"{person.name} has written to {to.name} alone")

    # the archiver

    def carry(self) -> None:
        """Two members talk who are never online together: in between there is only an archiver."""
        first, second = self.people[0], self.people[1]
        self.archiver.node.start()
        (offer,) = self.archiver.node.starling("archiver", "offer")
        first.node.starling("archiver", "add", UNIVERSE, "-", stdin=offer["offer"].encode())
        for person in self.people:
            self.wait_archiver(person, "has_all")
        progress(f"the universe has an archiver, {self.archiver.name}; all but {first.name} go away")
        for person in self.people[1:]:
            self.go_away(person)
        sent = self.leave_behind(first)
        for sender, reader in ((first, second), (second, first)):
            self.come_back(reader)
            wait_until(
                partial(self._has_all, reader, sent),
                ARCHIVER_SECONDS,
                partial(self.not_in, "has not got what the archiver keeps", [reader]),
            )
            self.archived += len(sent)
            progress(f"{reader.name} has {sender.name}'s {len(sent)} messages from {self.archiver.name}")
            if reader is second:
                sent = self.leave_behind(second)
        for person in self.people[1:]:
            self.come_back(person)
        self.wait_delivered()

    def leave_behind(self, person: Person) -> list[str]:
        """Say something that nobody hears, let the archiver have it, and go away."""
        sent = [
            self.say_one(person, f"{person.name} says no. {person.said + 1}, to nobody")
            for _ in range(CARRIED)
        ]
        self.wait_archiver(person, "has_all")
        self.go_away(person)
        return sent

    def _has_all(self, reader: Person, sent: list[str]) -> bool:
        return all(self.tally.has(reader.name, message_id) for message_id in sent)

    def wait_archiver(self, person: Person, what: str) -> None:
        def done() -> bool:
            (archiver,) = person.node.starling("archiver", "list", UNIVERSE)
            return bool(archiver["connected"] and archiver[what])

        wait_until(done, ARCHIVER_SECONDS, lambda: self.not_in("waits for the archiver", [person]))

    def go_away(self, person: Person) -> None:
        if person.app is not None:
            person.app.stop()
        person.node.stop()

    def come_back(self, person: Person) -> None:
        if not person.node.is_running:
            person.node.start()
            self.open_app(person)

    # talk

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
        self.tally.will_send(person.node.name, message_id, text, self.readers())
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

    def further_outcome(self) -> dict[str, int]:
        """What the common outcome does not have: messages to one member that came, messages that the removed member
        read after its removal, and messages that the archiver carried."""
        return {
            "direct": self.direct,
            "removed_reads": self.tally.not_for(self.guest.name),
            "archived": self.archived,
        }


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
        outcome = demo.outcome() | demo.further_outcome()
        say(json.dumps(outcome))
    right = not (outcome["lost"] or outcome["duplicates"] or demo.tally.wrong or demo.tally.overheard)
    return 0 if succeeded and right and outcome["converged"] else 1


if __name__ == "__main__":
    sys.exit(main())
