"""The ancestry of an epoch, for who joins it: without it a newcomer could not tell which fork wins.

GroupInfo extension 0xF0D2 `lineage`: what the signer knows of the epochs that led to the GroupInfo's, oldest first.
In a Welcome they end with the parent, since the epoch's own name follows from its secrets; in a GroupInfo for an
external join with the epoch itself, whose name that commit has to carry.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from starling.protocol.decentralized.fork_rules import ForkRule
from starling.protocol.decentralized.fork_tree import ForkEpoch
from starling.protocol.errors import Invalid
from starling.protocol.mls.extension import Extension, find_extension
from starling.protocol.mls.group_info import GroupInfo
from starling.protocol.wire import Struct, Vector, opaque, uint8, uint64

LINEAGE = 0xF0D2

MAX_LINEAGE = 128
"""Epochs in one lineage; an own one ends earlier."""


@dataclass(frozen=True, slots=True)
class Ancestor(Struct):
    """`external` is 1 where an external commit started the epoch; `dmls_epoch` and tag have Nh bytes."""

    dmls_epoch: opaque
    number: uint64
    confirmation_tag: opaque
    external: uint8


@dataclass(frozen=True, slots=True)
class Lineage(Struct):
    ancestors: Vector[Ancestor]


def lineage_extension(path: Sequence[ForkEpoch]) -> Extension:
    """The extension that tells of these epochs."""
    ancestors = tuple(
        Ancestor(epoch.dmls_epoch, epoch.number, epoch.confirmation_tag, int(epoch.external))
        for epoch in path[-MAX_LINEAGE:]
    )
    return Extension(LINEAGE, Lineage(ancestors).encode())


def read_lineage(info: GroupInfo, length: int) -> tuple[Ancestor, ...]:
    """The ancestors that a GroupInfo names, none where it has no lineage; `length` is Nh. Raises `DecodeError`, or
    `Invalid` unless numbers count up to that of the epoch or the one before."""
    data = find_extension(info.extensions, LINEAGE)
    if data is None:
        return ()
    ancestors = Lineage.decode(data).ancestors
    if not 0 < len(ancestors) <= MAX_LINEAGE:
        raise Invalid(ForkRule.LINEAGE)
    last = ancestors[-1].number
    numbers = tuple(range(last - len(ancestors) + 1, last + 1))
    names = {ancestor.dmls_epoch for ancestor in ancestors}
    if (
        not info.group_context.epoch - 1 <= last <= info.group_context.epoch
        or tuple(ancestor.number for ancestor in ancestors) != numbers
        or len(names) != len(ancestors)
        or any(len(item) != length for each in ancestors for item in (each.dmls_epoch, each.confirmation_tag))
        or any(ancestor.external > 1 for ancestor in ancestors)
    ):
        raise Invalid(ForkRule.LINEAGE)
    return ancestors
