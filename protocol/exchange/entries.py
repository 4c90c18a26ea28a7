"""Roster entries in messages of a bounded size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from starling.protocol.exchange.member_messages import RosterEntries

MAX_ENTRIES_BYTES = 48 * 1024
"""Of roster entries in one message: what a peer may say that is not known to be a member yet."""


def in_messages(universe_id: bytes, entries: Iterable[bytes]) -> Iterator[RosterEntries]:
    """Entries, predecessors first, in as many messages as they take: one where there are none."""
    for part in in_parts(entries, MAX_ENTRIES_BYTES):
        yield RosterEntries(universe_id, part)


def in_parts(entries: Iterable[bytes], max_bytes: int) -> Iterator[tuple[bytes, ...]]:
    """Entries, in their order, in at least one part; each has at most so many bytes, or a single entry."""
    batch: list[bytes] = []
    size = 0
    for entry in entries:
        if batch and size + len(entry) > max_bytes:
            yield tuple(batch)
            batch, size = [], 0
        batch.append(entry)
        size += len(entry)
    yield tuple(batch)
