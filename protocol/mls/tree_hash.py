"""Tree hashes (RFC 9420 §7.8)."""

from __future__ import annotations

from collections.abc import Collection

from starling.protocol.crypto.cipher_suite import CipherSuite
from starling.protocol.mls import tree_math
from starling.protocol.mls.leaf_node import LeafNode
from starling.protocol.mls.ratchet_tree import ParentNode, RatchetTree
from starling.protocol.wire import encode_length, encode_opaque


def tree_hash(suite: CipherSuite, tree: RatchetTree, node: int | None = None) -> bytes:
    """The hash of the whole tree, or of the subtree below a node: Nh bytes. Kept in the tree."""
    index = tree.root if node is None else node
    held = tree.hashes.get(index)
    if held is None:
        held = tree.hashes[index] = _node_hash(suite, tree, index, frozenset(), tree_hash)
    return held


def original_tree_hash(suite: CipherSuite, tree: RatchetTree, node: int, without: Collection[int]) -> bytes:
    """The hash of a subtree with these leaves blank and not unmerged (§7.9, original_sibling_tree_hash)."""
    below = [leaf for leaf in without if tree_math.is_ancestor(node, 2 * leaf)]
    if not below:
        return tree_hash(suite, tree, node)
    gone = frozenset(below)

    def child_hash(suite: CipherSuite, tree: RatchetTree, child: int) -> bytes:
        return original_tree_hash(suite, tree, child, gone)

    return _node_hash(suite, tree, node, gone, child_hash)


def _node_hash(
    suite: CipherSuite, tree: RatchetTree, index: int, without: frozenset[int], child_hash: object
) -> bytes:
    node = tree.nodes[index]
    half = tree_math.width(index) // 2
    if half == 0:
        leaf = node if isinstance(node, LeafNode) and index // 2 not in without else None
        body = b"\x01" + (index // 2).to_bytes(4) + _optional(leaf.encode() if leaf else None)
        return suite.hash(body)
    encoded = None
    if isinstance(node, ParentNode):
        unmerged = b"".join(leaf.to_bytes(4) for leaf in node.unmerged_leaves if leaf not in without)
        encoded = (
            encode_opaque(node.encryption_key)
            + encode_opaque(node.parent_hash)
            + encode_length(len(unmerged))
            + unmerged
        )
    assert callable(child_hash)
    hashes = (child_hash(suite, tree, index - half), child_hash(suite, tree, index + half))
    return suite.hash(b"\x02" + _optional(encoded) + encode_opaque(hashes[0]) + encode_opaque(hashes[1]))


def _optional(encoded: bytes | None) -> bytes:
    return b"\x00" if encoded is None else b"\x01" + encoded
