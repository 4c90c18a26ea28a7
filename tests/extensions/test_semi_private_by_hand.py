"""A semi-private proposal made and opened by hashes, HMAC and ciphers alone (draft-mahy-mls-semiprivatemessage-07)."""

from __future__ import annotations

import hashlib
import hmac

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from tests.extensions.semi_private_groups import (
    RULES,
    SEMI,
    context_extensions,
    member,
    outsider,
    semi_private,
)

from starling.protocol.mls.group import Group
from starling.protocol.mls.proposal import Remove

ARCHIVE, RELAY = outsider("archive"), outsider("relay")


def u32(value: int) -> bytes:
    return value.to_bytes(4)


def vec(data: bytes) -> bytes:
    """opaque<V>: a length of one, two or four bytes (RFC 9420 §2.1.2)."""
    length = len(data)
    if length < 64:
        return bytes([length]) + data
    if length < 2**14:
        return (length | 0x4000).to_bytes(2) + data
    return (length | 0x8000_0000).to_bytes(4) + data


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def mac(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "sha256")


def expand(secret: bytes, info: bytes, length: int) -> bytes:
    """HKDF-Expand for up to two blocks."""
    first = mac(secret, info + b"\x01")
    return (first + mac(secret, first + info + b"\x02"))[:length]


def with_label(secret: bytes, label: bytes, context: bytes, length: int) -> bytes:
    """ExpandWithLabel (RFC 9420 §8)."""
    return expand(secret, length.to_bytes(2) + vec(b"MLS 1.0 " + label) + vec(context), length)


def hpke_open(private_key: bytes, kem_output: bytes, info: bytes, ciphertext: bytes) -> bytes:
    """OpenBase of DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-128-GCM, by hand (RFC 9180)."""

    def extract(suite: bytes, salt: bytes, label: bytes, ikm: bytes) -> bytes:
        return mac(salt or bytes(32), b"HPKE-v1" + suite + label + ikm)

    def labelled(suite: bytes, secret: bytes, label: bytes, data: bytes, length: int) -> bytes:
        return expand(secret, length.to_bytes(2) + b"HPKE-v1" + suite + label + data, length)

    key = X25519PrivateKey.from_private_bytes(private_key)
    kem, suite = b"KEM\x00\x20", b"HPKE\x00\x20\x00\x01\x00\x01"
    shared = key.exchange(X25519PublicKey.from_public_bytes(kem_output))
    eae = extract(kem, b"", b"eae_prk", shared)
    secret = labelled(kem, eae, b"shared_secret", kem_output + key.public_key().public_bytes_raw(), 32)
    schedule = b"\x00" + extract(suite, b"", b"psk_id_hash", b"") + extract(suite, b"", b"info_hash", info)
    secret = extract(suite, secret, b"secret", b"")
    aead_key = labelled(suite, secret, b"key", schedule, 16)
    nonce = labelled(suite, secret, b"base_nonce", schedule, 12)
    return AESGCM(aead_key).decrypt(nonce, ciphertext, b"")


def test_a_proposal_by_hand() -> None:
    """All of a message of the first epoch of a group of one, from its epoch_secret on."""
    alice = member("alice")
    leaf, encryption_key = alice.signed_leaf()
    randomness = iter([b"e" * 32, b"gard", b"r" * 32, b"s" * 32])
    group = Group.create(
        cipher_suite=alice.suite,
        group_id=b"group",
        leaf_node=leaf,
        encryption_private_key=encryption_key,
        signature_private_key=alice.signature_private_key,
        extensions=context_extensions([ARCHIVE, RELAY]),
        rules=RULES,
        random=lambda length: next(randomness)[:length],
    )
    message, _ = group.propose(
        Remove(7),
        authenticated_data=b"aad",
        wire_format=SEMI,
        padding=3,
        random=lambda n: next(randomness)[:n],
    )
    body = semi_private(message)
    assert message[:4] == bytes.fromhex("0001 fafe")

    tree_secret = with_label(b"e" * 32, b"encryption", b"", 32)
    ratchet = with_label(tree_secret, b"handshake", b"", 32)
    key = with_label(ratchet, b"key", u32(0), 16)
    nonce = with_label(ratchet, b"nonce", u32(0), 12)
    partial = sha(u32(0) + nonce)
    for person, entry in zip((ARCHIVE, RELAY), body.keys_for_external_receivers, strict=True):
        public_key, name = person.receiver.external_receiver_public_key, person.receiver.credential.identity
        assert name is not None
        assert entry.external_receiver_ref == sha(vec(public_key) + b"\x00\x01" + vec(name))
        label = vec(b"MLS 1.0 SemiPrivateMessageReceiver")
        info = label + vec(vec(b"group") + bytes(8) + vec(partial))
        sealed = entry.encrypted_keys_and_nonces
        opened = hpke_open(person.private_key, sealed.kem_output, info, sealed.ciphertext)
        assert opened == vec(key) + vec(nonce) + b"gard" + u32(0)

    framed = (
        vec(b"group") + bytes(8) + b"\x01" + u32(0) + vec(b"aad") + b"\x02" + bytes.fromhex("0003") + u32(7)
    )
    tbs = bytes.fromhex("0001 fafe") + framed + group.context.encode()
    keys = b"".join(
        vec(entry.external_receiver_ref)
        + vec(entry.encrypted_keys_and_nonces.kem_output)
        + vec(entry.encrypted_keys_and_nonces.ciphertext)
        for entry in body.keys_for_external_receivers
    )
    aad = vec(b"group") + bytes(8) + b"\x02" + vec(b"aad") + vec(partial) + vec(keys) + vec(sha(tbs))
    assert body.framed_content_tbs_hash == sha(tbs)
    guarded = bytes(a ^ b for a, b in zip(nonce, b"gard" + bytes(8), strict=True))
    plaintext = AESGCM(key).decrypt(guarded, body.ciphertext, aad)
    signature = plaintext[6 + 2 : 6 + 2 + 64]
    assert plaintext == bytes.fromhex("0003") + u32(7) + vec(signature) + bytes(3)
    signed = vec(b"MLS 1.0 FramedContentTBS") + vec(tbs)
    Ed25519PublicKey.from_public_bytes(alice.signature_key).verify(signature, signed)

    sender_secret = with_label(b"e" * 32, b"sender data", b"", 32)
    sample = body.ciphertext[:32]
    sender_key = with_label(sender_secret, b"key", sample, 16)
    sender_nonce = with_label(sender_secret, b"nonce", sample, 12)
    sender_aad = vec(b"group") + bytes(8) + b"\x02"
    sender = AESGCM(sender_key).decrypt(sender_nonce, body.encrypted_sender_data, sender_aad)
    assert sender == u32(0) + u32(0) + b"gard"
    assert message[4:] == aad + vec(body.encrypted_sender_data) + vec(body.ciphertext)
