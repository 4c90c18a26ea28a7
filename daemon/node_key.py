"""The node key, which wraps every key of the store: from a key file of mode 0600, or from a passphrase.

The key file holds the key itself in hex, or the line of a `PassphraseKey`. The store sees the bytes only.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from starling.daemon.errors import PlaceError
from starling.daemon.passphrase import PassphraseKey
from starling.daemon.paths import private_file
from starling.daemon.sealing import KEY_SIZE

AskPassphrase = Callable[[], str]


def create_key_file(path: Path, random: Callable[[int], bytes], passphrase: str | None = None) -> bytes:
    """Make a node key and a new key file, synced; with a passphrase the file does not hold the key."""
    if passphrase is None:
        key = random(KEY_SIZE)
        line = key.hex()
    else:
        source = PassphraseKey.generate(random)
        key = source.derive(passphrase)
        line = source.line()
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, line.encode() + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise PlaceError(f"cannot write the key file {path}: {error.strerror}") from None
    return key


def read_key_file(path: Path, ask: AskPassphrase) -> tuple[bytes, bool]:
    """The 32 bytes of the node key, and whether they come from a passphrase, for which `ask` is called then.

    PlaceError where the file is missing, too open or no key file.
    """
    private_file(path)
    try:
        line = path.read_text("ascii").strip()
    except OSError as error:
        raise PlaceError(f"cannot read the key file {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        line = ""
    source = PassphraseKey.parse(line)
    if source is not None:
        return source.derive(ask()), True
    try:
        key = bytes.fromhex(line)
    except ValueError:
        key = b""
    if len(key) != KEY_SIZE:
        raise PlaceError(f"{path} is not a key file; put back the one made by 'starling init'")
    return key, False
