"""The control message `heads`: how far its sender has come in every send group (PROTOCOL R1, K-14).

A report whole has a row of a hundred bytes for every group. Most of what changes from one to the next are the counts
of messages: so a report names the one before it, and tells what is different. Who does not hold that one asks, in
its own report, for a whole one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from starling.protocol.errors import DecodeError
from starling.protocol.packed import Blob, Either, Many, Uint, pack, shape, unpack

MAX_GROUPS = 1024
MAX_BRANCHES = 16
"""Rows of one group: the branches that are followed, closed heads that are still asked for, and epochs that have ended
with more messages than any commit counts."""
MAX_ROWS = MAX_GROUPS
MAX_COUNT = 2**32 - 1

_DIGEST = Blob.of(32)
_NO_DIGEST = Blob.of(0)
_GROUP_ID = Blob(64, 1)
_EPOCH = Blob(64)
_COUNT = Uint(MAX_COUNT)
_SHAPE = (
    Either(_NO_DIGEST, _DIGEST),
    Either(_NO_DIGEST, _DIGEST),
    Many(_DIGEST, MAX_GROUPS),
    Many(_COUNT, MAX_GROUPS),
    Many((Either(Uint(MAX_GROUPS - 1), _GROUP_ID), _EPOCH, Either(None, _EPOCH), _COUNT), MAX_ROWS),
)
_MAX_BYTES = MAX_ROWS * 256

Row = tuple[int | bytes, bytes, bytes | None, int]


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
    """One member's report: `roster_digest` (32 bytes) and by group id, ascending, the heads of all branches that are
    not settled, first the one that counts for the member. `name` is that of the message by which it became known,
    empty where it was not sent yet."""

    roster_digest: bytes
    heads: Mapping[bytes, tuple[Head, ...]]
    name: bytes = field(default=b"", compare=False)


@dataclass(frozen=True, slots=True)
class HeadsMessage:
    """A report as it is sent: whole where `base` is empty, else what is different from the report with that name.

    `roster_digest` is empty where it is the same. `wanted` are the members (identity keys) whose reports the sender
    could not complete. `counts` are, for the groups of the base in their order, the messages by which the count of
    the first head has grown, without the zeros at the end. `rows` are all heads of the groups that are different
    otherwise, those of the base by their place in it, then new ones by their ids: `[group, head, past, count]`, where
    `past` may be left out (None) if it is the first head that the base has of the group.
    """

    base: bytes
    roster_digest: bytes
    wanted: tuple[bytes, ...]
    counts: tuple[int, ...]
    rows: tuple[Row, ...]

    @classmethod
    def telling(
        cls, report: HeadsReport, base: HeadsReport | None, wanted: Iterable[bytes] = ()
    ) -> HeadsMessage:
        """The smallest way to tell a report to those who hold `base`; whole where that has a group which is gone."""
        asked = tuple(wanted)[:MAX_GROUPS]
        if base is None or not base.name or not base.heads.keys() <= report.heads.keys():
            base = _NOTHING
        counts: list[int] = []
        rows: list[Row] = []
        for place, (group_id, before) in enumerate(base.heads.items()):
            now = report.heads[group_id]
            growth = _growth(before, now)
            counts.append(growth or 0)
            if growth is None:
                rows += (_row(place, head, before[0].head) for head in now)
        while counts and not counts[-1]:
            counts.pop()
        for group_id, now in report.heads.items():
            if group_id not in base.heads:
                rows += (_row(group_id, head) for head in now)
        digest = report.roster_digest if report.roster_digest != base.roster_digest else b""
        return cls(base.name, digest, asked, tuple(counts), tuple(rows))

    def report(self, base: HeadsReport | None, name: bytes) -> HeadsReport | None:
        """The report that this message, of that name, completes; None where `base` is not the one that it names.
        Raises `DecodeError` where it does not fit that, or the report would be too large."""
        if not self.base:
            base = _NOTHING
        elif base is None or base.name != self.base:
            return None
        groups = tuple(base.heads)
        if len(self.counts) > len(groups):
            raise DecodeError("a report counts in groups that its base does not have")
        heads = dict(base.heads)
        for group_id, growth in zip(groups, self.counts, strict=False):
            if growth:
                first, *others = heads[group_id]
                if first.count + growth > MAX_COUNT:
                    raise DecodeError("a report counts more messages than an epoch can have")
                heads[group_id] = (Head(first.head, first.past, first.count + growth), *others)
        heads |= self._changed(groups, base)
        digest = self.roster_digest or base.roster_digest
        if not digest or sum(map(len, heads.values())) > MAX_ROWS:
            raise DecodeError("a report has no roster, or too many heads")
        if len(heads) > len(groups):
            heads = dict(sorted(heads.items()))
        return HeadsReport(digest, heads, name)

    def _changed(self, groups: Sequence[bytes], base: HeadsReport) -> dict[bytes, tuple[Head, ...]]:
        """The heads of the groups that have rows."""
        found: dict[bytes, list[Head]] = {}
        for group, head, past, count in self.rows:
            if isinstance(group, bytes):
                if group in base.heads or past is None:
                    raise DecodeError("a report tells of a new group what only one of its base can have")
                found.setdefault(group, []).append(Head(head, past, count))
            elif group >= len(groups):
                raise DecodeError("a report names a group that its base does not have")
            else:
                before = base.heads[groups[group]][0].head
                found.setdefault(groups[group], []).append(
                    Head(head, before if past is None else past, count)
                )
        for heads in found.values():
            if len(heads) > MAX_BRANCHES or len({row.head for row in heads}) < len(heads):
                raise DecodeError("a report lists a head twice, or too many")
        return {group_id: tuple(heads) for group_id, heads in found.items()}

    def encode(self) -> bytes:
        rows = [list(row) for row in self.rows]
        return pack([self.base, self.roster_digest, list(self.wanted), list(self.counts), rows])

    @classmethod
    def decode(cls, data: bytes) -> HeadsMessage:
        base, roster_digest, wanted, counts, rows = shape(unpack(data, max_bytes=_MAX_BYTES), _SHAPE)
        if any(_order(first) > _order(second) for first, second in pairwise(rows)):
            raise DecodeError("the groups of a report do not ascend")
        return cls(base, roster_digest, tuple(wanted), tuple(counts), tuple(map(tuple, rows)))


_NOTHING = HeadsReport(b"", {})


def name_of(body: bytes) -> bytes:
    """By what the next report names the one that the message with this body completed: SHA-256. It leads back, over all
    between, to one that was whole, and so nothing that is told since can mean two things."""
    return hashlib.sha256(body).digest()


def _order(row: Row) -> tuple[bool, int | bytes]:
    return isinstance(row[0], bytes), row[0]


def _growth(before: tuple[Head, ...], now: tuple[Head, ...]) -> int | None:
    """By how much the count of the first head has grown where nothing else is different; else None."""
    first, held = now[0], before[0]
    if (
        first.head != held.head
        or first.past != held.past
        or first.count < held.count
        or now[1:] != before[1:]
    ):
        return None
    return first.count - held.count


def _row(group: int | bytes, head: Head, held: bytes | None = None) -> Row:
    """`held` is the first head that the base has of the group."""
    return group, head.head, None if head.past == held else head.past, head.count
