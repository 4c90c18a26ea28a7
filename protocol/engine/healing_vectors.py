"""The healing vectors that a node keeps, and their rows (PROTOCOL 5.5)."""

from __future__ import annotations

from starling.protocol.distributed.healing import StatedTimes, Vector
from starling.protocol.packed import Blob, Many, Uint, pack, shape, unpack

_VECTOR = (Blob.of(32), Many((Blob.of(32), Uint()), 4096))
_SEEN = Many((Uint(), Uint()), StatedTimes.MOST)
_MAX_ROW = 2**20


class Healing:
    """Vectors by (group_id, dmls_epoch), and how far each member's clock can be believed."""

    def __init__(self) -> None:
        self.vectors: dict[tuple[bytes, bytes], Vector] = {}
        self.stated = StatedTimes()
        self.changed: set[bytes] = set()
        """The members of whom some epoch is healed further since that was last looked at."""

    def vector(self, group_id: bytes, dmls_epoch: bytes) -> Vector:
        """What an epoch is healed of; empty, so that nothing is claimed, for one that is not known."""
        return self.vectors.get((group_id, dmls_epoch), {})

    def load_vector(self, key: bytes, row: bytes) -> None:
        _, entries = shape(unpack(row, max_bytes=_MAX_ROW), _VECTOR)
        self.vectors[key[:32], key[32:]] = dict(map(tuple, entries))

    def load_seen(self, key: bytes, row: bytes) -> None:
        self.stated.seen[key[32:]] = dict(map(tuple, shape(unpack(row, max_bytes=_MAX_ROW), _SEEN)))


def vector_row(universe_id: bytes, vector: Vector) -> bytes:
    """The row of one vector, in the table `healing` under group id and `dmls_epoch`."""
    return pack([universe_id, [[identity, time] for identity, time in sorted(vector.items())]])


def vector_universe(row: bytes) -> bytes:
    """The universe id of a `healing` row."""
    return bytes(shape(unpack(row, max_bytes=_MAX_ROW), _VECTOR)[0])
