"""Real daemons under traffic: the founder is killed, then a member, and nobody loses, repeats or reorders anything."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from node_process import Node

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
NAMES = ("Alice", "Bob", "Carol")
LARGE = "long " * 20_000
PATIENCE = 60.0
PACE = 0.04


class Gone(Exception):
    """The daemon is not there, or went away."""


class Socket:
    """A client of one daemon's socket, as an app has it."""

    def __init__(self, node: Node) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(0.2)
        self._buffer = b""
        self._last_id = 0
        try:
            self._socket.connect(json.loads(node.ready_line)["socket"])
        except OSError:
            self._socket.close()
            raise Gone from None

    def close(self) -> None:
        self._socket.close()

    def send(self, method: str, **params: Any) -> int:
        self._last_id += 1
        request = {"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": params}
        try:
            self._socket.settimeout(PATIENCE)
            self._socket.sendall(json.dumps(request).encode() + b"\n")
        except OSError:
            raise Gone from None
        return self._last_id

    def read(self, seconds: float) -> dict[str, Any] | None:
        """The next object, None where none comes in time."""
        self._socket.settimeout(seconds)
        while b"\n" not in self._buffer:
            try:
                data = self._socket.recv(2**18)
            except TimeoutError:
                return None
            except OSError:
                raise Gone from None
            if not data:
                raise Gone
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        read: dict[str, Any] = json.loads(line)
        return read

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        number = self.send(method, **params)
        answer = self.read(PATIENCE)
        if answer is None or answer["id"] != number or "result" not in answer:
            raise AssertionError(f"{method}: {answer}")
        result: dict[str, Any] = answer["result"]
        return result


class Person:
    """A node; one thread that sends in it, and one that reads what comes and acknowledges every third."""

    def __init__(self, node: Node, stopping: threading.Event) -> None:
        self.node = node
        self.universe = ""
        self.quiet = threading.Event()
        self.sent: dict[str, tuple[int, int]] = {}
        """By id: the number of the message, and to how many others it went."""
        self.events: dict[int, tuple[str, int]] = {}
        """By event number: whose message came, and its number."""
        self.wrong: list[str] = []
        self._stopping = stopping
        self._acknowledged = 0
        self._threads = [threading.Thread(target=self._run, args=(part,)) for part in (self._talk, self._app)]

    def begin(self, universe: str) -> None:
        self.universe = universe
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    @property
    def is_done(self) -> bool:
        return not self._threads[0].is_alive()

    def numbers_from(self, name: str) -> list[int]:
        return [number for _, (sender, number) in sorted(self.events.items()) if sender == name]

    def _run(self, part: Callable[[Socket], None]) -> None:
        """Let a part go on with a new connection whenever the daemon went away."""
        while not self._stopping.is_set():
            try:
                with contextlib.closing(Socket(self.node)) as connection:
                    part(connection)
                    return
            except Gone:
                time.sleep(0.05)
            except Exception as error:  # told to the test, which looks at it
                self.wrong.append(repr(error))
                return

    def _talk(self, connection: Socket) -> None:
        while not self._stopping.is_set() and not self.quiet.is_set():
            number = len(self.sent) + 1
            text = f"{number} {LARGE if number % 25 == 0 else ''}"
            # The same id after a reconnection, so that a message kept before the kill is not sent twice.
            message_id = f"{NAMES.index(self.node.name):08x}{number:024x}"
            answer = connection.call("message.send", universe=self.universe, id=message_id, body=text)
            if answer["state"] == "sent":
                self.sent[message_id] = (number, answer["recipients"])
            time.sleep(PACE)

    def _app(self, connection: Socket) -> None:
        connection.send("events.subscribe", cursor="app", kinds=["message.received"])
        acknowledging: dict[int, int] = {}
        while not self._stopping.is_set():
            told = connection.read(0.2)
            if told is None:
                continue
            if "method" not in told:
                self._acknowledged = max(self._acknowledged, acknowledging.pop(told["id"], 0))
                continue
            event = told["params"]["event"]
            self._take(event["seq"], event["body"])
            if len(self.events) % 3 == 0:
                acknowledging[connection.send("events.ack", cursor="app", seq=event["seq"])] = event["seq"]

    def _take(self, seq: int, body: dict[str, Any]) -> None:
        number = int(body["id"][8:], 16)
        came = (body["sender_name"], number)
        if body["body"] != f"{number} {LARGE if number % 25 == 0 else ''}":
            self.wrong.append(f"the text of {came}")
        if seq <= self._acknowledged:
            self.wrong.append(f"{came} again, though acknowledged")
        if self.events.setdefault(seq, came) != came:
            self.wrong.append(f"event {seq} is {self.events[seq]}, and {came}")


def wait_until(done: Callable[[], bool], people: list[Person]) -> None:
    until = time.monotonic() + PATIENCE
    while not done():
        wrong = [(person.node.name, said) for person in people for said in person.wrong]
        assert not wrong
        assert time.monotonic() < until, {p.node.name: (len(p.sent), len(p.events)) for p in people}
        time.sleep(0.05)


def heard(person: Person, more: int, sender: Person) -> Callable[[], bool]:
    """Whether a person has heard so many more messages of another than now."""
    goal = len(person.numbers_from(sender.node.name)) + more
    return lambda: len(person.numbers_from(sender.node.name)) >= goal


@pytest.fixture
def people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Person]]:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    from node_process import Node

    stopping = threading.Event()
    found = [Person(Node(name, tmp_path), stopping) for name in NAMES]
    try:
        for person in found:
            person.node.init()
            person.node.launch()
        for person in found:
            person.node.wait_ready()
        yield found
    finally:
        stopping.set()
        for person in found:
            person.end()
            person.node.kill()


def call(person: Person, method: str, **params: Any) -> dict[str, Any]:
    with contextlib.closing(Socket(person.node)) as connection:
        return connection.call(method, **params)


def test_founder_and_member_killed_under_traffic(people: list[Person]) -> None:
    alice, bob, carol = people
    universe = call(alice, "universe.create", name="hikers")["universe_id"]
    ticket = call(alice, "invite.create", universe=universe, uses=2)["ticket"]
    for joiner in (bob, carol):
        assert call(joiner, "universe.join", ticket=ticket, timeout=40)["state"] == "joined"
    for person in people:
        person.begin(universe)

    wait_until(heard(bob, 15, alice), people)
    alice.node.kill()
    wait_until(heard(carol, 15, bob), people)
    alice.node.start()
    wait_until(heard(carol, 15, alice), people)
    bob.node.kill()
    wait_until(heard(alice, 15, carol), people)
    bob.node.start()
    wait_until(heard(alice, 15, bob), people)

    for person in people:
        person.quiet.set()
    wait_until(lambda: all(person.is_done for person in people), people)
    expected = sum(recipients for person in people for _, recipients in person.sent.values())
    wait_until(lambda: sum(len(person.events) for person in people) >= expected, people)
    wait_until(lambda: all(call(p, "universe.get", universe=universe)["converged"] for p in people), people)
    # Every number once and in order, of whoever had this one among its recipients: at the end that is everybody.
    for person in people:
        for other in people:
            numbers = person.numbers_from(other.node.name)
            assert numbers == sorted(set(numbers)), f"{other.node.name} to {person.node.name}"
            if other is not person:
                assert numbers[-1] == len(other.sent)
    assert sum(len(person.events) for person in people) == expected
    for person in people:
        assert person.node.stop() == 0
        log = person.node.log.read_text()
        assert "Traceback" not in log and " ERROR " not in log
        assert not os.path.lexists(json.loads(person.node.ready_line)["socket"])
