"""HPKE: both ways agree, a fixed source of randomness repeats to the byte, and malformed keys are refused."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import x25519
from pyhpke import AEADId, KDFId, KEMId
from pyhpke import CipherSuite as PyHPKE

from starling.protocol.crypto.cipher_suite import CIPHER_SUITES, CipherSuite, cipher_suite
from starling.protocol.crypto.hpke import HPKECiphertext
from starling.protocol.errors import DecodeError, VerificationFailed

every_suite = pytest.mark.parametrize("suite", CIPHER_SUITES.values(), ids=repr)
every_curve = pytest.mark.parametrize(
    "suite", [suite for suite in CIPHER_SUITES.values() if suite.id < 8], ids=repr
)


def repeating(seed: bytes) -> Callable[[int], bytes]:
    """A source of bytes that starts anew for each call of this function."""
    counter = iter(range(2**32))
    return lambda size: hashlib.shake_128(seed + next(counter).to_bytes(4)).digest(size)


@every_curve
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


def test_keys_have_the_lengths_of_the_registry() -> None:
    """RFC 9180 §7.1: Nsk and Npk; for X-Wing its draft."""
    lengths = {}
    for suite in CIPHER_SUITES.values():
        private, public = suite.hpke_generate(os.urandom)
        lengths[suite.id] = (len(private), len(public))
    x25519, x448 = (32, 32), (56, 56)
    p256, p384, p521 = (32, 65), (48, 97), (66, 133)
    assert lengths == {
        1: x25519, 2: p256, 3: x25519, 4: x448, 5: p521, 6: x448, 7: p384, 83: (32, 1216), 0xF00D: (32, 1216)
    }  # fmt: skip


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
    # All zero is no point of the NIST curves, and a point of small order of the others.
    for wrong in (b"", public[:-1], public + b"\0", bytes(len(public))):
        with pytest.raises(DecodeError):
            suite.encrypt_with_label(wrong, "label", b"", b"secret", random)


@every_suite
@pytest.mark.parametrize("random", [os.urandom, repeating(b"r")], ids=["system", "fixed"])
def test_an_exported_secret_is_the_same_on_both_sides(
    suite: CipherSuite, random: Callable[[int], bytes]
) -> None:
    private, public = suite.hpke_generate(os.urandom)
    kem_output, secret = suite.hpke.send_export(public, b"context", 48, random)
    assert len(secret) == 48
    received = suite.hpke.receive_export(private, kem_output, b"context", 48)
    assert received == secret
    assert suite.hpke.receive_export(private, kem_output, b"other", 48) != secret
    for wrong in (b"", kem_output[:-1], kem_output + b"\0"):
        with pytest.raises(DecodeError):
            suite.hpke.receive_export(private, wrong, b"context", 48)
    for wrong in (b"", public[:-1], bytes(len(public))):
        with pytest.raises(DecodeError):
            suite.hpke.send_export(wrong, b"context", 48, random)


@pytest.mark.parametrize("number", [2, 5, 7])
def test_a_compressed_point_is_refused(number: int) -> None:
    suite = cipher_suite(number)
    _, public = suite.hpke_generate(os.urandom)
    compressed = bytes((2 + (public[-1] & 1),)) + public[1 : len(public) // 2 + 1]
    with pytest.raises(DecodeError):
        suite.hpke.check_public_key(compressed)
    private, public = suite.signature_generate(os.urandom)
    signature = suite.sign_with_label(private, "label", b"content")
    suite.verify_with_label(public, "label", b"content", signature)
    compressed = bytes((2 + (public[-1] & 1),)) + public[1 : len(public) // 2 + 1]
    with pytest.raises(VerificationFailed):
        suite.verify_with_label(compressed, "label", b"content", signature)


def test_points_of_small_order_are_those_that_agree_on_nothing() -> None:
    """RFC 7748 §6.1: the table says what an agreement would."""
    suite = cipher_suite(1)
    ours = x25519.X25519PrivateKey.generate()
    field = 2**255 - 19
    order_8 = 325606250916557431795983626356110631294008115727848805560023387167927233504
    for number in (
        0,
        1,
        2,
        9,
        order_8 - 1,
        order_8,
        field - order_8,
        field - 2,
        field - 1,
        field,
        field + 1,
        field + 2,
    ):
        for top_bit in (0, 2**255):
            encoded = (number + top_bit).to_bytes(32, "little")
            try:
                ours.exchange(x25519.X25519PublicKey.from_public_bytes(encoded))
            except ValueError:
                with pytest.raises(DecodeError):
                    suite.hpke.check_public_key(encoded)
            else:
                suite.hpke.check_public_key(encoded)
    other_order_8 = 39382357235489614581723060781553021112529911719440698176882885853963445705823
    for number in (0, 1, order_8, other_order_8, field - 1, field, field + 1):
        with pytest.raises(DecodeError):
            suite.hpke.check_public_key(number.to_bytes(32, "little"))


def test_derived_x25519_keys_are_those_of_the_general_way() -> None:
    suite = cipher_suite(1)
    pair = PyHPKE.new(
        KEMId.DHKEM_X25519_HKDF_SHA256, KDFId.HKDF_SHA256, AEADId.AES128_GCM
    ).kem.derive_key_pair(b"ikm" * 11)
    derived = suite.hpke_derive_key_pair(b"ikm" * 11)
    assert derived == (pair.private_key.to_private_bytes(), pair.public_key.to_public_bytes())
