"""What a member wants no more of archivers, signed: when all members have said so, it goes (PROTOCOL 6, 7).

A floor is a number: of the oldest epoch of a send group of which the member may still want what was sent in it. It
holds on every branch, so that an archiver, which does not know the branches, can apply it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from starling.protocol.distributed import labels
from starling.protocol.distributed.identity import KEY_LENGTH, Identity, verify
from starling.protocol.distributed.rules import Rule
from starling.protocol.errors import Invalid
from starling.protocol.wire import Struct, Vector, opaque, uint64

MAX_PLACES = 1024
MAX_FLOORS = 48 * 1024
"""An encoded statement, in bytes."""


@dataclass(frozen=True, slots=True)
class Place(Struct):
    """One send group: nothing that was sent in an epoch with a lower number is wanted."""

    group_id: opaque
    epoch: uint64


@dataclass(frozen=True, slots=True)
class FloorsTBS(Struct):
    """What is signed. `member` is the identity key; a higher `serial` (ms) replaces a lower one."""

    universe_id: opaque
    member: opaque
    serial: uint64
    places: Vector[Place]


@dataclass(frozen=True, slots=True)
class Floors(FloorsTBS):
    """The statement as it travels; `places` ascend by group."""

    signature: opaque

    @classmethod
    def sign(
        cls, identity: Identity, *, universe_id: bytes, serial: int, floors: Mapping[bytes, int]
    ) -> Floors:
        """State the floors of all send groups that the member is in."""
        places = tuple(Place(group_id, epoch) for group_id, epoch in sorted(floors.items())[:MAX_PLACES])
        member = identity.identity_public_key
        tbs = FloorsTBS(universe_id, member, serial, places)
        return cls(universe_id, member, serial, places, identity.sign(labels.FLOOR, tbs.encode()))

    def verify(self, universe_id: bytes) -> None:
        """Check universe, bounds, order and the signature by the identity key it names. Raises Invalid,
        VerificationFailed."""
        if self.universe_id != universe_id:
            raise Invalid(Rule.FLOOR_FIELDS, "another universe")
        if len(self.member) != KEY_LENGTH or len(self.places) > MAX_PLACES:
            raise Invalid(Rule.FLOOR_FIELDS)
        if any(first.group_id >= second.group_id for first, second in pairwise(self.places)):
            raise Invalid(Rule.FLOOR_FIELDS, "groups that do not ascend")
        tbs = FloorsTBS(self.universe_id, self.member, self.serial, self.places)
        verify(self.member, labels.FLOOR, tbs.encode(), self.signature)
