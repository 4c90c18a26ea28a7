"""What people do and hear in the demo of restored and cloned nodes: copy a data directory, put it back, start anew."""

from __future__ import annotations

import sys
import tempfile
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import noted_daemon
from node_process import Node, NodeError
from stage import UNIVERSE, Person, Stage, finish, progress, wait_until

AGREEMENT_SECONDS = 60.0
NOTED = (sys.executable, str(Path(noted_daemon.__file__)))

TOLD = {
    "rollback.suspected": "somebody knows an epoch of my group that I do not",
    "rollback.detected": "I signed a commit that I do not know: I was put back to an old state",
    "fork.detected": "{owner} has committed twice on epoch {epoch}",
    "fork.resolved": "{owner} has closed the dead branch",
    "clone.detected": "{owner} runs twice: nothing is imported from it any more",
    "member.stuck": "{identity} cannot follow {owner} and is to be added again",
    "member.asks_again": "{name} asks to start anew, with the number {verification}",
    "universe.superseded": "another state of me was admitted anew: I am silent until my person asks for it",
    "messages.unavailable": "some messages of {owner} may be missing here, and nobody keeps them any more",
}
"""What an app says of an event."""


@dataclass
class Backup:
    """A copy of a person's data directory, and what the person's app had been given by then."""

    folder: Path
    known: frozenset[str]
    epoch: int
    """Of the person's own group."""


