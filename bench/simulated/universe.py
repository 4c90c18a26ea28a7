"""A simulated universe: founded in bulk, run in virtual time, asked how far it has come."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from tests.sim.event_queue import BEGINNING, EventQueue

from bench.simulated.founding import founded
from bench.simulated.member import Member
from bench.simulated.network import Network
from bench.simulated.traffic import Traffic
from starling.protocol.distributed import policy
from starling.protocol.engine.inputs import SendMessage, UpdateKeys

LOOK = 100
"""How exactly a time is found, in milliseconds."""

PATIENCE = 10 * policy.MINUTE


class NotReached(Exception):
    """A universe did not come where it should in the time that it was given."""


class SimulatedUniverse:
    """All members are started, in everybody's groups, and have reported it when this returns."""

    def __init__(self, size: int, seed: object) -> None:
        self.queue = EventQueue()
        self.network = Network(self.queue, seed)
        made = founded(size, seed, BEGINNING)
        self.members = [Member.seated(made, seat, self.network, seed) for seat in made.seats]
        for member in self.members:
            self.network.add(member)
        for member in self.members:
            member.start()
        self.network.connect()
        self._texts = 0
        self.wait_for(self.entered)
        for member in self.members:
            for state in member.universe.groups.values():
                # Nobody is a newcomer here, whose first path commit all others import at once.
                state.updated = True
        # Everybody imports what that was: one commit each, before the first message.
        self.run(policy.IMPORT_BEFORE_SEND)
        for member in self.members:
            self.say(member, 0)
        self.wait_for(self.converged)

    @property
    def traffic(self) -> Traffic:
        return self.network.traffic

    def count_anew(self) -> Traffic:
        """Begin to count; what was counted is given back."""
        counted, self.network.traffic = self.network.traffic, Traffic()
        return counted

    def run(self, duration: int) -> None:
        self.queue.run_until(self.queue.now + duration)

    def wait_for(self, condition: Callable[[], bool], patience: int = PATIENCE) -> int:
        """Run until it holds; how long that took, in milliseconds. Raises `NotReached`."""
        began = self.queue.now
        while not condition():
            if self.queue.now - began >= patience:
                raise NotReached(f"{getattr(condition, '__name__', condition)} after {patience / 1000:.0f} s")
            self.run(LOOK)
        return self.queue.now - began

    # what people do

    def each_once(self, duration: int, rng: random.Random) -> Iterator[Member]:
        """Every member once within this time, at a time of its own."""
        start = self.queue.now
        for at, index in sorted((rng.randrange(duration), index) for index in range(len(self.members))):
            self.queue.run_until(start + at)
            yield self.members[index]
        self.queue.run_until(start + duration)

    def say(self, member: Member, size: int) -> None:
        """A message of that many bytes."""
        self._texts += 1
        message_id = self._texts.to_bytes(16)
        member.handle(SendMessage(member.universe_id, message_id, bytes(size)))

    def renew(self, member: Member) -> None:
        member.handle(UpdateKeys(member.universe_id))

    # how far it has come

    def entered(self) -> bool:
        """Whether everybody is in everybody's group."""
        return all(len(member.universe.groups) == len(self.members) for member in self.members)

    def converged(self) -> bool:
        """Whether every member finds that all report the same heads and roster, and nothing is missing."""
        return all(member.engine.converged(member.universe_id) for member in self.members)

    def settled(self) -> bool:
        """Whether nobody retains a superseded epoch of any group."""
        return self.retained() == 0

    def retained(self) -> int:
        """How many superseded epochs all members together retain."""
        return sum(
            sum(1 for _ in state.retained()) - 1
            for member in self.members
            for state in member.universe.groups.values()
        )
