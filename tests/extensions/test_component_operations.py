"""Signing and encrypting for one component: bound to it, and apart from what MLS itself does."""

from __future__ import annotations

import os

import pytest

from starling.protocol.crypto.cipher_suite import CIPHER_SUITES, CipherSuite
from starling.protocol.errors import DecodeError, VerificationFailed
from starling.protocol.extensions.component_operations import (
    ComponentOperationLabel,
    safe_decrypt_with_label,
    safe_encrypt_with_label,
    safe_sign_with_label,
    safe_verify_with_label,
)

COMPONENT = 0x8D01
some_suites = pytest.mark.parametrize("suite", [CIPHER_SUITES[1], CIPHER_SUITES[7]], ids=repr)


def test_the_operation_label_has_the_component_inside() -> None:
    label = ComponentOperationLabel.of(COMPONENT, b"sign")
    assert label.encode() == b"\x0dMLS Component" + b"\x8d\x01" + b"\x04sign"


@some_suites
def test_a_signature_is_bound_to_component_label_and_content(suite: CipherSuite) -> None:
    private_key, public_key = suite.signature_generate(os.urandom)
    signature = safe_sign_with_label(suite, private_key, COMPONENT, b"label", b"content")
    safe_verify_with_label(suite, public_key, COMPONENT, b"label", b"content", signature)
    # It is SignWithLabel, with the structure for a label.
    whole = b"\x0dMLS Component" + b"\x8d\x01" + b"\x05label"
    suite.verify_with_label(public_key, whole, b"content", signature)
    for component_id, label, content in (
        (COMPONENT + 1, b"label", b"content"),
        (COMPONENT, b"labe", b"content"),
        (COMPONENT, b"label", b"contents"),
    ):
        with pytest.raises(VerificationFailed):
            safe_verify_with_label(suite, public_key, component_id, label, content, signature)
    with pytest.raises(VerificationFailed):
        suite.verify_with_label(public_key, "label", b"content", signature)


@some_suites
def test_a_ciphertext_is_bound_to_component_label_and_context(suite: CipherSuite) -> None:
    private_key, public_key = suite.hpke_generate(os.urandom)
    sealed = safe_encrypt_with_label(suite, public_key, COMPONENT, b"label", b"where", b"text", os.urandom)
    assert safe_decrypt_with_label(suite, private_key, COMPONENT, b"label", b"where", sealed) == b"text"
    for component_id, label, context in (
        (COMPONENT + 1, b"label", b"where"),
        (COMPONENT, b"labels", b"where"),
        (COMPONENT, b"label", b""),
    ):
        with pytest.raises(VerificationFailed):
            safe_decrypt_with_label(suite, private_key, component_id, label, context, sealed)
    with pytest.raises(VerificationFailed):
        suite.decrypt_with_label(private_key, "label", b"where", sealed)
    with pytest.raises(DecodeError):
        safe_encrypt_with_label(suite, b"", COMPONENT, b"label", b"", b"text", os.urandom)
