"""Backups to restore from: the rows of a small one, the file that holds them, and where they are restored to."""

from __future__ import annotations

import os
from pathlib import Path

from starling.daemon.account_kit import Row, write_kit
from starling.daemon.paths import Paths
from starling.protocol.distributed.identity import Identity

PASSPHRASE = "correct horse battery"
NOW = 1_700_000_000_000

IDENTITY = ["identity", Identity.generate("Ann", os.urandom).save()]
MESSAGE = ["message", bytes(32), bytes(32), bytes(16), 0, NOW, b"\x80", None]


def kit(path: Path, rows: list[Row]) -> Path:
    write_kit(path, PASSPHRASE, rows, os.urandom)
    return path


def places(path: Path) -> Paths:
    return Paths.find(str(path), {})
