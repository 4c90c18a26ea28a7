"""What can be asked of the node without changing anything."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from starling.protocol.engine import (
    naming,
    views,
)
from starling.protocol.engine.account import Record, account
from starling.protocol.engine.fork_view import forks_view
from starling.protocol.engine.node import Node
from starling.protocol.engine.people import named, people_view
from starling.protocol.engine.security_view import security_view
from starling.protocol.errors import (
    UsageError,
)


class Queries:
    """The views of a node, as apps are shown them."""

    _node: Node
    _now: int

    def account(self) -> Callable[[Iterable[Record]], Iterator[Record]]:
        """Chooses from the stored rows those that a backup is made of."""
        return account(self._node)

    def universes(self) -> list[Mapping[str, Any]]:
        """All universes of this node, in short."""
        return [views.universe_view(universe) for universe in self._node.universes.values()]

    def universe(self, universe_id: bytes) -> Mapping[str, Any]:
        return views.universe_view(self._node.universe(universe_id))

    def members(self, universe_id: bytes) -> list[Mapping[str, Any]]:
        universe = self._node.universe(universe_id)
        return list(named(universe, views.members_view(universe)))

    def people(self, universe_id: bytes) -> list[Mapping[str, Any]]:
        """Who can be named in a universe: members, former ones, and those of whom something is noted."""
        return list(people_view(self._node.universe(universe_id)))

    def former_members(self, universe_id: bytes) -> list[Mapping[str, Any]]:
        """Who was a member, and by how many owners each is removed already."""
        universe = self._node.universe(universe_id)
        return list(named(universe, views.former_view(universe)))

    def named(self, universe_id: bytes, value: Mapping[str, Any]) -> Mapping[str, Any]:
        """What names somebody of a universe, with `petname` and `display_name`."""
        universe = self._node.universes.get(universe_id)
        shown: Mapping[str, Any] = value if universe is None else named(universe, value)
        return shown

    def archivers(self, universe_id: bytes) -> list[Mapping[str, Any]]:
        return list(naming.archivers_view(self._node.active(universe_id)))

    def invites(self, universe_id: bytes) -> list[Mapping[str, Any]]:
        return list(views.invites_view(self._node.active(universe_id), self._now))

    def security(self, universe_id: bytes, member: bytes | None = None) -> Mapping[str, Any]:
        """Who is healed of what, who is stale, and a digest to compare; of one member with every send group.

        Raises `UsageError` for somebody who is no member.
        """
        universe = self._node.universe(universe_id)
        if member is not None and member not in universe.roster.members:
            raise UsageError("this is no member's identity", "member.unknown")
        shown: Mapping[str, Any] = named(universe, security_view(universe, self._now, member))
        return shown

    def forks(self, universe_id: bytes, owner: bytes | None = None) -> list[Mapping[str, Any]]:
        """The epochs of every send group: heads, who is where, what is kept; or of one, with everybody named.

        Raises `UsageError` for somebody who is no member.
        """
        universe = self._node.universe(universe_id)
        if owner is not None and owner not in universe.roster.members:
            raise UsageError("this is no member's identity", "member.unknown")
        return list(named(universe, forks_view(universe, owner)))

    def evidence(self, universe_id: bytes) -> list[Mapping[str, Any]]:
        """The evidence held against owners that committed twice or run twice."""
        universe = self._node.universe(universe_id)
        return list(named(universe, views.evidence_view(universe)))

    def converged(self, universe_id: bytes) -> bool:
        """Whether all members of a universe report the same heads and roster, and nothing is missing."""
        return bool(views.universe_view(self._node.universe(universe_id))["converged"])

    def trouble(self, universe_id: bytes) -> str:
        """What is wrong with this node in a universe, so that what it sends may be read by nobody; empty: nothing.

        `superseded`: another state of it was admitted in its place; `asking`: it starts anew and is not admitted
        yet; `twice`: another node with its keys runs; `rollback`: a member named an epoch of the own group that it
        does not know, so perhaps it was put back to an old state (PROTOCOL 5.3).
        """
        universe = self._node.universes.get(universe_id)
        if universe is None or not universe.is_active:
            return ""
        if not universe.is_admitted:
            return "asking" if universe.is_asking else "superseded"
        if universe.is_frozen(universe.own):
            return "twice"
        return "rollback" if universe.rollback_suspected else ""

    def peers(self) -> list[Mapping[str, Any]]:
        """The connected peers, and the members or archivers that they are."""
        rows: list[Mapping[str, Any]] = []
        for peer_id in sorted(self._node.connected):
            names = [
                (universe.universe_id, info.identity, universe.name_of(info.identity))
                for universe in self._node.universes.values()
                if (info := universe.member_of_peer(peer_id)) is not None
            ]
            archivers = [
                (universe.universe_id, archiver.identity, archiver.name)
                for universe in self._node.universes.values()
                if (archiver := universe.roster.archiver_of_peer(peer_id)) is not None
            ]
            rows.append({"peer_id": peer_id, "members": names, "archivers": archivers})
        return rows

    def status(self) -> Mapping[str, Any]:
        """The node in short."""
        return {
            "identity": self._node.identity.identity_public_key,
            "name": self._node.identity.name,
            "peer_id": self._node.identity.peer_id,
            "addresses": list(self._node.addresses),
            "role": "member",
            "universes": len(self._node.universes),
            "rollback_suspected": [
                key for key, universe in self._node.universes.items() if universe.rollback_suspected
            ],
            "connected": len(self._node.connected),
        }
