"""What the network layer is told: which topics to hear, and whom to know at which addresses."""

from __future__ import annotations

from starling.protocol.engine import (
    archiving,
)
from starling.protocol.engine.context import Context
from starling.protocol.engine.node import Node
from starling.protocol.engine.step import KnownPeers, Topics


class ToldNetwork:
    """What the network was told last, so that it is told again only where that changes."""

    def __init__(self) -> None:
        self._topics: frozenset[str] | None = None
        self._known: KnownPeers | None = None
        self._told: dict[bytes, tuple[object, ...]] | None = None
        """By what it was told: of each universe its revision."""

    def tell(self, ctx: Context, node: Node) -> None:
        """Topics and peers, where they changed."""
        told, touched = self._told, node.touched & node.universes.keys()
        if (
            told is not None
            and told.keys() == node.universes.keys()
            and all(told[key] == node.universes[key].network_revision for key in touched)
        ):
            return
        self._told = {key: universe.network_revision for key, universe in node.universes.items()}
        topics: set[str] = set()
        members: dict[bytes, tuple[str, ...]] = {}
        guests: dict[bytes, tuple[str, ...]] = {}
        for universe in node.universes.values():
            if universe.joining is not None:
                for member in universe.joining.ticket.members:
                    guests[member.peer_id] = tuple(member.addresses)
            elif universe.leaves_word and universe.leaving is not None:
                guests.update(universe.leaving.peers)
            elif universe.is_active:
                topics.update(universe.roster.topics)
                for info in universe.others():
                    held = members.get(info.peer_id, ())
                    members[info.peer_id] = held or universe.profiles.addresses(info.identity)
                for archiver in universe.roster.archivers.values():
                    members.setdefault(archiver.peer_id, archiving.addresses(universe, archiver))
        heard = frozenset(topics)
        if heard != self._topics:
            self._topics = heard
            ctx.add_send(Topics(heard))
        known = KnownPeers(members, {peer: found for peer, found in guests.items() if peer not in members})
        if known != self._known:
            self._known = known
            ctx.add_send(known)
