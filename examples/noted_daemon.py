"""The `starling` command, with a note of every pair of key and nonce that its process encrypts with.

A pair that came twice would let outsiders read both messages. It cannot be seen from outside, so the demo of
restored and cloned nodes runs its daemons by this file. The file named by STARLING_SEALS gets a hash of 32 bytes for
each pair, before it is used.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

VARIABLE = "STARLING_SEALS"
_HASH = 32


@contextmanager
def noted_seals(path: Path) -> Iterator[None]:
    """Note every `CipherSuite.seal` of this process, whoever asks for it."""
    from starling.protocol.crypto.cipher_suite import CipherSuite

    original = CipherSuite.seal
    # Each note is one write at the end of the file, whatever else of this node writes there.
    notes = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def seal(suite: CipherSuite, key: bytes, nonce: bytes, aad: bytes, plaintext: bytes) -> bytes:
        os.write(notes, hashlib.sha256(bytes([len(key)]) + bytes(key) + bytes(nonce)).digest())
        return original(suite, key, nonce, aad, plaintext)

    try:
        with mock.patch.object(CipherSuite, "seal", seal):
            yield
    finally:
        os.close(notes)


def reused(paths: list[Path]) -> tuple[int, int]:
    """How many notes there are in all files, and how many of them say what another one said before."""
    seen: Counter[bytes] = Counter()
    for path in paths:
        notes = path.read_bytes()
        seen.update(notes[at : at + _HASH] for at in range(0, len(notes), _HASH))
    return seen.total(), seen.total() - len(seen)


def main() -> int:
    from starling.daemon.cli.main import main as starling

    with noted_seals(Path(os.environ[VARIABLE])):
        return starling()


if __name__ == "__main__":
    sys.exit(main())
