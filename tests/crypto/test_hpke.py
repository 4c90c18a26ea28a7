"""HPKE: both ways agree, a fixed source of randomness repeats to the byte, and malformed keys are refused."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable

import pytest

from starling.protocol.crypto.cipher_suite import CIPHER_SUITES, CipherSuite, cipher_suite
from starling.protocol.crypto.hpke import HPKECiphertext
from starling.protocol.errors import DecodeError, VerificationFailed

every_suite = pytest.mark.parametrize("suite", CIPHER_SUITES.values(), ids=repr)


def repeating(seed: bytes) -> Callable[[int], bytes]:
    """A source of bytes that starts anew for each call of this function."""
    counter = iter(range(2**32))
    return lambda size: hashlib.shake_128(seed + next(counter).to_bytes(4)).digest(size)


@every_suite
def test_a_fixed_source_repeats_to_the_byte(suite: CipherSuite) -> None:
    private, public = suite.hpke_generate(repeating(b"recipient"))
    assert (private, public) == suite.hpke_generate(repeating(b"recipient"))
    first, again, other = (
        suite.encrypt_with_label(public, "label", b"context", b"secret", repeating(seed))
        for seed in (b"a", b"a", b"b")
    )
    assert first == again != other
    for sealed in (first, other):
        assert suite.decrypt_with_label(private, "label", b"context", sealed) == b"secret"


@every_suite
def test_the_systems_randomness_never_repeats(suite: CipherSuite) -> None:
    _, public = suite.hpke_generate(os.urandom)
    sealed = {suite.encrypt_with_label(public, "l", b"", b"", os.urandom).kem_output for _ in range(5)}
    assert len(sealed) == 5


@every_suite
def test_a_ciphertext_is_bound_to_key_label_and_context(suite: CipherSuite) -> None:
    private, public = suite.hpke_generate(os.urandom)
    other, _ = suite.hpke_generate(os.urandom)
    sealed = suite.encrypt_with_label(public, "label", b"context", b"secret", os.urandom)
    enc, text = sealed.kem_output, sealed.ciphertext
    for key, label, context, wrong in (
        (other, "label", b"context", sealed),
        (private, "labe", b"context", sealed),
        (private, "label", b"contex", sealed),
        (private, "label", b"context", HPKECiphertext(enc, text[:-1])),
        (private, "label", b"context", HPKECiphertext(enc, b"")),
        (private, "label", b"context", HPKECiphertext(b"", text)),
        (private, "label", b"context", HPKECiphertext(bytes(len(enc)), text)),
    ):
        with pytest.raises(VerificationFailed):
            suite.decrypt_with_label(key, label, context, wrong)


@every_suite
def test_the_border_between_the_two_parts_cannot_be_moved(suite: CipherSuite) -> None:
    private, public = suite.hpke_generate(os.urandom)
    sealed = suite.encrypt_with_label(public, "label", b"", b"secret", os.urandom)
    whole = sealed.kem_output + sealed.ciphertext
    for border in (0, len(sealed.kem_output) - 1, len(sealed.kem_output) + 1, len(whole)):
        with pytest.raises(VerificationFailed):
            suite.decrypt_with_label(private, "label", b"", HPKECiphertext(whole[:border], whole[border:]))


@every_suite
@pytest.mark.parametrize("random", [os.urandom, repeating(b"r")], ids=["system", "fixed"])
def test_what_is_no_public_key_is_refused(suite: CipherSuite, random: Callable[[int], bytes]) -> None:
    _, public = suite.hpke_generate(os.urandom)
    # All zero is no point of P-256, and a point of small order of Curve25519.
    for wrong in (b"", public[:-1], public + b"\0", bytes(len(public))):
        with pytest.raises(DecodeError):
            suite.encrypt_with_label(wrong, "label", b"", b"secret", random)


def test_a_compressed_point_is_refused() -> None:
    suite = cipher_suite(2)
    _, public = suite.hpke_generate(os.urandom)
    compressed = bytes((2 + (public[-1] & 1),)) + public[1:33]
    with pytest.raises(DecodeError):
        suite.hpke.check_public_key(compressed)
    private, public = suite.signature_generate(os.urandom)
    signature = suite.sign_with_label(private, "label", b"content")
    suite.verify_with_label(public, "label", b"content", signature)
    compressed = bytes((2 + (public[-1] & 1),)) + public[1:33]
    with pytest.raises(VerificationFailed):
        suite.verify_with_label(compressed, "label", b"content", signature)
