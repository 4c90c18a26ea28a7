"""Messages of a join (PROTOCOL section 6, Joining)."""

from __future__ import annotations

from dataclasses import dataclass, field

from starling.protocol.exchange.message import (
    ENTRY,
    MAX_ENTRIES,
    MAX_GROUPS,
    MAX_MESSAGE,
    PROFILE,
    UNIVERSE_ID,
    Message,
    frozen,
    plain,
)
from starling.protocol.packed import Blob, Many, Text, pack, shape, unpack


@dataclass(frozen=True, slots=True)
class JoinHello(Message):
    """A joiner's first word: which invite, and a nonce for the sponsor to prove itself on."""

    kind = 16
    patterns = (UNIVERSE_ID, Blob.of(32), Blob.of(32))
    universe_id: bytes
    invite_id: bytes
    nonce: bytes


@dataclass(frozen=True, slots=True)
class JoinProof(Message):
    """The sponsor vouches for the key by which it is to be asked (an encoded `VouchedInfo`), and proves that it knows
    the ticket's MAC key (P-4)."""

    kind = 17
    max_bytes = 4096
    patterns = (UNIVERSE_ID, Blob.of(32), Blob(1024, 1), Blob.of(32))
    universe_id: bytes
    nonce: bytes
    vouched: bytes
    mac: bytes


@dataclass(frozen=True, slots=True)
class JoinRequest(Message):
    """A DMLSMessage with a PrivateExternalMessage: the joiner's external Add proposal, sealed to the sponsor. Nothing
    beside it tells who asks."""

    kind = 18
    max_bytes = 32 * 1024
    patterns = (UNIVERSE_ID, Blob(16 * 1024, 1))
    universe_id: bytes
    message: bytes


@dataclass(frozen=True, slots=True)
class JoinAnswer(Message):
    """Admitted: an HPKECiphertext of an `Admitted`, sealed to the key that the joiner has sent. A long roster takes
    several; to the last is attached the frame that adds the joiner."""

    kind = 19
    patterns = (UNIVERSE_ID, Blob(MAX_MESSAGE, 1))
    universe_id: bytes
    sealed: bytes


@dataclass(frozen=True, slots=True)
class JoinRefused(Message):
    """Not admitted; `reason` is a short word, `final` says that trying again is useless."""

    kind = 20
    patterns = (UNIVERSE_ID, Text(64, 1), bool)
    universe_id: bytes
    reason: str
    final: bool


@dataclass(frozen=True, slots=True)
class Admitted:
    """What an answer to a joiner holds, msgpack `[entries, profiles]`: the roster or its next part, and with the last
    part all profiles."""

    entries: tuple[bytes, ...] = field(repr=False)
    profiles: tuple[tuple[tuple[bytes, ...], bytes], ...] = field(repr=False)

    def encode(self) -> bytes:
        return pack([plain(self.entries), plain(self.profiles)])

    @classmethod
    def decode(cls, data: bytes) -> Admitted:
        """Raises `DecodeError`."""
        values = shape(unpack(data, max_bytes=MAX_MESSAGE), _ADMITTED)
        return cls(*map(frozen, values))


_ADMITTED = (Many(ENTRY, MAX_ENTRIES), Many(PROFILE, MAX_GROUPS))
