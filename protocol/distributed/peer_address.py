"""Where a member can be dialled, signed by its libp2p key, so that any member can pass it on (PROTOCOL 7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from starling.protocol.distributed import labels
from starling.protocol.distributed.identity import Identity, peer_public_key, verify
from starling.protocol.distributed.rules import Rule
from starling.protocol.errors import Invalid, UsageError
from starling.protocol.wire import Struct, Vector, opaque, uint64

MAX_ADDRESSES = 8
MAX_ADDRESS_LENGTH = 128


def is_address(text: str) -> bool:
    """Whether a multiaddr text has an allowed size and only visible ASCII; its meaning is not checked."""
    return (
        1 <= len(text) <= MAX_ADDRESS_LENGTH
        and text.startswith("/")
        and all("!" <= character <= "~" for character in text)
    )


@dataclass(frozen=True, slots=True)
class PeerAddressTBS(Struct):
    """What is signed. A higher `serial` (ms) replaces a lower one; `addresses` are multiaddr texts."""

    universe_id: opaque
    peer_id: opaque
    serial: uint64
    addresses: Vector[opaque]


@dataclass(frozen=True, slots=True)
class PeerAddress(PeerAddressTBS):
    """The record as it travels."""

    signature: opaque

    @classmethod
    def sign(
        cls, identity: Identity, *, universe_id: bytes, serial: int, addresses: Sequence[str]
    ) -> PeerAddress:
        """Raises UsageError for more than 8 addresses or one that is no address."""
        if len(addresses) > MAX_ADDRESSES or not all(is_address(text) for text in addresses):
            raise UsageError(f"at most {MAX_ADDRESSES} addresses of {MAX_ADDRESS_LENGTH} characters")
        encoded = tuple(text.encode("ascii") for text in addresses)
        tbs = PeerAddressTBS(universe_id, identity.peer_id, serial, encoded)
        signature = identity.sign_as_peer(labels.ADDRESS, tbs.encode())
        return cls(universe_id, identity.peer_id, serial, encoded, signature)

    @property
    def texts(self) -> tuple[str, ...]:
        """The addresses as text; call `verify` first."""
        return tuple(address.decode("ascii") for address in self.addresses)

    def verify(self, universe_id: bytes) -> None:
        """Check bounds, universe and the signature by the key inside the peer id.

        Raises Invalid, DecodeError for a foreign kind of peer id, VerificationFailed.
        """
        if self.universe_id != universe_id:
            raise Invalid(Rule.ADDRESS_UNIVERSE)
        if len(self.addresses) > MAX_ADDRESSES:
            raise Invalid(Rule.ADDRESS_FIELDS, f"{len(self.addresses)} addresses")
        for address in self.addresses:
            try:
                valid = is_address(address.decode("ascii"))
            except UnicodeDecodeError:
                valid = False
            if not valid:
                raise Invalid(Rule.ADDRESS_FIELDS)
        key = peer_public_key(self.peer_id)
        tbs = PeerAddressTBS(self.universe_id, self.peer_id, self.serial, self.addresses)
        verify(key, labels.ADDRESS, tbs.encode(), self.signature)
