"""A node key from a passphrase: Argon2id (RFC 9106), with its salt and costs in the key file."""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from starling.daemon.errors import PlaceError
from starling.daemon.paths import private_file
from starling.daemon.sealing import KEY_SIZE

SALT_SIZE = 16
LEAST, MOST = 8, 1024
"""Characters of a passphrase."""

_LINE = re.compile(r"argon2id t=(\d{1,3}) m=(\d{1,8}) p=(\d{1,2}) salt=([0-9a-f]{32})")


@dataclass(frozen=True, slots=True)
class PassphraseKey:
    """How a passphrase becomes the node key; the costs are those of RFC 9106 §4, second recommended option.

    `iterations` are passes over `memory` KiB in `lanes` lanes: about 0.1 s on a small machine.
    """

    salt: bytes
    iterations: int = 3
    memory: int = 64 * 1024
    lanes: int = 4

    @classmethod
    def generate(cls, random: Callable[[int], bytes]) -> PassphraseKey:
        return cls(random(SALT_SIZE))

    def line(self) -> str:
        """What stands in the key file."""
        return f"argon2id t={self.iterations} m={self.memory} p={self.lanes} salt={self.salt.hex()}"

    @classmethod
    def parse(cls, line: str) -> PassphraseKey | None:
        """The same from a key file; None where it holds no such line, or costs that are out of all bounds."""
        found = _LINE.fullmatch(line)
        if found is None:
            return None
        iterations, memory, lanes = (int(number) for number in found.group(1, 2, 3))
        if not (iterations >= 1 and 1 <= lanes <= 64 and 8 * lanes <= memory <= 4 * 2**20):
            return None
        return cls(bytes.fromhex(found.group(4)), iterations, memory, lanes)

    def derive(self, passphrase: str) -> bytes:
        """The 32 bytes of the node key, the same however the passphrase's letters are composed."""
        try:
            kdf = Argon2id(
                salt=self.salt,
                length=KEY_SIZE,
                iterations=self.iterations,
                lanes=self.lanes,
                memory_cost=self.memory,
            )
            return kdf.derive(unicodedata.normalize("NFC", passphrase).encode())
        except MemoryError:
            raise PlaceError(
                f"the passphrase needs {self.memory // 1024} MiB of memory, which are not free; free some"
            ) from None
        except UnsupportedAlgorithm:
            raise PlaceError("this system's OpenSSL has no Argon2id; it needs version 3.2 or newer") from None


def check_passphrase(passphrase: str) -> str:
    """The passphrase, if it may be one; PlaceError where it may not."""
    if not LEAST <= len(passphrase) <= MOST:
        raise PlaceError(f"a passphrase has {LEAST} to {MOST} characters", "passphrase")
    return passphrase


def read_passphrase_file(path: Path) -> str:
    """The passphrase in a file of mode 0600, or in a pipe; its last line end does not count."""
    try:
        # A pipe, such as a shell makes for <(command), is nobody else's either.
        if not stat.S_ISFIFO(os.stat(path).st_mode):
            private_file(path)
        with open(path, "rb") as file:
            data = file.read(4 * MOST + 2)
        text = data.decode()
    except OSError as error:
        raise PlaceError(f"cannot read the passphrase file {path}: {error.strerror}", "passphrase") from None
    except UnicodeDecodeError:
        raise PlaceError(f"{path} holds no passphrase: it is not UTF-8 text", "passphrase") from None
    return check_passphrase(text.removesuffix("\n").removesuffix("\r"))
