"""HPKE for MLS: sealing to a public key, in base and in PSK mode, exporting, and key pairs (RFC 9180; RFC 9420 §5.1.3,
§8.3).

`pyhpke` does all suites, X-Wing with a KEM of our own. Where `cryptography` has a base mode it is quicker, and
is used for opening, and for sealing when the randomness is the operating system's; any other source of
randomness gives the ephemeral key pair itself, so that a simulation repeats to the byte (but with X-Wing).
"""

from __future__ import annotations

import functools
import hmac
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke as native
from cryptography.hazmat.primitives.asymmetric import ec, x448, x25519
from pyhpke import AEADId, CipherSuite, ContextInterface, KDFId, KEMId, KEMKey, KEMKeyInterface
from pyhpke.aead import AEAD
from pyhpke.exceptions import PyHPKEError
from pyhpke.kdf import KDF
from pyhpke.kem_key import KEMKeyPair

from starling.protocol.crypto.secret import PrivateKey, Secret, parsed_key
from starling.protocol.crypto.xwing import XWing, XWingId, XWingPrivateKey, XWingPublicKey
from starling.protocol.errors import DecodeError, VerificationFailed
from starling.protocol.wire import Struct, opaque

Random = Callable[[int], bytes]
PskSeal = Callable[[bytes, bytes], bytes]
"""AAD and plaintext to the ciphertext, in PSK mode; used once."""


@dataclass(frozen=True, slots=True)
class HPKECiphertext(Struct):
    """What EncryptWithLabel gives (RFC 9420 §7.6)."""

    kem_output: opaque
    ciphertext: opaque


_NATIVE_KEM = {
    KEMId.DHKEM_X25519_HKDF_SHA256: native.KEM.X25519,
    KEMId.DHKEM_P256_HKDF_SHA256: native.KEM.P256,
    KEMId.DHKEM_P384_HKDF_SHA384: native.KEM.P384,
    KEMId.DHKEM_P521_HKDF_SHA512: native.KEM.P521,
}
_NATIVE_KDF = {
    KDFId.HKDF_SHA256: native.KDF.HKDF_SHA256,
    KDFId.HKDF_SHA384: native.KDF.HKDF_SHA384,
    KDFId.HKDF_SHA512: native.KDF.HKDF_SHA512,
}
_NATIVE_AEAD = {
    AEADId.AES128_GCM: native.AEAD.AES_128_GCM,
    AEADId.AES256_GCM: native.AEAD.AES_256_GCM,
    AEADId.CHACHA20_POLY1305: native.AEAD.CHACHA20_POLY1305,
}
_CURVES: dict[KEMId | XWingId, ec.EllipticCurve] = {
    KEMId.DHKEM_P256_HKDF_SHA256: ec.SECP256R1(),
    KEMId.DHKEM_P384_HKDF_SHA384: ec.SECP384R1(),
    KEMId.DHKEM_P521_HKDF_SHA512: ec.SECP521R1(),
}


