"""Credentials: what binds a signature key to an identity (RFC 9420 §5.3)."""

from __future__ import annotations

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
