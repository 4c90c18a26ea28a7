"""Sealing of stored rows: ChaCha20-Poly1305 with the row's identity as additional data."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

KEY_SIZE = 32
NONCE_SIZE = 12
OVERHEAD = NONCE_SIZE + 16
_PREFIX_SIZE = 7


class Unsealable(Exception):
    """Another key, another row, or changed bytes."""


class Nonces:
    """Nonces that do not repeat under one key: 7 random bytes for each opening of a store, a counter of 5.

    Fully random ones would come near their limit of 2**32 under a key that lasts; a stored counter would
    repeat after a restore from a copy.
    """

    def __init__(self) -> None:
        self._prefix = os.urandom(_PREFIX_SIZE)
        self._counter: Iterator[int] = itertools.count()

    def __next__(self) -> bytes:
        return self._prefix + next(self._counter).to_bytes(NONCE_SIZE - _PREFIX_SIZE)


class Sealer:
    """One key of the store. Not for several threads at once; prints nothing."""

    __slots__ = ("_aead", "_nonces")

    def __init__(self, key: bytes, nonces: Nonces) -> None:
        self._aead = ChaCha20Poly1305(key)
        self._nonces = nonces

    def seal(self, plaintext: bytes, *identity: bytes) -> bytes:
        """Nonce, ciphertext and tag: 28 bytes more than the plaintext."""
        nonce = next(self._nonces)
        return nonce + self._aead.encrypt(nonce, plaintext, _join(identity))

    def unseal(self, sealed: bytes, *identity: bytes) -> bytes:
        """The plaintext; Unsealable where it is not of this key and row."""
        if len(sealed) < OVERHEAD:
            raise Unsealable
        try:
            return self._aead.decrypt(sealed[:NONCE_SIZE], sealed[NONCE_SIZE:], _join(identity))
        except InvalidTag:
            raise Unsealable from None


def _join(identity: tuple[bytes, ...]) -> bytes:
    """Several byte strings as one, such that no two different tuples give the same."""
    return b"".join(len(part).to_bytes(4) + part for part in identity)
