"""What a roster entry says, by its kind: msgpack inside the signed entry (PROTOCOL 6).

Kind        body
invite      [ticket_key, mac_key, role, uses, expires_at]
member      [name, role, send_group_id, peer_id, signature_key, cipher_suite, incarnation, invite_id,
            [serial, identity_signature, peer_signature], [ticket_key, init_key, ticket_signature] or []]
role        [role, honours, [group_id, epoch, dmls_epoch, count] or []]
removal     [target, honours]; target is `member`, `invite`, `archiver` or `leave`
policy      [universe_name, nonce] in the founding entry, [invite, remove] in others
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
from starling.protocol.distributed.roster_rights import ROLES, Policy
from starling.protocol.distributed.rules import Rule
from starling.protocol.errors import DecodeError, Invalid, Unsupported
from starling.protocol.packed import Blob, Either, Many, Text, Uint, pack, shape, unpack

MAX_BODY = 8192
MAX_HONOURS = 128
MAX_USES = 1000
MAX_TIME = 2**53
"""Times and similar numbers stay exact in every language that shows them."""

_ID = Blob.of(32)
_SIGNATURE = Blob.of(64)
_NAME = Text(NAME_LENGTH, 1)
_ROLE = Text(16, 1)


class Kind(enum.IntEnum):
    """Kinds of roster entries; the numbers are on the wire."""

    INVITE = 1
    MEMBER = 2
    ROLE = 3
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
class PolicyChange:
    """Who may invite and remove from here on."""

    policy: Policy

    def encode(self) -> bytes:
        return pack([self.policy.invite, self.policy.remove])


@dataclass(frozen=True, slots=True)
class Invite:
    """A ticket's public half; the entry's subject is the `invite_id_of` its author and the ticket's public key.
    `expires_at` is for sponsors."""

    ticket_key: bytes
    mac_key: bytes = field(repr=False)
    role: str
    uses: int
    expires_at: int

    def encode(self) -> bytes:
        return pack([self.ticket_key, self.mac_key, self.role, self.uses, self.expires_at])


@dataclass(frozen=True, slots=True)
class Binding:
    """That identity and node agree to be this member: the serial and the signatures of its `dmls_member`."""

    serial: int
    identity_signature: bytes
    peer_signature: bytes


@dataclass(frozen=True, slots=True)
class Spend:
    """That the member held the ticket: its public key, the signature of its `ticket_proof`, and the init key in it."""

    ticket_key: bytes
    init_key: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Admission:
    """What every owner needs to know to add a member, and why it may.

    `invite_id` is the ticket by which the member came, empty only for the founder; `spend` is there where this entry
    spends it. `signature_key` is the one at admission; later leaves prove theirs by `dmls_member`.
    """

    name: str
    role: str
    send_group_id: bytes
    peer_id: bytes
    signature_key: bytes
    cipher_suite: int
    incarnation: int
    invite_id: bytes
    binding: Binding
    spend: Spend | None

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
                [self.binding.serial, self.binding.identity_signature, self.binding.peer_signature],
                [self.spend.ticket_key, self.spend.init_key, self.spend.signature]
                if self.spend is not None
                else [],
            ]
        )


@dataclass(frozen=True, slots=True)
class Heard:
    """How far somebody's messages had come to who changes its role: the send group, the epoch's number and name in it,
    and how many messages of that epoch."""

    group_id: bytes
    epoch: int
    dmls_epoch: bytes
    count: int


@dataclass(frozen=True, slots=True)
class RoleChange:
    """A member's new role, and the newest of its acts that the old one still allows, by entry id, sorted; for who may
    write no more, what it had written, where that is known."""

    role: str
    honours: tuple[bytes, ...]
    heard: Heard | None = None

    def encode(self) -> bytes:
        heard = self.heard
        place = [heard.group_id, heard.epoch, heard.dmls_epoch, heard.count] if heard is not None else []
        return pack([self.role, list(self.honours), place])


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
    offer: bytes = field(repr=False)
    addresses: tuple[str, ...]

    def encode(self) -> bytes:
        return pack([self.name, self.peer_id, self.public_key, self.offer, list(self.addresses)])


Body = Founding | PolicyChange | Invite | Admission | RoleChange | Removal | Topic | Archiver


def decode_body(kind: int, data: bytes) -> Body:
    """Decode and check a body. DecodeError, Invalid, or Unsupported for a kind or role that is not known."""
    if kind not in _KINDS:
        raise Unsupported(f"roster entries of kind {kind}")
    value = unpack(data, max_bytes=MAX_BODY)
    match kind:
        case Kind.INVITE:
            ticket_key, mac_key, role, uses, expires_at = shape(value, _INVITE)
            _require(uses >= 1, "uses")
            return Invite(ticket_key, mac_key, _role(role), uses, expires_at)
        case Kind.ROLE:
            role, honours, heard = shape(value, (_ROLE, Many(_ID, MAX_HONOURS), Either(_HEARD, ())))
            return RoleChange(_role(role), _honours(honours), Heard(*heard) if heard else None)
        case Kind.REMOVAL:
            target, honours = shape(value, (Either(*(t.value for t in Target)), Many(_ID, MAX_HONOURS)))
            _require(target == Target.MEMBER or not honours, "only removals of members honour acts")
            return Removal(Target(target), _honours(honours))
        case Kind.POLICY:
            return _policy(value)
        case Kind.TOPIC:
            (secret,) = shape(value, (_ID,))
            return Topic(secret)
        case Kind.ARCHIVER:
            return _archiver(value)
        case _:
            return _admission(value)


_KINDS = frozenset(int(kind) for kind in Kind)

_HEARD = (_ID, Uint(MAX_TIME), Blob(64, 1), Uint(2**32 - 1))

_INVITE = (_ID, _ID, _ROLE, Uint(MAX_USES), Uint(MAX_TIME))

_ADMISSION = (
    _NAME,
    _ROLE,
    _ID,
    Blob(64),
    _ID,
    Uint(2**16 - 1),
    Uint(2**32 - 1),
    Either(_ID, Blob.of(0)),
    (Uint(2**64 - 1), _SIGNATURE, _SIGNATURE),
    Either((_ID, _ID, _SIGNATURE), ()),
)


def _admission(value: object) -> Admission:
    fields = shape(value, _ADMISSION)
    fields[-2:] = [Binding(*fields[-2]), Spend(*fields[-1]) if fields[-1] else None]
    admission = Admission(*fields)
    _require(is_name(admission.name), "name")
    _require(admission.spend is None or admission.invite_id != b"", "which ticket is spent")
    _role(admission.role)
    _check_peer_id(admission.peer_id)
    return admission


def _policy(value: object) -> Founding | PolicyChange:
    first, second = shape(value, (_NAME, Either(_ID, _ROLE)))
    if isinstance(second, bytes):
        _require(is_name(first), "universe name")
        return Founding(first, second)
    return PolicyChange(Policy(first, second))


def _honours(honours: list[bytes]) -> tuple[bytes, ...]:
    _require(all(a < b for a, b in pairwise(honours)), "order of honoured acts")
    return tuple(honours)


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
