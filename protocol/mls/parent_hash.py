"""Parent hashes: what ties a node to those that were above it when it was made (RFC 9420 §7.9)."""

from __future__ import annotations

from collections.abc import Sequence

from starling.protocol.crypto.cipher_suite import CipherSuite
from starling.protocol.errors import Invalid
from starling.protocol.mls import tree_math
from starling.protocol.mls.leaf_node import COMMIT, LeafNode
from starling.protocol.mls.ratchet_tree import Node, ParentNode, RatchetTree
from starling.protocol.mls.rules import Rule
from starling.protocol.mls.tree_hash import original_tree_hash, tree_hash
from starling.protocol.wire import encode_opaque


def parent_hash_of(suite: CipherSuite, tree: RatchetTree, parent: int, sibling: int) -> bytes:
    """The parent hash that a child of `parent` carries, where `sibling` is the other child (§7.9)."""
    node = tree.parent_node(parent)
    assert node is not None
    original = original_tree_hash(suite, tree, sibling, node.unmerged_leaves)
    return _parent_hash(suite, node, original)


def _parent_hash(suite: CipherSuite, node: ParentNode, original_sibling_tree_hash: bytes) -> bytes:
    parts = (node.encryption_key, node.parent_hash, original_sibling_tree_hash)
    return suite.hash(b"".join(map(encode_opaque, parts)))


def path_changes(
    suite: CipherSuite, tree: RatchetTree, leaf_index: int, path: Sequence[tuple[int, int, bytes]]
) -> tuple[dict[int, Node | None], bytes]:
    """What new public keys on a leaf's filtered direct path change in the tree, all other nodes of the direct
    path becoming blank; and the parent hash for the leaf, which is the caller's to change (§7.5, §7.9).

    `path` has triples (node, its child on the copath, public key) bottom up; the leaf stays as it is. The
    copath is untouched and nothing is unmerged, so the sibling's tree hash is the one that the tree holds.
    """
    changes: dict[int, Node | None] = dict.fromkeys(tree_math.direct_path(2 * leaf_index, tree.leaf_count))
    parent_hash = b""
    for index, sibling, key in reversed(path):
        node = ParentNode(key, parent_hash, ())
        changes[index] = node
        parent_hash = _parent_hash(suite, node, tree_hash(suite, tree, sibling))
    return changes, parent_hash


def check_parent_hashes(suite: CipherSuite, tree: RatchetTree) -> None:
    """Raises `Invalid(TREE_PARENT_HASH)` unless every parent node is parent-hash valid (§7.9.2)."""
    for index in range(1, len(tree.nodes), 2):
        if tree.parent_node(index) is not None and not _is_valid(suite, tree, index):
            raise Invalid(Rule.TREE_PARENT_HASH)


def _is_valid(suite: CipherSuite, tree: RatchetTree, index: int) -> bool:
    parent = tree.parent_node(index)
    left, right = tree_math.left(index), tree_math.right(index)
    assert parent is not None and left is not None and right is not None
    valid = 0
    for child, sibling in ((left, right), (right, left)):
        expected = parent_hash_of(suite, tree, index, sibling)
        unmerged = {2 * leaf for leaf in parent.unmerged_leaves if tree_math.is_ancestor(child, 2 * leaf)}
        resolution = tree.resolution(child)
        for node_index in resolution:
            if _carried(tree.nodes[node_index]) == expected and (set(resolution) - {node_index} == unmerged):
                valid += 1
                break
    return valid == 1


def _carried(node: Node | None) -> bytes | None:
    if isinstance(node, LeafNode):
        return node.parent_hash if node.leaf_node_source == COMMIT else None
    return node.parent_hash if node is not None else None
