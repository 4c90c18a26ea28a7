"""The file of a backup: rows of an account, sealed by a passphrase.

Two lines of text say what the file is and how its key comes of the passphrase. Pieces follow, each 4 bytes of length
and a sealed list of rows in canonical msgpack; its place and whether it is the last are sealed with it, so that nobody
can leave a piece out, or cut the file short, unnoticed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from starling.daemon.errors import BackupError
from starling.daemon.passphrase import PassphraseKey
from starling.daemon.paths import sync_directory
from starling.daemon.sealing import OVERHEAD, Nonces, Sealer, Unsealable
from starling.protocol.errors import DecodeError
from starling.protocol.packed import pack, unpack

_HEADER = b"starling account kit 1\n"
_MAX_LINE = 256
_PIECE = 256 * 1024
_MAX_ROW = 8 * 1024 * 1024
_MAX_PIECE = _PIECE + _MAX_ROW + OVERHEAD

Row = list[Any]
"""A word that says what the row is, and its values: bytes, integers, None."""


def write_kit(path: Path, passphrase: str, rows: Iterable[Row], random: Callable[[int], bytes]) -> int:
    """Write a backup of mode 0600 to a new file, whole or not at all; its size in bytes is given back.

    Raises BackupError where there is such a file already, or it cannot be written.
    """
    if not path.name or "\0" in str(path):
        raise BackupError(f"{str(path)!r} is not the name of a file", "path")
    # A name that nobody else has: what is there already is not ours to remove.
    part = path.with_name(f"{path.name}.{random(4).hex()}.part")
    source = PassphraseKey.generate(random)
    sealer = Sealer(source.derive(passphrase), Nonces())
    try:
        _check_free(path)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(descriptor, "wb") as file:
                file.write(_HEADER + source.line().encode() + b"\n")
                for number, (piece, is_last) in enumerate(_pieces(rows)):
                    sealed = sealer.seal(piece, b"kit", number.to_bytes(8), bytes([is_last]))
                    file.write(len(sealed).to_bytes(4) + sealed)
                file.flush()
                os.fsync(file.fileno())
                size = file.tell()
            _check_free(path)
            part.rename(path)
            sync_directory(path.parent)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise BackupError(f"cannot write the backup {path}: {error.strerror}") from None
    return size


def _check_free(path: Path) -> None:
    if os.path.lexists(path):
        raise BackupError(f"there is a file {path} already; choose another name", "backup.exists")


def _pieces(rows: Iterable[Row]) -> Iterator[tuple[bytes, bool]]:
    gathered: list[bytes] = []
    size = 0
    for row in rows:
        packed = pack(row)
        if gathered and size + len(packed) > _PIECE:
            yield pack(gathered), False
            gathered, size = [], 0
        gathered.append(packed)
        size += len(packed)
    yield pack(gathered), True


def read_kit(path: Path, passphrase: str) -> Iterator[Row]:
    """The rows of a backup. Each is authentic, but only at the end is it sure that none is missing.

    Raises BackupError for a file that cannot be read or is none, another passphrase, and a damaged file.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise BackupError(f"{path} is not a plain file; copy the backup into one, it is read twice")
        with open(path, "rb") as file:
            if file.readline(_MAX_LINE) != _HEADER:
                raise BackupError(f"{path} is not a backup of this version of starling")
            line = file.readline(_MAX_LINE).removesuffix(b"\n")
            source = PassphraseKey.parse(line.decode("ascii", "replace"))
            if source is None:
                raise _damaged(path)
            sealer = Sealer(source.derive(passphrase), Nonces())
            number = 0
            is_last = False
            while not is_last:
                sealed = _sealed(file, path)
                piece, is_last = _unsealed(sealer, sealed, number, path)
                yield from _rows(piece, path)
                number += 1
            if file.read(1):
                raise _damaged(path)
    except OSError as error:
        raise BackupError(f"cannot read the backup {path}: {error.strerror}") from None


def _sealed(file: IO[bytes], path: Path) -> bytes:
    length = int.from_bytes(file.read(4))
    if not OVERHEAD <= length <= _MAX_PIECE:
        raise _damaged(path)
    return file.read(length)


def _unsealed(sealer: Sealer, sealed: bytes, number: int, path: Path) -> tuple[bytes, bool]:
    for is_last in (False, True):
        try:
            return sealer.unseal(sealed, b"kit", number.to_bytes(8), bytes([is_last])), is_last
        except Unsealable:
            continue
    if number == 0:
        raise BackupError(
            f"this passphrase does not open the backup {path}, or the file is damaged", "wrong_passphrase"
        )
    raise _damaged(path)


def _rows(piece: bytes, path: Path) -> Iterator[Row]:
    try:
        for packed in unpack(piece, max_bytes=_MAX_PIECE):
            yield unpack(packed, max_bytes=_MAX_ROW)
    except (DecodeError, TypeError):
        raise _damaged(path) from None


def _damaged(path: Path) -> BackupError:
    return BackupError(f"the backup {path} is damaged or incomplete; take another copy of it")
