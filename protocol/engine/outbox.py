"""What the apps of this node sent: queued until it may be encrypted, kept until all have it, then remembered by id
(PROTOCOL B10)."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from starling.protocol.distributed.application import ApplicationData
from starling.protocol.engine.context import Context
from starling.protocol.packed import Blob, Either, Many, Uint, pack, shape, unpack

MAX_QUEUED = 10_000
MAX_REMEMBERED = 20_000
MAX_KEPT = MAX_REMEMBERED - MAX_QUEUED
MAX_KEPT_BYTES = 32 * 1024 * 1024
"""Of messages that were sent and not acknowledged by all; they are held in memory."""

OUTBOX_TABLES = ("sent", "repeat", "lost")

_MAX_ROW = 2 * 1024 * 1024
_PLACE = (Blob(64), Uint(2**32 - 1))
_SENT_AS = (Uint(2**32 - 1), Uint(), Blob(64), Uint(2**32 - 1))
_ROW = (Uint(), Blob.of(32), Either(None, _SENT_AS), Blob(1024 * 1024), Blob(32))
_REPEAT = (Blob.of(32), Many(Uint(), MAX_REMEMBERED), Either(None, _PLACE))
_LOST = (Uint(), Uint())


@dataclass(frozen=True, slots=True)
class SentAs:
    """How a message left: to how many other leaves of its epoch, which epoch, and the generation in it."""

    recipients: int
    epoch: int
    dmls_epoch: bytes
    generation: int

    @property
    def place(self) -> tuple[bytes, int]:
        return self.dmls_epoch, self.generation


@dataclass(slots=True)
class Sent:
    """One message of ours; `encoded` is it whole as long as it may have to be sent, `sent_as` is known once it is
    encrypted. `content` is a hash of what it said (`content_of`): its id stands for nothing else. `to` is the member
    that a direct message is for, empty for one to all."""

    order: int
    content: bytes
    encoded: bytes = field(repr=False)
    sent_as: SentAs | None = None
    to: bytes = b""

    @property
    def is_given_up(self) -> bool:
        """Whether it never left, and never will."""
        return self.sent_as is None and not self.encoded

    def is_for(self, member: bytes) -> bool:
        return self.to in (b"", member)


@dataclass(slots=True)
class Repeat:
    """Messages, by their order, that one member gets again, and the place in our group where it does: None before it
    is in it anew."""

    number: int
    member: bytes
    orders: tuple[int, ...]
    place: tuple[bytes, int] | None = None

    def record(self, universe_id: bytes) -> tuple[str, bytes, bytes]:
        """The stored row: table, key, value."""
        row = [self.member, list(self.orders), list(self.place) if self.place is not None else None]
        return "repeat", universe_id + self.number.to_bytes(8), pack(row)


@dataclass(slots=True)
class Lost:
    """How many messages a member never got that are not held here any more, the newest sent in the epoch `epoch`."""

    count: int
    epoch: int


def content_of(data: ApplicationData, to: bytes) -> bytes:
    """32 bytes over type, body and who it is for. What a message refers to may have changed when an app repeats it."""
    named = [to] if to else []
    return hashlib.sha256(pack([data.content_type, data.body, *named])).digest()


def read_sent(row: bytes) -> Sent:
    """A row of the table `sent`. Raises DecodeError."""
    return _sent(unpack(row, max_bytes=_MAX_ROW))


def _sent(value: Any) -> Sent:
    order, content, sent_as, encoded, to = shape(value, _ROW)
    return Sent(order, content, encoded, SentAs(*sent_as) if sent_as is not None else None, to)


class Outbox:
    """Messages by id, in the order of sending. Repeating an id changes nothing (idempotent)."""

    def __init__(self, universe_id: bytes) -> None:
        self._universe_id = universe_id
        self._messages: dict[bytes, Sent] = {}
        self._next = 0
        self._queue: dict[bytes, Sent] = {}
        self._kept: dict[int, bytes] = {}
        self._kept_size = 0
        self.repeats: dict[int, Repeat] = {}
        self.lost: dict[bytes, Lost] = {}

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def is_full(self) -> bool:
        return len(self._queue) >= MAX_QUEUED

    @property
    def queued(self) -> int:
        return len(self._queue)

    @property
    def sent(self) -> int:
        """How many messages were sent, ever."""
        return self._next - len(self._queue)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is queued but messages to members that are not in our group yet."""
        return all(sent.to for sent in self._queue.values())

    def missed_since(self, before: int) -> int:
        """How many messages to all were sent since `sent` was `before`, as far as they are remembered."""
        since = (sent for message_id, sent in self._messages.items() if message_id not in self._queue)
        direct = sum(bool(sent.to) for sent in since if sent.order >= before)
        return max(0, self.sent - before - direct)

    def find(self, message_id: bytes) -> Sent | None:
        return self._messages.get(message_id)

    def add(self, ctx: Context, data: ApplicationData, to: bytes = b"") -> Sent:
        sent = Sent(self._next, content_of(data, to), data.encode(), to=to)
        self._next += 1
        self._messages[data.message_id] = self._queue[data.message_id] = sent
        self._save(ctx, data.message_id, sent)
        self._forget_old(ctx)
        return sent

    def pending(self) -> list[Sent]:
        """What is queued, in order."""
        return list(self._queue.values())

    def queued_for(self, member: bytes) -> list[bytes]:
        """The ids of the direct messages that wait for a member."""
        return [message_id for message_id, sent in self._queue.items() if sent.to == member]

    def give_up(self, ctx: Context, message_id: bytes) -> None:
        """What is queued will not be sent; its id is remembered."""
        sent = self._queue.pop(message_id)
        sent.encoded = b""
        self._save(ctx, message_id, sent)

    def mark_sent(self, ctx: Context, message_id: bytes, sent_as: SentAs) -> None:
        sent = self._queue.pop(message_id)
        sent.sent_as = sent_as
        self._keep(message_id, sent)
        self._save(ctx, message_id, sent)

    # what is kept for sending it again

    @property
    def excess(self) -> tuple[int, int]:
        """How many messages, and how many bytes, are held beyond the limits."""
        return len(self._kept) - MAX_KEPT, self._kept_size - MAX_KEPT_BYTES

    def kept(self) -> Iterator[tuple[int, Sent]]:
        """What was sent and is held, oldest first, with its order. Nothing may be dropped meanwhile."""
        for order, message_id in self._kept.items():
            yield order, self._messages[message_id]

    def drop(self, ctx: Context, order: int) -> None:
        """This one is not to be sent any more; its id is remembered."""
        message_id = self._kept.pop(order)
        sent = self._messages[message_id]
        self._kept_size -= len(sent.encoded)
        sent.encoded = b""
        self._save(ctx, message_id, sent)
        self._forget_old(ctx)

    def held(self, orders: Iterable[int]) -> list[Sent]:
        """Those of these messages that are held, in the order of sending."""
        return [self._messages[self._kept[order]] for order in sorted(orders) if order in self._kept]

    def add_repeat(
        self, ctx: Context, member: bytes, orders: Collection[int], place: tuple[bytes, int] | None
    ) -> None:
        """These messages are to be sent to a member again, or were, at this place."""
        number = max(self.repeats, default=-1) + 1
        repeat = self.repeats[number] = Repeat(number, member, tuple(orders), place)
        ctx.put(*repeat.record(self._universe_id))

    def drop_repeat(self, ctx: Context, repeat: Repeat) -> None:
        del self.repeats[repeat.number]
        ctx.delete("repeat", self._universe_id + repeat.number.to_bytes(8))

    def lose(self, ctx: Context, member: bytes, count: int, epoch: int) -> None:
        """Messages that a member has not acknowledged are not held any more."""
        held = self.lost.get(member)
        lost = self.lost[member] = Lost((held.count if held is not None else 0) + count, epoch)
        ctx.put("lost", self._universe_id + member, pack([lost.count, lost.epoch]))

    def find_again(self, ctx: Context, member: bytes) -> None:
        """What a member had not acknowledged it has, has been told of, or need not have."""
        if self.lost.pop(member, None) is not None:
            ctx.delete("lost", self._universe_id + member)

    def forget_member(self, ctx: Context, member: bytes) -> None:
        """Somebody is no member any more: nothing is owed to it."""
        for repeat in [repeat for repeat in self.repeats.values() if repeat.member == member]:
            self.drop_repeat(ctx, repeat)
        self.find_again(ctx, member)

    def forget_all(self, ctx: Context) -> None:
        """This node is no member any more: what was not sent will not be."""
        for message_id in self._messages:
            ctx.delete("sent", self._universe_id + message_id)
        for repeat in list(self.repeats.values()):
            self.drop_repeat(ctx, repeat)
        for member in list(self.lost):
            self.find_again(ctx, member)
        self._messages.clear()
        self._queue.clear()
        self._kept.clear()
        self._kept_size = 0

    # rows

    def load(self, table: str, key: bytes, row: bytes) -> None:
        """Take a row of one of `OUTBOX_TABLES`."""
        value = unpack(row, max_bytes=_MAX_ROW)
        if table == "sent":
            sent = self._messages[key[32:]] = _sent(value)
            self._next = max(self._next, sent.order + 1)
        elif table == "repeat":
            member, orders, place = shape(value, _REPEAT)
            number = int.from_bytes(key[32:])
            at = (place[0], place[1]) if place is not None else None
            self.repeats[number] = Repeat(number, member, tuple(orders), at)
        else:
            self.lost[key[32:]] = Lost(*shape(value, _LOST))

    def finish_loading(self) -> None:
        """After all rows: put them in the order of sending."""
        self._messages = dict(sorted(self._messages.items(), key=lambda item: item[1].order))
        for message_id, sent in self._messages.items():
            if sent.is_given_up:
                continue
            if sent.sent_as is None:
                self._queue[message_id] = sent
            elif sent.encoded:
                self._keep(message_id, sent)

    def _keep(self, message_id: bytes, sent: Sent) -> None:
        self._kept[sent.order] = message_id
        self._kept_size += len(sent.encoded)

    def _save(self, ctx: Context, message_id: bytes, sent: Sent) -> None:
        as_row = None
        if sent.sent_as is not None:
            as_row = [sent.sent_as.recipients, sent.sent_as.epoch, *sent.sent_as.place]
        row = [sent.order, sent.content, as_row, sent.encoded, sent.to]
        ctx.put("sent", self._universe_id + message_id, pack(row))

    def _forget_old(self, ctx: Context) -> None:
        while len(self._messages) > MAX_REMEMBERED:
            oldest = next(iter(self._messages))
            if self._messages[oldest].encoded:
                return
            del self._messages[oldest]
            ctx.delete("sent", self._universe_id + oldest)
