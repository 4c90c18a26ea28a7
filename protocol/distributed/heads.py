"""The control message `heads`: how far its sender has come in every send group (PROTOCOL R1, K-14)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from starling.protocol.errors import DecodeError
from starling.protocol.packed import Blob, Many, Uint, pack, shape, unpack

MAX_GROUPS = 1024
MAX_BRANCHES = 16
"""Rows of one group: the branches that are followed, closed heads that are still asked for, and epochs that have ended
with more messages than any commit counts."""
_DIGEST = Blob.of(32)
_EPOCH = Blob(64)
_SHAPE = (_DIGEST, Many((Blob(64, 1), _EPOCH, _EPOCH, Uint(2**32 - 1)), MAX_GROUPS))


@dataclass(frozen=True, slots=True)
class Head:
    """How far a member has come on one branch of one send group.

    `head` is the `dmls_epoch` of the newest processed epoch; `past` the newest epoch up to which the member is
    past all (empty where it is past none), and of its own group the newest up to which all others are; `count`
    the contiguous application generations that it holds in `head`: the acknowledgement. An epoch that has ended is
    listed, with itself as `past`, where the member holds messages of it that no commit counts.
    """

    head: bytes
    past: bytes
    count: int

    @property
    def has_ended(self) -> bool:
        return self.past == self.head


@dataclass(frozen=True, slots=True)
class HeadsReport:
    """One member's report: `roster_digest` (32 bytes) and by group id the heads of all branches that are not
    settled, first the one that counts for the member."""

    roster_digest: bytes
    heads: Mapping[bytes, tuple[Head, ...]]

    def encode(self) -> bytes:
        rows = [
            [group_id, head.head, head.past, head.count]
            for group_id, heads in sorted(self.heads.items())
            for head in heads
        ]
        return pack([self.roster_digest, rows])

    @classmethod
    def decode(cls, data: bytes) -> HeadsReport:
        roster_digest, rows = shape(unpack(data, max_bytes=MAX_GROUPS * 256), _SHAPE)
        if any(first[0] > second[0] for first, second in pairwise(rows)):
            raise DecodeError("the groups of a report do not ascend")
        heads: dict[bytes, tuple[Head, ...]] = {}
        for group_id, *row in rows:
            heads[group_id] = (*heads.get(group_id, ()), Head(*row))
        for branches in heads.values():
            if len(branches) > MAX_BRANCHES or len({row.head for row in branches}) < len(branches):
                raise DecodeError("a report lists a head twice, or too many")
        return cls(roster_digest, heads)
