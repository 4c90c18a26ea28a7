"""X.509 credentials: their form, the key of the first certificate, and chains (RFC 9420 §5.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, x25519
from tests.mls.certificates import BEGIN, ENCIPHERS, END, NOW, Issued, PrivateKey, issue, new_key
from tests.mls.group_members import refused

from starling.protocol.mls.credential import Certificate, Credential
from starling.protocol.mls.rules import Rule
from starling.protocol.mls.x509 import check_certificate_chain, check_x509_credential

ROOT = issue("root", new_key(), authority=True)
MIDDLE = issue("middle", new_key(), ROOT, authority=True)
LEAF = issue("leaf", new_key(), MIDDLE)


def credential(*chain: Issued) -> Credential:
    return Credential.x509(issued.der for issued in chain)


def test_the_codec_is_a_vector_of_certificates() -> None:
    made = Credential.x509([b"first", b"second"])
    assert made.encode() == b"\x00\x02" + b"\x0d" + b"\x05first" + b"\x06second"
    assert Credential.decode(made.encode()) == made
    assert made.certificates == (Certificate(b"first"), Certificate(b"second"))


@pytest.mark.parametrize(
    "chain", [[], [b""], [b"no certificate"], [LEAF.der, b"\x30\x00"], [LEAF.der + b"\0"], [LEAF.der] * 17]
)
def test_other_bytes_are_no_chain(chain: list[bytes]) -> None:
    assert refused(lambda: check_x509_credential(Credential.x509(chain), b"")) is Rule.X509_FORM


def test_a_negative_serial_number_is_refused_where_warnings_are_errors() -> None:
    serial = LEAF.certificate.serial_number.to_bytes(20)
    negative = LEAF.der.replace(serial, bytes((serial[0] | 0x80,)) + serial[1:])
    assert refused(lambda: check_x509_credential(Credential.x509([negative]), b"")) is Rule.X509_FORM


def _signature_keys() -> list[tuple[PrivateKey, int]]:
    return [
        (ed25519.Ed25519PrivateKey.generate(), 32),
        (ed448.Ed448PrivateKey.generate(), 57),
        (ec.generate_private_key(ec.SECP256R1()), 65),
        (ec.generate_private_key(ec.SECP384R1()), 97),
        (ec.generate_private_key(ec.SECP521R1()), 133),
    ]


@pytest.mark.parametrize(("private_key", "length"), _signature_keys(), ids=lambda value: type(value).__name__)
def test_the_first_certificate_is_for_the_signature_key(private_key: PrivateKey, length: int) -> None:
    from starling.protocol.mls.x509 import certified_key

    issued = issue("leaf", private_key, MIDDLE)
    key = certified_key(issued.certificate)
    assert len(key) == length
    check_x509_credential(credential(issued, MIDDLE), key)
    for wrong in (b"", key[:-1], bytes(length)):
        assert refused(check_x509_credential, credential(issued), wrong) is Rule.X509_KEY
    assert refused(lambda: check_x509_credential(credential(MIDDLE, issued), key)) is Rule.X509_KEY


def test_a_key_that_signs_nothing_is_refused() -> None:
    """An X25519 key has as many bytes as one of Ed25519, but is none."""
    key = x25519.X25519PrivateKey.generate()
    issued = issue("leaf", key, MIDDLE)
    public_key = key.public_key().public_bytes_raw()
    assert refused(lambda: check_x509_credential(credential(issued), public_key)) is Rule.X509_KEY


@pytest.mark.parametrize(
    ("chain", "anchors"),
    [
        ([LEAF, MIDDLE, ROOT], [ROOT]),
        ([LEAF, MIDDLE], [ROOT]),
        ([LEAF], [MIDDLE]),
        ([LEAF], [ROOT, MIDDLE]),
        ([LEAF, MIDDLE, ROOT], [MIDDLE]),
        ([LEAF], [LEAF]),
    ],
)
def test_a_chain_leads_to_an_anchor(chain: Sequence[Issued], anchors: Sequence[Issued]) -> None:
    check_certificate_chain(credential(*chain), [anchor.der for anchor in anchors], NOW)


FALSE_ROOT = issue("root", new_key(), authority=True)
NO_AUTHORITY = issue("middle", MIDDLE.private_key, ROOT)
NO_SIGNING = issue("middle", MIDDLE.private_key, ROOT, authority=True, usage=ENCIPHERS)
SHORT_ROOT = issue("root", ROOT.private_key, authority=True, path_length=0)
CRITICAL = issue("middle", MIDDLE.private_key, ROOT, authority=True, critical=True)
CRITICAL_LEAF = issue("leaf", new_key(), MIDDLE, critical=True)
ENCIPHERING_LEAF = issue("leaf", new_key(), MIDDLE, usage=ENCIPHERS)


@pytest.mark.parametrize(
    ("chain", "anchors"),
    [
        ([LEAF, MIDDLE, ROOT], []),
        ([LEAF], [ROOT]),
        ([LEAF, ROOT], [ROOT]),
        ([LEAF, MIDDLE], [FALSE_ROOT]),
        ([LEAF, NO_AUTHORITY], [ROOT]),
        ([LEAF, NO_SIGNING], [ROOT]),
        ([LEAF, MIDDLE], [SHORT_ROOT]),
        ([LEAF, CRITICAL], [ROOT]),
        ([CRITICAL_LEAF, MIDDLE], [ROOT]),
        ([ENCIPHERING_LEAF, MIDDLE], [ROOT]),
    ],
    ids=[
        "no anchor", "a gap", "a gap with the root", "another key", "an end entity issues",
        "an issuer that does not certify", "too long", "unknown critical extension",
        "unknown critical extension of the leaf", "a key for enciphering",
    ],
)  # fmt: skip
def test_a_chain_that_does_not(chain: Sequence[Issued], anchors: Sequence[Issued]) -> None:
    listed = [anchor.der for anchor in anchors]
    assert refused(check_certificate_chain, credential(*chain), listed, NOW) is Rule.X509_CHAIN


def test_a_chain_of_one_authority_is_as_long_as_its_root_allows() -> None:
    leaf = issue("leaf", new_key(), SHORT_ROOT)
    check_certificate_chain(credential(leaf), [SHORT_ROOT.der], NOW)


def test_all_of_a_chain_is_valid_at_the_time() -> None:
    whole = credential(LEAF, MIDDLE)
    begin, end = (int(time.timestamp() * 1000) for time in (BEGIN, END))
    for now in (begin, end):
        check_certificate_chain(whole, [ROOT.der], now)
    for now in (begin - 1, end + 1):
        assert refused(check_certificate_chain, whole, [ROOT.der], now) is Rule.X509_VALIDITY
    early = BEGIN.replace(month=2)
    expired_middle = issue("middle", MIDDLE.private_key, ROOT, authority=True, end=early)
    expired_root = issue("root", ROOT.private_key, authority=True, end=early)
    for chain, anchor in (((LEAF, expired_middle), ROOT), ((LEAF, MIDDLE), expired_root)):
        assert refused(check_certificate_chain, credential(*chain), [anchor.der], NOW) is Rule.X509_VALIDITY


def test_a_changed_certificate_does_not_count() -> None:
    signature = LEAF.certificate.signature
    changed = LEAF.der.replace(signature, bytes((signature[0] ^ 1,)) + signature[1:])
    forged = replace(credential(LEAF, MIDDLE), certificates=(Certificate(changed), Certificate(MIDDLE.der)))
    assert refused(lambda: check_certificate_chain(forged, [ROOT.der], NOW)) is Rule.X509_CHAIN
