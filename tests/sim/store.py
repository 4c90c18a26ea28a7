"""A simulated store: what survives a crash, with the meaning that `protocol.engine.step` gives to writes."""

from __future__ import annotations

from collections.abc import Iterator

from tests.sim.violation import Violation

from starling.protocol.engine.step import Delete, EraseScope, Event, Put, Step

FRAME = "frame"


class Store:
    """Rows with their scopes, frames, and the durable events, numbered from 1."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, bytes], tuple[bytes, bytes]] = {}
        self.frames: dict[bytes, bytes] = {}
        self.events: list[Event] = []
        self.journal: list[bytes] | None = None
        """All frames that were ever stored here, for who asks for it by an empty list."""

    def copy(self) -> Store:
        other = Store()
        other.rows = dict(self.rows)
        other.frames = dict(self.frames)
        other.events = list(self.events)
        return other

    def records(self) -> Iterator[tuple[str, bytes, bytes]]:
        """What an engine starts from: every readable row but the frames."""
        for (table, key), (value, _) in self.rows.items():
            yield table, key, value

    def commit(self, step: Step) -> None:
        """One transaction. Keys are erased after the rows are written, as a daemon must do it."""
        erased: set[bytes] = set()
        for write in step.writes:
            match write:
                case Put(table, key, value, scope):
                    if scope and scope in erased:
                        raise Violation(
                            "erased", f"a row of {table} is sealed under a scope erased in the same step"
                        )
                    if len(scope) > 64:
                        raise Violation("scope", "a scope's name is longer than 64 bytes")
                    if table == FRAME:
                        self.frames[key] = value
                        if self.journal is not None:
                            self.journal.append(value)
                    else:
                        self.rows[table, key] = (value, scope)
                case Delete(table, key):
                    if table == FRAME:
                        self.frames.pop(key, None)
                    else:
                        self.rows.pop((table, key), None)
                case EraseScope(scope):
                    erased.add(scope)
        if erased:
            self.rows = {place: row for place, row in self.rows.items() if row[1] not in erased}
        self.events.extend(step.events)

    def size(self) -> dict[str, int]:
        """Bytes by table, keys included."""
        sizes: dict[str, int] = {FRAME: sum(32 + len(value) for value in self.frames.values())}
        for (table, key), (value, _) in self.rows.items():
            sizes[table] = sizes.get(table, 0) + len(key) + len(value)
        return sizes
