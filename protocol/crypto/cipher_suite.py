"""Cipher suites and the labelled functions built on them (RFC 9420 §5.1, §5.2, §8, §17.1)."""

from __future__ import annotations

import functools
import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from pyhpke import AEADId, KDFId, KEMId

from starling.protocol.crypto.hpke import Hpke, HPKECiphertext, Random
from starling.protocol.crypto.secret import PrivateKey
from starling.protocol.crypto.signature import ED448, ED25519, Ecdsa, SignatureScheme
from starling.protocol.crypto.xwing import XWingId
from starling.protocol.errors import Unsupported, VerificationFailed
from starling.protocol.wire import encode_opaque

Label = str | bytes
"""The label of an operation; bytes where it is a structure (extensions draft §4.1)."""


@dataclass(frozen=True, slots=True, repr=False)
class CipherSuite:
    """One cipher suite. `hash_length` is Nh (KDF.Nh), `key_length` Nk, `nonce_length` Nn, in bytes."""

    id: int
    name: str
    hash_name: str
    hash_length: int
    key_length: int
    nonce_length: int
    hpke: Hpke = field(repr=False)
    aead: type[AESGCM] | type[ChaCha20Poly1305]
    signature: SignatureScheme

    def __repr__(self) -> str:
        return f"<CipherSuite {self.id} {self.name}>"

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return cipher_suite, (self.id,)

    # hash, MAC, KDF

    def hash(self, data: bytes) -> bytes:
        return _HASHES[self.hash_name](data).digest()

    def mac(self, key: bytes, data: bytes) -> bytes:
        """HMAC with the suite's hash (§8.1)."""
        return hmac.digest(key, data, self.hash_name)

    def mac_verify(self, key: bytes, data: bytes, tag: bytes) -> None:
        """Raises `VerificationFailed`; takes the same time for every wrong tag."""
        if not hmac.compare_digest(self.mac(key, data), tag):
            raise VerificationFailed

    def extract(self, salt: bytes, ikm: bytes) -> bytes:
        """KDF.Extract; an empty salt stands for Nh zero bytes."""
        return hmac.digest(salt or bytes(self.hash_length), ikm, self.hash_name)

    def expand(self, secret: bytes, info: bytes, length: int) -> bytes:
        """KDF.Expand (RFC 5869 §2.3)."""
        if length <= self.hash_length:  # one block, as nearly always
            return hmac.digest(secret, info + b"\x01", self.hash_name)[:length]
        block = b""
        output = b""
        counter = 0
        while len(output) < length:
            counter += 1
            block = hmac.digest(secret, block + info + bytes((counter,)), self.hash_name)
            output += block
        return output[:length]

    def expand_with_label(self, secret: bytes, label: str, context: bytes, length: int) -> bytes:
        """ExpandWithLabel (§8)."""
        return self.expand(secret, _expand_info(label, length) + encode_opaque(context), length)

    def expander(self, label: str, context: bytes) -> Callable[[bytes], bytes]:
        """ExpandWithLabel to Nh bytes, for who expands many secrets alike."""
        block = _expand_info(label, self.hash_length) + encode_opaque(context) + b"\x01"
        digest, hash_name = hmac.digest, self.hash_name
        return lambda secret: digest(secret, block, hash_name)

    def derive_secret(self, secret: bytes, label: str) -> bytes:
        """DeriveSecret (§8): Nh bytes."""
        length = self.hash_length
        return self.expand(secret, _expand_info(label, length) + b"\x00", length)

    def derive_tree_secret(self, secret: bytes, label: str, generation: int, length: int) -> bytes:
        """DeriveTreeSecret (§9.1)."""
        return self.expand_with_label(secret, label, generation.to_bytes(4), length)

    def ref_hash(self, label: str, value: bytes) -> bytes:
        """RefHash (§5.2); `label` is whole, such as `MLS 1.0 KeyPackage Reference`."""
        return self.hash(encode_opaque(label.encode()) + encode_opaque(value))

    # AEAD

    def seal(self, key: bytes, nonce: bytes, aad: bytes, plaintext: bytes) -> bytes:
        return self.aead(key).encrypt(nonce, plaintext, aad)

    def open(self, key: bytes, nonce: bytes, aad: bytes, ciphertext: bytes) -> bytes:
        """Raises `VerificationFailed`."""
        try:
            return self.aead(key).decrypt(nonce, ciphertext, aad)
        except (InvalidTag, ValueError):
            raise VerificationFailed from None

    # signatures

    def sign_with_label(self, private_key: PrivateKey, label: Label, content: bytes) -> bytes:
        """SignWithLabel (§5.1.2)."""
        return self.signature.sign(private_key, _labelled(label) + encode_opaque(content))

    def verify_with_label(self, public_key: bytes, label: Label, content: bytes, signature: bytes) -> None:
        """VerifyWithLabel (§5.1.2); raises `VerificationFailed`."""
        self.signature.verify(public_key, _labelled(label) + encode_opaque(content), signature)

    def signature_generate(self, random: Random) -> tuple[bytes, bytes]:
        """A fresh signature key pair: (private key, public key)."""
        return self.signature.generate(random)

    def signature_public_key(self, private_key: PrivateKey) -> bytes:
        return self.signature.public_key(private_key)

    # public-key encryption

    def encrypt_with_label(
        self, public_key: bytes, label: Label, context: bytes, plaintext: bytes, random: Random
    ) -> HPKECiphertext:
        """EncryptWithLabel (§5.1.3); raises `DecodeError` for a bad public key."""
        return self.hpke.seal(public_key, _labelled(label) + encode_opaque(context), plaintext, random)

    def decrypt_with_label(
        self, private_key: PrivateKey, label: Label, context: bytes, ciphertext: HPKECiphertext
    ) -> bytes:
        """DecryptWithLabel (§5.1.3); raises `VerificationFailed`."""
        return self.hpke.open(private_key, _labelled(label) + encode_opaque(context), ciphertext)

    def hpke_derive_key_pair(self, ikm: bytes) -> tuple[bytes, bytes]:
        """DeriveKeyPair (§7.4): (private key, public key)."""
        return self.hpke.derive_key_pair(ikm)

    def hpke_generate(self, random: Random) -> tuple[bytes, bytes]:
        """A fresh HPKE key pair: (private key, public key)."""
        return self.hpke.derive_key_pair(random(self.hash_length))


