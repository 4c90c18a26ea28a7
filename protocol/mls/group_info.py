"""GroupInfo: an epoch as its newcomers see it (RFC 9420 §12.4.3)."""

from __future__ import annotations

from dataclasses import dataclass

from starling.protocol.crypto.cipher_suite import CipherSuite
from starling.protocol.crypto.secret import PrivateKey
from starling.protocol.mls.extension import Extension
from starling.protocol.mls.group_context import GroupContext
from starling.protocol.wire import Signed, Vector, opaque, uint32

_LABEL = "GroupInfoTBS"


@dataclass(frozen=True, slots=True)
class GroupInfo(Signed):
    """`signer` is the leaf index of the member that signed."""

    group_context: GroupContext
    extensions: Vector[Extension]
    confirmation_tag: opaque
    signer: uint32
    signature: opaque

    def to_be_signed(self) -> bytes:
        """GroupInfoTBS."""
        return self.before_signature()

    def sign(self, suite: CipherSuite, signature_private_key: PrivateKey) -> GroupInfo:
        """The GroupInfo with its signature."""
        signature = suite.sign_with_label(signature_private_key, _LABEL, self.to_be_signed())
        return self.with_signature(signature)

    def verify(self, suite: CipherSuite, signature_key: bytes) -> None:
        """Raises `VerificationFailed`."""
        suite.verify_with_label(signature_key, _LABEL, self.to_be_signed(), self.signature)
