"""Restored and cloned nodes on real parts: a data directory is copied, and the copy is put back after its node went on,
or runs beside it.

Four nodes are processes of their own on the loopback interface, everything is done by the `starling` command, and
copies are made and put back by `cp` while the node is stopped. Run it by `make demo-forks`, or single scenes with
`--scene`. The last line is one JSON object: what apps lost, what they were given twice, how many pairs of key and
nonce were used twice, and whether all converged after every scene. The exit code is 0 only if all that is right.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import noted_daemon
from node_process import Listener, Node, NodeError
from stage import UNIVERSE, Person, Stage, ended_by_signals, finish, play, progress, say, wait_until

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


class Forks(Stage):
    """The scenes."""

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
        self._queued: set[str] = set()
        self._said = 0

    def node(self, name: str, folder: Path) -> Node:
        return Node(name, folder, NOTED, {noted_daemon.VARIABLE: str(self.seals)})

    def run(self, scenes: list[str]) -> None:
        self.found_and_join(self.alice)
        members = self.alice.node.starling("members", UNIVERSE)
        self.names = {member["identity"]: member["name"] for member in members}
        for person in self.people:
            self.open_app(person)
        self.wait_agreement()
        for name in scenes:
            title, play_scene = SCENES[name]
            say()
            progress(f"--- {title}")
            self.converged = False
            with self._lock:
                self._told.clear()
                self._events.clear()
            play_scene(self)
            self.wait_agreement()
            progress(f"all agree again; confirmations by a person so far: {self.confirmations}")
            if self.confirmations > self.restored:
                raise NodeError("more than one confirmation was needed", self.alice.node)

    def outcome(self) -> dict[str, Any]:
        seals, reused = noted_daemon.reused([self.seals]) if self.seals.exists() else (0, 0)
        return super().outcome() | {
            "confirmations": self.confirmations,
            "seals": seals,
            "nonce_reuse": reused,
        }

    # the scenes

    def while_the_parent_is_retained(self) -> None:
        """(a) Dave is away, so the others keep what Bob's copy commits on: both branches can be read."""
        self.stop(self.dave)
        progress("Dave is away, so nothing that Bob does now is settled")
        backup = self.copy(self.bob)
        self.speak(self.bob, 2)
        self.wait_heard([self.alice, self.carol])
        self.put_back(self.bob, backup)
        self.speak(self.bob, 2)
        self.start(self.dave)
        self.speak(self.alice)

    def when_the_parent_is_settled(self) -> None:
        """(b) What Bob's copy commits on is gone everywhere: he needs a new group, and Alice's word for it."""
        backup = self.copy(self.bob)
        for person in self.people:
            self.speak(person)
        self.wait_agreement()
        self.wait_settled(self.bob, backup.epoch)
        self.put_back(self.bob, backup)
        self.speak(self.bob, 2)
        self.speak(self.carol)

    def offline_and_met_later(self) -> None:
        """(c) The put-back node is alone and goes on; the others come back later."""
        backup = self.copy(self.bob)
        self.speak(self.bob, 2)
        self.wait_agreement()
        others = [self.alice, self.carol, self.dave]
        self.at_once(self.stop, others)
        progress("everybody else is out of reach")
        self.put_back(self.bob, backup)
        self.speak(self.bob, 2)
        self.at_once(self.start, others)
        progress("they are back")
        self.speak(self.dave)

    def with_peers_reachable(self) -> None:
        """(d) All are connected, and the same copy is put back twice."""
        backup = self.copy(self.bob)
        self.speak(self.bob)
        for _ in range(2):
            self.wait_heard([self.alice, self.carol, self.dave])
            self.put_back(self.bob, backup)
            self.speak(self.bob)
            self.speak(self.alice)
            self.wait_agreement()

    def two_at_once(self) -> None:
        """A copy runs beside the original: everybody is told, with evidence, until one is retired."""
        self.stop(self.bob)
        twin = self.second_bob(self.bob.node.home)
        # Both begin at the same time, as after a machine was cloned.
        with self.senders() as pool:
            finish([pool.submit(self.start, self.bob), pool.submit(twin.node.start)])
        self.run_both(twin)

    def one_that_starts_later(self) -> None:
        """As two at once, but what the copy would commit on is settled: it falls silent before it has signed anything,
        and that there are two is known from the original, which denies to be the one that asks to start anew."""
        backup = self.copy(self.bob)
        for person in self.people:
            self.speak(person)
        self.wait_agreement()
        self.wait_settled(self.bob, backup.epoch)
        twin = self.second_bob(backup.folder)
        twin.node.start()
        self.run_both(twin)

    def called(self, person: Person) -> str:
        """A copy has the name of whom it is a copy."""
        return person.name if any(person is one for one in self.people) else f"{person.name}'s copy"

    def second_bob(self, folder: Path) -> Person:
        """Another node on a copy of Bob's data directory."""
        second = Path(tempfile.mkdtemp(dir=self.folder))
        twin = Person(self.node(self.bob.name, second))
        twin.node.put_back(folder)
        return twin

    def run_both(self, twin: Person) -> None:
        """Both say something; then Bob decides that the copy is ended, and starts anew with the original."""
        others = [self.alice, self.carol, self.dave]
        twin.app = Listener(twin.node, UNIVERSE, "app", partial(self.note, twin), self.kinds)
        progress("two daemons run on Bob's data")
        try:
            self.speak(self.bob)
            bobs = set(self._queued)
            self.speak(twin)
            self.wait(partial(self.has_heard, "clone.detected"), others, "has not heard of the clone")

            def is_decided() -> bool:
                return self._queued <= bobs or self.has_heard("universe.recovering", twin)

            wait_until(is_decided, AGREEMENT_SECONDS, lambda: NodeError("the copy waits", twin.node))
            silent = not self._queued <= bobs
            if silent:
                # What it has to say leaves it only when it is admitted, and then the original is superseded.
                progress("the copy is silent: Bob stops the original until the copy has been heard")
                self.restored += 1
                self.stop(self.bob)
                self.wait_asked()
                self.wait_heard(others)
            self.wait(self.has_received, others, "has not received everything")
            progress("the others have read what was sent")
        finally:
            twin.node.stop()
            twin.app.wait_end()
        progress("the copy is ended for good")
        self.restored += 1
        self.verify_evidence()
        if silent:
            self.start(self.bob)
            self.wait(partial(self.has_heard, "universe.superseded"), [self.bob], "does not fall silent")
            self.confirm()
        else:
            self.recover(self.bob)
        self.wait_asked()
        for person in self.people:
            self.speak(person)

    # what people do

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
            self._queued.add(message_id)
        (answer,) = person.node.starling(*command, "--id", message_id, "--no-wait", stdin=stdin)
        if answer["state"] == "sent":
            self.note_sent(message_id, answer["recipients"])

    def note_sent(self, message_id: str, recipients: int) -> None:
        with self._lock:
            if message_id in self._queued:
                self._queued.discard(message_id)
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
            lambda: not self._queued,
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
            if self._queued or not self.has_received(person):
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


