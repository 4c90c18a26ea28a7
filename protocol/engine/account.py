"""A person's account: what a backup of a node holds, and a node made from one (PROTOCOL 5.6 B8, B4).

Who this node is, its universes and the people in them, and what it still owes to others; nothing of a live send
group, its own or another's: keys that exist twice are used twice. So who comes back by a backup starts anew in every
universe, however old the backup is and however often it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from starling.protocol.distributed.identity import Identity
from starling.protocol.engine import readmission, resending
from starling.protocol.engine.context import Context
from starling.protocol.engine.node import Node
from starling.protocol.engine.outbox import Repeat, Sent, read_sent
from starling.protocol.engine.places import PLACES_TABLE, Place, place_row
from starling.protocol.engine.step import Step
from starling.protocol.engine.universe import Universe
from starling.protocol.errors import DecodeError

Record = tuple[str, bytes, bytes]

OF_THE_NODE = frozenset({"name", "contact"})

OF_A_UNIVERSE = frozenset(
    {"universe", "roster", "profile", "claim", "blocked", "evidence", "delivered", "sent", "lost", "leaving"}
)
"""The tables of which a backup holds rows; the keys of these begin with the universe id, 32 bytes."""

MADE_FOR_IT = frozenset({"repeat", PLACES_TABLE})
"""The tables of the rows that a backup holds beside: who is owed what, and how far the node was."""


def account(node: Node) -> Callable[[Iterable[Record]], Iterator[Record]]:
    """A filter of stored rows `(table, key, value)`: what of them is the account. It may be used while the node goes
    on, on rows that were saved by now or later.

    A universe that is still being joined is left out: its ticket is there to join again.
    """
    universes = {
        universe_id: _Owed.of(universe)
        for universe_id, universe in node.universes.items()
        if universe.joining is None
    }

    places = {
        universe_id: _places(universe)
        for universe_id, universe in node.universes.items()
        if universe_id in universes
    }

    def of_account(records: Iterable[Record]) -> Iterator[Record]:
        for table, key, value in records:
            if table in OF_THE_NODE or (table in OF_A_UNIVERSE and key[:32] in universes):
                yield table, key, value
                if table == "sent":
                    universes[key[:32]].note(read_sent(value))
        for universe_id, owed in universes.items():
            yield from owed.rows(universe_id)
            for group_id, place in places[universe_id].items():
                yield place_row(universe_id, group_id, place)

    return of_account


def _places(universe: Universe) -> dict[bytes, Place]:
    """Where this node is in the groups of others, or was when the backup was made by which it came back."""
    heads = {state.group_id: state.graph.head_info for state in universe.groups.values() if not state.is_own}
    return dict(universe.places.items()) | {
        group_id: Place(head.number, head.contiguous) for group_id, head in heads.items()
    }


@dataclass(slots=True)
class _Owed:
    """Who is to get which of the messages again that a node still has: nobody can tell that from the messages.

    `to` are the orders of those by member, as far as they were sent when the backup began: `sent`. What was sent since
    all are to get, by what is known.
    """

    to: dict[bytes, list[int]]
    sent: frozenset[int]
    kept_out: frozenset[bytes]

    @classmethod
    def of(cls, universe: Universe) -> _Owed:
        members = [info.identity for info in universe.others()] if universe.is_active else []
        return cls(
            {member: resending.owed_to(universe, member) for member in members},
            frozenset(order for order, _ in universe.outbox.kept()),
            frozenset(member for member in members if universe.standing.keeps_out(member)),
        )

    def note(self, sent: Sent) -> None:
        if sent.sent_as is None or not sent.encoded or sent.order in self.sent:
            return
        for member, orders in self.to.items():
            if sent.is_for(member) and member not in self.kept_out:
                orders.append(sent.order)

    def rows(self, universe_id: bytes) -> Iterator[Record]:
        for number, (member, orders) in enumerate(self.to.items()):
            if orders:
                yield Repeat(number, member, tuple(sorted(orders)), None).record(universe_id)


def from_account(
    identity: Identity, records: Iterable[Record], *, now: int, random: Callable[[int], bytes]
) -> Step:
    """What a new node has to store, beside the `records` of a backup, to be that person again: in every universe a new
    send group that supersedes the one before. It asks to be admitted as soon as it runs; who may admit others admits
    itself once it has heard from one whether it still may, at once where there is nobody else.

    Raises DecodeError for rows that are none.
    """
    records = list(records)
    if any(table not in OF_THE_NODE | OF_A_UNIVERSE | MADE_FOR_IT for table, _, _ in records):
        raise DecodeError("a backup with rows that are none of an account")
    node = Node(identity, records, now=now, readmits_automatically=False)
    ctx = Context(now, random)
    for universe in node.universes.values():
        if universe.is_active:
            if universe.me not in universe.roster.members:
                raise DecodeError("a backup of a universe in which its owner is no member")
            readmission.come_back(ctx, universe, "backup")
    return ctx.step(None, None)