class ForksStage(Stage):
    """Four people, of whom Bob's data is copied; and what was confirmed, asked and heard."""

    kinds = ("all",)

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seals = folder / "seals"
        super().__init__([Person(self.node(name, folder)) for name in ("Alice", "Bob", "Carol", "Dave")])
        self.alice, self.bob, self.carol, self.dave = self.people
        self.names: dict[str, str] = {}
        self.confirmations = 0
        self.restored = 0
        """How often a node had to find its way back: each time a person may have to confirm once."""
        self._lock = threading.Lock()
        self._told: set[tuple[str, str]] = set()
        self._asking: dict[str, str] = {}
        self._events: list[tuple[Person, dict[str, Any]]] = []
        self._superseded: list[Person] = []
        self.queued: set[str] = set()
        """Messages that have not left their sender yet."""
        self._said = 0

    def node(self, name: str, folder: Path) -> Node:
        return Node(name, folder, NOTED, {noted_daemon.VARIABLE: str(self.seals)})

    def outcome(self) -> dict[str, Any]:
        seals, reused = noted_daemon.reused([self.seals]) if self.seals.exists() else (0, 0)
        return super().outcome() | {
            "confirmations": self.confirmations,
            "seals": seals,
            "nonce_reuse": reused,
        }

    # what people do

    def called(self, person: Person) -> str:
        """A copy has the name of whom it is a copy."""
        return person.name if any(person is one for one in self.people) else f"{person.name}'s copy"

    def second_bob(self, folder: Path) -> Person:
        """Another node on a copy of Bob's data directory."""
        second = Path(tempfile.mkdtemp(dir=self.folder))
        twin = Person(self.node(self.bob.name, second))
        twin.node.put_back(folder)
        return twin

    def at_once(self, do: Callable[[Person], None], people: list[Person]) -> None:
        with self.senders() as pool:
            finish([pool.submit(do, person) for person in people])

    def stop(self, person: Person) -> None:
        self.tally.app_cut(person.name)
        person.node.stop()
        if person.app is not None:
            person.app.wait_end()

    def start(self, person: Person) -> None:
        person.node.start()
        self.open_app(person)

    def copy(self, person: Person) -> Backup:
        folder = Path(tempfile.mkdtemp(dir=self.folder)) / "copy"
        members = person.node.starling("members", UNIVERSE)
        (epoch,) = (member["epoch"] for member in members if member["is_self"])
        self.stop(person)
        person.node.copy_to(folder)
        backup = Backup(folder, self.tally.copied(person.name), epoch)
        self.start(person)
        progress(f"{person.name}'s data directory is copied, and {person.name} goes on")
        return backup

    def put_back(self, person: Person, backup: Backup) -> None:
        self.stop(person)
        person.node.put_back(backup.folder)
        self.tally.put_back(person.name, backup.known)
        self.restored += 1
        self.start(person)
        progress(f"{person.name}'s copy is put back")

    def speak(self, person: Person, count: int = 1) -> None:
        who = self.called(person)
        for _ in range(count):
            self._said += 1
            self.say_one(person, f"{who} says no. {self._said}")
        progress(f"{who} says {'something' if count == 1 else f'{count} things'}")

    def send(self, person: Person, message_id: str, command: list[str], stdin: bytes) -> None:
        """Send without waiting: who is not admitted yet has it queued, and an event tells when it is sent."""
        with self._lock:
            self.queued.add(message_id)
        (answer,) = person.node.starling(*command, "--id", message_id, "--no-wait", stdin=stdin)
        if answer["state"] == "sent":
            self.note_sent(message_id, answer["recipients"])

    def note_sent(self, message_id: str, recipients: int) -> None:
        with self._lock:
            if message_id in self.queued:
                self.queued.discard(message_id)
                self.tally.sent(message_id, recipients)

    def confirm(self) -> None:
        """Who is superseded asks to start anew, and Alice confirms, as persons do who have compared the number."""
        with self._lock:
            asking, self._asking = self._asking, {}
            superseded, self._superseded = self._superseded, []
        for person in superseded:
            self.recover(person)
        for identity, verification in asking.items():
            self.alice.node.starling("readmit", UNIVERSE, identity, verification)
            self.confirmations += 1
            progress(f"Alice has compared the number with {self.names[identity]}, and confirms")

    def recover(self, person: Person) -> None:
        person.node.starling("recover", UNIVERSE)
        progress(f"{person.name} asks to start anew")

    def verify_evidence(self) -> None:
        """Without a daemon and without being a member: the text is all that is needed."""
        for held in self.carol.node.starling("evidence", "list", UNIVERSE):
            file = self.folder / "evidence.txt"
            file.write_text(held["evidence"])
            self.bob.node.starling("evidence", "verify", str(file))
            progress(f"Carol's evidence against {held['name']} is valid for anybody who checks it")

    # what is heard

    def forget_events(self) -> None:
        """At the beginning of a scene."""
        self.converged = False
        with self._lock:
            self._told.clear()
            self._events.clear()

    def hear(self, person: Person, event: dict[str, Any]) -> None:
        super().hear(person, event)
        with self._lock:
            if event["kind"] == "universe.superseded":
                self._superseded.append(person)
            if event["kind"] == "member.asks_again":
                self._asking[event["body"]["identity"]] = event["body"]["verification"]
        self.note(person, event)

    def note(self, person: Person, event: dict[str, Any]) -> None:
        """Keep an event, and tell of it once where it is one to tell of."""
        who, kind, body = self.called(person), event["kind"], event["body"]
        if kind == "message.sent":
            self.note_sent(body["id"], body["recipients"])
        with self._lock:
            self._events.append((person, event))
            names = {key: self.names.get(str(value), value) for key, value in body.items()}
            sentence = TOLD.get(kind, "").format(**names)
            if sentence and (who, sentence) not in self._told:
                self._told.add((who, sentence))
                progress(f"    {who}: {kind}: {sentence}")

    def has_heard(self, kind: str, person: Person) -> bool:
        with self._lock:
            return any(who is person and event["kind"] == kind for who, event in self._events)

    def has_received(self, person: Person) -> bool:
        return not self.tally.missing(person.name)

    # waiting

    def wait_heard(self, others: list[Person]) -> None:
        """Until these have all that was said: what has not left a node yet would be lost with its directory."""
        self.wait_sent()
        self.wait(self.has_received, others, "has not received everything")

    def wait_sent(self) -> None:
        wait_until(
            lambda: not self.queued,
            AGREEMENT_SECONDS,
            lambda: NodeError("a message is still queued", self.bob.node),
        )

    def wait_settled(self, owner: Person, epoch: int) -> None:
        """Until nobody else keeps this epoch of an owner's group."""

        def is_settled(person: Person) -> bool:
            with self._lock:
                return any(
                    who is person
                    and event["kind"] == "epoch.settled"
                    and self.names[event["body"]["owner"]] == owner.name
                    and epoch in event["body"]["epochs"]
                    for who, event in self._events
                )

        self.wait(is_settled, [p for p in self.people if p is not owner], "keeps an old epoch")
        progress(f"the epoch of {owner.name}'s copy is settled: nobody keeps it any more")

    def wait_asked(self) -> None:
        def nobody_asks() -> NodeError:
            return NodeError("nobody asked to start anew", self.alice.node)

        wait_until(lambda: bool(self._asking), AGREEMENT_SECONDS, nobody_asks)
        self.confirm()

    def wait_agreement(self) -> None:
        """Until all have everything and report the same; whoever asks to start anew meanwhile is confirmed."""

        def agrees(person: Person) -> bool:
            self.confirm()
            if self.queued or not self.has_received(person):
                return False
            (shown,) = person.node.starling("universe", "show", UNIVERSE)
            return bool(shown["converged"])

        self.wait(agrees, self.people, "does not agree with all others")
        self.converged = True

    def wait(self, is_so: Callable[[Person], bool], people: Iterable[Person], otherwise: str) -> None:
        waiting = list(people)

        def done() -> bool:
            waiting[:] = [person for person in waiting if not is_so(person)]
            return not waiting

        wait_until(done, AGREEMENT_SECONDS, lambda: self.not_in(otherwise, waiting))
