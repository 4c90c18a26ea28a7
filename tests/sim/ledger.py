"""A ledger over every AEAD seal with message keys: no pair of key and nonce may come twice (invariant I3)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from tests.sim.violation import Violation

from starling.protocol.crypto.cipher_suite import CipherSuite


class SealLedger:
    """The pairs used so far, by every engine of a history, in thrown-away steps too."""

    def __init__(self, used: frozenset[tuple[bytes, bytes]] = frozenset()) -> None:
        self._before = used
        self.used: set[tuple[bytes, bytes]] = set()
        self.repeats = 0

    def record(self, key: bytes, nonce: bytes) -> None:
        pair = (bytes(key), bytes(nonce))
        if pair in self.used or pair in self._before:
            self.repeats += 1
        self.used.add(pair)

    def all(self) -> frozenset[tuple[bytes, bytes]]:
        return self._before | self.used

    def check(self) -> None:
        if self.repeats:
            raise Violation("nonce", f"{self.repeats} seals repeated a key and nonce")

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Record every `CipherSuite.seal` of the process while inside."""
        original = CipherSuite.seal

        def seal(suite: CipherSuite, key: bytes, nonce: bytes, *args: Any, **kwargs: Any) -> bytes:
            self.record(key, nonce)
            return original(suite, key, nonce, *args, **kwargs)

        with mock.patch.object(CipherSuite, "seal", seal):
            yield
