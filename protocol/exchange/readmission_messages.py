"""Messages of a member that starts anew, and of two nodes that act as one member (5.6 B6, B7)."""

from __future__ import annotations

from dataclasses import dataclass, field

from starling.protocol.distributed.evidence import MAX_BYTES as MAX_EVIDENCE
from starling.protocol.exchange.message import PROFILE, UNIVERSE_ID, Message
from starling.protocol.packed import Blob, Text, Uint


@dataclass(frozen=True, slots=True)
class ReadmitRequest(Message):
    """A member asks to start anew: a `JoinRequest` without a ticket, signed by its identity key instead (5.6 B7)."""

    kind = 24
    max_bytes = 64 * 1024
    patterns = (UNIVERSE_ID, Text(64, 1), Uint(0xFFFF), PROFILE, Blob.of(64))
    universe_id: bytes
    name: str
    cipher_suite: int
    profile: tuple[tuple[bytes, ...], bytes] = field(repr=False)
    signature: bytes


@dataclass(frozen=True, slots=True)
class Sighted(Message):
    """A member that starts anew tells which heads of its former send group it was shown, by an encoded
    `denial.Sighting`, and others pass it on: whoever made one of them in its present run is another node with the same
    keys (5.6 B6)."""

    kind = 25
    max_bytes = 4096
    patterns = (UNIVERSE_ID, Blob(2048, 1))
    universe_id: bytes
    sighting: bytes


@dataclass(frozen=True, slots=True)
class Denied(Message):
    """Evidence that two nodes hold the keys of a member: an encoded `Evidence` with a denial (5.6 B6)."""

    kind = 26
    max_bytes = 16 * 1024
    patterns = (UNIVERSE_ID, Blob(MAX_EVIDENCE, 1))
    universe_id: bytes
    evidence: bytes
