"""Which messages were delivered: once per (sender, id), whatever brings them again (PROTOCOL 5.2)."""

from __future__ import annotations

from starling.protocol.engine.context import Context

MAX_REMEMBERED = 20_000
"""Per sender; older ids belong to epochs that have long been settled."""


class Delivered:
    """The delivered ids of a universe by sender, oldest first."""

    def __init__(self, universe_id: bytes) -> None:
        self._universe_id = universe_id
        self._ids: dict[bytes, dict[bytes, int]] = {}
        self._next = 0

    def __len__(self) -> int:
        return sum(map(len, self._ids.values()))

    def is_new(self, ctx: Context, sender: bytes, message_id: bytes) -> bool:
        """Note a message of a sender (identity key, 32 bytes); False where its id was noted before."""
        ids = self._ids.setdefault(sender, {})
        if message_id in ids:
            return False
        ids[message_id] = self._next
        self._next += 1
        ctx.put("delivered", self._universe_id + sender + message_id, ids[message_id].to_bytes(8))
        while len(ids) > MAX_REMEMBERED:
            oldest = next(iter(ids))
            del ids[oldest]
            ctx.delete("delivered", self._universe_id + sender + oldest)
        return True

    def forget(self, ctx: Context, sender: bytes) -> None:
        for message_id in self._ids.pop(sender, {}):
            ctx.delete("delivered", self._universe_id + sender + message_id)

    def forget_all(self, ctx: Context) -> None:
        for sender in list(self._ids):
            self.forget(ctx, sender)

    def load(self, key: bytes, row: bytes) -> None:
        order = int.from_bytes(row)
        self._ids.setdefault(key[32:64], {})[key[64:]] = order
        self._next = max(self._next, order + 1)

    def finish_loading(self) -> None:
        """After all rows: put them in the order of their delivery."""
        for sender, ids in self._ids.items():
            self._ids[sender] = dict(sorted(ids.items(), key=lambda item: item[1]))
