"""Trees with members whose private keys the tests know."""

from __future__ import annotations

import os
from dataclasses import dataclass

from starling.protocol.crypto.cipher_suite import CipherSuite, cipher_suite
from starling.protocol.mls.capabilities import Capabilities
from starling.protocol.mls.credential import Credential
from starling.protocol.mls.key_package import KeyPackage
from starling.protocol.mls.leaf_node import KEY_PACKAGE, LeafNode, Lifetime
from starling.protocol.mls.private_tree import PrivateTree
from starling.protocol.mls.ratchet_tree import RatchetTree
from starling.protocol.mls.update_path import create_path

SUITE = cipher_suite(1)
GROUP_ID = b"group"
CAPABILITIES = Capabilities((1,), (1, 2, 3), (6,), (8, 9), (1,))
NOW = 1_750_000_000_000
LIFETIME = Lifetime(NOW // 1000 - 3600, NOW // 1000 + 30 * 86400)


@dataclass(frozen=True)
class Someone:
    """A leaf node with its private keys."""

    leaf_node: LeafNode
    encryption_private_key: bytes
    signature_private_key: bytes

    def private_tree(self, leaf_index: int) -> PrivateTree:
        return PrivateTree(leaf_index, {2 * leaf_index: self.encryption_private_key})


def unsigned_leaf(encryption_key: bytes, signature_key: bytes, identity: bytes = b"someone") -> LeafNode:
    return LeafNode(
        encryption_key=encryption_key,
        signature_key=signature_key,
        credential=Credential.basic(identity),
        capabilities=CAPABILITIES,
        leaf_node_source=KEY_PACKAGE,
        lifetime=LIFETIME,
        parent_hash=None,
        extensions=(),
        signature=b"",
    )


def someone(identity: bytes = b"someone", suite: CipherSuite = SUITE) -> Someone:
    private_key, public_key = suite.hpke_generate(os.urandom)
    signing_key, verifying_key = suite.signature_generate(os.urandom)
    leaf = unsigned_leaf(public_key, verifying_key, identity).sign(suite, signing_key)
    return Someone(leaf, private_key, signing_key)


def key_package_of(member: Someone, init_key: bytes | None = None, suite: CipherSuite = SUITE) -> KeyPackage:
    if init_key is None:
        init_key = suite.hpke_generate(os.urandom)[1]
    package = KeyPackage(1, suite.id, init_key, member.leaf_node, (), b"")
    return package.sign(member.signature_private_key)


def tree_of(count: int, suite: CipherSuite = SUITE) -> tuple[RatchetTree, list[Someone]]:
    """A tree of that many leaves without parent nodes."""
    members = [someone(b"member %d" % index, suite) for index in range(count)]
    tree = RatchetTree()
    for index, member in enumerate(members):
        tree, place = tree.with_leaf_added(member.leaf_node)
        assert place == index
    return tree, members


def with_path(tree: RatchetTree, members: list[Someone], committer: int) -> RatchetTree:
    """The tree after a path commit of that leaf."""
    leaf = tree.leaf(committer)
    assert leaf is not None
    signing_key = members[committer].signature_private_key
    return create_path(SUITE, tree, committer, GROUP_ID, leaf, signing_key, os.urandom).tree
