"""Signature schemes of the cipher suites: EdDSA and ECDSA, with raw keys (RFC 9420 §5.1.1, §5.1.2)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from starling.protocol.crypto.secret import PrivateKey, parsed_key
from starling.protocol.errors import UsageError, VerificationFailed


class SignatureScheme(Protocol):
    """Sign and verify; `verify` raises `VerificationFailed`, also for a bad public key."""

    def generate(self, random: Callable[[int], bytes]) -> tuple[bytes, bytes]: ...
    def public_key(self, private_key: PrivateKey) -> bytes: ...
    def sign(self, private_key: PrivateKey, content: bytes) -> bytes: ...
    def verify(self, public_key: bytes, content: bytes, signature: bytes) -> None: ...


_EddsaPrivate = type[ed25519.Ed25519PrivateKey] | type[ed448.Ed448PrivateKey]
_EddsaPublic = type[ed25519.Ed25519PublicKey] | type[ed448.Ed448PublicKey]


@dataclass(frozen=True, slots=True)
class Eddsa:
    """EdDSA: a private key is a seed of `seed_length` bytes."""

    name: str
    seed_length: int
    private_type: _EddsaPrivate
    public_type: _EddsaPublic

    def generate(self, random: Callable[[int], bytes]) -> tuple[bytes, bytes]:
        seed = random(self.seed_length)
        return seed, self.public_key(seed)

    def public_key(self, private_key: PrivateKey) -> bytes:
        return parsed_key(private_key, self._private).public_key().public_bytes_raw()

    def sign(self, private_key: PrivateKey, content: bytes) -> bytes:
        return parsed_key(private_key, self._private).sign(content)

    def verify(self, public_key: bytes, content: bytes, signature: bytes) -> None:
        try:
            _eddsa_public(self.public_type, public_key).verify(signature, content)
        except (InvalidSignature, ValueError):
            raise VerificationFailed from None

    def _private(self, private_key: bytes) -> ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey:
        try:
            return self.private_type.from_private_bytes(private_key)
        except ValueError:
            raise UsageError(f"not an {self.name} private key") from None


@functools.lru_cache(maxsize=4096)
def _eddsa_public(
    public_type: _EddsaPublic, public_key: bytes
) -> ed25519.Ed25519PublicKey | ed448.Ed448PublicKey:
    return public_type.from_public_bytes(public_key)


ED25519 = Eddsa("Ed25519", 32, ed25519.Ed25519PrivateKey, ed25519.Ed25519PublicKey)
ED448 = Eddsa("Ed448", 57, ed448.Ed448PrivateKey, ed448.Ed448PublicKey)


@dataclass(frozen=True, slots=True)
class Ecdsa:
    """ECDSA over a NIST curve: a private key is the field element, a signature is DER."""

    curve: ec.EllipticCurve
    hash: hashes.HashAlgorithm

    def generate(self, random: Callable[[int], bytes]) -> tuple[bytes, bytes]:
        order = self.curve.group_order
        size = (order.bit_length() + 7) // 8
        number = int.from_bytes(random(size + 8)) % (order - 1) + 1
        private_key = number.to_bytes(size)
        return private_key, self.public_key(private_key)

    def public_key(self, private_key: PrivateKey) -> bytes:
        public = parsed_key(private_key, self._private).public_key()
        return public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    def sign(self, private_key: PrivateKey, content: bytes) -> bytes:
        return parsed_key(private_key, self._private).sign(content, ec.ECDSA(self.hash))

    def verify(self, public_key: bytes, content: bytes, signature: bytes) -> None:
        try:
            key = _ecdsa_public(self.curve.name, public_key)
            key.verify(signature, content, ec.ECDSA(self.hash))
        except (InvalidSignature, ValueError):
            raise VerificationFailed from None

    def _private(self, private_key: bytes) -> ec.EllipticCurvePrivateKey:
        try:
            return ec.derive_private_key(int.from_bytes(private_key), self.curve)
        except ValueError:
            raise UsageError("not an ECDSA private key of the curve") from None


_CURVES = {curve.name: curve for curve in (ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1())}


@functools.lru_cache(maxsize=4096)
def _ecdsa_public(curve_name: str, public_key: bytes) -> ec.EllipticCurvePublicKey:
    """An uncompressed point, the only form allowed (RFC 9420 §5.1.1); raises ValueError."""
    if public_key[:1] != b"\x04":
        raise ValueError("not an uncompressed point")
    return ec.EllipticCurvePublicKey.from_encoded_point(_CURVES[curve_name], public_key)
