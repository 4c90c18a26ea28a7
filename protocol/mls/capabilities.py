"""What a client supports (RFC 9420 §7.2)."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from starling.protocol.wire import Reader, Struct, Vector, uint16

MLS10 = 1


@dataclass(frozen=True, slots=True)
class Capabilities(Struct):
    """Protocol versions, cipher suites, extension, proposal and credential types (default types unlisted)."""

    versions: Vector[uint16]
    cipher_suites: Vector[uint16]
    extensions: Vector[uint16]
    proposals: Vector[uint16]
    credentials: Vector[uint16]

    @classmethod
    def read(cls, reader: Reader) -> Capabilities:
        start = reader.position
        for _ in range(_FIELDS):
            reader.opaque()
        wire_form = reader.data[start : reader.position]
        return _shared(wire_form) if len(wire_form) <= _SHARED_SIZE else _decoded(wire_form)


_FIELDS = 5
_SHARED_SIZE = 256
"""Greater ones, in bytes, are not kept for the next leaf."""


def _decoded(wire_form: bytes) -> Capabilities:
    reader = Reader(wire_form)
    return super(Capabilities, Capabilities).read(reader)


_shared = functools.lru_cache(maxsize=256)(_decoded)
"""Members of a group support mostly the same, so that the leaves of a tree share a few of these."""
