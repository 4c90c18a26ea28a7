"""Welcomes: what new members need to enter an epoch (RFC 9420 §12.4.3.1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from starling.protocol.crypto.cipher_suite import CipherSuite
from starling.protocol.crypto.hpke import HPKECiphertext
from starling.protocol.errors import Invalid
from starling.protocol.mls.group_info import GroupInfo
from starling.protocol.mls.key_package import KeyPackage, KeyPackageBundle
from starling.protocol.mls.key_schedule import welcome_key_nonce
from starling.protocol.mls.psk import PreSharedKeyID
from starling.protocol.mls.rules import Rule
from starling.protocol.wire import Struct, Vector, opaque, uint16

_LABEL = "Welcome"


@dataclass(frozen=True, slots=True)
class PathSecret(Struct):
    path_secret: opaque = field(repr=False)


@dataclass(frozen=True, slots=True)
class GroupSecrets(Struct):
    """The joiner secret, the path secret of the lowest common ancestor with the committer, and the PSKs."""

    joiner_secret: opaque = field(repr=False)
    path_secret: PathSecret | None = field(repr=False)
    psks: Vector[PreSharedKeyID]


@dataclass(frozen=True, slots=True)
class EncryptedGroupSecrets(Struct):
    """`new_member` is a KeyPackageRef (Nh bytes)."""

    new_member: opaque
    encrypted_group_secrets: HPKECiphertext


@dataclass(frozen=True, slots=True)
class Welcome(Struct):
    cipher_suite: uint16
    secrets: Vector[EncryptedGroupSecrets]
    encrypted_group_info: opaque


def create_welcome(
    suite: CipherSuite,
    group_info: GroupInfo,
    joiner_secret: bytes,
    psk_secret: bytes,
    psk_ids: Sequence[PreSharedKeyID],
    new_members: Mapping[int, KeyPackage],
    path_secret: Callable[[int], bytes | None],
    random: Callable[[int], bytes],
) -> Welcome:
    """One Welcome for all new members (by leaf index); the GroupInfo is encrypted once.

    `path_secret` gives the path secret of a new leaf's lowest common ancestor with the committer.
    """
    key, nonce = welcome_key_nonce(suite, joiner_secret, psk_secret)
    encrypted = suite.seal(key, nonce, b"", group_info.encode())
    secrets = []
    for leaf_index, key_package in new_members.items():
        secret = path_secret(leaf_index)
        group_secrets = GroupSecrets(
            joiner_secret, PathSecret(secret) if secret is not None else None, tuple(psk_ids)
        )
        sealed = suite.encrypt_with_label(
            key_package.init_key, _LABEL, encrypted, group_secrets.encode(), random
        )
        secrets.append(EncryptedGroupSecrets(key_package.reference(), sealed))
    return Welcome(suite.id, tuple(secrets), encrypted)


def open_group_secrets(suite: CipherSuite, welcome: Welcome, bundle: KeyPackageBundle) -> GroupSecrets:
    """The secrets meant for our key package. Raises `Invalid` where there are none, `VerificationFailed`."""
    if bundle.key_package.cipher_suite != welcome.cipher_suite:
        raise Invalid(Rule.WELCOME_SUITE)
    reference = bundle.key_package.reference()
    for entry in welcome.secrets:
        if entry.new_member == reference:
            opened = suite.decrypt_with_label(
                bundle.init_private_key, _LABEL, welcome.encrypted_group_info, entry.encrypted_group_secrets
            )
            return GroupSecrets.decode(opened)
    raise Invalid(Rule.WELCOME_NOT_FOR_ME)


def open_group_info(
    suite: CipherSuite, welcome: Welcome, joiner_secret: bytes, psk_secret: bytes
) -> GroupInfo:
    """Decrypt the GroupInfo; its signature is the caller's. Raises `VerificationFailed` or `DecodeError`."""
    key, nonce = welcome_key_nonce(suite, joiner_secret, psk_secret)
    return GroupInfo.decode(suite.open(key, nonce, b"", welcome.encrypted_group_info))
