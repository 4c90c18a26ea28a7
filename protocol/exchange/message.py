"""What a message between two connected nodes is, and the shapes and limits that several of them share."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar

from starling.protocol.distributed.key_packages import MAX_KEY_PACKAGE
from starling.protocol.distributed.roster_entry import MAX_ENTRY
from starling.protocol.packed import Blob, Many, Uint, pack

VERSION = 1
MAX_MESSAGE = 4 * 1024 * 1024
MAX_FRAMES = 256
MAX_ENTRIES = 8192
"""Roster entries, or ids of such, in one message."""
MAX_GROUPS = 1024

UNIVERSE_ID = Blob.of(32)
DIGEST = Blob.of(32)
EPOCH = Blob(64)
GROUP_ID = Blob(64, 1)
COUNT = Uint(2**32 - 1)
ENTRY = Blob(MAX_ENTRY, 1)
PROFILE = (Many(Blob(MAX_KEY_PACKAGE, 1), 8), Blob(2048))


@dataclass(frozen=True, slots=True)
class Message:
    """The base of all messages.

    `kind` is the wire number, `patterns` the shape of the fields in order, `max_bytes` what a whole one may have.
    """

    kind: ClassVar[int]
    patterns: ClassVar[tuple[Any, ...]]
    max_bytes: ClassVar[int] = MAX_MESSAGE

    def encode(self) -> bytes:
        """The message without attached frames, for `attach`."""
        values = [plain(getattr(self, item.name)) for item in fields(self)]
        return pack([VERSION, self.kind, values])


def plain(value: Any) -> Any:
    """A field as it is packed: tuples as lists."""
    return [plain(item) for item in value] if isinstance(value, tuple) else value


def frozen(value: Any) -> Any:
    """A field as it was unpacked, with tuples for lists."""
    return tuple(frozen(item) for item in value) if isinstance(value, list | tuple) else value
