"""What a client supports (RFC 9420 §7.2)."""

from __future__ import annotations

from dataclasses import dataclass

from starling.protocol.wire import Struct, Vector, uint16

MLS10 = 1


@dataclass(frozen=True, slots=True)
class Capabilities(Struct):
    """Protocol versions, cipher suites, extension, proposal and credential types (default types unlisted)."""

    versions: Vector[uint16]
    cipher_suites: Vector[uint16]
    extensions: Vector[uint16]
    proposals: Vector[uint16]
    credentials: Vector[uint16]
