"""Tickets: a text that lets its holder join a universe, until it expires or is revoked (PROTOCOL 6).

A ticket holds a random secret. An Ed25519 key derived from it signs the joiner's keys (`ticket_proof`), a MAC
key derived from it proves a sponsor to the joiner. The roster's invite entry holds the public key and the MAC key, so
that every member can sponsor without ever seeing the secret; its id is a hash over who made the ticket and that key.

The text is `starling1`, then base32 of the content and a checksum: it survives being read aloud, typed in
capitals or broken over lines, and a typo is noticed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.distributed import labels
from starling.protocol.distributed.identity import (
    NAME_LENGTH,
    Identity,
    check_name,
    is_name,
    peer_public_key,
    verify,
)
from starling.protocol.distributed.invite_id import invite_id_of
from starling.protocol.distributed.peer_address import MAX_ADDRESS_LENGTH, MAX_ADDRESSES, is_address
from starling.protocol.distributed.roster_body import MAX_TIME
from starling.protocol.distributed.text_form import MAX_TEXT, read_text, write_text
from starling.protocol.errors import DecodeError, UsageError, VerificationFailed
from starling.protocol.packed import Blob, Many, Text, Uint, pack, shape, unpack
from starling.protocol.wire import Struct, opaque

SECRET_LENGTH = 32
MAX_MEMBERS = 4
_PREFIX = "starling1"
_LINK = "starling://join/"
_VERSION = 1
_SUITE = cipher_suite(1)


class TicketError(DecodeError):
    """The text is no usable ticket; the message is a sentence for people."""


@dataclass(frozen=True, slots=True)
class TicketSecret:
    """The secret of a ticket and the keys derived from it; `inviter` is the identity key of who made it."""

    secret: bytes = field(repr=False)
    inviter: bytes
    private_key: bytes = field(init=False, repr=False)
    public_key: bytes = field(init=False)
    mac_key: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) != SECRET_LENGTH:
            raise UsageError(f"a ticket's secret has {SECRET_LENGTH} bytes")
        private_key = _SUITE.expand_with_label(self.secret, labels.TICKET_KEY, b"", 32)
        object.__setattr__(self, "private_key", private_key)
        object.__setattr__(self, "public_key", _SUITE.signature_public_key(private_key))
        mac_key = _SUITE.expand_with_label(self.secret, labels.TICKET_MAC_KEY, b"", 32)
        object.__setattr__(self, "mac_key", mac_key)

    @classmethod
    def generate(cls, random: Callable[[int], bytes], inviter: bytes) -> TicketSecret:
        return cls(random(SECRET_LENGTH), inviter)

    @property
    def invite_id(self) -> bytes:
        """The subject of the invite entry."""
        return invite_id_of(self.inviter, self.public_key)


@dataclass(frozen=True, slots=True)
class TicketMember:
    """A member that may sponsor, and where to dial it: multiaddr texts without the peer id."""

    peer_id: bytes
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _TicketContent(Struct):
    universe_id: opaque
    content: opaque


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket. `inviter` is an identity key, which signs the rest; `expires_at` is enforced by sponsors."""

    secret: bytes = field(repr=False)
    universe_id: bytes
    universe_name: str
    inviter: bytes
    inviter_name: str
    expires_at: int
    members: tuple[TicketMember, ...]
    signature: bytes = field(repr=False)

    @classmethod
    def issue(
        cls,
        identity: Identity,
        secret: TicketSecret,
        *,
        universe_id: bytes,
        universe_name: str,
        expires_at: int,
        members: Sequence[TicketMember],
    ) -> Ticket:
        """Sign a ticket for an invite. Raises UsageError for more than 4 members or 8 addresses of one."""
        check_name(universe_name)
        if len(universe_id) != 32 or not 0 <= expires_at <= MAX_TIME:
            raise UsageError("a universe id has 32 bytes, an expiry is a time in milliseconds")
        if len(members) > MAX_MEMBERS:
            raise UsageError(f"a ticket names at most {MAX_MEMBERS} members")
        if not all(_is_member(member) for member in members):
            raise UsageError(f"a ticket names at most {MAX_ADDRESSES} addresses of a member")
        inviter = identity.identity_public_key
        unsigned = cls(
            secret.secret,
            universe_id,
            universe_name,
            inviter,
            identity.name,
            expires_at,
            tuple(members),
            b"",
        )
        signature = identity.sign(labels.TICKET_ISSUE, unsigned._signed_content())
        return cls(
            secret.secret,
            universe_id,
            universe_name,
            inviter,
            identity.name,
            expires_at,
            tuple(members),
            signature,
        )

    @property
    def keys(self) -> TicketSecret:
        return TicketSecret(self.secret, self.inviter)

    def text(self) -> str:
        """The text form; it is a secret."""
        return write_text(_PREFIX, pack([_VERSION, self._fields(), self.signature]))

    @classmethod
    def parse(cls, text: str) -> Ticket:
        """Read a ticket's text or its link, in any case and broken in any way; raises TicketError.

        Expiry is not looked at: it needs a clock.
        """
        if len(text) > MAX_TEXT:
            raise TicketError("This is too long to be a ticket.")
        try:
            content = read_text(_PREFIX, "".join(text.split()).lower().removeprefix(_LINK))
        except DecodeError as error:
            raise TicketError("The ticket has a typo, or a part of it is missing.") from error
        if content is None:
            raise TicketError(f"A ticket begins with {_PREFIX}, as a link with {_LINK}{_PREFIX}.")
        try:
            return cls._from_content(content)
        except TicketError:
            raise
        except (DecodeError, VerificationFailed) as error:
            raise TicketError("The ticket's content is not valid.") from error

    def inspect(self, now: int) -> dict[str, Any]:
        """What may be shown of a ticket: everything but its secret; and whether it has expired by now."""
        return {
            "universe_id": self.universe_id,
            "universe_name": self.universe_name,
            "invite_id": self.keys.invite_id,
            "inviter": self.inviter,
            "inviter_name": self.inviter_name,
            "expires_at": self.expires_at,
            "expired": self.expires_at <= now,
            "members": [
                {"peer_id": member.peer_id, "addresses": list(member.addresses)} for member in self.members
            ],
        }

    def _fields(self) -> list[Any]:
        return [
            self.secret,
            self.universe_id,
            self.universe_name,
            self.inviter,
            self.inviter_name,
            self.expires_at,
            [[member.peer_id, list(member.addresses)] for member in self.members],
        ]

    def _signed_content(self) -> bytes:
        return _TicketContent(self.universe_id, pack(self._fields())).encode()

    @classmethod
    def _from_content(cls, content: bytes) -> Ticket:
        version, *rest = shape(unpack(content, max_bytes=MAX_TEXT), [object]) or [None]
        if type(version) is not int or version != _VERSION:
            raise TicketError("The ticket is of another version than this program can read.")
        fields, signature = shape(rest, (_FIELDS, Blob.of(64)))
        secret, universe_id, universe_name, inviter, inviter_name, expires_at, listed = fields
        members = tuple(TicketMember(peer_id, tuple(addresses)) for peer_id, addresses in listed)
        ticket = cls(
            secret, universe_id, universe_name, inviter, inviter_name, expires_at, members, signature
        )
        if not is_name(ticket.universe_name) or not is_name(ticket.inviter_name):
            raise DecodeError("not a name")
        if not all(_is_member(member) for member in members):
            raise DecodeError("not a peer id with addresses")
        verify(ticket.inviter, labels.TICKET_ISSUE, ticket._signed_content(), signature)
        return ticket


