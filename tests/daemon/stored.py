"""What tests put into a store: rows, events and own messages of one universe."""

from __future__ import annotations

from typing import Any

from starling.daemon.history import OwnMessage
from starling.daemon.store import Batch, Store
from starling.protocol.engine.step import Event, Write

NODE_KEY = bytes(range(32))
UNIVERSE = b"u" * 32
ME, BOB = b"m" * 32, b"b" * 32


def commit(store: Store, *writes: Write, **more: Any) -> None:
    store.commit(Batch(1_000, list(writes), **more))


def received(number: int, sender: bytes = BOB, text: bytes = b"hello") -> Event:
    body = {
        "sender": sender, "sender_name": "bob", "id": number.to_bytes(16), "type": "text", "body": text,
        "refs": [], "epoch": 1, "dmls_epoch": b"e",
    }  # fmt: skip
    return Event("message.received", UNIVERSE, body)


def own(number: int, **outcome: Any) -> OwnMessage:
    return OwnMessage(UNIVERSE, ME, "me", number.to_bytes(16), "text", (), b"mine", outcome)
