"""What a member signs that asks to start anew with a new send group (PROTOCOL 5.6 B4, B7).

Its identity key signs; whoever admits it compares a number with the person first, since a thief who has the
node's whole state can ask just as well.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass

from starling.protocol.distributed import labels
from starling.protocol.distributed.identity import Identity, verify
from starling.protocol.wire import Struct, Vector, opaque, uint16, uint32

VERIFICATION_DIGITS = 12
_ROUNDS = 50_000


@dataclass(frozen=True, slots=True)
class ReadmitRequestTBS(Struct):
    """What is signed. `send_group_id` and `incarnation` are the new ones, which the KeyPackages name too; `name` is
    UTF-8, `key_packages` are encoded, one a suite."""

    universe_id: opaque
    identity: opaque
    send_group_id: opaque
    incarnation: uint32
    name: opaque
    cipher_suite: uint16
    key_packages: Vector[opaque]

    def sign(self, identity: Identity) -> bytes:
        """64 bytes by the identity key."""
        return identity.sign(labels.READMIT, self.encode())

    def verify(self, signature: bytes) -> None:
        """Raises VerificationFailed."""
        verify(self.identity, labels.READMIT, self.encode(), signature)

    def verification(self) -> str:
        """Twelve digits that two people compare: those of another request are others.

        Made slow, as the number is short: who looks for a request of its own with the number of this one
        has to do that about 10^12 times.
        """
        return _number(self.encode())


@functools.lru_cache(maxsize=64)
def _number(content: bytes) -> str:
    # It is shown again and again.
    stretched = hashlib.pbkdf2_hmac("sha512", content, labels.READMIT_NUMBER.encode(), _ROUNDS, 16)
    return f"{int.from_bytes(stretched) % 10**VERIFICATION_DIGITS:0{VERIFICATION_DIGITS}}"
