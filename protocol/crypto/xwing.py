"""X-Wing: ML-KEM-768 and X25519 in one KEM (draft-connolly-cfrg-xwing-kem-09).

Secure as long as one of the two is. A private key is a seed of 32 bytes, a public key has 1216 bytes (1184 of
ML-KEM-768, then 32), a ciphertext 1120 (1088, then 32), the shared secret 32.
"""

from __future__ import annotations

import enum
import hashlib
from typing import cast

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from pyhpke import KEMId, KEMInterface, KEMKeyInterface, KEMKeyPair

_MLKEM_PUBLIC_KEY = 1184
_MLKEM_CIPHERTEXT = 1088
_CIPHERTEXT = 1120
_LABEL = b"\\.//^\\"


class XWingId(enum.Enum):
    """Its code point as an HPKE KEM."""

    XWING = 0x647A


class XWingPublicKey(KEMKeyInterface):
    def __init__(self, mlkem: MLKEM768PublicKey, x25519: X25519PublicKey) -> None:
        super().__init__((mlkem, x25519))
        self.mlkem = mlkem
        self.x25519 = x25519

    @classmethod
    def decode(cls, encoded: bytes) -> XWingPublicKey:
        """The key of 1216 bytes; raises `ValueError` for others."""
        mlkem = MLKEM768PublicKey.from_public_bytes(encoded[:_MLKEM_PUBLIC_KEY])
        return cls(mlkem, X25519PublicKey.from_public_bytes(encoded[_MLKEM_PUBLIC_KEY:]))

    def to_public_bytes(self) -> bytes:
        return self.mlkem.public_bytes_raw() + self.x25519.public_bytes_raw()


class XWingPrivateKey(KEMKeyInterface):
    """Expanded from a seed of 32 bytes (§5.2); raises `ValueError` for another length."""

    def __init__(self, seed: bytes) -> None:
        if len(seed) != 32:
            raise ValueError("a private key of X-Wing has 32 bytes")
        super().__init__(seed)
        expanded = hashlib.shake_256(seed).digest(96)
        self.mlkem = MLKEM768PrivateKey.from_seed_bytes(expanded[:64])
        self.x25519 = X25519PrivateKey.from_private_bytes(expanded[64:])

    def to_private_bytes(self) -> bytes:
        return bytes(self.raw)

    def public_key(self) -> XWingPublicKey:
        return XWingPublicKey(self.mlkem.public_key(), self.x25519.public_key())


class XWing(KEMInterface):
    """The KEM as HPKE uses it (§5.5). ML-KEM's own randomness is always the operating system's."""

    @property
    def id(self) -> KEMId:
        # HPKE asks for its value alone; KEMId, an enumeration of another package, cannot get a further member.
        return cast(KEMId, XWingId.XWING)

    def derive_key_pair(self, ikm: bytes) -> KEMKeyPair:
        """DeriveKeyPair: the seed is 32 bytes of SHAKE256."""
        private_key = XWingPrivateKey(hashlib.shake_256(ikm).digest(32))
        return KEMKeyPair(private_key, private_key.public_key())

    def deserialize_private_key(self, key: bytes) -> KEMKeyInterface:
        return XWingPrivateKey(key)

    def deserialize_public_key(self, key: bytes) -> KEMKeyInterface:
        return XWingPublicKey.decode(key)

    def encap(
        self, pkr: KEMKeyInterface, sks: KEMKeyInterface | None = None, eks: KEMKeyPair | None = None
    ) -> tuple[bytes, bytes]:
        """(shared secret, ciphertext). X-Wing authenticates no sender, and takes no ephemeral key."""
        assert isinstance(pkr, XWingPublicKey)
        ephemeral = X25519PrivateKey.generate()
        ephemeral_public = ephemeral.public_key().public_bytes_raw()
        mlkem_secret, mlkem_ciphertext = pkr.mlkem.encapsulate()
        x25519_secret = ephemeral.exchange(pkr.x25519)
        recipient = pkr.x25519.public_bytes_raw()
        secret = _combine(mlkem_secret, x25519_secret, ephemeral_public, recipient)
        return secret, mlkem_ciphertext + ephemeral_public

    def decap(self, enc: bytes, skr: KEMKeyInterface, pks: KEMKeyInterface | None = None) -> bytes:
        """The shared secret; raises `ValueError` for a ciphertext of another length. A wrong ciphertext gives
        another secret."""
        assert isinstance(skr, XWingPrivateKey)
        if len(enc) != _CIPHERTEXT:
            raise ValueError("a ciphertext of X-Wing has 1120 bytes")
        ephemeral_public = enc[_MLKEM_CIPHERTEXT:]
        mlkem_secret = skr.mlkem.decapsulate(enc[:_MLKEM_CIPHERTEXT])
        x25519_secret = skr.x25519.exchange(X25519PublicKey.from_public_bytes(ephemeral_public))
        recipient = skr.x25519.public_key().public_bytes_raw()
        return _combine(mlkem_secret, x25519_secret, ephemeral_public, recipient)


def _combine(mlkem_secret: bytes, x25519_secret: bytes, ephemeral: bytes, recipient: bytes) -> bytes:
    return hashlib.sha3_256(mlkem_secret + x25519_secret + ephemeral + recipient + _LABEL).digest()
