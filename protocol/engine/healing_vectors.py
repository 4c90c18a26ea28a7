"""The healing vectors that a node keeps, and their rows (PROTOCOL 5.5).

A row is written with every commit of every owner, and there are some for each of them at a start: so it is plain
bytes, universe id and then identity and time of each member, and it is read on first use.
"""

from __future__ import annotations

from collections.abc import Set

from starling.protocol.distributed.healing import StatedTimes, Vector
from starling.protocol.packed import Many, Uint, shape, unpack

_SEEN = Many((Uint(), Uint()), StatedTimes.MOST)
_IDENTITY = _UNIVERSE = 32
_ENTRY = _IDENTITY + 8

Key = tuple[bytes, bytes]
"""(group_id, dmls_epoch)"""


class Healing:
    """Vectors by epoch, and how far each member's clock can be believed."""

    def __init__(self) -> None:
        self._vectors: dict[Key, Vector] = {}
        self._rows: dict[Key, bytes] = {}
        self.stated = StatedTimes()
        self.changed: set[bytes] = set()
        """The members of whom some epoch is healed further since that was last looked at."""

    @property
    def epochs(self) -> Set[Key]:
        """The epochs of which a vector is kept."""
        return self._vectors.keys() | self._rows.keys()

    def vector(self, group_id: bytes, dmls_epoch: bytes) -> Vector:
        """What an epoch is healed of; empty, so that nothing is claimed, for one that is not known."""
        row = self._rows.pop((group_id, dmls_epoch), None)
        if row is not None:
            self._vectors[group_id, dmls_epoch] = read_vector(row)
        return self._vectors.get((group_id, dmls_epoch), {})

    def keep(self, group_id: bytes, dmls_epoch: bytes, vector: Vector) -> None:
        self._vectors[group_id, dmls_epoch] = vector

    def forget(self, group_id: bytes, dmls_epoch: bytes) -> None:
        self._vectors.pop((group_id, dmls_epoch), None)
        self._rows.pop((group_id, dmls_epoch), None)

    def load_vector(self, key: bytes, row: bytes) -> None:
        self._rows[key[:32], key[32:]] = row

    def load_seen(self, key: bytes, row: bytes) -> None:
        self.stated.seen[key[32:]] = dict(map(tuple, shape(unpack(row, max_bytes=4096), _SEEN)))


def vector_row(universe_id: bytes, vector: Vector) -> bytes:
    """The row of one vector, in the table `healing` under group id and `dmls_epoch`."""
    return universe_id + b"".join(identity + time.to_bytes(8) for identity, time in vector.items())


def vector_universe(row: bytes) -> bytes:
    """The universe id of a `healing` row."""
    return row[:_UNIVERSE]


def read_vector(row: bytes) -> Vector:
    """The inverse of `vector_row`."""
    entries = (row[start : start + _ENTRY] for start in range(_UNIVERSE, len(row), _ENTRY))
    return {entry[:_IDENTITY]: int.from_bytes(entry[_IDENTITY:]) for entry in entries}