SCENES: dict[str, tuple[str, Callable[[Forks], None]]] = {
    "a": (
        "a copy is put back while the others still retain what it commits on",
        Forks.while_the_parent_is_retained,
    ),
    "b": ("a copy is put back after that has been settled", Forks.when_the_parent_is_settled),
    "c": ("a copy is put back out of everybody's reach, and met later", Forks.offline_and_met_later),
    "d": ("a copy is put back twice, with everybody connected", Forks.with_peers_reachable),
    "clone": ("a copy runs beside the original", Forks.two_at_once),
    "clone-later": ("a copy is started while the original runs, long after", Forks.one_that_starts_later),
}


def main() -> int:
    parser = argparse.ArgumentParser(description="Play restored and cloned nodes on real parts.")
    parser.add_argument("--scene", action="append", choices=SCENES, help="only this one; may be given again")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="starling-forks-") as folder, ended_by_signals():
        forks = Forks(Path(folder))
        succeeded = play(forks, lambda: forks.run(args.scene or list(SCENES)))
        outcome = forks.outcome()
        say()
        say(json.dumps(outcome))
    right = not (outcome["lost"] or outcome["duplicates"] or outcome["nonce_reuse"] or forks.tally.wrong)
    return 0 if succeeded and right and outcome["converged"] else 1


if __name__ == "__main__":
    sys.exit(main())
