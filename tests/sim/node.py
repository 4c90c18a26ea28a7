"""One simulated node: the loop that saves a step before it sends it, and the ways in which it can crash."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

from tests.sim import faults
from tests.sim.store import Store
from tests.sim.violation import Violation

from starling.protocol.distributed.identity import Identity
from starling.protocol.engine.inputs import Input, OwnAddresses, PeerConnected, PeerDisconnected, Wake
from starling.protocol.engine.step import (
    Disconnect,
    KnownPeers,
    Publish,
    Send,
    SendToPeer,
    Step,
    Topics,
)
from starling.protocol.errors import UsageError
from starling.protocol.exchange.messages import attach

if TYPE_CHECKING:
    from tests.sim.app import App
    from tests.sim.network import Connection, Network


class SimulatedEngine(Protocol):
    """What the simulator runs: the engine's contract."""

    def handle(self, input: Any, now: int) -> Step: ...


class EngineFactory(Protocol):
    """Starts an engine from what was saved."""

    def __call__(
        self,
        identity: Identity,
        records: Iterable[tuple[str, bytes, bytes]],
        *,
        now: int,
        random: Callable[[int], bytes],
    ) -> SimulatedEngine: ...


class Crash(Enum):
    """When a node dies: with a step not yet saved, or saved and not yet sent."""

    BEFORE_SAVED = faults.CRASHED_BEFORE_SAVED
    BEFORE_SENT = faults.CRASHED_BEFORE_SENT


Answer = Callable[[Any], None]

_MOST_WAKES = 100
"""How often a node may want to be woken at one moment of virtual time."""


