"""What the apps of this node sent: queued until it may be encrypted, then remembered by id."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from starling.protocol.distributed.application import ApplicationData
from starling.protocol.engine.context import Context
from starling.protocol.packed import Blob, Either, Uint, pack, shape, unpack

MAX_QUEUED = 10_000
MAX_REMEMBERED = 20_000

_ROW = (Uint(), Blob.of(32), Either(None, (Uint(2**32 - 1), Uint(), Blob(64))), Blob(1024 * 1024))


@dataclass(frozen=True, slots=True)
class SentAs:
    """How a message left: how many other leaves its epoch has, and which epoch."""

    recipients: int
    epoch: int
    dmls_epoch: bytes


@dataclass(slots=True)
class Sent:
    """One message of ours; `data` is kept while it is queued, `sent_as` is known once it is encrypted.

    `content` is a hash of what it said (`content_of`): its id stands for nothing else.
    """

    order: int
    content: bytes
    data: ApplicationData | None = field(repr=False)
    sent_as: SentAs | None = None


def content_of(data: ApplicationData) -> bytes:
    """32 bytes over type and body. What a message refers to may have changed when an app repeats it."""
    return hashlib.sha256(pack([data.content_type, data.body])).digest()


class Outbox:
    """Messages by id, in the order of sending. Repeating an id changes nothing (idempotent)."""

    def __init__(self, universe_id: bytes) -> None:
        self._universe_id = universe_id
        self._messages: dict[bytes, Sent] = {}
        self._next = 0
        self._queue: dict[bytes, Sent] = {}

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def is_full(self) -> bool:
        return len(self._queue) >= MAX_QUEUED

    @property
    def queued(self) -> int:
        return len(self._queue)

    def find(self, message_id: bytes) -> Sent | None:
        return self._messages.get(message_id)

    def add(self, ctx: Context, data: ApplicationData) -> Sent:
        sent = Sent(self._next, content_of(data), data)
        self._next += 1
        self._messages[data.message_id] = self._queue[data.message_id] = sent
        self._save(ctx, data.message_id, sent)
        self._forget_old(ctx)
        return sent

    def pending(self) -> list[ApplicationData]:
        """What is queued, in order."""
        return [sent.data for sent in self._queue.values() if sent.data is not None]

    def mark_sent(self, ctx: Context, message_id: bytes, sent_as: SentAs) -> None:
        sent = self._messages[message_id]
        sent.data = None
        sent.sent_as = sent_as
        del self._queue[message_id]
        self._save(ctx, message_id, sent)

    def forget_all(self, ctx: Context) -> None:
        """This node is no member any more: what was not sent will not be."""
        for message_id in self._messages:
            ctx.delete("sent", self._universe_id + message_id)
        self._messages.clear()
        self._queue.clear()

    def load(self, key: bytes, row: bytes) -> None:
        order, content, sent_as, encoded = shape(unpack(row, max_bytes=2 * 1024 * 1024), _ROW)
        data = ApplicationData.decode(encoded) if encoded else None
        self._messages[key[32:]] = Sent(
            order, content, data, SentAs(*sent_as) if sent_as is not None else None
        )
        self._next = max(self._next, order + 1)

    def finish_loading(self) -> None:
        """After all rows: put them in the order of sending."""
        self._messages = dict(sorted(self._messages.items(), key=lambda item: item[1].order))
        self._queue = {key: sent for key, sent in self._messages.items() if sent.data is not None}

    def _save(self, ctx: Context, message_id: bytes, sent: Sent) -> None:
        as_row = None
        if sent.sent_as is not None:
            as_row = [sent.sent_as.recipients, sent.sent_as.epoch, sent.sent_as.dmls_epoch]
        row = [sent.order, sent.content, as_row, sent.data.encode() if sent.data is not None else b""]
        ctx.put("sent", self._universe_id + message_id, pack(row))

    def _forget_old(self, ctx: Context) -> None:
        while len(self._messages) > MAX_REMEMBERED:
            oldest = next(iter(self._messages))
            if self._messages[oldest].data is not None:
                return
            del self._messages[oldest]
            ctx.delete("sent", self._universe_id + oldest)
