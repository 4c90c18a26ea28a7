"""X.509 credentials: what MLS asks of them, and a check of chains for Authentication Services (RFC 9420 §5.3).

The path validation is that of RFC 5280 §6 without policies and name constraints: a certificate with a critical
extension that is not looked at here is refused. Revocation and identifiers are the application's.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.utils import CryptographyDeprecationWarning

from starling.protocol.errors import Invalid
from starling.protocol.mls.credential import Credential
from starling.protocol.mls.rules import Rule

MAX_CERTIFICATES = 16
"""The longest chain that is accepted."""

_LOOKED_AT = frozenset(
    kind.oid
    for kind in (x509.BasicConstraints, x509.KeyUsage, x509.ExtendedKeyUsage, x509.SubjectAlternativeName)
)
# The last is a warning, raised where a program makes errors of warnings.
_MALFORMED = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
    CryptographyDeprecationWarning,
)


def read_certificates(credential: Credential) -> tuple[x509.Certificate, ...]:
    """The certificates of a credential, the end entity's first. Raises `Invalid(X509_FORM)`."""
    listed = credential.certificates or ()
    if not 1 <= len(listed) <= MAX_CERTIFICATES:
        raise Invalid(Rule.X509_FORM)
    try:
        return tuple(x509.load_der_x509_certificate(entry.cert_data) for entry in listed)
    except _MALFORMED:
        raise Invalid(Rule.X509_FORM) from None


def check_x509_credential(credential: Credential, signature_key: bytes) -> None:
    """Raises `Invalid` unless the certificates are such, and the first is that of the signature key."""
    if certified_key(read_certificates(credential)[0]) != signature_key:
        raise Invalid(Rule.X509_KEY)


def certified_key(certificate: x509.Certificate) -> bytes:
    """The certificate's public key as a SignaturePublicKey (§5.1.1). Raises `Invalid(X509_KEY)` for a key that
    no cipher suite signs with."""
    try:
        key = certificate.public_key()
    except _MALFORMED:
        raise Invalid(Rule.X509_KEY) from None
    if isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
        return key.public_bytes_raw()
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    raise Invalid(Rule.X509_KEY)


def check_certificate_chain(credential: Credential, trust_anchors: Sequence[bytes], now: int) -> None:
    """Raises `Invalid` unless the chain leads to one of the trust anchors (certificates, DER), and all of it is
    valid at `now` (milliseconds). An anchor need not stand in the chain."""
    chain = read_certificates(credential)
    anchors = [x509.load_der_x509_certificate(anchor) for anchor in trust_anchors]
    time = datetime.datetime.fromtimestamp(now / 1000, datetime.UTC)
    try:
        _check_usage(chain[0])
        for above, certificate in enumerate(chain):
            _check_time(certificate, time)
            if certificate in anchors:
                return
            following = chain[above + 1 : above + 2]
            issuer = next((found for found in (*anchors, *following) if _issued(certificate, found)), None)
            if issuer is None:
                break
            _check_issuer(issuer, above)
            if issuer in anchors:
                _check_time(issuer, time)
                return
    except _MALFORMED:
        raise Invalid(Rule.X509_FORM) from None
    raise Invalid(Rule.X509_CHAIN)


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, *_MALFORMED):
        return False
    return True


def _check_usage(certificate: x509.Certificate) -> None:
    _check_critical(certificate)
    usage = _key_usage(certificate)
    if usage is not None and not usage.digital_signature:
        raise Invalid(Rule.X509_CHAIN, "the end entity's key is not for signatures")


def _check_issuer(certificate: x509.Certificate, authorities_below: int) -> None:
    _check_critical(certificate)
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        raise Invalid(Rule.X509_CHAIN, "an issuer is no authority") from None
    usage = _key_usage(certificate)
    if not constraints.ca or (usage is not None and not usage.key_cert_sign):
        raise Invalid(Rule.X509_CHAIN, "an issuer is no authority")
    if constraints.path_length is not None and authorities_below > constraints.path_length:
        raise Invalid(Rule.X509_CHAIN, "the path is longer than an issuer allows")


def _key_usage(certificate: x509.Certificate) -> x509.KeyUsage | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return None


def _check_critical(certificate: x509.Certificate) -> None:
    for extension in certificate.extensions:
        if extension.critical and extension.oid not in _LOOKED_AT:
            raise Invalid(Rule.X509_CHAIN, "an unknown critical extension")


def _check_time(certificate: x509.Certificate, time: datetime.datetime) -> None:
    if not certificate.not_valid_before_utc <= time <= certificate.not_valid_after_utc:
        raise Invalid(Rule.X509_VALIDITY)
