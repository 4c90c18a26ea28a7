"""A small certificate authority for tests."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, x25519
from cryptography.hazmat.primitives.serialization import Encoding

PrivateKey = (
    ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey | ec.EllipticCurvePrivateKey | x25519.X25519PrivateKey
)

BEGIN = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
END = datetime.datetime(2027, 1, 1, tzinfo=datetime.UTC)
NOW = int(datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC).timestamp() * 1000)

_UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\5\0")


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def _usage(*, signs: bool, certifies: bool) -> x509.KeyUsage:
    return x509.KeyUsage(signs, False, False, False, False, certifies, False, False, False)


@dataclass(frozen=True)
class Issued:
    """A certificate with its private key."""

    name: str
    private_key: PrivateKey
    certificate: x509.Certificate

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)


def issue(
    name: str,
    private_key: PrivateKey,
    issuer: Issued | None = None,
    *,
    authority: bool = False,
    path_length: int | None = None,
    usage: x509.KeyUsage | None = None,
    critical: bool = False,
    end: datetime.datetime = END,
) -> Issued:
    """A certificate for the key, by the issuer or by itself; `critical` puts an unknown extension into it."""
    by = issuer.name if issuer is not None else name
    key = issuer.private_key if issuer is not None else private_key
    assert not isinstance(key, x25519.X25519PrivateKey), "it signs nothing"
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(by))
        .public_key(private_key.public_key())
        .serial_number(x509.random_serial_number() | 1 << 158)
        .not_valid_before(BEGIN)
        .not_valid_after(end)
        .add_extension(usage or _usage(signs=not authority, certifies=authority), True)
    )
    if authority:
        builder = builder.add_extension(x509.BasicConstraints(True, path_length), True)
    if critical:
        builder = builder.add_extension(_UNKNOWN, True)
    algorithm = hashes.SHA256() if isinstance(key, ec.EllipticCurvePrivateKey) else None
    return Issued(name, private_key, builder.sign(key, algorithm))


def new_key() -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


ENCIPHERS = x509.KeyUsage(False, False, True, False, False, False, False, False, False)
