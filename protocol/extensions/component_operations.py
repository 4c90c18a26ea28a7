"""Signing and encrypting with MLS keys on behalf of one component (extensions draft §4.1 to §4.3).

A component does this under its own id only: so none can sign for another, or decrypt what is meant for it.
"""

from __future__ import annotations

from dataclasses import dataclass

from starling.protocol.crypto.cipher_suite import CipherSuite
from starling.protocol.crypto.hpke import HPKECiphertext, Random
from starling.protocol.wire import Struct, opaque, uint16


@dataclass(frozen=True, slots=True)
class ComponentOperationLabel(Struct):
    """The label of a component's operation (§4.1)."""

    base_label: opaque
    component_id: uint16
    label: opaque

    @classmethod
    def of(cls, component_id: int, label: bytes) -> ComponentOperationLabel:
        return cls(b"MLS Component", component_id, label)


def safe_encrypt_with_label(
    suite: CipherSuite,
    public_key: bytes,
    component_id: int,
    label: bytes,
    context: bytes,
    plaintext: bytes,
    random: Random,
) -> HPKECiphertext:
    """SafeEncryptWithLabel (§4.2); raises `DecodeError` for a bad public key."""
    operation = ComponentOperationLabel.of(component_id, label).encode()
    return suite.encrypt_with_label(public_key, operation, context, plaintext, random)


def safe_decrypt_with_label(
    suite: CipherSuite,
    private_key: bytes,
    component_id: int,
    label: bytes,
    context: bytes,
    ciphertext: HPKECiphertext,
) -> bytes:
    """SafeDecryptWithLabel (§4.2); raises `VerificationFailed`."""
    operation = ComponentOperationLabel.of(component_id, label).encode()
    return suite.decrypt_with_label(private_key, operation, context, ciphertext)


def safe_sign_with_label(
    suite: CipherSuite, signature_private_key: bytes, component_id: int, label: bytes, content: bytes
) -> bytes:
    """SafeSignWithLabel (§4.3)."""
    operation = ComponentOperationLabel.of(component_id, label).encode()
    return suite.sign_with_label(signature_private_key, operation, content)


def safe_verify_with_label(
    suite: CipherSuite,
    signature_key: bytes,
    component_id: int,
    label: bytes,
    content: bytes,
    signature: bytes,
) -> None:
    """SafeVerifyWithLabel (§4.3); raises `VerificationFailed`."""
    operation = ComponentOperationLabel.of(component_id, label).encode()
    suite.verify_with_label(signature_key, operation, content, signature)
