"""Which AEAD keys have sealed what: a key that seals twice is a fault, whatever the nonces (invariant I3)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from tests.attack.scene import Breach

from starling.protocol.crypto.cipher_suite import CipherSuite


@contextmanager
def watched_keys() -> Iterator[Counter[bytes]]:
    """How often each key of messages and handshakes has sealed, while inside."""
    used: Counter[bytes] = Counter()
    original = CipherSuite.seal

    def seal(suite: CipherSuite, key: bytes, *args: Any) -> bytes:
        used[bytes(key)] += 1
        return original(suite, key, *args)

    with mock.patch.object(CipherSuite, "seal", seal):
        yield used


def check_used_once(used: Counter[bytes]) -> None:
    again = sum(count > 1 for count in used.values())
    if again:
        raise Breach(f"{again} keys have sealed more than once")
