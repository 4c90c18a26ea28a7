"""What a joiner checks of a ratchet tree (RFC 9420 §12.4.3.1)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from starling.protocol.crypto.cipher_suite import CipherSuite
from starling.protocol.errors import Invalid
from starling.protocol.mls import tree_math
from starling.protocol.mls.extension import RequiredCapabilities
from starling.protocol.mls.leaf_node import LeafNode
from starling.protocol.mls.leaf_verification import LeafVerification
from starling.protocol.mls.parent_hash import check_parent_hashes
from starling.protocol.mls.ratchet_tree import RatchetTree
from starling.protocol.mls.rules import Rule


def validate_tree(
    suite: CipherSuite,
    tree: RatchetTree,
    group_id: bytes,
    required: RequiredCapabilities | None = None,
    check_leaf: Callable[[LeafNode], None] | None = None,
    verification: LeafVerification | None = None,
) -> RatchetTree:
    """All checks but the tree hash: structure, parent hashes, every leaf, and what must be unique.

    `check_leaf` is the application's own check of each leaf (§5.3.1). Lifetimes are not checked here. Gives
    the tree with the leaves as `verification` has them.
    """
    check_unmerged_leaves(tree)
    check_parent_hashes(suite, tree)
    check_unique_keys(tree)
    for node in tree.nodes[1::2]:
        if node is not None:
            suite.hpke.check_public_key(node.encryption_key)
    for leaf in tree.leaf_nodes():
        leaf.check(suite, required)
    leaves = (verification or LeafVerification()).verify(suite, group_id, list(tree.leaves()))
    if check_leaf is not None:
        for _, leaf in leaves:
            check_leaf(leaf)
    check_credentials_supported(tree)
    return tree.with_equal_leaves(leaves)


def check_unique_keys(tree: RatchetTree) -> None:
    """Encryption keys are unique among all nodes, signature keys among leaves (§7.3, §12.4.3.1)."""
    encryption_keys = [node.encryption_key for node in tree.nodes if node is not None]
    if len(encryption_keys) != len(set(encryption_keys)):
        raise Invalid(Rule.LEAF_NODE_ENCRYPTION_KEY)
    signature_keys = [leaf.signature_key for leaf in tree.leaf_nodes()]
    if len(signature_keys) != len(set(signature_keys)):
        raise Invalid(Rule.LEAF_NODE_SIGNATURE_KEY)


def check_credentials_supported(tree: RatchetTree) -> None:
    """Every credential type in use is supported by every member (§7.3)."""
    leaves = tree.leaf_nodes()
    used = {leaf.credential.credential_type for leaf in leaves}
    # Most leaves share one object, so that each is looked at once.
    capabilities = {id(leaf.capabilities): leaf.capabilities for leaf in leaves}
    if any(not used.issubset(each.credentials) for each in capabilities.values()):
        raise Invalid(Rule.LEAF_NODE_CREDENTIAL)


def check_unmerged_leaves(tree: RatchetTree) -> None:
    """Unmerged leaves ascend, are below the node, are not blank, and are unmerged in between (§12.4.3.1)."""
    for index in range(1, len(tree.nodes), 2):
        node = tree.parent_node(index)
        if node is None:
            continue
        leaves = node.unmerged_leaves
        if any(first >= second for first, second in pairwise(leaves)):
            raise Invalid(Rule.TREE_UNMERGED_LEAVES)
        for leaf in leaves:
            if tree.leaf(leaf) is None or not tree_math.is_ancestor(index, 2 * leaf):
                raise Invalid(Rule.TREE_UNMERGED_LEAVES)
            for between in tree_math.direct_path(2 * leaf, tree.leaf_count):
                if between == index:
                    break
                inner = tree.parent_node(between)
                if inner is not None and leaf not in inner.unmerged_leaves:
                    raise Invalid(Rule.TREE_UNMERGED_LEAVES)
