"""One simulated member: a real engine, and a loop that keeps nothing but frames, since it never starts again."""

from __future__ import annotations

import random
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from bench.simulated.founding import Founded, Record, Seat
from bench.simulated.traffic import COMMIT, MESSAGE, REPORT
from starling.protocol.distributed.identity import Identity
from starling.protocol.engine.engine import Engine
from starling.protocol.engine.inputs import Input, OwnAddresses, Wake
from starling.protocol.engine.step import KnownPeers, Publish, Put, SendToPeer, Step, Topics
from starling.protocol.engine.universe import Universe

if TYPE_CHECKING:
    from bench.simulated.network import Network


class Member:
    """`links` are the peers that it is connected to. A newcomer starts without records, and joins by a ticket."""

    def __init__(
        self,
        universe_id: bytes,
        identity: Identity,
        address: str,
        records: Iterable[Record],
        network: Network,
        seed: object,
    ) -> None:
        self.universe_id = universe_id
        self.identity = identity
        self.peer_id = identity.peer_id
        self.network = network
        self.links: dict[bytes, Member] = {}
        self.topics: frozenset[str] = frozenset()
        self._address = address
        self._wake_at: int | None = None
        self._wakes = 0
        self._draw = random.Random(f"{seed} run of {identity.name}").randbytes
        self.engine = Engine(identity, records, now=network.queue.now, random=self._draw)

    @classmethod
    def seated(cls, founded: Founded, seat: Seat, network: Network, seed: object) -> Member:
        """A member from the beginning."""
        records = founded.records(seat)
        return cls(founded.universe_id, seat.identity, seat.address, records, network, seed)

    def start(self) -> None:
        self.handle(OwnAddresses((self._address,)))

    @property
    def universe(self) -> Universe:
        """Its engine's own state, to look at."""
        return self.engine._node.universes[self.universe_id]

    def handle(self, item: Input) -> Any:
        """Give the engine an input, and do what it asks for; the result of a command."""
        step = self.engine.handle(item, self.network.queue.now)
        self._arm(step.wake_at)
        self._keep(step)
        for event in step.events:
            if event.kind == "epoch.started" and event.body["owner"] == self.identity.identity_public_key:
                self.network.traffic.committed(event.body)
        for send in step.sends:
            match send:
                case Publish(topic, frame):
                    self.network.publish(self, topic, frame)
                case SendToPeer(peer_id, data, frame_ids):
                    self.network.send(self, peer_id, data, frame_ids)
                case Topics(topics):
                    self.topics = topics
                case KnownPeers():
                    pass  # the network knows who is to be connected
                case _:
                    raise AssertionError(f"an honest universe does without {send}")
        return step.result

    def _keep(self, step: Step) -> None:
        """Its frames, once for all who hold them."""
        for write in step.writes:
            if isinstance(write, Put) and write.table == "frame" and write.key not in self.network.frames:
                logged = self.universe.own.log.ids.get(write.key)
                if logged is None:
                    continue  # of a scripted owner
                kind = COMMIT if logged.generation is None else MESSAGE if logged.is_user else REPORT
                self.network.frames[write.key] = (write.value, kind)

    def _arm(self, wake_at: int | None) -> None:
        if wake_at == self._wake_at:
            return
        self._wake_at = wake_at
        self._wakes += 1
        if wake_at is not None:
            self.network.queue.at(wake_at, partial(self._wake, self._wakes))

    def _wake(self, number: int) -> None:
        if number == self._wakes:
            self._wake_at = None
            self.handle(Wake())