class Node:
    """A process that runs an engine over a store; `store` and `identity` outlive it."""

    def __init__(
        self,
        index: int,
        identity: Identity,
        store: Store,
        network: Network,
        factory: EngineFactory,
        seed: str,
    ) -> None:
        self.index = index
        self.identity = identity
        self.store = store
        self.saved: Store | None = None
        """A copy of the store, where no app keeps one."""
        self.network = network
        self.app: App | None = None
        self.address = f"/ip4/10.0.0.{index + 1}/tcp/4001"
        self.engine: SimulatedEngine | None = None
        self.starts = 0
        self.retired = False
        self.handled = 0
        self.topics: frozenset[str] = frozenset()
        self.members: dict[bytes, tuple[str, ...]] = {}
        self.guests: dict[bytes, tuple[str, ...]] = {}
        self.heard: set[bytes] = set()
        self.links: dict[bytes, Connection] = {}
        self.connected: set[bytes] = set()
        self._factory = factory
        self._seed = seed
        self._wake_at: int | None = None
        self._wakes = 0
        self._woken = (0, 0)
        self._unsaved: list[tuple[Step, Answer | None]] = []
        self._flushing = False
        self._plan: tuple[Crash, int] | None = None
        self._restart_after = 0

    @property
    def peer_id(self) -> bytes:
        return self.identity.peer_id

    @property
    def name(self) -> str:
        return self.identity.name

    @property
    def running(self) -> bool:
        return self.engine is not None

    # life and death

    def start(self) -> None:
        """Start from what is saved, with randomness of its own (invariant I3)."""
        if self.running or self.retired:
            return
        self.starts += 1
        source = random.Random(f"{self._seed} node {self.index} start {self.starts}")
        now = self.network.queue.now
        self.engine = self._factory(
            self.identity, list(self.store.records()), now=now, random=source.randbytes
        )
        self.deliver(OwnAddresses((self.address,)))
        self.deliver(Wake())
        if self.running and self.app is not None:
            self.app.restarted()

    def plan_crash(self, kind: Crash, countdown: int, restart_after: int) -> None:
        """Die at the `countdown`-th step from now that has something to lose, then start again."""
        self._plan = (kind, countdown)
        self._restart_after = restart_after

    def cancel_crash(self) -> None:
        self._plan = None

    def retire(self) -> None:
        """End for good: nothing starts it again."""
        self.crash(None)
        self.retired = True

    def crash(self, restart_after: int | None) -> None:
        """The process ends at once: what is not saved never was."""
        if not self.running:
            return
        self.engine = None
        self._unsaved.clear()
        self._plan = None
        self._wake_at = None
        self.topics = frozenset()
        self.members, self.guests = {}, {}
        self.heard, self.connected = set(), set()
        self.network.crashed(self)
        if restart_after is not None:
            self.network.queue.after(restart_after, self.restart)

    def restart(self) -> None:
        if not self.running and not self.retired:
            self.network.counts[faults.RESTARTED] += 1
            self.start()

    # one way in

    def deliver(self, input: Input) -> bool:
        """Hand over something that happened; False where this node could not take it."""
        if not self.running:
            return False
        match input:
            case PeerConnected(peer_id):
                self.connected.add(peer_id)
            case PeerDisconnected(peer_id):
                self.connected.discard(peer_id)
        self._handle(input, None)
        return self.running

    def deliver_if(self, start: int, input: Input) -> None:
        """Hand over what belongs to one run of this node only."""
        if self.starts == start:
            self.deliver(input)

    def command(self, command: Input, answer: Answer) -> bool:
        """Give a command; `answer` is called once its step is saved. UsageError goes to the caller."""
        if not self.running:
            return False
        self._handle(command, answer)
        return True

    def _handle(self, input: Input, answer: Answer | None) -> None:
        assert self.engine is not None
        self.handled += 1
        try:
            step = self.engine.handle(input, self.network.queue.now)
        except Exception as error:
            if answer is not None and isinstance(error, UsageError):
                raise
            what = f"{type(error).__name__} at {type(input).__name__} on {self.name}: {error}"
            raise Violation("raised", what) from error
        self._arm(step.wake_at)
        plan = self._plan
        if plan is not None and (step.writes if plan[0] is Crash.BEFORE_SAVED else step.sends):
            self._plan = (plan[0], plan[1] - 1)
        self._unsaved.append((step, answer))
        if self._plan is not None and self._plan[1] <= 0:
            self._die(self._plan[0])
        elif len(self._unsaved) == 1:
            delay = self.network.level.commit_delay
            if delay:
                start = self.starts
                self.network.queue.after(delay, lambda: self._flush_of(start))
            else:
                self._flush()

    def _die(self, kind: Crash) -> None:
        self.network.counts[kind.value] += 1
        if kind is Crash.BEFORE_SENT:
            for step, _ in self._unsaved:
                self.store.commit(step)
        self.crash(self._restart_after)
        if self.app is not None:
            self.app.follow()

    # save, then answer and send

    def _flush_of(self, start: int) -> None:
        if self.running and self.starts == start:
            self._flush()

    def _flush(self) -> None:
        """Save all that is waiting, then answer, then send; what an answer makes an app ask comes after."""
        if self._flushing:
            return
        self._flushing = True
        while self._unsaved and self.running:
            batch, self._unsaved = self._unsaved, []
            for step, _ in batch:
                self.store.commit(step)
            for step, answer in batch:
                if answer is not None:
                    answer(step.result)
            if self.app is not None:
                self.app.follow()
            for step, _ in batch:
                for send in step.sends:
                    if self.running:
                        self._perform(send)
        self._flushing = False

    def _perform(self, send: Send) -> None:
        network = self.network
        match send:
            case Publish(topic, frame):
                network.publish(self, topic, frame)
            case SendToPeer(peer_id, data, frame_ids):
                if peer_id in self.connected:
                    held = [self.store.frames[key] for key in frame_ids if key in self.store.frames]
                    network.send(self, peer_id, attach(data, held))
            case Topics(topics):
                self.topics = topics
            case KnownPeers(members, guests):
                self.members, self.guests = dict(members), dict(guests)
                network.want(self)
            case Disconnect(peer_id, _):
                network.disconnect(self, peer_id)

    # the timer

    def _arm(self, wake_at: int | None) -> None:
        if wake_at == self._wake_at:
            return
        self._wake_at = wake_at
        if wake_at is None:
            return
        self._wakes += 1
        number = self._wakes
        self.network.queue.at(wake_at, lambda: self._wake(number))

    def _wake(self, number: int) -> None:
        if number == self._wakes and self._wake_at is not None and self.running:
            self._wake_at = None
            now = self.network.queue.now
            self._woken = (now, self._woken[1] + 1 if self._woken[0] == now else 1)
            if self._woken[1] > _MOST_WAKES:
                raise Violation("spins", f"{self.name} wants to be woken again and again at one moment")
            self.deliver(Wake())
