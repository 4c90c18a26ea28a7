"""`dmls_resolve`: the owner of a send group that has forked closes the branches that it does not go on with
(PROTOCOL 5.6 B5), inside an encrypted commit on the one that it does.

It is advisory: what is closed stays readable until all members have left it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from starling.protocol.distributed.rules import Rule
from starling.protocol.errors import Invalid
from starling.protocol.wire import Struct, Vector, opaque, uint64

MAX_CLOSED_HEADS = 8


@dataclass(frozen=True, slots=True)
class ClosedHead(Struct):
    """One dead branch: the `dmls_epoch` of its newest epoch that the owner was told of, and the number of the last
    epoch that it has in common with the living one."""

    dmls_epoch: opaque
    forked_at: uint64


@dataclass(frozen=True, slots=True)
class Resolve(Struct):
    """The component's data."""

    heads: Vector[ClosedHead]


def build_resolve(heads: Iterable[ClosedHead]) -> bytes:
    """The data of component 0x8D03: at least one head, at most 8, each once. Raises Invalid."""
    closed = tuple(heads)
    _check(closed)
    return Resolve(closed).encode()


def parse_resolve(data: bytes) -> tuple[ClosedHead, ...]:
    """Raises DecodeError, or Invalid for a number or a size that the rules forbid."""
    heads = Resolve.decode(data).heads
    _check(heads)
    return heads


def _check(heads: tuple[ClosedHead, ...]) -> None:
    names = {head.dmls_epoch for head in heads}
    if not 0 < len(names) == len(heads) <= MAX_CLOSED_HEADS or not all(0 < len(name) <= 64 for name in names):
        raise Invalid(Rule.RESOLVE_HEADS)
