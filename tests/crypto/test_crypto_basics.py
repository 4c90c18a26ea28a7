"""The official vectors of the labelled functions, and what every suite must refuse."""

from __future__ import annotations

import os

import pytest
from tests.vectors import load_vectors

from starling.protocol.crypto.cipher_suite import CIPHER_SUITES, CipherSuite, cipher_suite
from starling.protocol.crypto.hpke import HPKECiphertext
from starling.protocol.errors import Unsupported, VerificationFailed

unhex = bytes.fromhex


def test_official_vectors() -> None:
    for vector in load_vectors("mls/crypto-basics.json"):
        suite = cipher_suite(vector["cipher_suite"])
        case = vector["ref_hash"]
        assert suite.ref_hash(case["label"], unhex(case["value"])) == unhex(case["out"])
        case = vector["expand_with_label"]
        expanded = suite.expand_with_label(
            unhex(case["secret"]), case["label"], unhex(case["context"]), case["length"]
        )
        assert expanded == unhex(case["out"])
        case = vector["derive_secret"]
        assert suite.derive_secret(unhex(case["secret"]), case["label"]) == unhex(case["out"])
        case = vector["derive_tree_secret"]
        derived = suite.derive_tree_secret(
            unhex(case["secret"]), case["label"], case["generation"], case["length"]
        )
        assert derived == unhex(case["out"])
        case = vector["sign_with_label"]
        private, public, content = unhex(case["priv"]), unhex(case["pub"]), unhex(case["content"])
        assert suite.signature_public_key(private) == public
        suite.verify_with_label(public, case["label"], content, unhex(case["signature"]))
        own = suite.sign_with_label(private, case["label"], content)
        suite.verify_with_label(public, case["label"], content, own)
        case = vector["encrypt_with_label"]
        private, public, label = unhex(case["priv"]), unhex(case["pub"]), case["label"]
        context, plaintext = unhex(case["context"]), unhex(case["plaintext"])
        sealed = HPKECiphertext(unhex(case["kem_output"]), unhex(case["ciphertext"]))
        assert suite.decrypt_with_label(private, label, context, sealed) == plaintext
        for random in (os.urandom, lambda size: os.urandom(size)):
            sealed = suite.encrypt_with_label(public, label, context, plaintext, random)
            assert suite.decrypt_with_label(private, label, context, sealed) == plaintext


@pytest.mark.parametrize("suite", CIPHER_SUITES.values(), ids=repr)
class TestEachSuite:
    def test_a_signature_is_bound_to_key_label_and_content(self, suite: CipherSuite) -> None:

        private, public = suite.signature_generate(os.urandom)
        _, other = suite.signature_generate(os.urandom)
        signature = suite.sign_with_label(private, "label", b"content")
        suite.verify_with_label(public, "label", b"content", signature)
        for arguments in (
            (other, "label", b"content", signature),
            (public, "labe", b"lcontent", signature),
            (public, "label", b"content2", signature),
            (public, "label", b"content", signature[:-1]),
            (public, "label", b"content", b""),
            (b"", "label", b"content", signature),
            (bytes(len(public)), "label", b"content", signature),
        ):
            with pytest.raises(VerificationFailed):
                suite.verify_with_label(*arguments)

    def test_an_aead_ciphertext_is_bound_to_key_nonce_and_aad(self, suite: CipherSuite) -> None:

        key, nonce = bytes(suite.key_length), bytes(suite.nonce_length)
        sealed = suite.seal(key, nonce, b"aad", b"text")
        assert suite.open(key, nonce, b"aad", sealed) == b"text"
        for arguments in (
            (b"\1" * len(key), nonce, b"aad", sealed),
            (key, b"\1" * len(nonce), b"aad", sealed),
            (key, nonce, b"", sealed),
            (key, nonce, b"aad", sealed[:-1]),
            (key, nonce, b"aad", b""),
        ):
            with pytest.raises(VerificationFailed):
                suite.open(*arguments)

    def test_a_mac(self, suite: CipherSuite) -> None:

        tag = suite.mac(b"key", b"data")
        assert len(tag) == suite.hash_length
        suite.mac_verify(b"key", b"data", tag)
        for wrong in (tag[:-1], b"", bytes(len(tag))):
            with pytest.raises(VerificationFailed):
                suite.mac_verify(b"key", b"data", wrong)


def test_an_unknown_suite_is_unsupported() -> None:
    for number in (0, 8, 0x0A0A):
        with pytest.raises(Unsupported):
            cipher_suite(number)
