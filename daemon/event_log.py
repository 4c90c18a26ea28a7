"""The durable sequence of events: numbered without gaps, bodies sealed, the oldest dropped past a limit."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import msgpack

from starling.daemon.render import encode_json, event_body
from starling.daemon.sealing import Sealer
from starling.protocol.engine.step import Event

_PRUNE_EVERY = 1024


@dataclass(frozen=True)
class StoredEvent:
    """An event with its number, kept; `time` in milliseconds since the epoch."""

    seq: int
    time: int
    kind: str
    universe_id: bytes
    body: Mapping[str, Any] = field(repr=False)

    @property
    def shown(self) -> dict[str, Any]:
        """The event as apps see it."""
        return {
            "seq": self.seq,
            "time": self.time,
            "kind": self.kind,
            "universe_id": self.universe_id.hex(),
            "body": event_body(self.body),
        }

    @cached_property
    def json(self) -> bytes:
        """The same in JSON, made once for all apps."""
        return encode_json(self.shown)


class EventLog:
    """The table `events` behind one connection."""

    def __init__(self, database: sqlite3.Connection, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer

    def last_seq(self) -> int:
        """The number of the newest event, 0 where there is none."""
        (seq,) = self._database.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()
        return int(seq)

    def first_seq(self) -> int:
        """The number of the oldest event still kept, 1 where there is none."""
        (seq,) = self._database.execute("SELECT coalesce(min(seq), 1) FROM events").fetchone()
        return int(seq)

    def append(self, last_seq: int, events: Sequence[Event], now: int, keep: int) -> list[StoredEvent]:
        """Number and store events after `last_seq`, inside the caller's transaction."""
        stored = [
            StoredEvent(seq, now, event.kind, event.universe_id, event.body)
            for seq, event in enumerate(events, last_seq + 1)
        ]
        self._database.executemany(
            "INSERT INTO events VALUES (?, ?, ?, ?, ?)",
            [
                (
                    e.seq,
                    e.time,
                    e.kind,
                    e.universe_id,
                    self._sealer.seal(_pack(e.body), b"event", _number(e.seq)),
                )
                for e in stored
            ],
        )
        end = last_seq + len(stored)
        if end // _PRUNE_EVERY != last_seq // _PRUNE_EVERY:
            self._database.execute("DELETE FROM events WHERE seq <= ?", (end - keep,))
        return stored

    def after(self, seq: int, limit: int) -> list[StoredEvent]:
        """At most `limit` events that follow `seq`, in order."""
        rows = self._database.execute(
            "SELECT seq, time, kind, universe, body FROM events WHERE seq > ? ORDER BY seq LIMIT ?",
            (seq, limit),
        )
        return [
            StoredEvent(
                number, time, kind, universe, _unpack(self._sealer.unseal(body, b"event", _number(number)))
            )
            for number, time, kind, universe, body in rows
        ]


def _number(seq: int) -> bytes:
    return seq.to_bytes(8)


def _pack(body: Mapping[str, Any]) -> bytes:
    packed: bytes = msgpack.packb(dict(body), use_bin_type=True)
    return packed


def _unpack(data: bytes) -> Mapping[str, Any]:
    body: Mapping[str, Any] = msgpack.unpackb(data, raw=False, strict_map_key=False)
    return body
