"""What is the node's and not one universe's: who it is, its universes and contacts, who is connected."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from starling.protocol.distributed.identity import Identity
from starling.protocol.distributed.peer_address import PeerAddress
from starling.protocol.engine.contacts import ContactBook
from starling.protocol.engine.context import Context
from starling.protocol.engine.loading import load_universes, read_tables
from starling.protocol.engine.universe import Universe
from starling.protocol.errors import UsageError

MAX_UNIVERSES = 256


class Node:
    """`records` as the engine gets them. `touched` are the universes that the input of this moment is about."""

    def __init__(
        self,
        identity: Identity,
        records: Iterable[tuple[str, bytes, bytes]],
        *,
        now: int,
        readmits_automatically: bool,
    ) -> None:
        self.identity = identity
        tables = read_tables(records)
        for _, name in tables["name"]:
            self.identity = replace(self.identity, name=name.decode())
        self.universes = load_universes(self.identity, tables, now)
        self.contacts = ContactBook(tables["contact"])
        self.connected: set[bytes] = set()
        self.addresses: tuple[str, ...] = ()
        self.touched: set[bytes] = set()
        self.readmits_automatically = readmits_automatically
        for universe in self.universes.values():
            self._share(universe)

    def touch_all(self) -> None:
        self.touched.update(self.universes)

    def universe(self, universe_id: bytes) -> Universe:
        """A universe of this node, whatever its state. Raises `UsageError`."""
        universe = self.universes.get(universe_id)
        if universe is None:
            raise UsageError("no such universe on this node", "universe.unknown")
        return universe

    def active(self, universe_id: bytes) -> Universe:
        """A universe that this node is a member of, for a command about it. Raises `UsageError`."""
        universe = self.universe(universe_id)
        self.touched.add(universe_id)
        if universe.joining is not None:
            raise UsageError("the join is still under way", "universe.joining")
        if universe.removed:
            how = "has left" if universe.leaving is not None else "was removed from"
            raise UsageError(f"this node {how} the universe", "universe.removed")
        return universe

    def check_room(self) -> None:
        """Raises `UsageError` where one more universe would be too many."""
        # Of one that was left or that removed this node only the name stays.
        if sum(not universe.removed for universe in self.universes.values()) >= MAX_UNIVERSES:
            raise UsageError(
                f"this node is in {MAX_UNIVERSES} universes already, and cannot be in more; leave one first",
                "universe.limit",
            )

    def adopt(self, ctx: Context, universe: Universe) -> None:
        """Take a new universe in."""
        self.touched.add(universe.universe_id)
        self._share(universe)
        self.universes[universe.universe_id] = universe
        self.sign_address(ctx, universe)

    def _share(self, universe: Universe) -> None:
        """What is the node's, given to one of its universes."""
        universe.connected = self.connected
        universe.contacts = self.contacts
        universe.readmits_automatically = self.readmits_automatically

    def sign_address(self, ctx: Context, universe: Universe) -> None:
        """Sign where this node listens now."""
        held = universe.own_address
        serial = max(ctx.now, held.serial + 1 if held is not None else 0)
        universe.own_address = PeerAddress.sign(
            self.identity, universe_id=universe.universe_id, serial=serial, addresses=self.addresses
        )
