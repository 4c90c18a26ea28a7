"""Who the driver speaks for: an identity with a signature key of its own, and its key packages."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from tests.interop.arguments import Arguments

from starling.protocol.crypto.cipher_suite import CIPHER_SUITES, CipherSuite, cipher_suite
from starling.protocol.errors import UsageError
from starling.protocol.mls.capabilities import MLS10, Capabilities
from starling.protocol.mls.credential import BASIC, X509, Credential
from starling.protocol.mls.group_context import GroupContext
from starling.protocol.mls.group_rules import GroupRules
from starling.protocol.mls.key_package import KeyPackage, KeyPackageBundle
from starling.protocol.mls.leaf_node import KEY_PACKAGE, UPDATE, LeafNode, Lifetime
from starling.protocol.mls.proposal import Add, Proposal
from starling.protocol.mls.ratchet_tree import RatchetTree

CLOCK_SKEW = 3600
"""How long before now a lifetime begins, in seconds."""

DEFAULT_LIFETIME = 90 * 86400
"""Seconds."""

_UNLIMITED = 2**63 - 1
_LONGEST = 2**62


class DriverRules(GroupRules):
    """Plain RFC 9420, with the lifetimes of added key packages checked by the clock.

    The limit of a lifetime is the application's (§7.2): this one also takes leaves without any limit, which
    some libraries write by default.
    """

    def check_proposals(
        self,
        group_context: GroupContext,
        tree: RatchetTree,
        committer_leaf_index: int | None,
        proposals: Sequence[Proposal],
        has_path: bool,
    ) -> None:
        for proposal in proposals:
            if isinstance(proposal, Add):
                leaf = proposal.key_package.leaf_node
                if leaf.lifetime is None or leaf.lifetime.not_after < _UNLIMITED:
                    leaf.check_lifetime(now())


RULES = DriverRules()


def now() -> int:
    """Milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True)
class Client:
    """An identity in one cipher suite."""

    suite: CipherSuite
    identity: bytes
    capabilities: Capabilities
    signature_private_key: bytes = field(repr=False)

    @classmethod
    def of(
        cls, arguments: Arguments, signature_private_key: bytes | None = None, default_suite: int = 1
    ) -> Client:
        """The client that a request describes, by default with a signature key of its own."""
        suite = cipher_suite(arguments.integer("suite", default_suite, most=2**16 - 1))
        identity = (
            arguments.binary("identity_hex")
            if arguments.has("identity_hex")
            else arguments.text("identity").encode()
        )
        capabilities = Capabilities(
            (MLS10,),
            arguments.code_points("cap_suites", tuple(CIPHER_SUITES)),
            arguments.code_points("cap_extensions", ()),
            arguments.code_points("cap_proposals", ()),
            arguments.code_points("cap_credentials", (BASIC, X509)),
        )
        if signature_private_key is None:
            signature_private_key, _ = suite.signature_generate(os.urandom)
        return cls(suite, identity, capabilities, signature_private_key)

    def in_suite(self, suite: CipherSuite) -> Client:
        """The same identity in this suite, with a new signature key."""
        private_key, _ = suite.signature_generate(os.urandom)
        return replace(self, suite=suite, signature_private_key=private_key)

    def leaf_node(self, source: int, lifetime: Lifetime | None) -> tuple[LeafNode, bytes]:
        """A new leaf without a signature, and its private key."""
        private_key, public_key = self.suite.hpke_generate(os.urandom)
        signature_key = self.suite.signature_public_key(self.signature_private_key)
        credential = Credential.basic(self.identity)
        leaf = LeafNode(
            public_key, signature_key, credential, self.capabilities, source, lifetime, None, (), b""
        )
        return leaf, private_key

    def key_package(self, lifetime: int) -> KeyPackageBundle:
        """A new key package that ends in so many seconds."""
        leaf, leaf_private_key = self.leaf_node(KEY_PACKAGE, lifetime_of(lifetime))
        leaf = leaf.sign(self.suite, self.signature_private_key)
        init_private_key, init_key = self.suite.hpke_generate(os.urandom)
        package = KeyPackage(MLS10, self.suite.id, init_key, leaf, (), b"").sign(self.signature_private_key)
        return KeyPackageBundle(package, init_private_key, leaf_private_key)

    def update_leaf(self, group_id: bytes, leaf_index: int, old: LeafNode) -> tuple[LeafNode, bytes]:
        """Our leaf with a new encryption key, for an Update, and the private key."""
        private_key, public_key = self.suite.hpke_generate(os.urandom)
        leaf = LeafNode(
            public_key, old.signature_key, old.credential, old.capabilities, UPDATE, None, None,
            old.extensions, b"",
        )  # fmt: skip
        return leaf.sign(self.suite, self.signature_private_key, group_id, leaf_index), private_key


def lifetime_of(seconds: int) -> Lifetime:
    """From an hour ago until so many seconds from now; a negative number has ended already."""
    if not -_LONGEST <= seconds <= _LONGEST:
        raise UsageError("the argument lifetime is out of range", "bad_argument")
    seconds_now = now() // 1000
    end = max(0, seconds_now + seconds)
    return Lifetime(min(end, seconds_now - CLOCK_SKEW), end)
