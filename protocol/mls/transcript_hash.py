"""Transcript hashes: the commits that led to an epoch (RFC 9420 §8.2)."""

from __future__ import annotations

from starling.protocol.crypto.cipher_suite import CipherSuite
from starling.protocol.mls.framing import FramedContent
from starling.protocol.wire import encode_opaque


def confirmed_transcript_hash(
    suite: CipherSuite, interim_before: bytes, wire_format: int, content: FramedContent, signature: bytes
) -> bytes:
    """The hash over the interim hash of the parent epoch and a commit with its signature: Nh bytes."""
    out = bytearray(interim_before + wire_format.to_bytes(2))
    content.write(out)
    out += encode_opaque(signature)
    return suite.hash(bytes(out))


def interim_transcript_hash(suite: CipherSuite, confirmed: bytes, confirmation_tag: bytes) -> bytes:
    """The hash over the confirmed hash and the confirmation tag: Nh bytes."""
    return suite.hash(confirmed + encode_opaque(confirmation_tag))
