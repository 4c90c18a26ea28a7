"""`epoch_end`: how many application messages the epoch has that a commit ends (K-14).

Inside the encrypted commit, so that a member knows when it has them all and outsiders do not.
"""

from __future__ import annotations

from dataclasses import dataclass

from starling.protocol.wire import Struct, uint32


@dataclass(frozen=True, slots=True)
class _EpochEnd(Struct):
    application_count: uint32


def build_epoch_end(application_count: int) -> bytes:
    """The data of component 0x8D05."""
    return _EpochEnd(application_count).encode()


def parse_epoch_end(data: bytes) -> int:
    """The count in the data of component 0x8D05; DecodeError."""
    return _EpochEnd.decode(data).application_count
