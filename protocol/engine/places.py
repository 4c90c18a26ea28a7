"""How far a node was in the groups of others when the backup was made by which it came back (PROTOCOL 5.6 B8, B10).

What was said since and what all had acknowledged before the node was lost nobody keeps, and no owner counts: only this
tells from where on messages may be missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from starling.protocol.engine.context import Context
from starling.protocol.packed import Uint, pack, shape, unpack

PLACES_TABLE = "place"
"""By universe id and group id, 32 bytes each."""

MAX_ROW = 32

_PLACE = (Uint(), Uint(2**32 - 1))


@dataclass(frozen=True, slots=True)
class Place:
    """The number of the newest epoch that was known of a group, and how many of its messages were held without a
    hole."""

    epoch: int
    held: int


class Places:
    """Those of one universe, by group, until this node is in the group again or never will be."""

    def __init__(self, universe_id: bytes) -> None:
        self._universe_id = universe_id
        self._places: dict[bytes, Place] = {}

    def __iter__(self) -> Iterator[bytes]:
        return iter(tuple(self._places))

    def items(self) -> Iterator[tuple[bytes, Place]]:
        yield from self._places.items()

    def leave(self, ctx: Context, group_id: bytes) -> Place | None:
        """What is known of a group, which is thereby forgotten."""
        place = self._places.pop(group_id, None)
        if place is not None:
            ctx.delete(PLACES_TABLE, self._universe_id + group_id)
        return place

    def forget_all(self, ctx: Context) -> None:
        for group_id in self:
            self.leave(ctx, group_id)

    def load(self, key: bytes, row: bytes) -> None:
        """Take a row. Raises `DecodeError`."""
        self._places[key[32:]] = Place(*shape(unpack(row, max_bytes=MAX_ROW), _PLACE))


def place_row(universe_id: bytes, group_id: bytes, place: Place) -> tuple[str, bytes, bytes]:
    """The row `(table, key, value)` of a backup."""
    return PLACES_TABLE, universe_id + group_id, pack([place.epoch, place.held])
