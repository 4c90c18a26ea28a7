"""The key by which outsiders write to a group in private, and how they learn it (draft-mahy-mls-private-external-01
§3.1, §3.2).

The key pair of an epoch comes from its epoch_secret, so all members have it and nobody who was removed before. Who is
no member gets the public half in an ExternalEncryptionInfo, signed by a key that stands in the GroupContext.

Deviations, by the ids of docs/decisions.md: the info is not part of the commit that starts its epoch, whose hash the
key depends on (P-1). It stands beside the commit, in a message of the epoch, or in its GroupInfo; it is signed by
the root key of the epoch that it is for (P-2), and travels with what its signature covers besides (P-3). That
signature proves nothing about who made it: the root key is shared, and named by the info itself. Who writes to the
group needs a member's word for it (P-4).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from starling.protocol.crypto.cipher_suite import CipherSuite, cipher_suite
from starling.protocol.errors import Invalid, Unsupported, UsageError
from starling.protocol.extensions.rules import Rule
from starling.protocol.mls.components import AppDataDictionary, read_component
from starling.protocol.mls.derivation import Derivation
from starling.protocol.mls.extension import APP_DATA_DICTIONARY, Extension
from starling.protocol.mls.group import Group
from starling.protocol.mls.group_context import GroupContext
from starling.protocol.mls.group_info import GroupInfo
from starling.protocol.mls.safe_aad import SafeAAD
from starling.protocol.mls.wire_format import MLS10
from starling.protocol.wire import Struct, opaque, uint16, uint64

ROOT_PRIVATE_SIGNATURE_KEY = 0x000A
"""Component of the GroupContext: the root key (C-4)."""

EXTERNAL_ENCRYPTION_INFO = 0x000B
"""Component of a SafeAAD and of a GroupInfo: an ExternalEncryptionInfo (C-4)."""

EXTERNAL_ENCRYPTION_SECRET = "external_encryption_secret"

_SIGNATURE_LABEL = "ExternalEncryptionInfoTBS"


@dataclass(frozen=True, slots=True)
class RootPrivateSignature(Struct):
    """The component's data: a signature private key of the group's suite as RFC 9420's test vectors write it, such as
    the 32-byte seed of Ed25519. All members know it, so a GroupContext that has it is a secret (P-5)."""

    root_private_signature_key: opaque = field(repr=False)


@dataclass(frozen=True, slots=True)
class ExternalEncryptionInfoTBS(Struct):
    """What the root key signs; `epoch` is the one whose key it is."""

    version: uint16
    group_id: opaque
    epoch: uint64
    cipher_suite: uint16
    external_encryption_public_key: opaque
    root_public_signature_key: opaque


@dataclass(frozen=True, slots=True)
class ExternalEncryptionInfo(Struct):
    """The public key of one epoch, and the root key's signature over an `ExternalEncryptionInfoTBS`."""

    cipher_suite: uint16
    external_encryption_public_key: opaque
    root_public_signature_key: opaque
    external_encryption_signature: opaque

    def verify(self, *, group_id: bytes, epoch: int) -> CipherSuite:
        """Check the form and the signature for this group and epoch; its suite is given back. It may be from anybody.

        Raises `Unsupported`, `DecodeError` for a bad public key, `VerificationFailed`.
        """
        suite = cipher_suite(self.cipher_suite)
        suite.hpke.check_public_key(self.external_encryption_public_key)
        suite.verify_with_label(
            self.root_public_signature_key,
            _SIGNATURE_LABEL,
            self._to_be_signed(group_id, epoch),
            self.external_encryption_signature,
        )
        return suite

    def _to_be_signed(self, group_id: bytes, epoch: int) -> bytes:
        return ExternalEncryptionInfoTBS(
            MLS10,
            group_id,
            epoch,
            self.cipher_suite,
            self.external_encryption_public_key,
            self.root_public_signature_key,
        ).encode()


@dataclass(frozen=True, slots=True)
class ExternalEncryptionBundle(Struct):
    """An info with what its signature covers besides, for an outsider (P-3). `dmls_epoch` names the epoch where the
    group's epochs have names, else it is empty; the root key does not sign it."""

    version: uint16
    group_id: opaque
    epoch: uint64
    dmls_epoch: opaque
    info: ExternalEncryptionInfo

    @classmethod
    def of(cls, group: Group, dmls_epoch: bytes = b"") -> ExternalEncryptionBundle:
        """That of the group's epoch; raises as `external_encryption_info`."""
        return cls(MLS10, group.group_id, group.epoch, dmls_epoch, external_encryption_info(group))

    def verify(self) -> CipherSuite:
        """As `ExternalEncryptionInfo.verify`."""
        if self.version != MLS10:
            raise Unsupported(f"MLS version {self.version}")
        return self.info.verify(group_id=self.group_id, epoch=self.epoch)


# the keys of an epoch


def _derive(
    suite: CipherSuite, context: GroupContext, epoch_secret: bytes, exporter_secret: bytes
) -> Mapping[str, bytes]:
    if read_root_key(context) is None:
        return {}
    # ExpandWithLabel with an empty context and Nh bytes, which is what DeriveSecret is (P-7).
    return {EXTERNAL_ENCRYPTION_SECRET: suite.derive_secret(epoch_secret, "external encryption")}


