"""Transcript hashes against the official vectors (RFC 9420 §8.2)."""

from __future__ import annotations

from tests.vectors import load_vectors

from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.mls.framing import AuthenticatedContent
from starling.protocol.mls.key_schedule import confirmation_tag
from starling.protocol.mls.transcript_hash import confirmed_transcript_hash, interim_transcript_hash


def test_transcript_hash_vectors() -> None:
    for vector in load_vectors("mls/transcript-hashes.json"):
        suite = cipher_suite(vector["cipher_suite"])
        encoded = bytes.fromhex(vector["authenticated_content"])
        content = AuthenticatedContent.decode(encoded)
        assert content.encode() == encoded
        before = bytes.fromhex(vector["interim_transcript_hash_before"])
        confirmed = confirmed_transcript_hash(
            suite, before, content.wire_format, content.content, content.auth.signature
        )
        assert confirmed.hex() == vector["confirmed_transcript_hash_after"]
        tag = confirmation_tag(suite, bytes.fromhex(vector["confirmation_key"]), confirmed)
        assert content.content.commit is not None and content.auth.confirmation_tag == tag
        interim = interim_transcript_hash(suite, confirmed, tag)
        assert interim.hex() == vector["interim_transcript_hash_after"]
