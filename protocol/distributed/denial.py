"""Two nodes that hold the keys of one member answer each other (PROTOCOL 5.6 B6).

A node that starts anew without having signed anything beside others contradicts nobody. So it signs which heads of its
former send group it was shown, and a node that made one of these in its present run, and is not the one that asks,
denies to be it. Both together show that two live, whatever their clocks say: the first was signed after the head was
made, the second after the first, and a node that was put back has no present run in which it made what it lacks.
"""

from __future__ import annotations

from dataclasses import dataclass

from starling.protocol.distributed import labels
from starling.protocol.distributed.identity import KEY_LENGTH, Identity, sign, verify
from starling.protocol.distributed.rules import Rule
from starling.protocol.errors import Invalid
from starling.protocol.wire import Struct, Vector, opaque

MAX_SHOWN = 8
"""Heads in one sighting."""

_MAX_ID = 64


@dataclass(frozen=True, slots=True)
class SightingTBS(Struct):
    """What is signed: a member starts anew with a send group that supersedes a former one, and was shown these heads
    (`dmls_epoch`) of the former; 1 to 8, ascending."""

    universe_id: opaque
    identity: opaque
    former_group_id: opaque
    send_group_id: opaque
    heads: Vector[opaque]


@dataclass(frozen=True, slots=True)
class Sighting(SightingTBS):
    """With the signature of the identity key."""

    signature: opaque

    @classmethod
    def sign(
        cls,
        identity: Identity,
        *,
        universe_id: bytes,
        former_group_id: bytes,
        send_group_id: bytes,
        heads: tuple[bytes, ...],
    ) -> Sighting:
        tbs = SightingTBS(universe_id, identity.identity_public_key, former_group_id, send_group_id, heads)
        return cls(
            universe_id,
            identity.identity_public_key,
            former_group_id,
            send_group_id,
            heads,
            identity.sign(labels.SIGHTING, tbs.encode()),
        )

    def verify(self) -> None:
        """Check sizes, the order of the heads and the signature; raises `Invalid`, `VerificationFailed`."""
        names = (self.universe_id, self.former_group_id, self.send_group_id, *self.heads)
        if (
            len(self.identity) != KEY_LENGTH
            or not all(0 < len(name) <= _MAX_ID for name in names)
            or not 0 < len(self.heads) <= MAX_SHOWN
            or list(self.heads) != sorted(set(self.heads))
            or self.former_group_id == self.send_group_id
        ):
            raise Invalid(Rule.SIGHTING_FIELDS)
        tbs = SightingTBS(
            self.universe_id, self.identity, self.former_group_id, self.send_group_id, self.heads
        )
        verify(self.identity, labels.SIGHTING, tbs.encode(), self.signature)


@dataclass(frozen=True, slots=True)
class Denial(Struct):
    """The owner of the former send group made one of the heads in its present run, and does not ask to start anew; by
    the signature key of its leaf."""

    sighting: Sighting
    signature: opaque

    @classmethod
    def sign(cls, signature_private_key: bytes, sighting: Sighting) -> Denial:
        return cls(sighting, sign(signature_private_key, labels.DENIAL, sighting.encode()))

    def verify(self, signature_key: bytes) -> None:
        """Check the sighting, and the denial under the key of leaf 0; raises `Invalid`, `VerificationFailed`."""
        self.sighting.verify()
        verify(signature_key, labels.DENIAL, self.sighting.encode(), self.signature)
