"""`dmls_deps`: which epochs a commit imports PSKs from, exactly, inside the encrypted commit (X-8).

The PSK id of the draft, epoch and group id, does not tell two forks of a send group apart; `dmls_epoch` does.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from starling.protocol.distributed.export_psk import psk_id
from starling.protocol.distributed.rules import Rule
from starling.protocol.errors import Invalid
from starling.protocol.wire import Struct, Vector, opaque, uint64

MAX_DEPENDENCIES = 1024


@dataclass(frozen=True, slots=True)
class Dependency(Struct):
    """One imported epoch: `struct{opaque group_id<V>; uint64 epoch; opaque dmls_epoch<V>;} dep`."""

    group_id: opaque
    epoch: uint64
    dmls_epoch: opaque

    @property
    def psk_id(self) -> bytes:
        """The id of the external PSK that this dependency stands for."""
        return psk_id(self.epoch, self.group_id)


@dataclass(frozen=True, slots=True)
class _Dependencies(Struct):
    deps: Vector[Dependency]


def build_dependencies(dependencies: Iterable[Dependency]) -> bytes:
    """The data of component 0x8D02: sorted by PSK id, as the PreSharedKey proposals are (X-7).

    Raises Invalid where two dependencies have one PSK id.
    """
    deps = tuple(sorted(dependencies, key=lambda dep: dep.psk_id))
    _check(deps)
    return _Dependencies(deps).encode()


def parse_dependencies(data: bytes) -> tuple[Dependency, ...]:
    """Raises DecodeError, or Invalid for an order or a number that the rules forbid."""
    deps = _Dependencies.decode(data).deps
    _check(deps)
    return deps


def _check(deps: tuple[Dependency, ...]) -> None:
    if len(deps) > MAX_DEPENDENCIES:
        raise Invalid(Rule.DEPENDENCY_COUNT, f"{len(deps)}")
    if any(a.psk_id >= b.psk_id for a, b in pairwise(deps)):
        raise Invalid(Rule.DEPENDENCY_ORDER)
