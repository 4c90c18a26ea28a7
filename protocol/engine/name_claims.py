"""What members call themselves since they were admitted: told by each in its own send group, so signed by its leaf.

A claim is good as long as the send group is the member's in which it was made: who is admitted anew says its name
with that. Only people of the roster have one, so the roster bounds it.
"""

from __future__ import annotations

from dataclasses import dataclass

from starling.protocol.distributed.identity import NAME_LENGTH
from starling.protocol.engine.context import Context
from starling.protocol.packed import Blob, Many, Text, pack, shape, unpack

TABLE = "claim"
MAX_TOLD = 16
"""Of one person: the others that it was told to look like. Beyond them nothing more is told of it."""

_ROW = (Blob(64), Text(NAME_LENGTH), Many(Blob.of(32), MAX_TOLD))


@dataclass(frozen=True, slots=True)
class NameClaim:
    """`name`, claimed in the send group `group_id`; empty where nothing was claimed. `told` are the people that this
    one has been said to be another than."""

    group_id: bytes = b""
    name: str = ""
    told: tuple[bytes, ...] = ()


class NameClaims:
    """The claims of one universe's people, by identity key."""

    def __init__(self, universe_id: bytes) -> None:
        self._universe_id = universe_id
        self._claims: dict[bytes, NameClaim] = {}
        self.revision = 0
        """Higher after every change."""

    def get(self, identity: bytes) -> NameClaim:
        return self._claims.get(identity, NameClaim())

    def set(self, ctx: Context, identity: bytes, claim: NameClaim) -> None:
        self.revision += 1
        self._claims[identity] = claim
        row = pack([claim.group_id, claim.name, list(claim.told)])
        ctx.put(TABLE, self._universe_id + identity, row)

    def forget_all(self, ctx: Context) -> None:
        for identity in self._claims:
            ctx.delete(TABLE, self._universe_id + identity)
        self._claims.clear()
        self.revision += 1

    def load(self, key: bytes, row: bytes) -> None:
        group_id, name, told = shape(unpack(row, max_bytes=2048), _ROW)
        self._claims[key[32:]] = NameClaim(group_id, name, tuple(told))
