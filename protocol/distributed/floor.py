"""What a member wants no more of archivers, signed: when all members have said so, it goes (PROTOCOL 6, 7).

A floor is a number: of the oldest epoch of a send group of which the member may still want what was sent in it. It
holds on every branch, so that an archiver, which does not know the branches, can apply it. Within an epoch an archiver
cannot tell one message from another, so a member also says up to which place it wants nothing of the archiver's list.
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
    """What is signed. `member` is the identity key; a higher `serial` (ms) replaces a lower one. `list_place` is in the
    list `list_id`, which is the receiving archiver's; 0 where the member has read none."""

    universe_id: opaque
    member: opaque
    serial: uint64
    list_id: opaque
    list_place: uint64
    places: Vector[Place]


@dataclass(frozen=True, slots=True)
class Floors(FloorsTBS):
    """The statement as it travels; `places` ascend by group."""

    signature: opaque

    @classmethod
    def sign(
        cls,
        identity: Identity,
        *,
        universe_id: bytes,
        serial: int,
        floors: Mapping[bytes, int],
        list_id: bytes = b"",
        list_place: int = 0,
    ) -> Floors:
        """State the floors of all send groups that the member is in, and how far it has read a list."""
        places = tuple(Place(group_id, epoch) for group_id, epoch in sorted(floors.items())[:MAX_PLACES])
        member = identity.identity_public_key
        tbs = FloorsTBS(universe_id, member, serial, list_id, list_place, places)
        signature = identity.sign(labels.FLOOR, tbs.encode())
        return cls(universe_id, member, serial, list_id, list_place, places, signature)

    def verify(self, universe_id: bytes) -> None:
        """Check universe, bounds, order and the signature by the identity key it names. Raises Invalid,
        VerificationFailed."""
        if self.universe_id != universe_id:
            raise Invalid(Rule.FLOOR_FIELDS, "another universe")
        if len(self.member) != KEY_LENGTH or len(self.list_id) > 16 or len(self.places) > MAX_PLACES:
            raise Invalid(Rule.FLOOR_FIELDS)
        if any(first.group_id >= second.group_id for first, second in pairwise(self.places)):
            raise Invalid(Rule.FLOOR_FIELDS, "groups that do not ascend")
        tbs = FloorsTBS(
            self.universe_id, self.member, self.serial, self.list_id, self.list_place, self.places
        )
        verify(self.member, labels.FLOOR, tbs.encode(), self.signature)
