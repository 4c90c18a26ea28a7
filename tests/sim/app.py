"""A chat app on one node: gives commands until they are answered, and follows the events by a cursor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.sim.node import Node
from tests.sim.oracle import Memory, Oracle
from tests.sim.store import Store
from tests.sim.violation import Violation

from starling.protocol.engine.group_state import load_group_row
from starling.protocol.engine.inputs import CreateUniverse, Input, JoinUniverse, SendMessage
from starling.protocol.engine.step import Event
from starling.protocol.errors import UsageError

Answer = Callable[[Any], None]

ALARMS = frozenset(
    {"fork.detected", "rollback.suspected", "rollback.detected", "clone.detected", "messages.unavailable"}
)
"""What no node may say in a universe where everybody is honest and saves before it sends."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A node's data directory at one moment, and what its app knew then."""

    store: Store
    read: int
    seen: dict[int, Event]
    knows_removed: frozenset[bytes]
    memory: Memory
    joined: bool


@dataclass(slots=True)
class _Request:
    command: Input
    answer: Answer
    may_be_refused: bool


class App:
    """Sits at a node's socket. After a crash of the node it repeats what was not answered, in order.

    `twin` tells the app of a cloned node from the other one with its identity.
    """

    def __init__(self, node: Node, oracle: Oracle, twin: bytes = b"") -> None:
        self.node = node
        self.oracle = oracle
        self.key = node.identity.identity_public_key + twin
        self.universe_id: bytes | None = None
        self.joined = False
        self.removed = False
        self.muted = False
        self.refused_join: str | None = None
        self.alarms = ALARMS
        self.knows_removed: set[bytes] = set()
        self.sent_ids: list[SendMessage] = []
        self.heard: Counter[str] = Counter()
        """How often each kind of event came."""
        self.events: list[Event] = []
        self.asking: dict[bytes, str] = {}
        """Members that ask to start anew, with the digits to compare."""
        self.superseded = False
        """Whether another state of this node was admitted anew: a person has to ask for this one."""
        self._pending: dict[int, _Request] = {}
        self._requests = 0
        self._read = len(node.store.events)
        self._acknowledged = self._read
        self._seen: dict[int, Event] = {}
        node.app = self

    @property
    def identity(self) -> bytes:
        return self.node.identity.identity_public_key

    @property
    def idle(self) -> bool:
        """Whether every command is answered."""
        return not self._pending

    # commands

    def ask(
        self, command: Input, answer: Answer = lambda result: None, *, may_be_refused: bool = False
    ) -> None:
        self._requests += 1
        self._pending[self._requests] = _Request(command, answer, may_be_refused)
        self._try(self._requests)

    def create(self, name: str, cipher_suite: int = 1) -> None:
        def created(universe_id: Any) -> None:
            self.universe_id = universe_id
            self.joined = True

        self.ask(CreateUniverse(name, cipher_suite), created)

    def join(self, ticket: str, cipher_suite: int = 1) -> None:
        def asked(universe_id: Any) -> None:
            self.universe_id = universe_id

        self.ask(JoinUniverse(ticket, cipher_suite), asked, may_be_refused=self.universe_id is not None)

    def send(self, message_id: bytes, text: bytes, to: bytes = b"") -> None:
        """To all, or to the one member of that identity."""
        assert self.universe_id is not None
        command = SendMessage(self.universe_id, message_id, text, to=to)
        self.sent_ids.append(command)
        self.oracle.sent(self.key, message_id, text, frozenset(self.knows_removed), to)
        self.ask(command, lambda result: self._sent(message_id, result))

    def repeat(self, which: int) -> None:
        """Give a send a second time, as an app does that forgot the answer."""
        if self.sent_ids:
            command = self.sent_ids[which % len(self.sent_ids)]
            self.ask(command, lambda result: self._sent(command.message_id, result))

    def _sent(self, message_id: bytes, result: Any) -> None:
        if result["state"] == "sent":
            self.oracle.reported(message_id, result["recipients"])
        elif result["state"] == "undelivered":
            self.oracle.undelivered(message_id)
        elif result["state"] != "queued":
            raise Violation("answer", f"a send was answered with the state {result['state']!r}")

    def restarted(self) -> None:
        """The node is back: read on from the last acknowledgement, repeat what was not answered."""
        self._read = self._acknowledged
        self.follow()
        for number in tuple(self._pending):
            self._try(number)

    def _try(self, number: int) -> None:
        request = self._pending.get(number)
        if request is None or not self.node.running:
            return

        def answered(result: Any) -> None:
            if self._pending.pop(number, None) is not None:
                request.answer(result)

        try:
            self.node.command(request.command, answered)
        except UsageError as error:
            del self._pending[number]
            goes_on = not (self.removed or self.muted)
            if isinstance(request.command, SendMessage) and request.command.to and goes_on:
                self.oracle.undelivered(request.command.message_id)
                return
            if goes_on and not request.may_be_refused:
                raise Violation("refused", f"{type(request.command).__name__}: {error}") from error

    def imports_of(self, other: App) -> dict[bytes, bytes]:
        """What this node has stored of its own imports from another's send group, by row."""
        rows = self.node.store.rows
        groups = {
            key
            for (table, key), (row, _) in rows.items()
            if table == "group" and load_group_row(row)[1] == other.identity
        }
        return {
            key: row
            for (table, key), (row, _) in rows.items()
            if table == "import" and key[32:64] == self.identity and key[64:] in groups
        }

    # copies of the data directory

    def copy(self) -> Copy:
        return Copy(
            self.node.store.copy(),
            self._acknowledged,
            dict(self._seen),
            frozenset(self.knows_removed),
            self.oracle.memory(self.key),
            self.joined,
        )

    def put_back(self, copy: Copy) -> None:
        """The node's disk holds the copy again, cursors included; the app forgets what came after it."""
        self.node.crash(None)
        self.node.store = copy.store.copy()
        self.node.store.journal = []
        self._go_on(copy)
        self.oracle.put_back(self.key, copy.memory)

    def clone(self, node: Node, copy: Copy, twin: bytes) -> App:
        """The app of another node that starts from a copy of this one's."""
        app = App(node, self.oracle, twin)
        app.universe_id, app.joined = self.universe_id, self.joined
        app.alarms = self.alarms
        app._go_on(copy)
        self.oracle.clone(self.key, app.key, copy.memory)
        return app

    def _go_on(self, copy: Copy) -> None:
        self._read = self._acknowledged = copy.read
        self._seen = dict(copy.seen)
        self.knows_removed = set(copy.knows_removed)
        self.joined = copy.joined
        self.superseded = False

    # events

    def follow(self) -> None:
        """Read the durable events after the cursor; acknowledge in groups."""
        events = self.node.store.events
        while self._read < len(events):
            event = events[self._read]
            self._read += 1
            if self._seen.get(self._read) is None:
                self._seen[self._read] = event
                self._hear(event)
            elif self._seen[self._read] != event:
                raise Violation("cursor", "an event changed under its sequence number")
            if self._read - self._acknowledged >= 8:
                self._acknowledged = self._read

    def _hear(self, event: Event) -> None:
        body = event.body
        self.heard[event.kind] += 1
        self.events.append(event)
        match event.kind:
            case "message.received":
                self.oracle.delivered(self.key, body["sender"], body["id"], body["body"], body["to"] or b"")
            case "message.undelivered":
                self.oracle.undelivered(body["id"])
            case "message.sent":
                self.oracle.reported(body["id"], body["recipients"])
            case "universe.joined":
                self.universe_id = event.universe_id
                self.joined = True
            case "member.joined":
                self.knows_removed.discard(body["identity"])
            case "group.entered":
                self.oracle.entered(self.key, body["owner"])
            case "universe.superseded" | "universe.recovering":
                self.superseded = event.kind == "universe.superseded"
            case "member.asks_again":
                self.asking[body["identity"]] = body["verification"]
            case kind if kind in self.alarms:
                raise Violation("alarm", f"{self.node.name} raised {kind}: {dict(body)}")
            case "messages.unavailable":
                self.oracle.unavailable(self.key, body["owner"])
            case "join.failed":
                self.refused_join = str(body.get("reason"))
