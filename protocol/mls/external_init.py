"""External initialization: an init secret from outside the group (RFC 9420 §8, §8.3, §12.4.3.2)."""

from __future__ import annotations

from dataclasses import dataclass

from starling.protocol.crypto.cipher_suite import CipherSuite
from starling.protocol.crypto.hpke import Random
from starling.protocol.errors import Invalid
from starling.protocol.mls.extension import EXTERNAL_PUB, Extension, find_extension
from starling.protocol.mls.group_info import GroupInfo
from starling.protocol.mls.rules import Rule
from starling.protocol.wire import Struct, opaque

_EXPORTER_CONTEXT = b"MLS 1.0 external init secret"


@dataclass(frozen=True, slots=True)
class ExternalPub(Struct):
    """The data of the external_pub extension of a GroupInfo."""

    external_pub: opaque


def external_pub_extension(suite: CipherSuite, external_secret: bytes) -> Extension:
    """The extension that lets outsiders join by an external commit in this epoch."""
    public_key = suite.hpke_derive_key_pair(external_secret)[1]
    return Extension(EXTERNAL_PUB, ExternalPub(public_key).encode())


def external_pub_of(info: GroupInfo) -> bytes:
    """The external public key of a GroupInfo. Raises `Invalid(EXTERNAL_PUB)` where it has none."""
    data = find_extension(info.extensions, EXTERNAL_PUB)
    if data is None:
        raise Invalid(Rule.EXTERNAL_PUB)
    return ExternalPub.decode(data).external_pub


def seal_init_secret(suite: CipherSuite, external_pub: bytes, random: Random) -> tuple[bytes, bytes]:
    """The joiner's side: (kem_output, init_secret of Nh bytes). Raises `DecodeError` for a bad key."""
    return suite.hpke.send_export(external_pub, _EXPORTER_CONTEXT, suite.hash_length, random)


def open_init_secret(suite: CipherSuite, external_secret: bytes, kem_output: bytes) -> bytes:
    """The members' side: the init_secret (Nh bytes) from the parent's external_secret, of which the private
    key is derived here and never stored. Raises `DecodeError` for a bad `kem_output`."""
    private_key = suite.hpke_derive_key_pair(external_secret)[0]
    return suite.hpke.receive_export(private_key, kem_output, _EXPORTER_CONTEXT, suite.hash_length)
