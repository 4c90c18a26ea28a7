"""Messages that are signed and not encrypted (RFC 9420 §6.2)."""

from __future__ import annotations

from dataclasses import dataclass

from starling.protocol.crypto.cipher_suite import CipherSuite
from starling.protocol.errors import Invalid, UsageError, VerificationFailed
from starling.protocol.mls.framing import AuthenticatedContent, FramedContent, FramedContentAuthData
from starling.protocol.mls.rules import Rule
from starling.protocol.mls.wire_format import ContentType, SenderType, WireFormat
from starling.protocol.wire import Reader, Struct, encode_opaque


@dataclass(frozen=True, slots=True)
class PublicMessage(Struct):
    """`membership_tag` (Nh bytes) is there for a member's message only."""

    content: FramedContent
    auth: FramedContentAuthData
    membership_tag: bytes | None

    def write(self, out: bytearray) -> None:
        self.content.write(out)
        self.auth.write(out)
        if self.membership_tag is not None:
            out += encode_opaque(self.membership_tag)

    @classmethod
    def read(cls, reader: Reader) -> PublicMessage:
        content = FramedContent.read(reader)
        auth = FramedContentAuthData.read(reader, content.content_type)
        is_member = content.sender.sender_type == SenderType.MEMBER
        return cls(content, auth, reader.opaque() if is_member else None)


def protect_public(
    suite: CipherSuite, content: AuthenticatedContent, tbs: bytes, membership_key: bytes
) -> PublicMessage:
    """A member's message; `tbs` is its FramedContentTBS. `UsageError` for application data."""
    if content.content.content_type == ContentType.APPLICATION:
        raise UsageError("application data is never sent in a PublicMessage")
    tag = suite.mac(membership_key, _tbm(content.auth, tbs))
    return PublicMessage(content.content, content.auth, tag)


def unprotect_public(
    suite: CipherSuite, message: PublicMessage, tbs: bytes, membership_key: bytes
) -> AuthenticatedContent:
    """Check the content type and a member's membership tag; the signature is the caller's.

    Raises `Invalid(PUBLIC_APPLICATION)` for application data, `VerificationFailed` for a wrong tag.
    """
    if message.content.content_type == ContentType.APPLICATION:
        raise Invalid(Rule.PUBLIC_APPLICATION)
    if message.content.sender.sender_type == SenderType.MEMBER:
        if message.membership_tag is None:
            raise VerificationFailed
        suite.mac_verify(membership_key, _tbm(message.auth, tbs), message.membership_tag)
    return AuthenticatedContent(WireFormat.MLS_PUBLIC_MESSAGE, message.content, message.auth)


def _tbm(auth: FramedContentAuthData, tbs: bytes) -> bytes:
    out = bytearray(tbs)
    auth.write(out)
    return bytes(out)
