"""What a node can say of a universe's security: who is healed of what, who is stale, and whether two nodes agree.

Nothing here says more than PROTOCOL 5.5 allows: that a theft of a member's whole state before some time does not open
a send group any more, on the branches that are not closed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from starling.protocol.distributed import policy
from starling.protocol.distributed.labels import SECURITY_DIGEST
from starling.protocol.distributed.roster import MemberInfo
from starling.protocol.engine.group_state import GroupState
from starling.protocol.engine.reporting import is_converged
from starling.protocol.engine.universe import Universe
from starling.protocol.packed import pack

View = dict[str, Any]

MOST_LISTED = 8
"""How many send groups are named for a member where all are shown."""

DIGITS = 12


@dataclass(frozen=True, slots=True)
class Healed:
    """How far a member is healed: in each send group that it is in, by owner, what its newest epochs are healed of.

    `unknown` are the owners whose groups this node is not in, so of which it cannot say.
    """

    groups: dict[bytes, int]
    unknown: tuple[bytes, ...]

    @property
    def newest(self) -> int:
        """The newest time that any group is healed of a theft before: the member's last update, if it is known."""
        return max(self.groups.values(), default=0)

    @property
    def everywhere(self) -> int:
        """A theft before this is healed in all groups; 0 where that cannot be said."""
        return min(self.groups.values(), default=0) if not self.unknown else 0


def current_groups(universe: Universe) -> Iterator[tuple[MemberInfo, GroupState | None]]:
    """The send group of every current member, None where this node is not in it."""
    for info in universe.roster.members.values():
        yield info, universe.groups.get(info.send_group_id)


def healed(universe: Universe, identity: bytes) -> Healed:
    """How far a member is healed. A group in which it has no leaf has nothing to heal."""
    groups: dict[bytes, int] = {}
    unknown = []
    for info, state in current_groups(universe):
        if state is None:
            unknown.append(info.identity)
            continue
        vectors = [universe.healing.vector(state.group_id, head) for head in state.graph.open_heads]
        if any(identity in state.graph[head].members for head in state.graph.open_heads):
            groups[info.identity] = min(vector.get(identity, 0) for vector in vectors)
    return Healed(groups, tuple(unknown))


def last_update(universe: Universe, info: MemberInfo) -> int:
    """When a member last made fresh keys, as far as this node knows; 0 where it knows nothing."""
    state = universe.groups.get(info.send_group_id)
    heads = state.graph.open_heads if state is not None else ()
    vectors = [universe.healing.vector(info.send_group_id, head) for head in heads]
    own = max((vector.get(info.identity, 0) for vector in vectors), default=0)
    return own or healed(universe, info.identity).newest


def is_stale(universe: Universe, info: MemberInfo, now: int) -> bool:
    """Whether a member has made no fresh keys for so long that a theft of before can hardly be healed."""
    updated = last_update(universe, info)
    return bool(updated) and now - updated > policy.STALE


def digest(universe: Universe) -> bytes:
    """32 bytes over roster and open heads: equal at two nodes exactly where they have converged on both."""
    heads = [
        [info.send_group_id, sorted(state.graph.open_heads) if state is not None else []]
        for info, state in current_groups(universe)
    ]
    content = [SECURITY_DIGEST, universe.universe_id, universe.roster.digest, sorted(heads)]
    return hashlib.sha256(pack(content)).digest()


def digits(value: bytes) -> str:
    """Twelve decimal digits of a digest, for two people to compare."""
    return str(int.from_bytes(value) % 10**DIGITS).zfill(DIGITS)


def security_view(universe: Universe, now: int, member: bytes | None = None) -> View:
    """All members in short, or one with every send group."""
    if not universe.is_active:
        return {"converged": False, "digest": None, "digest_hex": None, "diverged_since": None, "members": []}
    value = digest(universe)
    shown = [
        _member_view(universe, info, now, MOST_LISTED if member is None else None)
        for identity, info in sorted(universe.roster.members.items())
        if member in (None, identity)
    ]
    return {
        "converged": is_converged(universe),
        "digest": digits(value),
        "digest_hex": value,
        "diverged_since": universe.watch.diverged_since,
        "members": shown,
    }


def _member_view(universe: Universe, info: MemberInfo, now: int, most: int | None) -> View:
    found = healed(universe, info.identity)
    newest = last_update(universe, info)
    lagging = sorted((time, owner) for owner, time in found.groups.items() if time < newest)
    importers = _importers(universe, info)
    imported = [identity for identity, has in importers.items() if has]
    shown = {
        "identity": info.identity,
        "name": universe.name_of(info.identity),
        "is_self": info.identity == universe.me,
        "joined": info.send_group_id in universe.groups,
        "last_update": newest or None,
        "stale": is_stale(universe, info, now),
        "imported_in": len(imported),
        "importers": len(importers),
        "healed_in": len(found.groups) - len(lagging),
        "groups": len(found.groups) + len(found.unknown),
        "healed_everywhere": found.everywhere or None,
        "lagging": [
            {"owner": owner, "name": universe.name_of(owner), "healed": time or None}
            for time, owner in lagging[:most]
        ],
        "unknown": [{"owner": owner, "name": universe.name_of(owner)} for owner in found.unknown[:most]],
    }
    if most is None:
        shown["imported_by"] = [{"owner": one, "name": universe.name_of(one)} for one in sorted(imported)]
    return shown


def _importers(universe: Universe, info: MemberInfo) -> dict[bytes, bool]:
    """Of every other member whose group is known here: whether it has imported this one's newest exported epoch.

    Where the ledger has none (any more) all have.
    """
    state = universe.groups.get(info.send_group_id)
    if state is None:
        return {}
    newest = universe.ledger.newest(info.send_group_id, state.graph)
    graphs = universe.graphs()
    return {
        other.identity: newest is None
        or universe.ledger.has_imported(other.identity, newest, graphs, importing.graph)
        for other, importing in current_groups(universe)
        if other.identity != info.identity and importing is not None
    }