_HASHES = {"sha256": hashlib.sha256, "sha384": hashlib.sha384, "sha512": hashlib.sha512}


@functools.lru_cache(maxsize=256)
def _labelled(label: Label) -> bytes:
    return encode_opaque(b"MLS 1.0 " + (label.encode() if isinstance(label, str) else label))


@functools.lru_cache(maxsize=256)
def _expand_info(label: str, length: int) -> bytes:
    """KDFLabel up to its context (§8)."""
    return length.to_bytes(2) + _labelled(label)


_X25519 = KEMId.DHKEM_X25519_HKDF_SHA256
_X448 = KEMId.DHKEM_X448_HKDF_SHA512
_P256 = KEMId.DHKEM_P256_HKDF_SHA256
_P384 = KEMId.DHKEM_P384_HKDF_SHA384
_P521 = KEMId.DHKEM_P521_HKDF_SHA512
_XWING = XWingId.XWING
_SHA256 = KDFId.HKDF_SHA256
_SHA384 = KDFId.HKDF_SHA384
_SHA512 = KDFId.HKDF_SHA512
_AES128 = AEADId.AES128_GCM
_AES256 = AEADId.AES256_GCM
_CHACHA = AEADId.CHACHA20_POLY1305

CIPHER_SUITES: Mapping[int, CipherSuite] = {
    suite.id: suite
    for suite in (
        CipherSuite(
            1, "MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519",
            "sha256", 32, 16, 12, Hpke(_X25519, _SHA256, _AES128), AESGCM, ED25519,
        ),
        CipherSuite(
            2, "MLS_128_DHKEMP256_AES128GCM_SHA256_P256",
            "sha256", 32, 16, 12, Hpke(_P256, _SHA256, _AES128), AESGCM,
            Ecdsa(ec.SECP256R1(), hashes.SHA256()),
        ),
        CipherSuite(
            3, "MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519",
            "sha256", 32, 32, 12, Hpke(_X25519, _SHA256, _CHACHA), ChaCha20Poly1305, ED25519,
        ),
        CipherSuite(
            4, "MLS_256_DHKEMX448_AES256GCM_SHA512_Ed448",
            "sha512", 64, 32, 12, Hpke(_X448, _SHA512, _AES256), AESGCM, ED448,
        ),
        CipherSuite(
            5, "MLS_256_DHKEMP521_AES256GCM_SHA512_P521",
            "sha512", 64, 32, 12, Hpke(_P521, _SHA512, _AES256), AESGCM,
            Ecdsa(ec.SECP521R1(), hashes.SHA512()),
        ),
        CipherSuite(
            6, "MLS_256_DHKEMX448_CHACHA20POLY1305_SHA512_Ed448",
            "sha512", 64, 32, 12, Hpke(_X448, _SHA512, _CHACHA), ChaCha20Poly1305, ED448,
        ),
        CipherSuite(
            7, "MLS_256_DHKEMP384_AES256GCM_SHA384_P384",
            "sha384", 48, 32, 12, Hpke(_P384, _SHA384, _AES256), AESGCM,
            Ecdsa(ec.SECP384R1(), hashes.SHA384()),
        ),
        # Not registered: numbers and construction are those of the library ts-mls, before and from 2.0 on.
        *(
            CipherSuite(
                number, "MLS_256_XWING_AES256GCM_SHA512_Ed25519",
                "sha512", 64, 32, 12, Hpke(_XWING, _SHA512, _AES256), AESGCM, ED25519,
            )
            for number in (83, 0xF00D)
        ),
    )
}  # fmt: skip
"""The cipher suites by their code point (§17.1)."""


def cipher_suite(suite_id: int) -> CipherSuite:
    """The suite of this code point; raises `Unsupported`."""
    suite = CIPHER_SUITES.get(suite_id)
    if suite is None:
        raise Unsupported(f"cipher suite {suite_id:#06x} is not supported")
    return suite
