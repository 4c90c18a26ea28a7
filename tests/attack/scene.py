"""A small universe under attack: what its people do, step by step, with nothing else going on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tests.attack.attacker import reads
from tests.attack.loot import Loot, steal
from tests.attack.traffic import TappedNetwork
from tests.engine.small_network import HOUR, MINUTE, SECOND, Node

from starling.protocol.distributed.psk_ledger import ExportedPsk
from starling.protocol.engine import own_group
from starling.protocol.engine.context import Context
from starling.protocol.engine.inputs import UpdateKeys


class Breach(AssertionError):
    """A safeguard failed. (Other failures of an assertion are the test's own: its story did not come about.)"""


class Scene:
    """A universe that has come to rest: all have updated and imported since the last one joined, and all is settled.

    `members` has its nodes by name.
    """

    def __init__(self, *names: str) -> None:
        self.network = TappedNetwork()
        self.universe_id, *nodes = self.network.found(*names)
        self.members: dict[str, Node] = {node.name: node for node in nodes}
        self.wait(15 * SECOND)
        for name in names:
            self.update(name)
        self.network.leap(2 * HOUR)
        self.at_rest()

    @staticmethod
    def at_rest() -> None:
        """Called when a story can begin: a test of the tests takes a safeguard out from here on."""

    def __getitem__(self, name: str) -> Node:
        return self.members[name]

    def wait(self, duration: int = SECOND) -> None:
        self.network.run(duration)

    def wait_until(self, condition: Callable[[], object]) -> None:
        """To the millisecond, ten minutes at most."""
        end = self.network.now + 10 * MINUTE
        while not condition():
            assert self.network.now < end, "what is waited for does not happen"
            self.wait(1)

    # what people do

    def update(self, name: str) -> None:
        """A path commit as the member's timer makes it: with imports, fresh KeyPackages and replaced leaves."""
        self[name].do(UpdateKeys(self.universe_id))
        self.wait()

    def speak(self, name: str, text: str, to: str = "") -> None:
        """Send one message, to all or to one member, with nothing imported before it."""
        node = self[name]
        node.universe(self.universe_id).timers.last_import = self.network.now
        node.say(self.universe_id, text, to=self[to] if to else None)

    def say(self, name: str, text: str, to: str = "") -> None:
        """The same, and let it arrive."""
        self.speak(name, text, to)
        self.wait()

    def commit(
        self,
        name: str,
        *,
        path: bool = False,
        imports: Sequence[ExportedPsk] = (),
        replace_leaves: bool = False,
    ) -> None:
        """A commit of just that shape."""
        node = self[name]
        ctx = Context(self.network.now, node.engine._random)
        universe = node.universe(self.universe_id)
        own_group.commit(ctx, universe, path=path, imports=imports, replace_leaves=replace_leaves)
        node.finish(ctx.step(node.wake, None))
        self.wait()

    def newest_psk(self, holder: str, owner: str) -> ExportedPsk:
        """The newest PSK of one member's group that another has in its ledger."""
        group_id = self[holder].group(self.universe_id, self[owner]).group_id
        psk = self[holder].universe(self.universe_id).ledger.newest(group_id)
        assert psk is not None, f"{holder} has no PSK of {owner}"
        return psk

    # what goes wrong on the way

    def withhold(self, name: str, sender: str, text: str) -> None:
        """Somebody says this, and it never reaches one of the members."""
        self.network.withheld_from = self[name]
        self.speak(sender, text)
        self.network.withheld_from = None
        self.wait()

    def deliver_again(self) -> None:
        """What was withheld may arrive."""
        self.network.withheld.clear()

    # what the thief does

    def steal(self, name: str) -> Loot:
        return steal(self[name])

    def read_with(self, *stolen: Loot) -> set[str]:
        """What these open of all that was ever sent."""
        return reads(self.network, self.universe_id, *stolen)

    def check_reads(self, expected: set[str], *stolen: Loot) -> None:
        """That these open just that of all that was ever sent; `Breach` for more."""
        found = self.read_with(*stolen)
        if found - expected:
            raise Breach(f"the thief reads {sorted(found - expected)}")
        assert found == expected