EXTERNAL_ENCRYPTION = Derivation(frozenset({EXTERNAL_ENCRYPTION_SECRET}), _derive)
"""The secret of each epoch of a group with a root key, Nh bytes. It goes when the epoch is superseded: outsiders write
to heads alone (P-11)."""


def read_root_key(context: GroupContext) -> bytes | None:
    """The root private key of a GroupContext, None where the group takes no private external messages. Raises
    `DecodeError`."""
    data = read_component(context.extensions, ROOT_PRIVATE_SIGNATURE_KEY)
    return None if data is None else RootPrivateSignature.decode(data).root_private_signature_key


def root_public_key(suite: CipherSuite, root_private_key: bytes) -> bytes:
    """The public half of a root key; raises `Invalid` for what is no private key of the suite."""
    try:
        return suite.signature_public_key(root_private_key)
    except UsageError:
        raise Invalid(Rule.ROOT_KEY) from None


def external_key_pair(group: Group) -> tuple[bytes, bytes]:
    """The epoch's key pair: (private key, public key). Raises `UsageError` (`no_external_key`) in a group without a
    root key, and in an epoch that is superseded."""
    if not group.secrets.holds(EXTERNAL_ENCRYPTION_SECRET):
        raise UsageError("this epoch has no key for external messages", "no_external_key")
    return group.cipher_suite.hpke_derive_key_pair(group.secrets.get(EXTERNAL_ENCRYPTION_SECRET))


def external_encryption_info(group: Group) -> ExternalEncryptionInfo:
    """The signed info of the group's epoch. Raises as `external_key_pair`."""
    _, public_key = external_key_pair(group)
    suite, root = group.cipher_suite, read_root_key(group.context)
    assert root is not None, "the secret is derived only where there is a root key"
    unsigned = ExternalEncryptionInfo(suite.id, public_key, root_public_key(suite, root), b"")
    to_be_signed = unsigned._to_be_signed(group.group_id, group.epoch)
    signature = suite.sign_with_label(root, _SIGNATURE_LABEL, to_be_signed)
    return replace(unsigned, external_encryption_signature=signature)


def check_external_encryption_info(group: Group, info: ExternalEncryptionInfo) -> None:
    """A member's check of an info that somebody gives out for the group's epoch: whoever follows a wrong one writes to
    a stranger (P-1). Raises `Invalid`, `VerificationFailed`, `DecodeError`, or as `external_key_pair`."""
    suite = group.cipher_suite
    _, public_key = external_key_pair(group)
    root = read_root_key(group.context)
    assert root is not None
    if info.cipher_suite != suite.id or info.external_encryption_public_key != public_key:
        raise Invalid(Rule.EXTERNAL_ENCRYPTION_KEY)
    if info.root_public_signature_key != root_public_key(suite, root):
        raise Invalid(Rule.EXTERNAL_ENCRYPTION_ROOT)
    info.verify(group_id=group.group_id, epoch=group.epoch)


# where an info stands


def info_item(group: Group) -> dict[int, bytes]:
    """The item for the SafeAAD of a member's first message in an epoch that it has started (P-1 b)."""
    return {EXTERNAL_ENCRYPTION_INFO: external_encryption_info(group).encode()}


def info_of_aad(safe_aad: SafeAAD) -> ExternalEncryptionInfo | None:
    """The info among the items of a message, unchecked. Raises `DecodeError`."""
    data = safe_aad.get(EXTERNAL_ENCRYPTION_INFO)
    return None if data is None else ExternalEncryptionInfo.decode(data)


def info_extension(group: Group) -> Extension:
    """The extension for the GroupInfo of the group's epoch (P-1 c). It is the whole dictionary."""
    return Extension(APP_DATA_DICTIONARY, AppDataDictionary.of(info_item(group)).encode())


def bundle_of_group_info(group_info: GroupInfo, dmls_epoch: bytes = b"") -> ExternalEncryptionBundle:
    """What a GroupInfo says for who joins by it, checked against its GroupContext. The GroupInfo's own signature is the
    caller's. Raises `Invalid` where it has none or another root key, `DecodeError`, `VerificationFailed`."""
    context = group_info.group_context
    data = _read(group_info.extensions)
    root = read_root_key(context)
    if data is None or root is None:
        raise Invalid(Rule.EXTERNAL_ENCRYPTION_NONE)
    info = ExternalEncryptionInfo.decode(data)
    suite = cipher_suite(context.cipher_suite)
    if info.cipher_suite != suite.id or info.root_public_signature_key != root_public_key(suite, root):
        raise Invalid(Rule.EXTERNAL_ENCRYPTION_ROOT)
    bundle = ExternalEncryptionBundle(context.version, context.group_id, context.epoch, dmls_epoch, info)
    bundle.verify()
    return bundle


def _read(extensions: Iterable[Extension]) -> bytes | None:
    return read_component(extensions, EXTERNAL_ENCRYPTION_INFO)
