"""The control message `report`: its sender cannot follow some send groups any more (PROTOCOL R6, B7).

It is said in the sender's own group, right after the path commit that raises its incarnation, and tells everybody
from whom nothing is to be imported until the sender is added there again.
"""

from __future__ import annotations

from dataclasses import dataclass

from starling.protocol.packed import Blob, Many, Text, Uint, pack, shape, unpack

COMMIT = "commit"
"""A commit of the owner does not open for the sender, and it may for the others."""
WELCOME = "welcome"
"""The Welcome for the sender is bad, or was withheld."""
PSK = "psk"
"""A commit imports a PSK that the sender can never have."""
GONE = "gone"
"""Nobody has the frames any more that the sender needs."""

MAX_REPORTED = 1024
"""Groups in one report: who was away for long is stuck in all of them."""

_SHAPE = Many((Blob(64, 1), Blob(64), Uint(2**32 - 1), Text(16, 1)), MAX_REPORTED, 1)


@dataclass(frozen=True, slots=True)
class StuckGroup:
    """`dmls_epoch` is the newest epoch of the group that the sender holds, empty where it never entered it, and
    `incarnation` the one by which it was to be there; `reason` is one of the words above, or a later version's."""

    group_id: bytes
    dmls_epoch: bytes
    incarnation: int
    reason: str


def build_report(groups: list[StuckGroup]) -> bytes:
    """The body of the message."""
    return pack([[group.group_id, group.dmls_epoch, group.incarnation, group.reason] for group in groups])


def parse_report(body: bytes) -> list[StuckGroup]:
    """Raises `DecodeError` for anything but 1 to 1,024 groups."""
    return [StuckGroup(*row) for row in shape(unpack(body, max_bytes=MAX_REPORTED * 160), _SHAPE)]
