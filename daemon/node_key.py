"""The node key, which wraps every key of the store: today from a key file of mode 0600.

Whatever gives 32 bytes can take its place (a passphrase through Argon2id, a key store of the system): the
store sees the bytes only.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from starling.daemon.errors import PlaceError
from starling.daemon.paths import private_file

KEY_SIZE = 32


def create_key_file(path: Path, random: Callable[[int], bytes]) -> bytes:
    """Draw a node key, write it to a new file (hex, mode 0600) and sync it."""
    key = random(KEY_SIZE)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, key.hex().encode() + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise PlaceError(f"cannot write the key file {path}: {error.strerror}") from None
    return key


def read_key_file(path: Path) -> bytes:
    """The 32 bytes of a key file; PlaceError where it is missing, too open or no key file."""
    private_file(path)
    try:
        key = bytes.fromhex(path.read_text("ascii").strip())
    except OSError as error:
        raise PlaceError(f"cannot read the key file {path}: {error.strerror}") from None
    except ValueError:
        key = b""
    if len(key) != KEY_SIZE:
        raise PlaceError(f"{path} is not a key file; put back the one made by 'starling init'")
    return key
