"""A client: a credential with its signature key, and what it supports (RFC 9420 §3.1, §5.3, §7.2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from starling.protocol.crypto.cipher_suite import CipherSuite
from starling.protocol.mls.capabilities import MLS10, Capabilities
from starling.protocol.mls.credential import Credential
from starling.protocol.mls.extension import Extension
from starling.protocol.mls.group import Group
from starling.protocol.mls.group_rules import RFC_RULES, GroupRules
from starling.protocol.mls.key_package import KeyPackage, KeyPackageBundle
from starling.protocol.mls.key_schedule import RFC9420, KeySchedule
from starling.protocol.mls.leaf_node import KEY_PACKAGE, UPDATE, LeafNode, Lifetime


@dataclass(frozen=True, slots=True)
class Client:
    """Who makes key packages and groups, in one cipher suite. Keep the signature key: it goes with the leaves."""

    cipher_suite: CipherSuite
    credential: Credential
    capabilities: Capabilities
    signature_key: bytes
    signature_private_key: bytes = field(repr=False)

    @classmethod
    def generate(
        cls,
        cipher_suite: CipherSuite,
        credential: Credential,
        *,
        extensions: tuple[int, ...] = (),
        proposals: tuple[int, ...] = (),
        credentials: tuple[int, ...] = (),
        signature_private_key: bytes | None = None,
        random: Callable[[int], bytes],
    ) -> Client:
        """A client that supports the suite, the type of its credential, and the named extension, proposal and
        credential types besides. It has a new signature key, unless there is one already, as with an X.509
        credential."""
        private_key = signature_private_key or cipher_suite.signature_generate(random)[0]
        public_key = cipher_suite.signature_public_key(private_key)
        types = tuple(dict.fromkeys((credential.credential_type, *credentials)))
        capabilities = Capabilities((MLS10,), (cipher_suite.id,), extensions, proposals, types)
        return cls(cipher_suite, credential, capabilities, public_key, private_key)

    def key_package(
        self,
        lifetime: Lifetime,
        *,
        extensions: tuple[Extension, ...] = (),
        leaf_extensions: tuple[Extension, ...] = (),
        random: Callable[[int], bytes],
    ) -> KeyPackageBundle:
        """A new key package to give away, with the private keys to keep (§10); each is for one group."""
        leaf, encryption_private_key = self._leaf(KEY_PACKAGE, lifetime, leaf_extensions, random)
        leaf = leaf.sign(self.cipher_suite, self.signature_private_key)
        init_private_key, init_key = self.cipher_suite.hpke_generate(random)
        unsigned = KeyPackage(MLS10, self.cipher_suite.id, init_key, leaf, extensions, b"")
        key_package = unsigned.sign(self.signature_private_key)
        return KeyPackageBundle(key_package, init_private_key, encryption_private_key)

    def create_group(
        self,
        group_id: bytes,
        lifetime: Lifetime,
        *,
        extensions: tuple[Extension, ...] = (),
        leaf_extensions: tuple[Extension, ...] = (),
        rules: GroupRules = RFC_RULES,
        key_schedule: KeySchedule = RFC9420,
        random: Callable[[int], bytes],
    ) -> Group:
        """A group of this client alone; `extensions` are the group's. Raises `Invalid` (§11)."""
        leaf, encryption_private_key = self._leaf(KEY_PACKAGE, lifetime, leaf_extensions, random)
        return Group.create(
            cipher_suite=self.cipher_suite,
            group_id=group_id,
            leaf_node=leaf.sign(self.cipher_suite, self.signature_private_key),
            encryption_private_key=encryption_private_key,
            signature_private_key=self.signature_private_key,
            extensions=extensions,
            rules=rules,
            key_schedule=key_schedule,
            random=random,
        )

    def update_leaf(self, group: Group, *, random: Callable[[int], bytes]) -> tuple[LeafNode, bytes]:
        """Our leaf with a new encryption key, for an Update proposal (§12.1.2), and the private key, which
        `Group.stage` asks for when somebody commits it."""
        held = group.tree.leaf(group.own_leaf_index)
        leaf, private_key = self._leaf(UPDATE, None, held.extensions if held is not None else (), random)
        place = (group.group_id, group.own_leaf_index)
        return leaf.sign(self.cipher_suite, self.signature_private_key, *place), private_key

    def _leaf(
        self,
        source: int,
        lifetime: Lifetime | None,
        extensions: tuple[Extension, ...],
        random: Callable[[int], bytes],
    ) -> tuple[LeafNode, bytes]:
        private_key, public_key = self.cipher_suite.hpke_generate(random)
        leaf = LeafNode(
            public_key,
            self.signature_key,
            self.credential,
            self.capabilities,
            source,
            lifetime,
            None,
            extensions,
            b"",
        )
        return leaf, private_key
