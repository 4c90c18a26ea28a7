"""Which messages without a generation were taken in an epoch: no ratchet tells that they come again (T-8)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from starling.protocol.errors import Invalid
from starling.protocol.mls.rules import Rule
from starling.protocol.wire import Struct, Vector, opaque, uint32

MAX_OF_ONE = 4096
"""Messages of one member in one epoch."""


@dataclass(frozen=True, slots=True)
class SeenRecord(Struct):
    """The saved digests of one leaf's messages."""

    leaf_index: uint32
    digests: Vector[opaque]


class ReplayCache:
    """Digests by the leaf that sent the message. What is full refuses: forgetting would let the oldest come again."""

    __slots__ = ("_seen",)

    def __init__(self, records: Iterable[SeenRecord] = ()) -> None:
        self._seen = {record.leaf_index: set(record.digests) for record in records}

    def check(self, leaf_index: int, digest: bytes) -> None:
        """Raises `Invalid` for a message that was taken, and for one too many."""
        seen = self._seen.get(leaf_index, ())
        if digest in seen:
            raise Invalid(Rule.MESSAGE_REPEATED)
        if len(seen) >= MAX_OF_ONE:
            raise Invalid(Rule.MESSAGE_LIMIT)

    def add(self, leaf_index: int, digest: bytes) -> None:
        """Note a verified message, after `check`."""
        self._seen.setdefault(leaf_index, set()).add(digest)

    def clear(self) -> None:
        self._seen.clear()

    def save(self) -> tuple[SeenRecord, ...]:
        return tuple(SeenRecord(index, tuple(sorted(seen))) for index, seen in sorted(self._seen.items()))
