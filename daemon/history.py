"""The messages of a universe for people: received and own ones, sealed with a key of their own.

History keeps text that the protocol has long forgotten the keys of; it promises no forward secrecy.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgpack

from starling.daemon.sealing import Sealer
from starling.protocol.engine.step import Event

NOTICES = frozenset({"member.key_changed"})
"""The events that the history shows among the messages, marked as `notice`."""

_NOT_KEPT = frozenset({"sender", "id", "petname", "display_name", "to_name"})
"""What stands in columns of its own, and what people are called now, not then."""
_SENT = ("recipients", "epoch", "dmls_epoch")


@dataclass(frozen=True, slots=True)
class OwnMessage:
    """A message that this node sends: `outcome` is what the engine answered, its body as it was given; `to` is the one
    member that it is for, empty for all."""

    universe_id: bytes
    sender: bytes
    sender_name: str
    message_id: bytes
    content_type: str
    refs: tuple[bytes, ...]
    body: bytes = field(repr=False)
    outcome: Mapping[str, Any] = field(default_factory=dict)
    to: bytes = b""


class KeptMessage(NamedTuple):
    """One row for a backup: `body` is what was said and by whom, `sent` how an own message left, both packed."""

    universe: bytes
    sender: bytes
    message_id: bytes
    own: int
    time: int
    body: bytes
    sent: bytes | None


class History:
    """The table `history` behind one connection."""

    def __init__(self, database: sqlite3.Connection, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer

    def add_own(self, message: OwnMessage, now: int) -> None:
        """Keep an own message, once; with what is known of its sending. In the caller's transaction."""
        row = {
            "sender_name": message.sender_name,
            "type": message.content_type,
            "refs": list(message.refs),
            "body": message.body,
            "to": message.to or None,
        }
        universe, message_id = message.universe_id, message.message_id
        sent = self._sealed_outcome(universe, message_id, message.outcome) if _is_sent(message) else None
        self._insert(universe, message.sender, message_id, now, row, own=True, sent=sent)

    def note(self, event: Event, now: int) -> None:
        """Keep what an event says about messages, and what is to be read among them; other events do not matter
        here."""
        body = event.body
        if event.kind == "message.received":
            row = {name: value for name, value in body.items() if name not in _NOT_KEPT}
            self._insert(event.universe_id, body["sender"], body["id"], now, row, own=False)
        elif event.kind in NOTICES:
            row = {name: value for name, value in body.items() if name not in _NOT_KEPT | {"identity"}}
            row |= {
                "notice": event.kind,
                "sender_name": row.pop("name"),
                "type": "notice",
                "refs": [],
                "body": b"",
            }
            # An id that nobody can know: else a message with it could come before, and take its place.
            self._insert(event.universe_id, body["identity"], os.urandom(16), now, row, own=False)
        elif event.kind == "message.sent":
            self._mark(
                event.universe_id, body["id"], self._sealed_outcome(event.universe_id, body["id"], body)
            )
        elif event.kind == "message.undelivered":
            reason = _pack({"reason": body["reason"]})
            sealed = self._sealer.seal(reason, b"sent", event.universe_id, body["id"])
            self._mark(event.universe_id, body["id"], sealed)

    def _insert(
        self,
        universe: bytes,
        sender: bytes,
        message_id: bytes,
        now: int,
        row: dict[str, Any],
        *,
        own: bool,
        sent: bytes | None = None,
    ) -> None:
        sealed = self._sealer.seal(_pack(row), b"history", universe, sender, message_id)
        self._put(universe, sender, message_id, own, now, sealed, sent)

    def _mark(self, universe: bytes, message_id: bytes, sealed: bytes) -> None:
        self._database.execute(
            "UPDATE history SET sent = ? WHERE universe = ? AND id = ? AND own",
            (sealed, universe, message_id),
        )

    def _sealed_outcome(self, universe: bytes, message_id: bytes, outcome: Mapping[str, Any]) -> bytes:
        sent = _pack({name: outcome.get(name) for name in _SENT})
        return self._sealer.seal(sent, b"sent", universe, message_id)

    def own(self, universe: bytes, sender: bytes, message_id: bytes) -> dict[str, Any] | None:
        """An own message, with `sent`: recipients, epoch and dmls_epoch, or the reason why it never will be; None
        while it is queued."""
        rows = self._read("universe = ? AND sender = ? AND id = ?", (universe, sender, message_id), 1)
        return rows[0] if rows else None

    def page(self, universe: bytes, before: int | None, limit: int) -> list[dict[str, Any]]:
        """The newest `limit` messages with a number below `before`, oldest first."""
        if before is None:
            return self._read("universe = ?", (universe,), limit)[::-1]
        return self._read("universe = ? AND number < ?", (universe, before), limit)[::-1]

    def all_kept(self) -> Iterator[KeptMessage]:
        """Every message, oldest first, as `put_back` takes it."""
        rows = self._database.execute(
            "SELECT universe, sender, id, own, time, body, sent FROM history ORDER BY number"
        )
        for universe, sender, message_id, own, time, body, sent in rows:
            said = self._sealer.unseal(body, b"history", universe, sender, message_id)
            left = None if sent is None else self._sealer.unseal(sent, b"sent", universe, message_id)
            yield KeptMessage(universe, sender, message_id, own, time, said, left)

    def put_back(self, kept: KeptMessage) -> None:
        """Keep a message of a backup. In the caller's transaction."""
        universe, sender, message_id, own, time, body, sent = kept
        sealed = self._sealer.seal(body, b"history", universe, sender, message_id)
        left = None if sent is None else self._sealer.seal(sent, b"sent", universe, message_id)
        self._put(universe, sender, message_id, own, time, sealed, left)

    def _put(self, *row: Any) -> None:
        self._database.execute(
            "INSERT OR IGNORE INTO history (universe, sender, id, own, time, body, sent) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            row,
        )

    def _read(self, where: str, values: tuple[Any, ...], limit: int) -> list[dict[str, Any]]:
        rows = self._database.execute(
            f"SELECT number, universe, sender, id, own, time, body, sent FROM history WHERE {where} "
            "ORDER BY number DESC LIMIT ?",
            (*values, limit),
        )
        messages = []
        for number, universe, sender, message_id, own, time, body, sent in rows:
            message = _unpack(self._sealer.unseal(body, b"history", universe, sender, message_id))
            message |= {"number": number, "sender": sender, "id": message_id, "time": time}
            message |= {"own": bool(own), "sent": None, "to": message.get("to")}
            if sent is not None:
                message["sent"] = _unpack(self._sealer.unseal(sent, b"sent", universe, message_id))
            messages.append(message)
        return messages


def _is_sent(message: OwnMessage) -> bool:
    return message.outcome.get("state") == "sent"


def _pack(row: dict[str, Any]) -> bytes:
    packed: bytes = msgpack.packb(row, use_bin_type=True)
    return packed


def _unpack(data: bytes) -> dict[str, Any]:
    row: dict[str, Any] = msgpack.unpackb(data, raw=False)
    return row
