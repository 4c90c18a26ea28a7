"""What a roster entry says, by its kind: msgpack inside the signed entry (PROTOCOL 6).

Kind        body
invite      [mac_key, role, uses, expires_at]
member      [name, role, send_group_id, peer_id, signature_key, cipher_suite, incarnation, invite_id]
removal     [target, honours]; target is `member`, `invite`, `archiver` or `leave`
policy      [universe_name, nonce]; today only the founding entry
topic       [secret]
re-admit    as member
archiver    [name, peer_id, public_key, offer, addresses]
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from itertools import pairwise

from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.distributed.identity import NAME_LENGTH, is_name, peer_public_key
from starling.protocol.distributed.peer_address import MAX_ADDRESS_LENGTH, MAX_ADDRESSES, is_address
from starling.protocol.distributed.rules import Rule
from starling.protocol.errors import DecodeError, Invalid, Unsupported
from starling.protocol.packed import Blob, Either, Many, Text, Uint, pack, shape, unpack

MAX_BODY = 8192
MAX_HONOURS = 128
MAX_USES = 1000
MAX_TIME = 2**53
"""Times and similar numbers stay exact in every language that shows them."""

ROLES = ("member",)
"""Roles from the weakest to the strongest; the founder's rights come from the founding entry instead."""

_ID = Blob.of(32)
_NAME = Text(NAME_LENGTH, 1)
_ROLE = Text(16, 1)


class Kind(enum.IntEnum):
    """Kinds of roster entries; the numbers are on the wire. Kind 3, role, is not used yet."""

    INVITE = 1
    MEMBER = 2
    REMOVAL = 4
    POLICY = 5
    TOPIC = 6
    READMIT = 7
    ARCHIVER = 8


class Target(enum.StrEnum):
    """What a removal takes away."""

    MEMBER = "member"
    INVITE = "invite"
    ARCHIVER = "archiver"
    LEAVE = "leave"


@dataclass(frozen=True, slots=True)
class Founding:
    """The first entry: with the founder's key it hashes to the universe id."""

    universe_name: str
    nonce: bytes

    def encode(self) -> bytes:
        return pack([self.universe_name, self.nonce])


@dataclass(frozen=True, slots=True)
class Invite:
    """A ticket's public half; the entry's subject is the ticket's key. `expires_at` is for sponsors."""

    mac_key: bytes = field(repr=False)
    role: str
    uses: int
    expires_at: int

    def encode(self) -> bytes:
        return pack([self.mac_key, self.role, self.uses, self.expires_at])


@dataclass(frozen=True, slots=True)
class Admission:
    """What every owner needs to know to add a member. `invite_id` is empty only for an author's own entry.

    `signature_key` is the one at admission; later leaves prove theirs by `dmls_member`.
    """

    name: str
    role: str
    send_group_id: bytes
    peer_id: bytes
    signature_key: bytes
    cipher_suite: int
    incarnation: int
    invite_id: bytes

    def encode(self) -> bytes:
        return pack(
            [
                self.name,
                self.role,
                self.send_group_id,
                self.peer_id,
                self.signature_key,
                self.cipher_suite,
                self.incarnation,
                self.invite_id,
            ]
        )


@dataclass(frozen=True, slots=True)
class Removal:
    """A removal and its frontier: the newest acts of the target that stay valid, by entry id, sorted."""

    target: Target
    honours: tuple[bytes, ...]

    def encode(self) -> bytes:
        return pack([self.target.value, list(self.honours)])


@dataclass(frozen=True, slots=True)
class Topic:
    """The secret that the universe's gossip topic is derived from."""

    secret: bytes = field(repr=False)

    def encode(self) -> bytes:
        return pack([self.secret])


@dataclass(frozen=True, slots=True)
class Archiver:
    """A node that is no member and keeps ciphertext for those who are away; the entry's subject is its identity key.

    `public_key` is the HPKE key to which commits are sealed for it (X25519, as in all suites of send groups), `offer`
    proves to it that it is meant, `addresses` are multiaddr texts without the peer id, where it was at first.
    """

    name: str
    peer_id: bytes
    public_key: bytes
    offer: bytes
    addresses: tuple[str, ...]

    def encode(self) -> bytes:
        return pack([self.name, self.peer_id, self.public_key, self.offer, list(self.addresses)])


Body = Founding | Invite | Admission | Removal | Topic | Archiver


def decode_body(kind: int, data: bytes) -> Body:
    """Decode and check a body. DecodeError, Invalid, or Unsupported for a kind that is not known."""
    if kind not in _KINDS:
        raise Unsupported(f"roster entries of kind {kind}")
    value = unpack(data, max_bytes=MAX_BODY)
    match kind:
        case Kind.INVITE:
            mac_key, role, uses, expires_at = shape(value, (_ID, _ROLE, Uint(MAX_USES), Uint(MAX_TIME)))
            _require(uses >= 1, "uses")
            return Invite(mac_key, _role(role), uses, expires_at)
        case Kind.REMOVAL:
            target, honours = shape(value, (Either(*(t.value for t in Target)), Many(_ID, MAX_HONOURS)))
            _require(all(a < b for a, b in pairwise(honours)), "order of honoured acts")
            _require(target == Target.MEMBER or not honours, "only removals of members honour acts")
            return Removal(Target(target), tuple(honours))
        case Kind.POLICY:
            universe_name, nonce = shape(value, (_NAME, _ID))
            _require(is_name(universe_name), "universe name")
            return Founding(universe_name, nonce)
        case Kind.TOPIC:
            (secret,) = shape(value, (_ID,))
            return Topic(secret)
        case Kind.ARCHIVER:
            return _archiver(value)
        case _:
            return _admission(value)


_KINDS = frozenset(int(kind) for kind in Kind)

_ADMISSION = (
    _NAME,
    _ROLE,
    _ID,
    Blob(64),
    _ID,
    Uint(2**16 - 1),
    Uint(2**32 - 1),
    Either(_ID, Blob.of(0)),
)


def _admission(value: object) -> Admission:
    admission = Admission(*shape(value, _ADMISSION))
    _require(is_name(admission.name), "name")
    _role(admission.role)
    _check_peer_id(admission.peer_id)
    return admission


_ARCHIVER = (_NAME, Blob(64), _ID, _ID, Many(Text(MAX_ADDRESS_LENGTH), MAX_ADDRESSES))


def _archiver(value: object) -> Archiver:
    name, peer_id, public_key, offer, addresses = shape(value, _ARCHIVER)
    _require(is_name(name), "name")
    _require(all(map(is_address, addresses)), "addresses")
    _check_peer_id(peer_id)
    cipher_suite(1).hpke.check_public_key(public_key)  # else nobody could commit in such an epoch
    return Archiver(name, peer_id, public_key, offer, tuple(addresses))


def _check_peer_id(peer_id: bytes) -> None:
    try:
        peer_public_key(peer_id)
    except DecodeError as error:
        raise Invalid(Rule.MEMBER_PEER_ID) from error


def _role(role: str) -> str:
    if role not in ROLES:
        raise Unsupported(f"role {role!r}")
    return role


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise Invalid(Rule.ENTRY_BODY, what)
