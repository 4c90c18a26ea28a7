"""A whole simulated universe: nodes, their apps, the network between them, and the oracle over all."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.sim import faults
from tests.sim.app import ALARMS, App, Copy
from tests.sim.event_queue import BEGINNING, EventQueue
from tests.sim.faults import CALM, Faults
from tests.sim.ledger import SealLedger
from tests.sim.membership import DOUBT, Membership
from tests.sim.network import Network
from tests.sim.node import Crash, EngineFactory, Node
from tests.sim.oracle import Oracle
from tests.sim.store import Store
from tests.sim.violation import Violation

from starling.protocol.archiver.engine import ArchiverEngine
from starling.protocol.distributed.identity import Identity
from starling.protocol.engine.inputs import (
    CreateInvite,
    NameArchiver,
    OfferArchiver,
    ReadmitMember,
    Recover,
    RemoveMember,
    UpdateKeys,
)

MOST_NODES = 7
PATIENCE = 10 * 60_000
"""How long, in virtual time, a healed network may take until all is delivered and all are equal."""

_LOOK_EVERY = 1_000
_CARRIER = 100
"""The archiver's number among the nodes."""


@dataclass(frozen=True, slots=True)
class Seat:
    """One member of a saved universe."""

    identity: Identity
    store: Store


@dataclass(frozen=True, slots=True)
class SavedUniverse:
    """What the nodes of a joined and quiet universe have on their disks. Seat 0 is the founder's."""

    now: int
    universe_id: bytes
    seats: tuple[Seat, ...]
    used: frozenset[tuple[bytes, bytes]] = field(repr=False)


