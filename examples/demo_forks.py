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
from collections.abc import Callable
from functools import partial
from pathlib import Path

from forks_stage import AGREEMENT_SECONDS, ForksStage
from node_process import Listener, NodeError
from stage import UNIVERSE, Person, ended_by_signals, finish, play, progress, say, wait_until


class Forks(ForksStage):
    """The scenes."""

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
            self.forget_events()
            play_scene(self)
            self.wait_agreement()
            progress(f"all agree again; confirmations by a person so far: {self.confirmations}")
            if self.confirmations > self.restored:
                raise NodeError("more than one confirmation was needed", self.alice.node)

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

    def run_both(self, twin: Person) -> None:
        """Both say something; then Bob decides that the copy is ended, and starts anew with the original."""
        others = [self.alice, self.carol, self.dave]
        twin.app = Listener(twin.node, UNIVERSE, "app", partial(self.note, twin), self.kinds)
        progress("two daemons run on Bob's data")
        try:
            self.speak(self.bob)
            bobs = set(self.queued)
            self.speak(twin)
            self.wait(partial(self.has_heard, "clone.detected"), others, "has not heard of the clone")

            def is_decided() -> bool:
                return self.queued <= bobs or self.has_heard("universe.recovering", twin)

            wait_until(is_decided, AGREEMENT_SECONDS, lambda: NodeError("the copy waits", twin.node))
            silent = not self.queued <= bobs
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
