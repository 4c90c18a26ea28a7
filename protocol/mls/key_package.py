"""Key packages: what lets a client be added while it is away (RFC 9420 §10)."""

from __future__ import annotations

from dataclasses import dataclass, field

from starling.protocol.crypto.cipher_suite import CipherSuite, cipher_suite
from starling.protocol.errors import Invalid, VerificationFailed
from starling.protocol.mls import leaf_node as leaf_nodes
from starling.protocol.mls.capabilities import MLS10
from starling.protocol.mls.components import LAST_RESORT_KEY_PACKAGE, read_component
from starling.protocol.mls.extension import Extension, check_unique
from starling.protocol.mls.leaf_node import LeafNode
from starling.protocol.mls.rules import Rule
from starling.protocol.wire import Signed, Vector, opaque, uint16


@dataclass(frozen=True, slots=True)
class KeyPackage(Signed):
    version: uint16
    cipher_suite: uint16
    init_key: opaque
    leaf_node: LeafNode
    extensions: Vector[Extension]
    signature: opaque

    @property
    def is_last_resort(self) -> bool:
        """Whether it may be used more than once, where there is no other (extensions draft §6.4). Raises
        `DecodeError` or `Invalid` for a dictionary that is none."""
        return read_component(self.extensions, LAST_RESORT_KEY_PACKAGE) is not None

    def to_be_signed(self) -> bytes:
        """KeyPackageTBS."""
        return self.before_signature()

    def sign(self, signature_private_key: bytes) -> KeyPackage:
        """The key package with its signature; the leaf is signed already."""
        suite = cipher_suite(self.cipher_suite)
        signature = suite.sign_with_label(signature_private_key, "KeyPackageTBS", self.to_be_signed())
        return self.with_signature(signature)

    def reference(self) -> bytes:
        """KeyPackageRef (§5.2): Nh bytes."""
        return cipher_suite(self.cipher_suite).ref_hash("MLS 1.0 KeyPackage Reference", self.encode())

    def validate(self, suite: CipherSuite, now: int | None = None) -> None:
        """All that §10.1 asks, the leaf included; the lifetime where `now` (milliseconds) is given."""
        if self.version != MLS10 or self.cipher_suite != suite.id:
            raise Invalid(Rule.KEY_PACKAGE_VERSION)
        leaf = self.leaf_node
        if leaf.leaf_node_source != leaf_nodes.KEY_PACKAGE:
            raise Invalid(Rule.LEAF_NODE_SOURCE)
        check_unique(self.extensions)
        if read_component(self.extensions, LAST_RESORT_KEY_PACKAGE):
            raise Invalid(Rule.KEY_PACKAGE_LAST_RESORT)
        leaf.check(suite)
        if now is not None:
            leaf.check_lifetime(now)
        leaf.verify_signature(suite)
        try:
            suite.verify_with_label(leaf.signature_key, "KeyPackageTBS", self.to_be_signed(), self.signature)
        except VerificationFailed:
            raise Invalid(Rule.KEY_PACKAGE_SIGNATURE) from None
        if self.init_key == leaf.encryption_key:
            raise Invalid(Rule.KEY_PACKAGE_KEYS)
        suite.hpke.check_public_key(self.init_key)


@dataclass(frozen=True, slots=True)
class KeyPackageBundle:
    """A key package of ours with the private keys of `init_key` and of the leaf's `encryption_key`."""

    key_package: KeyPackage
    init_private_key: bytes = field(repr=False)
    encryption_private_key: bytes = field(repr=False)
