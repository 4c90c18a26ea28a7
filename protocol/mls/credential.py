"""Credentials: what binds a signature key to an identity (RFC 9420 §5.3)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from starling.protocol.wire import Reader, Struct, encode_opaque, opaque, uint16

BASIC = 1
X509 = 2


@dataclass(frozen=True, slots=True)
class Certificate(Struct):
    """One X.509 certificate, DER."""

    cert_data: opaque


@dataclass(frozen=True, slots=True)
class Credential(Struct):
    """`identity` for a basic credential, `certificates` (leaf first) for X.509.

    Any other type decodes with `opaque_data`, taken as one opaque<V>: the form of both defined types,
    since the text gives none for unknown ones.
    """

    credential_type: uint16
    identity: bytes | None = None
    certificates: tuple[Certificate, ...] | None = None
    opaque_data: bytes | None = None

    @classmethod
    def basic(cls, identity: bytes) -> Credential:
        return cls(BASIC, identity)

    @classmethod
    def x509(cls, certificates: Iterable[bytes]) -> Credential:
        """Of a chain of certificates (DER), the end entity's first."""
        return cls(X509, certificates=tuple(map(Certificate, certificates)))

    def check(self, signature_key: bytes) -> None:
        """What RFC 9420 itself asks of a credential that is presented with this signature key. Raises
        `Invalid`."""
        if self.credential_type == X509:
            # Loaded where certificates are in use: it takes longer to load than all of MLS.
            from starling.protocol.mls.x509 import check_x509_credential

            check_x509_credential(self, signature_key)

    def write(self, out: bytearray) -> None:
        out += self.credential_type.to_bytes(2)
        if self.credential_type == BASIC:
            out += encode_opaque(self.identity or b"")
        elif self.credential_type == X509:
            body = b"".join(certificate.encode() for certificate in self.certificates or ())
            out += encode_opaque(body)
        else:
            out += encode_opaque(self.opaque_data or b"")

    @classmethod
    def read(cls, reader: Reader) -> Credential:
        credential_type = reader.uint(2)
        body = reader.opaque()
        if credential_type == BASIC:
            return cls(BASIC, body)
        if credential_type == X509:
            inner = Reader(body)
            certificates = []
            while inner.left:
                certificates.append(Certificate.read(inner))
            return cls(X509, certificates=tuple(certificates))
        return cls(credential_type, opaque_data=body)
