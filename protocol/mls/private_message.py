"""Messages that are signed and encrypted (RFC 9420 §6.3)."""

from __future__ import annotations

import typing
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


class RatchetMessage(typing.Protocol):
    """What a PrivateMessage has in common with other formats whose key is of a sender's ratchet."""

    @property
    def group_id(self) -> bytes: ...

    @property
    def epoch(self) -> int: ...

    @property
    def content_type(self) -> int: ...

    @property
    def authenticated_data(self) -> bytes: ...

    @property
    def encrypted_sender_data(self) -> bytes: ...

    @property
    def ciphertext(self) -> bytes: ...


def _sender_data_aad(group_id: bytes, epoch: int, content_type: int) -> bytes:
    return encode_opaque(group_id) + epoch.to_bytes(8) + content_type.to_bytes(1)


def sender_data_key_nonce(suite: CipherSuite, sender_data_secret: bytes, ciphertext: bytes) -> MessageKey:
    """The key and nonce of sender data, from a sample of the ciphertext (§6.3.2)."""
    sample = ciphertext[: suite.hash_length]
    return MessageKey(
        suite.expand_with_label(sender_data_secret, "key", sample, suite.key_length),
        suite.expand_with_label(sender_data_secret, "nonce", sample, suite.nonce_length),
    )


def guarded(nonce: bytes, reuse_guard: bytes) -> bytes:
    """The nonce that content is sealed with: the ratchet's, its first four bytes XORed with the guard (§6.3.1)."""
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
    data = SenderData(framed.sender.leaf_index, generation, random(4))
    aad = _sender_data_aad(framed.group_id, framed.epoch, framed.content_type)
    ciphertext = suite.seal(
        key.key,
        guarded(key.nonce, data.reuse_guard),
        aad + encode_opaque(framed.authenticated_data),
        encode_private_content(content, padding),
    )
    return PrivateMessage(
        framed.group_id,
        framed.epoch,
        framed.content_type,
        framed.authenticated_data,
        seal_sender_data(suite, framed, data, sender_data_secret, ciphertext),
        ciphertext,
    )


def encode_private_content(content: AuthenticatedContent, padding: int) -> bytes:
    """PrivateMessageContent with that many zero bytes of padding (§6.3.1)."""
    framed = content.content
    plaintext = bytearray()
    if framed.commit is not None:
        framed.commit.write(plaintext)
    elif framed.proposal is not None:
        PROPOSALS.write(framed.proposal, plaintext)
    else:
        plaintext += encode_opaque(framed.application_data or b"")
    content.auth.write(plaintext)
    return bytes(plaintext) + bytes(padding)


def decode_private_content(
    plaintext: bytes, message: RatchetMessage, wire_format: int, leaf_index: int
) -> AuthenticatedContent:
    """The content of a message from the member at `leaf_index`. Raises `DecodeError`, or `Invalid(PADDING)`."""
    reader = Reader(plaintext)
    kind = message.content_type
    content = FramedContent(
        message.group_id,
        message.epoch,
        Sender.member(leaf_index),
        message.authenticated_data,
        kind,
        reader.opaque() if kind == ContentType.APPLICATION else None,
        PROPOSALS.read(reader) if kind == ContentType.PROPOSAL else None,
        Commit.read(reader) if kind == ContentType.COMMIT else None,
    )
    auth = FramedContentAuthData.read(reader, kind)
    if reader.rest().strip(b"\x00"):
        raise Invalid(Rule.PADDING)
    return AuthenticatedContent(wire_format, content, auth)


def seal_sender_data(
    suite: CipherSuite, framed: FramedContent, data: SenderData, sender_data_secret: bytes, ciphertext: bytes
) -> bytes:
    """The encrypted_sender_data of a message with that ciphertext (§6.3.2)."""
    key = sender_data_key_nonce(suite, sender_data_secret, ciphertext)
    aad = _sender_data_aad(framed.group_id, framed.epoch, framed.content_type)
    return suite.seal(key.key, key.nonce, aad, data.encode())


def open_sender_data(suite: CipherSuite, message: RatchetMessage, sender_data_secret: bytes) -> SenderData:
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
        guarded(key.nonce, sender_data.reuse_guard),
        aad + encode_opaque(message.authenticated_data),
        message.ciphertext,
    )
    return decode_private_content(plaintext, message, WireFormat.MLS_PRIVATE_MESSAGE, sender_data.leaf_index)
