"""A member's word for the key by which outsiders write to its send group (PROTOCOL P-4).

The root key signs for itself, since it names itself; so the owner of the group signs with its identity key too.
"""

from __future__ import annotations

from dataclasses import dataclass

from starling.protocol.crypto.cipher_suite import CipherSuite
from starling.protocol.distributed import labels
from starling.protocol.distributed.identity import KEY_LENGTH, Identity, verify
from starling.protocol.distributed.member import UNIVERSE_SUITES
from starling.protocol.distributed.rules import Rule
from starling.protocol.distributed.send_group_id import is_send_group_id_of
from starling.protocol.errors import Invalid
from starling.protocol.extensions.private_external_info import ExternalEncryptionBundle
from starling.protocol.wire import Struct, opaque


@dataclass(frozen=True, slots=True)
class VouchedInfoTBS(Struct):
    """What the identity key signs."""

    universe_id: opaque
    identity: opaque
    peer_id: opaque
    bundle: ExternalEncryptionBundle


@dataclass(frozen=True, slots=True)
class VouchedInfo(Struct):
    """`identity` is the identity key of the send group's owner. Whether it is a member's is for the roster to say."""

    identity: opaque
    bundle: ExternalEncryptionBundle
    signature: opaque

    @classmethod
    def sign(cls, identity: Identity, universe_id: bytes, bundle: ExternalEncryptionBundle) -> VouchedInfo:
        key = identity.identity_public_key
        content = VouchedInfoTBS(universe_id, key, identity.peer_id, bundle).encode()
        return cls(key, bundle, identity.sign(labels.EXTERNAL_ENCRYPTION_INFO, content))

    def verify(self, universe_id: bytes, peer_id: bytes) -> CipherSuite:
        """Check both signatures, for the owner with this libp2p peer id; the group's suite is given back.

        Raises `Invalid`, `DecodeError`, `Unsupported`, `VerificationFailed`.
        """
        bundle = self.bundle
        if (
            len(self.identity) != KEY_LENGTH
            or not is_send_group_id_of(bundle.group_id, universe_id, self.identity)
            or bundle.info.cipher_suite not in UNIVERSE_SUITES
        ):
            raise Invalid(Rule.VOUCHED_INFO)
        content = VouchedInfoTBS(universe_id, self.identity, peer_id, bundle).encode()
        verify(self.identity, labels.EXTERNAL_ENCRYPTION_INFO, content, self.signature)
        return bundle.verify()
