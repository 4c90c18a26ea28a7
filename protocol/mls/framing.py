"""Message content and what authenticates it (RFC 9420 §6, §6.1)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from starling.protocol.crypto.cipher_suite import CipherSuite
from starling.protocol.crypto.secret import PrivateKey
from starling.protocol.errors import DecodeError
from starling.protocol.mls.commit import Commit
from starling.protocol.mls.proposal import Proposal, ProposalField
from starling.protocol.mls.wire_format import MLS10, ContentType, SenderType
from starling.protocol.wire import (
    Reader,
    Remembered,
    Struct,
    When,
    encode_opaque,
    opaque,
    uint8,
    uint32,
    uint64,
)

_LABEL = "FramedContentTBS"


@dataclass(frozen=True, slots=True)
class Sender(Struct):
    """A member by `leaf_index`, an external sender by `sender_index`, or a new member (neither)."""

    sender_type: uint8
    leaf_index: Annotated[int | None, When("sender_type", SenderType.MEMBER, of=uint32)] = None
    sender_index: Annotated[int | None, When("sender_type", SenderType.EXTERNAL, of=uint32)] = None

    @classmethod
    def member(cls, leaf_index: int) -> Sender:
        return cls(SenderType.MEMBER, leaf_index)

    @classmethod
    def read(cls, reader: Reader) -> Sender:
        sender = super(Sender, cls).read(reader)
        if not SenderType.MEMBER <= sender.sender_type <= SenderType.NEW_MEMBER_COMMIT:
            raise DecodeError("an unknown sender type")
        return sender


@dataclass(frozen=True, slots=True)
class FramedContent(Remembered):
    """Exactly one of `application_data`, `proposal` and `commit` is there, as `content_type` says."""

    group_id: opaque
    epoch: uint64
    sender: Sender
    authenticated_data: opaque
    content_type: uint8
    application_data: Annotated[bytes | None, When("content_type", ContentType.APPLICATION, of=opaque)] = (
        field(default=None, repr=False)
    )
    proposal: Annotated[Proposal | None, When("content_type", ContentType.PROPOSAL, of=ProposalField)] = None
    commit: Annotated[Commit | None, When("content_type", ContentType.COMMIT)] = None

    @classmethod
    def read(cls, reader: Reader) -> FramedContent:
        content = super(FramedContent, cls).read(reader)
        check_content_type(content.content_type)
        return content


def check_content_type(content_type: int) -> None:
    """Raises `DecodeError` for an unknown content type: its body has no known length."""
    if not ContentType.APPLICATION <= content_type <= ContentType.COMMIT:
        raise DecodeError("an unknown content type")


@dataclass(frozen=True, slots=True)
class FramedContentAuthData:
    """The signature, and for a commit the confirmation tag. Not a structure of its own: what is there depends
    on the content type."""

    signature: bytes
    confirmation_tag: bytes | None = None

    def write(self, out: bytearray) -> None:
        out += encode_opaque(self.signature)
        if self.confirmation_tag is not None:
            out += encode_opaque(self.confirmation_tag)

    @classmethod
    def read(cls, reader: Reader, content_type: int) -> FramedContentAuthData:
        signature = reader.opaque()
        return cls(signature, reader.opaque() if content_type == ContentType.COMMIT else None)


@dataclass(frozen=True, slots=True)
class AuthenticatedContent(Struct):
    """Content with its authentication, whatever format carried it."""

    wire_format: int
    content: FramedContent
    auth: FramedContentAuthData

    def write(self, out: bytearray) -> None:
        out += self.wire_format.to_bytes(2)
        self.content.write(out)
        self.auth.write(out)

    @classmethod
    def read(cls, reader: Reader) -> AuthenticatedContent:
        wire_format = reader.uint(2)
        content = FramedContent.read(reader)
        return cls(wire_format, content, FramedContentAuthData.read(reader, content.content_type))

    def reference(self, suite: CipherSuite) -> bytes:
        """ProposalRef (§5.2): Nh bytes."""
        return suite.ref_hash("MLS 1.0 Proposal Reference", self.encode())


def to_be_signed(wire_format: int, content: FramedContent, group_context: bytes) -> bytes:
    """FramedContentTBS; `group_context` is the encoded GroupContext of the epoch in which it is sent."""
    out = bytearray(MLS10.to_bytes(2) + wire_format.to_bytes(2))
    content.write(out)
    if content.sender.sender_type in (SenderType.MEMBER, SenderType.NEW_MEMBER_COMMIT):
        out += group_context
    return bytes(out)


def sign(suite: CipherSuite, signature_private_key: PrivateKey, tbs: bytes) -> bytes:
    """The signature over a FramedContentTBS."""
    return suite.sign_with_label(signature_private_key, _LABEL, tbs)


def verify(suite: CipherSuite, signature_key: bytes, tbs: bytes, signature: bytes) -> None:
    """Raises `VerificationFailed`."""
    suite.verify_with_label(signature_key, _LABEL, tbs, signature)
