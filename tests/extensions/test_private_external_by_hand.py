"""Private external messages from the primitives up: HKDF, X25519, AES-GCM and Ed25519, nothing of the library but the
epoch_secret and the GroupContext that a group has (draft-mahy-mls-private-external-01; RFC 9180 base mode)."""

from __future__ import annotations

import hmac
import struct

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from tests.extensions.external_members import OpenClient, asks, bundle_of, group_extensions
from tests.mls.group_members import Randomness

from starling.protocol.crypto.cipher_suite import CipherSuite, cipher_suite
from starling.protocol.extensions.private_external import open_private_external, seal_private_external
from starling.protocol.extensions.private_external_info import (
    EXTERNAL_ENCRYPTION,
    EXTERNAL_ENCRYPTION_SECRET,
    external_key_pair,
)
from starling.protocol.extensions.private_external_rules import PrivateExternalRules
from starling.protocol.mls import Group, KeySchedule, MLSMessage
from starling.protocol.mls.key_schedule import EpochSecrets

KEM = b"KEM\x00\x20"
HPKE = b"HPKE\x00\x20\x00\x01\x00\x01"
"""DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-128-GCM: suite 1."""

SECRET = bytes(range(32))
EXPECTED = {
    "external_encryption_secret": "93f7623a615f8b639b31d45a2804e0cd12b222798e8c848c9a2c773163c9dc0b",
    "private_key": "7603d3df4e8c2b8e55117cebfdc36743b42cfd85612d4be146a4bfff44ecdca2",
    "public_key": "4cd87dde5771d1b8ed0324f27a66c3d4eae3eebf04c0529688bf8d930df7ba4b",
}
"""For the epoch_secret 00 01 .. 1f."""


def vector(data: bytes) -> bytes:
    length = len(data)
    if length < 1 << 6:
        return bytes([length]) + data
    return ((0x4000 | length).to_bytes(2) if length < 1 << 14 else (0x80000000 | length).to_bytes(4)) + data


def extract(salt: bytes, ikm: bytes) -> bytes:
    return hmac.digest(salt or bytes(32), ikm, "sha256")


def expand(secret: bytes, info: bytes, size: int) -> bytes:
    assert size <= 32
    return hmac.digest(secret, info + b"\x01", "sha256")[:size]


def expand_with_label(secret: bytes, label: bytes, context: bytes, size: int) -> bytes:
    return expand(secret, struct.pack(">H", size) + vector(b"MLS 1.0 " + label) + vector(context), size)


def labeled_extract(suite: bytes, salt: bytes, label: bytes, ikm: bytes) -> bytes:
    return extract(salt, b"HPKE-v1" + suite + label + ikm)


def labeled_expand(suite: bytes, secret: bytes, label: bytes, info: bytes, size: int) -> bytes:
    return expand(secret, struct.pack(">H", size) + b"HPKE-v1" + suite + label + info, size)


def derive_key_pair(ikm: bytes) -> tuple[bytes, bytes]:
    """RFC 9180 §7.1.3."""
    private = labeled_expand(KEM, labeled_extract(KEM, b"", b"dkp_prk", ikm), b"sk", b"", 32)
    return private, X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def open_base(private: bytes, public: bytes, info: bytes, kem_output: bytes, ciphertext: bytes) -> bytes:
    """RFC 9180 §4.1, §5.1.1, §5.2: one message, empty aad."""
    own = X25519PrivateKey.from_private_bytes(private)
    shared = own.exchange(X25519PublicKey.from_public_bytes(kem_output))
    eae = labeled_extract(KEM, b"", b"eae_prk", shared)
    secret = labeled_expand(KEM, eae, b"shared_secret", kem_output + public, 32)
    context = b"\x00" + labeled_extract(HPKE, b"", b"psk_id_hash", b"")
    context += labeled_extract(HPKE, b"", b"info_hash", info)
    schedule = labeled_extract(HPKE, secret, b"secret", b"")
    key = labeled_expand(HPKE, schedule, b"key", context, 16)
    nonce = labeled_expand(HPKE, schedule, b"base_nonce", context, 12)
    return AESGCM(key).decrypt(nonce, ciphertext, b"")


class Watched(KeySchedule):
    """Shows the epoch_secret, which no group keeps."""

    def __init__(self) -> None:
        self.epoch_secrets: list[bytes] = []

    def enter(self, suite: CipherSuite, epoch_secret: bytes) -> EpochSecrets:
        self.epoch_secrets.append(epoch_secret)
        return super().enter(suite, epoch_secret)


def watched_group() -> tuple[Group, bytes]:
    schedule = Watched()
    group = OpenClient("alone").create(PrivateExternalRules(), group_extensions(), key_schedule=schedule)
    return group, schedule.epoch_secrets[-1]


def test_the_known_answer_of_an_epoch_secret() -> None:
    secret = expand_with_label(SECRET, b"external encryption", b"", 32)
    private, public = derive_key_pair(secret)
    assert {
        "external_encryption_secret": secret.hex(),
        "private_key": private.hex(),
        "public_key": public.hex(),
    } == EXPECTED
    context = watched_group()[0].context
    derived = EXTERNAL_ENCRYPTION.derive(cipher_suite(1), context, SECRET, bytes(32))
    assert derived == {EXTERNAL_ENCRYPTION_SECRET: secret}
    assert cipher_suite(1).hpke_derive_key_pair(derived[EXTERNAL_ENCRYPTION_SECRET]) == (private, public)


def test_the_info_of_an_epoch() -> None:
    group, epoch_secret = watched_group()
    private, public = derive_key_pair(expand_with_label(epoch_secret, b"external encryption", b"", 32))
    assert external_key_pair(group) == (private, public)
    seed = Randomness(b"root")(32)
    root = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    assert vector(vector(seed)) in group.context.encode()
    signed = b"\x00\x01" + vector(b"group") + bytes(8) + b"\x00\x01" + vector(public) + vector(root)
    content = vector(b"MLS 1.0 ExternalEncryptionInfoTBS") + vector(signed)
    signature = Ed25519PrivateKey.from_private_bytes(seed).sign(content)
    info = b"\x00\x01" + vector(public) + vector(root) + vector(signature)
    bundle = bundle_of(group)
    assert bundle.info.encode() == info
    assert bundle.encode() == b"\x00\x01" + vector(b"group") + bytes(8) + b"\x00" + info
    Ed25519PublicKey.from_public_bytes(root).verify(bundle.info.external_encryption_signature, content)


def test_a_sealed_message_opens_by_hand_to_the_public_message() -> None:
    group, epoch_secret = watched_group()
    client, _, asked = asks(group, authenticated_data=b"clear")
    sealed = seal_private_external(asked, bundle_of(group), random=client.random)
    head = b"\x00\x01\xf4\xe9" + vector(b"group") + bytes(8) + b"\x02" + vector(b"clear")
    assert sealed.startswith(head)
    rest = sealed[len(head) :]
    assert rest[0] == 32 and rest[33] >> 6 == 1
    kem_output, ciphertext = rest[1:33], rest[35:]
    assert int.from_bytes(rest[33:35]) & 0x3FFF == len(ciphertext)
    private, public = derive_key_pair(expand_with_label(epoch_secret, b"external encryption", b"", 32))
    info = vector(b"MLS 1.0 PrivateExternalMessageContent") + vector(b"")
    plaintext = open_base(private, public, info, kem_output, ciphertext)
    assert (
        b"\x00\x01\x00\x01" + plaintext == asked.encode()
    )  # the PublicMessage without MLSMessage's head (P-9)
    assert open_private_external(group, MLSMessage.decode(sealed)) == asked
