"""Leaf nodes: one member in the ratchet tree (RFC 9420 §7.2, §7.3)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, ClassVar

from starling.protocol.crypto.cipher_suite import CipherSuite
from starling.protocol.crypto.secret import PrivateKey
from starling.protocol.errors import Invalid, UsageError, VerificationFailed
from starling.protocol.mls.capabilities import MLS10, Capabilities
from starling.protocol.mls.components import read_dictionary
from starling.protocol.mls.credential import Credential
from starling.protocol.mls.extension import DEFAULT_TYPES, Extension, RequiredCapabilities, check_unique
from starling.protocol.mls.rules import Rule
from starling.protocol.wire import (
    Signed,
    Struct,
    Vector,
    When,
    encode_opaque,
    opaque,
    uint8,
    uint64,
)

KEY_PACKAGE = 1
UPDATE = 2
COMMIT = 3

MAX_LIFETIME = 366 * 24 * 3600
"""The longest lifetime that is accepted, in seconds: the application must have such a limit (§7.2)."""

DEFAULT_PROPOSALS = frozenset(range(1, 8))
"""Proposal types that need not be listed in capabilities (§7.2)."""


@dataclass(frozen=True, slots=True)
class Lifetime(Struct):
    """Seconds since the Unix epoch, both ends included."""

    not_before: uint64
    not_after: uint64

    @classmethod
    def starting(cls, now: int, seconds: int) -> Lifetime:
        """Until `seconds` after `now` (milliseconds), and from an hour before it, for clocks that differ."""
        return cls(max(0, now // 1000 - 3600), now // 1000 + seconds)


@dataclass(frozen=True, slots=True)
class LeafNode(Signed):
    """A leaf: `lifetime` where the source is key_package (1), `parent_hash` where it is commit (3)."""

    node_type: ClassVar[int] = 1

    encryption_key: opaque
    signature_key: opaque
    credential: Credential
    capabilities: Capabilities
    leaf_node_source: uint8
    lifetime: Annotated[Lifetime | None, When("leaf_node_source", KEY_PACKAGE)]
    parent_hash: Annotated[bytes | None, When("leaf_node_source", COMMIT, of=opaque)]
    extensions: Vector[Extension]
    signature: opaque

    def to_be_signed(self, group_id: bytes | None, leaf_index: int | None) -> bytes:
        """LeafNodeTBS: group id and leaf index belong to the sources update and commit."""
        signed = self.before_signature()
        if self.leaf_node_source in (UPDATE, COMMIT):
            if group_id is None or leaf_index is None:
                raise UsageError("a leaf of source update or commit is signed for its group and place")
            signed += encode_opaque(group_id) + leaf_index.to_bytes(4)
        return signed

    def sign(
        self,
        suite: CipherSuite,
        signature_private_key: PrivateKey,
        group_id: bytes | None = None,
        leaf_index: int | None = None,
    ) -> LeafNode:
        """The leaf with its signature."""
        content = self.to_be_signed(group_id, leaf_index)
        return self.with_signature(suite.sign_with_label(signature_private_key, "LeafNodeTBS", content))

    def verify_signature(
        self, suite: CipherSuite, group_id: bytes | None = None, leaf_index: int | None = None
    ) -> None:
        """Raises `Invalid(LEAF_NODE_SIGNATURE)`."""
        content = self.to_be_signed(group_id, leaf_index)
        try:
            suite.verify_with_label(self.signature_key, "LeafNodeTBS", content, self.signature)
        except VerificationFailed:
            raise Invalid(Rule.LEAF_NODE_SIGNATURE) from None

    def check_lifetime(self, now: int) -> None:
        """Raises `Invalid` for more than `MAX_LIFETIME`, or unless `now` (milliseconds) lies in the lifetime.

        Checked where a leaf is added, never on the leaves of a Welcome's tree."""
        if self.lifetime is None:
            return
        not_before, not_after = self.lifetime.not_before, self.lifetime.not_after
        if not 0 <= not_after - not_before <= MAX_LIFETIME:
            raise Invalid(Rule.LEAF_NODE_LIFETIME_RANGE)
        if not not_before <= now // 1000 <= not_after:
            raise Invalid(Rule.LEAF_NODE_LIFETIME)

    def check(self, suite: CipherSuite, required: RequiredCapabilities | None = None) -> None:
        """What §7.3 asks of a leaf by itself, but its signature, lifetime and place; its dictionary decodes."""
        capabilities = self.capabilities
        if self.leaf_node_source not in (KEY_PACKAGE, UPDATE, COMMIT):
            raise Invalid(Rule.LEAF_NODE_SOURCE)
        check_unique(self.extensions)
        if MLS10 not in capabilities.versions or suite.id not in capabilities.cipher_suites:
            raise Invalid(Rule.LEAF_NODE_CAPABILITIES)
        if self.credential.credential_type not in capabilities.credentials:
            raise Invalid(Rule.LEAF_NODE_CREDENTIAL)
        self.credential.check(self.signature_key)
        suite.hpke.check_public_key(self.encryption_key)
        known = DEFAULT_TYPES | frozenset(capabilities.extensions)
        if any(extension.extension_type not in known for extension in self.extensions):
            raise Invalid(Rule.LEAF_NODE_EXTENSION)
        read_dictionary(self.extensions)
        if required is not None:
            self.check_required(required)

    def check_context_extensions(self, extensions: Iterable[Extension]) -> None:
        """Raises `Invalid(LEAF_NODE_CONTEXT)` unless the leaf supports the GroupContext's extensions."""
        known = DEFAULT_TYPES | frozenset(self.capabilities.extensions)
        if any(extension.extension_type not in known for extension in extensions):
            raise Invalid(Rule.LEAF_NODE_CONTEXT)

    def check_required(self, required: RequiredCapabilities) -> None:
        """Raises `Invalid(LEAF_NODE_CAPABILITIES)` unless the leaf supports what is required (§11.1)."""
        capabilities = self.capabilities
        if not (
            set(required.extension_types) <= DEFAULT_TYPES | set(capabilities.extensions)
            and set(required.proposal_types) <= DEFAULT_PROPOSALS | set(capabilities.proposals)
            and set(required.credential_types) <= set(capabilities.credentials)
        ):
            raise Invalid(Rule.LEAF_NODE_CAPABILITIES)
