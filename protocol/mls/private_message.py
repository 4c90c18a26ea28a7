"""Messages that are signed and encrypted (RFC 9420 §6.3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from starling.protocol.crypto.cipher_suite import CipherSuite
from starling.protocol.errors import Invalid
from starling.protocol.mls.commit import Commit
from starling.protocol.mls.framing import (
    AuthenticatedContent,
    FramedContent,
    FramedContentAuthData,
    Sender,
    check_content_type,
)
from starling.protocol.mls.proposal import PROPOSALS
from starling.protocol.mls.ratchet import MessageKey
from starling.protocol.mls.rules import Rule
from starling.protocol.mls.wire_format import ContentType, WireFormat
from starling.protocol.wire import Fixed, Reader, Struct, encode_opaque, opaque, uint8, uint32, uint64


@dataclass(frozen=True, slots=True)
class PrivateMessage(Struct):
    group_id: opaque
    epoch: uint64
    content_type: uint8
    authenticated_data: opaque
    encrypted_sender_data: opaque
    ciphertext: opaque

    @classmethod
    def read(cls, reader: Reader) -> PrivateMessage:
        message = super(PrivateMessage, cls).read(reader)
        check_content_type(message.content_type)
        return message


@dataclass(frozen=True, slots=True)
class SenderData(Struct):
    """Who sent a message, with which generation of its ratchet (§6.3.2)."""

    leaf_index: uint32
    generation: uint32
    reuse_guard: Annotated[bytes, Fixed(4)]


def _sender_data_aad(group_id: bytes, epoch: int, content_type: int) -> bytes:
    return encode_opaque(group_id) + epoch.to_bytes(8) + content_type.to_bytes(1)


def sender_data_key_nonce(suite: CipherSuite, sender_data_secret: bytes, ciphertext: bytes) -> MessageKey:
    """The key and nonce of sender data, from a sample of the ciphertext (§6.3.2)."""
    sample = ciphertext[: suite.hash_length]
    return MessageKey(
        suite.expand_with_label(sender_data_secret, "key", sample, suite.key_length),
        suite.expand_with_label(sender_data_secret, "nonce", sample, suite.nonce_length),
    )


def _guarded(nonce: bytes, reuse_guard: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(nonce[:4], reuse_guard, strict=True)) + nonce[4:]


def protect_private(
    suite: CipherSuite,
    content: AuthenticatedContent,
    key: MessageKey,
    generation: int,
    sender_data_secret: bytes,
    *,
    padding: int,
    random: Callable[[int], bytes],
) -> PrivateMessage:
    """Encrypt a member's content with the key of one generation; `padding` is a number of zero bytes."""
    framed = content.content
    assert framed.sender.leaf_index is not None
    plaintext = bytearray()
    if framed.commit is not None:
        framed.commit.write(plaintext)
    elif framed.proposal is not None:
        PROPOSALS.write(framed.proposal, plaintext)
    else:
        plaintext += encode_opaque(framed.application_data or b"")
    content.auth.write(plaintext)
    plaintext += bytes(padding)
    reuse_guard = random(4)
    aad = _sender_data_aad(framed.group_id, framed.epoch, framed.content_type)
    ciphertext = suite.seal(
        key.key,
        _guarded(key.nonce, reuse_guard),
        aad + encode_opaque(framed.authenticated_data),
        bytes(plaintext),
    )
    sender = sender_data_key_nonce(suite, sender_data_secret, ciphertext)
    data = SenderData(framed.sender.leaf_index, generation, reuse_guard).encode()
    return PrivateMessage(
        framed.group_id,
        framed.epoch,
        framed.content_type,
        framed.authenticated_data,
        suite.seal(sender.key, sender.nonce, aad, data),
        ciphertext,
    )


def open_sender_data(suite: CipherSuite, message: PrivateMessage, sender_data_secret: bytes) -> SenderData:
    """Raises `VerificationFailed`, or `DecodeError` where it opens to something else."""
    key = sender_data_key_nonce(suite, sender_data_secret, message.ciphertext)
    aad = _sender_data_aad(message.group_id, message.epoch, message.content_type)
    return SenderData.decode(suite.open(key.key, key.nonce, aad, message.encrypted_sender_data))


def open_private(
    suite: CipherSuite, message: PrivateMessage, sender_data: SenderData, key: MessageKey
) -> AuthenticatedContent:
    """Decrypt the content; its signature is the caller's.

    Raises `VerificationFailed`, `DecodeError`, or `Invalid(PADDING)`.
    """
    aad = _sender_data_aad(message.group_id, message.epoch, message.content_type)
    plaintext = suite.open(
        key.key,
        _guarded(key.nonce, sender_data.reuse_guard),
        aad + encode_opaque(message.authenticated_data),
        message.ciphertext,
    )
    reader = Reader(plaintext)
    kind = message.content_type
    content = FramedContent(
        message.group_id,
        message.epoch,
        Sender.member(sender_data.leaf_index),
        message.authenticated_data,
        kind,
        reader.opaque() if kind == ContentType.APPLICATION else None,
        PROPOSALS.read(reader) if kind == ContentType.PROPOSAL else None,
        Commit.read(reader) if kind == ContentType.COMMIT else None,
    )
    auth = FramedContentAuthData.read(reader, kind)
    if reader.rest().strip(b"\x00"):
        raise Invalid(Rule.PADDING)
    return AuthenticatedContent(WireFormat.MLS_PRIVATE_MESSAGE, content, auth)