class World:
    """Seeded and repeatable: the same seed and the same calls give the same history."""

    def __init__(
        self,
        factory: EngineFactory,
        seed: object,
        level: Faults = CALM,
        *,
        saved: SavedUniverse | None = None,
        converged: Callable[[Any, bytes], bool] = lambda engine, universe_id: engine.converged(universe_id),
        suites: tuple[int, ...] = (1,),
    ) -> None:
        self.seed = str(seed)
        self.rng = random.Random(f"{seed} world")
        self.counts: Counter[str] = Counter()
        self.queue = EventQueue(BEGINNING if saved is None else saved.now)
        self.network = Network(self.queue, random.Random(f"{seed} network"), level, self.counts)
        self.apps: list[App] = []
        self.copies: dict[bytes, Copy] = {}
        self.confirmed: Counter[bytes] = Counter()
        """How often the founder has admitted each member anew."""
        self.membership = Membership(self)
        self.carrier: Node | None = None
        """An archiver's node, once there is one."""
        self.ledger = SealLedger(frozenset() if saved is None else saved.used)
        self._factory = factory
        self._converged = converged
        self._suites = suites
        self._alarms = ALARMS
        self._is_late = False
        self._texts = 0
        certain = (
            frozenset() if saved is None else frozenset(s.identity.identity_public_key for s in saved.seats)
        )
        self.oracle = Oracle(certain)
        self.from_beginning = sorted(certain)
        if saved is not None:
            for seat in saved.seats:
                app = self._seat(seat.identity, seat.store.copy())
                app.universe_id, app.joined = saved.universe_id, True

    # nodes

    @property
    def nodes(self) -> list[Node]:
        return [app.node for app in self.apps]

    @property
    def present(self) -> list[App]:
        """The apps of members and of nodes that go on."""
        return [app for app in self.apps if not app.removed and not app.node.retired]

    @property
    def founder(self) -> App:
        return self.apps[0]

    def _seat(self, identity: Identity, store: Store) -> App:
        app = App(self._node(identity, store), self.oracle)
        app.alarms = self._alarms
        self.apps.append(app)
        return app

    def _node(self, identity: Identity, store: Store) -> Node:
        node = Node(len(self.apps), identity, store, self.network, self._factory, self.seed)
        self.network.nodes.append(node)
        return node

    def add_node(self) -> App:
        """A fresh node, which has joined nothing."""
        index = len(self.apps)
        source = random.Random(f"{self.seed} identity {index}")
        app = self._seat(Identity.generate(f"node-{index}", source.randbytes), Store())
        app.node.start()
        return app

    def start_all(self) -> None:
        for node in self.nodes:
            node.restart() if node.starts else node.start()

    def run(self, duration: int) -> None:
        self.queue.run_until(self.queue.now + duration)

    # what people do

    def found(self) -> None:
        founder = self.add_node()
        founder.create("universe", self._suites[0])
        self.oracle.certain.add(founder.identity)

    def invite(self, inviter: App | None = None, role: str = "member") -> App | None:
        """A member, or the founder, makes a ticket, and a new node joins with it as soon as it has it."""
        inviter = inviter or self.founder
        if len(self.apps) >= MOST_NODES or inviter.universe_id is None or inviter.removed or inviter.muted:
            return None
        joiner = self.add_node()
        suite = self._suites[joiner.node.index % len(self._suites)]
        universe_id = inviter.universe_id

        def invited(result: Any) -> None:
            joiner.join(result["ticket"], suite)

        if role == "reader":
            self.membership.mute(joiner)
        elif inviter is not self.founder:
            role = "member"
        inviter.ask(CreateInvite(universe_id, role=role), invited, may_be_refused=inviter is not self.founder)
        return joiner

    def send_direct(self, app: App, which: int) -> None:
        """A message to one of the members that were there from the beginning."""
        others = [
            identity
            for identity in self.from_beginning
            if identity != app.identity and identity not in self.oracle.removed
        ]
        if others:
            self.send(app, to=others[which % len(others)])

    def send(self, app: App, size: int = 0, to: bytes = b"") -> None:
        """A message of that many bytes at least, if its app is in the universe."""
        if not app.joined or app.removed or app.muted or app.node.retired:
            return
        self._texts += 1
        text = f"{self._texts} from {app.node.name} ".encode()
        text += self.rng.randbytes(max(0, size - len(text)))
        app.send(self.rng.randbytes(16), text, to)

    def update(self, app: App) -> None:
        if app.joined and not app.removed and app.universe_id is not None:
            app.ask(UpdateKeys(app.universe_id), may_be_refused=True)

    def remove(self, app: App) -> None:
        """The founder removes a member; nothing is owed to it or promised for it from here on. Others may still be
        joining, and need of it what nobody holds any more."""
        founder = self.founder
        if app is founder or app.removed or not app.joined or founder.universe_id is None:
            return
        for other in self.apps:
            other.removed |= other.identity == app.identity
        self.oracle.remove(app.identity)

        def done(result: Any) -> None:
            founder.knows_removed.add(app.identity)

        founder.ask(RemoveMember(founder.universe_id, app.identity), done, may_be_refused=True)

    def crash(self, app: App, kind: Crash | None, countdown: int, restart_after: int) -> None:
        if kind is not None:
            app.node.plan_crash(kind, countdown, restart_after)
        elif app.node.running:
            self.counts[faults.CRASHED_IDLE] += 1
            app.node.crash(restart_after)

    def partition(self, sides: list[int]) -> None:
        nodes = [*self.nodes, *([self.carrier] if self.carrier is not None else [])]
        self.network.partition({node.index: sides[node.index % len(sides)] for node in nodes})

    # copies of data directories

    def copy(self, app: App) -> Copy | None:
        """Copy the data directory of a member, or of who is about to become one, and keep that in place of an earlier
        copy."""
        if app.universe_id is None or app.removed or app.node.retired:
            return None
        copy = self.copies[app.key] = app.copy()
        return copy

    def put_back(self, app: App, copy: Copy | None = None) -> None:
        """The node ends, its disk holds the copy again (the newest one), and it starts with fresh randomness."""
        copy = copy or self.copies.get(app.key)
        if copy is None or app.node.retired:
            return
        self.counts[faults.PUT_BACK] += 1
        self._expect_alarms()
        app.put_back(copy)
        app.node.start()

    def clone(self, app: App, copy: Copy | None = None) -> App | None:
        """A second node runs on the (newest) copy, with the same identity and peer id, elsewhere in the network.

        No member has more than two nodes, and nobody clones the founder, who confirms.
        """
        copy = copy or self.copies.get(app.key)
        if copy is None or not copy.joined or app.removed:
            return None
        if app is self.founder or app.identity in self.oracle.cloned:
            return None
        self.counts[faults.CLONED] += 1
        self._expect_alarms()
        node = self._node(app.node.identity, copy.store.copy())
        node.store.journal = []
        twin = app.clone(node, copy, bytes([len(self.apps)]))
        self.apps.append(twin)
        node.start()
        return twin

    def _expect_alarms(self) -> None:
        """From here on nodes have reason to raise them, also those that are yet to join."""
        self._alarms = frozenset()
        for app in self.apps:
            app.alarms = self._alarms

    def end_clones(self) -> None:
        """The person with two nodes ends the second one for good, and starts anew with the first."""
        for app in self.apps:
            if len(app.key) > len(app.identity) and not app.node.retired:
                self.retire(app)
                if not app.removed:
                    self.recover(next(other for other in self.apps if other.key == app.identity))

    def retire(self, app: App) -> None:
        """A node ends for good."""
        app.node.retire()
        self.oracle.retire(app.key)

    def recover(self, app: App) -> None:
        """The person at a node asks to start anew."""
        assert app.universe_id is not None
        app.ask(Recover(app.universe_id), may_be_refused=True)

    def confirm(self) -> None:
        """Who is superseded asks to start anew; the founder compares the numbers with all who ask, and admits them. Who
        has lost its membership and cannot ask is removed."""
        self.membership.remove_lost()
        for app in self.present:
            if app.superseded and app.idle:
                self.recover(app)
        founder = self.founder
        assert founder.universe_id is not None
        asking, founder.asking = founder.asking, {}
        for identity, verification in asking.items():
            command = ReadmitMember(founder.universe_id, identity, verification)

            def done(result: Any, identity: bytes = identity) -> None:
                self.confirmed[identity] += 1

            founder.ask(command, done, may_be_refused=True)

    # an archiver

    def name_archiver(self) -> None:
        """The founder names an archiver, which begins to carry."""
        founder = self.founder
        if self.carrier is not None or founder.universe_id is None:
            return
        universe_id = founder.universe_id
        identity = Identity.generate("carrier", random.Random(f"{self.seed} carrier").randbytes)
        self.carrier = Node(_CARRIER, identity, Store(), self.network, ArchiverEngine, self.seed)
        self.network.nodes.append(self.carrier)
        self.carrier.start()

        def offered(result: Any) -> None:
            founder.ask(NameArchiver(universe_id, result["offer"]), may_be_refused=True)

        self.carrier.command(OfferArchiver(), offered)

    # the end

    def settle(self, patience: int = PATIENCE) -> None:
        """Heal everything and wait until all is delivered and all members say that they are equal; who asks to
        start anew meanwhile is confirmed."""
        self.network.heal()
        self.network.level = CALM
        for node in [*self.nodes, *([self.carrier] if self.carrier is not None else [])]:
            node.cancel_crash()
            node.restart()
        deadline = self.queue.now + patience
        while (problem := self._unsettled()) is not None:
            self.confirm()
            if self.queue.now >= deadline:
                raise Violation(*problem)
            if self.queue.now >= deadline - patience // 2:
                self._end_forgotten_joins()
            self._is_late = self.queue.now >= deadline - patience + DOUBT
            self.run(_LOOK_EVERY)

    def _end_forgotten_joins(self) -> None:
        """Who was put back to before it invited somebody does not know the ticket, nor does anybody else. Nor is one of
        use whose maker is no member any more."""
        universe_id = self.founder.universe_id
        waiting = [app for app in self.present if not app.joined]
        if universe_id is None or not waiting:
            return
        nobody_forgets = not self.counts[faults.PUT_BACK] and not self.membership.removals
        joined = [app for app in self.present if app.joined]
        engines: list[Any] = [app.node.engine for app in joined]
        known = {member["identity"] for engine in engines for member in engine.members(universe_id)}
        for app in waiting:
            has_ticket = app.universe_id is not None
            if app.identity not in known and not (has_ticket and nobody_forgets):
                self.retire(app)

    def _unsettled(self) -> tuple[str, str] | None:
        for app in self.apps:
            if app.node.retired:
                continue
            if not app.idle:
                return "stuck", f"{app.node.name} has commands without an answer"
            if not app.removed and not app.joined:
                return "join", f"{app.node.name} did not get in ({app.refused_join})"
        if self.membership.removals:
            problem = self.membership.decide(is_late=self._is_late)
            if problem is not None:
                return "members", problem
        problem = self.oracle.missing()
        if problem is not None:
            return "lost", problem
        for app in self.present:
            if not self._converged(app.node.engine, app.universe_id or b""):
                return "apart", f"{app.node.name} does not report that all have converged"
        return None

    def finish(self) -> None:
        """The oracle's last words: settle, then one more message from each to all, exactly once."""
        self.settle()
        present = self.present
        self.oracle.certain.update(app.key for app in present)
        for app in present:
            self.send(app)
        self.settle()
        self.oracle.check_complete()
        expected = len(present) - 1
        for app in present:
            if app.muted:
                continue
            newest = self.oracle.messages[app.sent_ids[-1].message_id]
            if newest.reported != expected:
                raise Violation(
                    "recipients", f"the last message was reported to go to {newest.reported} of {expected}"
                )
        self.ledger.check()

    def save(self) -> SavedUniverse:
        """What is on the disks now: the start of other histories."""
        assert self.founder.universe_id is not None
        for node in self.nodes:
            node.crash(None)
        seats = tuple(Seat(node.identity, node.store.copy()) for node in self.nodes)
        return SavedUniverse(self.queue.now, self.founder.universe_id, seats, self.ledger.all())
