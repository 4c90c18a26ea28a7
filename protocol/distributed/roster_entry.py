"""One signed statement about who belongs to a universe (PROTOCOL 6).

An entry names the newest entries its author knew (`predecessors`), so entries form a graph without clocks.
Its id is the hash of the signed content, without the signature: who signs one content twice makes no
second entry.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import pairwise

from starling.protocol.distributed import labels
from starling.protocol.distributed.admission import verify_consent
from starling.protocol.distributed.identity import KEY_LENGTH, Identity, verify
from starling.protocol.distributed.invite_id import invite_id_of
from starling.protocol.distributed.roster_body import Admission, Body, Invite, Kind, decode_body
from starling.protocol.distributed.rules import Rule
from starling.protocol.errors import DecodeError, Invalid
from starling.protocol.wire import Struct, Vector, opaque, uint8, uint64

MAX_ENTRY = 20 * 1024
"""The largest encoded entry, in bytes."""

MAX_PREDECESSORS = 256
MAX_VERSION = 16_384

ID_LENGTH = 32


@dataclass(frozen=True, slots=True)
class RosterEntryTBS(Struct):
    """What is signed. `version` counts the author's entries; `kind` is a `Kind`.

    `subject` is the identity key of a member, the id of an invite, or the universe id.
    """

    universe_id: opaque
    subject: opaque
    kind: uint8
    version: uint64
    predecessors: Vector[opaque]
    body: opaque
    author: opaque


@dataclass(frozen=True, slots=True)
class RosterEntry(RosterEntryTBS):
    """An entry as it travels and is stored."""

    signature: opaque


@dataclass(frozen=True, slots=True)
class ReadEntry:
    """An entry with all that can be said of it alone already checked, its signature included."""

    entry_id: bytes
    entry: RosterEntry
    body: Body
    encoded: bytes


def tbs_of(entry: RosterEntryTBS) -> bytes:
    """The signed content of an entry."""
    return RosterEntryTBS(
        entry.universe_id,
        entry.subject,
        entry.kind,
        entry.version,
        entry.predecessors,
        entry.body,
        entry.author,
    ).encode()


def decode_entry(data: bytes) -> RosterEntry:
    """Decode within bounds, checking nothing else; DecodeError."""
    if len(data) > MAX_ENTRY:
        raise DecodeError(f"a roster entry of {len(data)} bytes")
    return RosterEntry.decode(data)


def entry_id(data: bytes) -> bytes:
    """The id of an encoded entry: SHA-256 of what is signed. DecodeError."""
    return hashlib.sha256(tbs_of(decode_entry(data))).digest()


def read_entry(data: bytes, universe_id: bytes) -> ReadEntry:
    """Decode and check sizes, fields, body and all signatures.

    Raises DecodeError, Invalid, Unsupported for unknown kinds and roles, VerificationFailed.
    """
    entry = decode_entry(data)
    if entry.universe_id != universe_id:
        raise Invalid(Rule.ENTRY_UNIVERSE)
    if len(entry.subject) != KEY_LENGTH or len(entry.author) != KEY_LENGTH:
        raise Invalid(Rule.ENTRY_FIELDS)
    if not 1 <= entry.version <= MAX_VERSION:
        raise Invalid(Rule.ENTRY_QUOTA, f"version {entry.version}")
    if (
        len(entry.predecessors) > MAX_PREDECESSORS
        or any(len(predecessor) != ID_LENGTH for predecessor in entry.predecessors)
        or any(a >= b for a, b in pairwise(entry.predecessors))
    ):
        raise Invalid(Rule.ENTRY_PREDECESSORS)
    body = decode_body(entry.kind, entry.body)
    tbs = tbs_of(entry)
    verify(entry.author, labels.ROSTER, tbs, entry.signature)
    if isinstance(body, Invite) and entry.subject != invite_id_of(entry.author, body.ticket_key):
        raise Invalid(Rule.ENTRY_INVITE_ID)
    if isinstance(body, Admission):
        verify_consent(universe_id, entry.subject, body)
    return ReadEntry(hashlib.sha256(tbs).digest(), entry, body, data)


def sign_entry(
    identity: Identity,
    *,
    universe_id: bytes,
    subject: bytes,
    kind: Kind,
    version: int,
    predecessors: tuple[bytes, ...],
    body: Body,
) -> bytes:
    """Sign an entry as its author and encode it; predecessors may come in any order."""
    ordered = tuple(sorted(predecessors))
    author = identity.identity_public_key
    tbs = RosterEntryTBS(universe_id, subject, int(kind), version, ordered, body.encode(), author)
    signature = identity.sign(labels.ROSTER, tbs.encode())
    return RosterEntry(
        universe_id, subject, int(kind), version, ordered, tbs.body, author, signature
    ).encode()


def universe_id_of(founder: bytes, universe_name: str, nonce: bytes) -> bytes:
    """The universe id that a founding entry proves: 32 bytes.

    It covers all that the entry says, so one universe has exactly one founding entry.
    """
    content = _UniverseName(labels.UNIVERSE_ID.encode(), founder, universe_name.encode(), nonce)
    return hashlib.sha256(content.encode()).digest()


@dataclass(frozen=True, slots=True)
class _UniverseName(Struct):
    label: opaque
    founder: opaque
    universe_name: opaque
    nonce: opaque