class Hpke:
    """One combination of KEM, KDF and AEAD. Keys are raw bytes (RFC 9180 §7.1)."""

    def __init__(self, kem: KEMId | XWingId, kdf: KDFId, aead: AEADId) -> None:
        self.kem = kem
        self._native: native.Suite | None = None
        if isinstance(kem, XWingId):
            ids = b"".join(number.value.to_bytes(2) for number in (kem, kdf, aead))
            self._suite = CipherSuite(XWing(), KDF(kdf, b"HPKE" + ids), AEAD(aead))
            return
        self._suite = CipherSuite.new(kem, kdf, aead)
        if kem in _NATIVE_KEM:
            self._native = native.Suite(_NATIVE_KEM[kem], _NATIVE_KDF[kdf], _NATIVE_AEAD[aead])
            self._enc_length = _NATIVE_KEM[kem].enc_length()

    def derive_key_pair(self, ikm: bytes) -> tuple[bytes, bytes]:
        """DeriveKeyPair (RFC 9180 §7.1.3): (private key, public key)."""
        if self.kem is KEMId.DHKEM_X25519_HKDF_SHA256:
            secret, public_key = _derive_x25519(ikm)
            return bytes(secret), public_key
        pair = self._suite.kem.derive_key_pair(ikm)
        private_key = pair.private_key.to_private_bytes()
        if self.kem in _CURVES:
            # pyhpke takes the curve's size in bits for one in bytes, and puts zeros before.
            private_key = private_key[-((_CURVES[self.kem].key_size + 7) // 8) :]
        return private_key, pair.public_key.to_public_bytes()

    def derive_secret_pair(self, ikm: bytes) -> tuple[Secret, bytes]:
        """DeriveKeyPair with an owner of the private key, who has the key object where that costs nothing."""
        if self.kem is KEMId.DHKEM_X25519_HKDF_SHA256:
            return _derive_x25519(ikm)
        private_key, public_key = self.derive_key_pair(ikm)
        return Secret(private_key), public_key

    def load(self, private_key: Secret) -> None:
        """Make the key object now, so that the first use does not. Raises `ValueError` for what is no key."""
        self._key_object(private_key)

    def check_public_key(self, public_key: bytes) -> None:
        """Raises `DecodeError` where the bytes are no public key of the KEM."""
        _public_key(self.kem, public_key)

    def seal(self, public_key: bytes, info: bytes, plaintext: bytes, random: Random) -> HPKECiphertext:
        """SealBase with empty AAD. Raises `DecodeError` for a bad public key."""
        recipient = _public_key(self.kem, public_key)
        if self._native is not None and random is os.urandom:
            try:
                sealed = self._native.encrypt(plaintext, recipient, info)
            except (InvalidTag, ValueError):
                raise DecodeError("not a usable public key") from None
            return HPKECiphertext(sealed[: self._enc_length], sealed[self._enc_length :])
        kem_output, context = self._send(recipient, info, random)
        return HPKECiphertext(kem_output, context.seal(plaintext))

    def open(self, private_key: PrivateKey, info: bytes, sealed: HPKECiphertext) -> bytes:
        """OpenBase with empty AAD. Raises `VerificationFailed`."""
        try:
            if self._native is not None:
                # Both parts travel as one string here: a shifted border between them must not go unseen.
                if len(sealed.kem_output) != self._enc_length:
                    raise VerificationFailed
                recipient = self._key_object(private_key)
                return self._native.decrypt(sealed.kem_output + sealed.ciphertext, recipient, info)
            return self._receive(private_key, sealed.kem_output, info).open(sealed.ciphertext)
        except (InvalidTag, PyHPKEError, ValueError):
            raise VerificationFailed from None

    def setup_psk(
        self, public_key: bytes, info: bytes, psk: bytes, psk_id: bytes, random: Random
    ) -> tuple[bytes, PskSeal]:
        """SetupPSKS (RFC 9180 §5.1.2): the KEM output, and what seals one plaintext. They are apart, since the AAD
        may have the KEM output in it. `psk` has at least 32 bytes. Raises `DecodeError` for a bad public key."""
        kem_output, context = self._send(_public_key(self.kem, public_key), info, random, psk, psk_id)

        def seal(aad: bytes, plaintext: bytes) -> bytes:
            return context.seal(plaintext, aad)

        return kem_output, seal

    def open_psk(
        self,
        private_key: PrivateKey,
        info: bytes,
        aad: bytes,
        sealed: HPKECiphertext,
        psk: bytes,
        psk_id: bytes,
    ) -> bytes:
        """OpenPSK (RFC 9180 §6.1). Raises `VerificationFailed`."""
        try:
            context = self._receive(private_key, sealed.kem_output, info, psk, psk_id)
            return context.open(sealed.ciphertext, aad)
        except (InvalidTag, PyHPKEError, ValueError):
            raise VerificationFailed from None

    def send_export(
        self, public_key: bytes, exporter_context: bytes, length: int, random: Random
    ) -> tuple[bytes, bytes]:
        """SendExportBase with empty info (RFC 9180 §6.2): (KEM output, secret of `length` bytes). Raises
        `DecodeError` for a bad public key."""
        kem_output, context = self._send(_public_key(self.kem, public_key), b"", random)
        return kem_output, context.export(exporter_context, length)

    def receive_export(
        self, private_key: bytes, kem_output: bytes, exporter_context: bytes, length: int
    ) -> bytes:
        """ReceiveExportBase with empty info: `length` bytes. Raises `DecodeError` where `kem_output` is none
        of the KEM."""
        try:
            return self._receive(private_key, kem_output, b"").export(exporter_context, length)
        except (PyHPKEError, ValueError):
            raise DecodeError("not a KEM output") from None

    def _send(
        self, recipient: Any, info: bytes, random: Random, psk: bytes = b"", psk_id: bytes = b""
    ) -> tuple[bytes, ContextInterface]:
        ephemeral = None
        if not isinstance(self.kem, XWingId):
            pair = self._suite.kem.derive_key_pair(random(64))
            ephemeral = KEMKeyPair(pair.private_key, pair.public_key)
        try:
            return self._suite.create_sender_context(
                _wrapped(recipient), info, eks=ephemeral, psk=psk, psk_id=psk_id
            )
        except (PyHPKEError, ValueError):
            raise DecodeError("not a usable public key") from None

    def _key_object(self, private_key: PrivateKey) -> Any:
        return parsed_key(private_key, functools.partial(_private_key, self.kem))

    def _receive(
        self, private_key: PrivateKey, kem_output: bytes, info: bytes, psk: bytes = b"", psk_id: bytes = b""
    ) -> ContextInterface:
        recipient = self._key_object(private_key)
        return self._suite.create_recipient_context(
            kem_output, _wrapped(recipient), info, psk=psk, psk_id=psk_id
        )


def _wrapped(key: Any) -> KEMKeyInterface:
    return key if isinstance(key, KEMKeyInterface) else KEMKey.from_pyca_cryptography_key(key)


_X25519_SUITE = b"KEM" + KEMId.DHKEM_X25519_HKDF_SHA256.value.to_bytes(2)


def _derive_x25519(ikm: bytes) -> tuple[Secret, bytes]:
    """DeriveKeyPair of X25519 without the layers of `pyhpke`: every node of a path needs one."""
    extracted = hmac.digest(b"", b"HPKE-v1" + _X25519_SUITE + b"dkp_prk" + ikm, "sha256")
    info = b"\x00\x20HPKE-v1" + _X25519_SUITE + b"sk\x01"
    private_key = hmac.digest(extracted, info, "sha256")
    key = x25519.X25519PrivateKey.from_private_bytes(private_key)
    return Secret(private_key, key), key.public_key().public_bytes_raw()


_X448_PROBE = x448.X448PrivateKey.from_private_bytes(bytes(55) + b"\x80")


@functools.lru_cache(maxsize=4096)
def _public_key(kem: KEMId | XWingId, encoded: bytes) -> Any:
    """The key of the KEM. Nothing can be agreed with a point of small order: a leaf with such a key would
    stop every path, so it counts as none."""
    try:
        if kem is KEMId.DHKEM_X25519_HKDF_SHA256:
            return _x25519_public_key(encoded)
        if kem is KEMId.DHKEM_X448_HKDF_SHA512:
            x448_key = x448.X448PublicKey.from_public_bytes(encoded)
            _X448_PROBE.exchange(x448_key)
            return x448_key
        if kem is XWingId.XWING:
            xwing_key = XWingPublicKey.decode(encoded)
            _x25519_public_key(encoded[-32:])
            return xwing_key
        if encoded[:1] != b"\x04":  # only the uncompressed form is allowed
            raise ValueError
        return ec.EllipticCurvePublicKey.from_encoded_point(_CURVES[kem], encoded)
    except ValueError:
        raise DecodeError("not a public key of the KEM") from None


_FIELD = 2**255 - 19
_ORDER_8 = (
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
)
_SMALL_ORDER = frozenset({0, 1, *_ORDER_8, _FIELD - 1, _FIELD, _FIELD + 1})
"""The coordinates, also those that are not reduced, with which X25519 agrees on nothing but zeros (RFC 7748 §6.1)."""


def _x25519_public_key(encoded: bytes) -> x25519.X25519PublicKey:
    key = x25519.X25519PublicKey.from_public_bytes(encoded)
    # The highest bit does not count.
    if int.from_bytes(encoded, "little") & (2**255 - 1) in _SMALL_ORDER:
        raise ValueError
    return key


def _private_key(kem: KEMId | XWingId, encoded: bytes) -> Any:
    if kem is KEMId.DHKEM_X25519_HKDF_SHA256:
        return x25519.X25519PrivateKey.from_private_bytes(encoded)
    if kem is KEMId.DHKEM_X448_HKDF_SHA512:
        return x448.X448PrivateKey.from_private_bytes(encoded)
    if kem is XWingId.XWING:
        return XWingPrivateKey(encoded)
    return ec.derive_private_key(int.from_bytes(encoded), _CURVES[kem])