_FIELDS = (
    Blob.of(SECRET_LENGTH),
    Blob.of(32),
    Text(NAME_LENGTH),
    Blob.of(32),
    Text(NAME_LENGTH),
    Uint(MAX_TIME),
    Many((Blob(64), Many(Text(MAX_ADDRESS_LENGTH), MAX_ADDRESSES)), MAX_MEMBERS),
)


def _is_member(member: TicketMember) -> bool:
    try:
        peer_public_key(member.peer_id)
    except DecodeError:
        return False
    return len(member.addresses) <= MAX_ADDRESSES and all(map(is_address, member.addresses))


def ticket_link(text: str) -> str:
    """A ticket's text as a link, as secret as the text. In capitals it fits the denser mode of a QR code."""
    return _LINK + text


@dataclass(frozen=True, slots=True)
class _SponsorMac(Struct):
    label: opaque
    sponsor_peer_id: opaque
    joiner_peer_id: opaque
    nonce: opaque
    universe_id: opaque
    vouched: opaque


def sponsor_mac(
    mac_key: bytes,
    *,
    universe_id: bytes,
    sponsor_peer_id: bytes,
    joiner_peer_id: bytes,
    nonce: bytes,
    vouched: bytes,
) -> bytes:
    """The proof of a sponsor to a joiner: HMAC-SHA256 over both peer ids, the joiner's nonce and the encoded
    `VouchedInfo` that it sends, 32 bytes (P-4)."""
    label = labels.SPONSOR_MAC.encode()
    content = _SponsorMac(label, sponsor_peer_id, joiner_peer_id, nonce, universe_id, vouched)
    return _SUITE.mac(mac_key, content.encode())


def verify_sponsor_mac(
    mac_key: bytes,
    tag: bytes,
    *,
    universe_id: bytes,
    sponsor_peer_id: bytes,
    joiner_peer_id: bytes,
    nonce: bytes,
    vouched: bytes,
) -> None:
    """The counterpart of `sponsor_mac`, in constant time; raises VerificationFailed."""
    label = labels.SPONSOR_MAC.encode()
    content = _SponsorMac(label, sponsor_peer_id, joiner_peer_id, nonce, universe_id, vouched)
    _SUITE.mac_verify(mac_key, content.encode(), tag)
