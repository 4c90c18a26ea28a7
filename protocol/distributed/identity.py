"""A person's long-term keys: the identity key and the libp2p key, both Ed25519 (PROTOCOL 6).

The third key, which signs in MLS, is made per universe and is certified by these two in `dmls_member`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.errors import DecodeError, UsageError
from starling.protocol.packed import Blob, Text, pack, shape, unpack

NAME_LENGTH = 64
"""The longest name of a person or a universe, in characters."""

KEY_LENGTH = 32

_SUITE = cipher_suite(1)
_PEER_ID_PREFIX = bytes.fromhex("002408011220")
"""Identity multihash of 36 bytes that hold a protobuf public key: type Ed25519, 32 bytes."""

_RECORD_VERSION = 1


def check_name(name: str) -> str:
    """Return a name of 1 to 64 printable characters without space around it; else raise UsageError."""
    if not is_name(name):
        raise UsageError(f"a name has 1 to {NAME_LENGTH} printable characters and no space around it")
    return name


def is_name(name: str) -> bool:
    """Whether `check_name` accepts it."""
    return 1 <= len(name) <= NAME_LENGTH and name.isprintable() and name == name.strip()


def peer_id_of(public_key: bytes) -> bytes:
    """The libp2p peer id of an Ed25519 public key: 38 bytes, which contain the key."""
    return _PEER_ID_PREFIX + public_key


def peer_public_key(peer_id: bytes) -> bytes:
    """The Ed25519 public key in a peer id; DecodeError for peer ids of any other kind."""
    if len(peer_id) != len(_PEER_ID_PREFIX) + KEY_LENGTH or not peer_id.startswith(_PEER_ID_PREFIX):
        raise DecodeError("not the peer id of an Ed25519 key")
    return peer_id[len(_PEER_ID_PREFIX) :]


def sign(private_key: bytes, label: str, content: bytes) -> bytes:
    """Ed25519 SignWithLabel (RFC 9420 §5.1.2) for what is signed outside MLS; `label` is from `labels`."""
    return _SUITE.sign_with_label(private_key, label, content)


def verify(public_key: bytes, label: str, content: bytes, signature: bytes) -> None:
    """The counterpart of `sign`; raises VerificationFailed."""
    _SUITE.verify_with_label(public_key, label, content, signature)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the user of a node is: a name and two Ed25519 seeds of 32 bytes."""

    name: str
    identity_private_key: bytes = field(repr=False)
    peer_private_key: bytes = field(repr=False)
    identity_public_key: bytes = field(init=False)
    peer_id: bytes = field(init=False)

    def __post_init__(self) -> None:
        check_name(self.name)
        if len(self.identity_private_key) != KEY_LENGTH or len(self.peer_private_key) != KEY_LENGTH:
            raise UsageError(f"private keys have {KEY_LENGTH} bytes")
        public = _SUITE.signature_public_key(self.identity_private_key)
        object.__setattr__(self, "identity_public_key", public)
        peer_public = _SUITE.signature_public_key(self.peer_private_key)
        object.__setattr__(self, "peer_id", peer_id_of(peer_public))

    @classmethod
    def generate(cls, name: str, random: Callable[[int], bytes]) -> Identity:
        return cls(name, random(KEY_LENGTH), random(KEY_LENGTH))

    def sign(self, label: str, content: bytes) -> bytes:
        """Sign with the identity key."""
        return sign(self.identity_private_key, label, content)

    def sign_as_peer(self, label: str, content: bytes) -> bytes:
        """Sign with the libp2p key."""
        return sign(self.peer_private_key, label, content)

    def save(self) -> bytes:
        """A secret record for `load`."""
        return pack([_RECORD_VERSION, self.name, self.identity_private_key, self.peer_private_key])

    @classmethod
    def load(cls, data: bytes) -> Identity:
        """Raises DecodeError for anything that `save` does not make."""
        record = shape(unpack(data, max_bytes=1024), (int, Text(NAME_LENGTH), Blob.of(32), Blob.of(32)))
        version, name, identity_private_key, peer_private_key = record
        if version != _RECORD_VERSION or not is_name(name):
            raise DecodeError("not an identity record of this version")
        return cls(name, identity_private_key, peer_private_key)
