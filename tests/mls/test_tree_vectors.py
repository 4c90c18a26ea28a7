"""The official vectors of tree math, tree operations, tree validation and TreeKEM."""

from __future__ import annotations

import os
from typing import Any

from tests.vectors import load_vectors

from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.mls import tree_math
from starling.protocol.mls.group_context import GroupContext
from starling.protocol.mls.parent_hash import check_parent_hashes
from starling.protocol.mls.private_tree import PrivateTree, path_secrets_from
from starling.protocol.mls.proposal import PROPOSALS, Add, Remove, Update
from starling.protocol.mls.ratchet_tree import RatchetTree
from starling.protocol.mls.tree_hash import tree_hash
from starling.protocol.mls.tree_validation import check_unmerged_leaves
from starling.protocol.mls.update_path import UpdatePath, apply_path, create_path, open_path, seal_path

unhex = bytes.fromhex


def test_tree_math() -> None:
    for vector in load_vectors("mls/tree-math.json"):
        leaves = vector["n_leaves"]
        assert tree_math.node_width(leaves) == vector["n_nodes"]
        assert tree_math.root(leaves) == vector["root"]
        for node in range(vector["n_nodes"]):
            assert tree_math.left(node) == vector["left"][node]
            assert tree_math.right(node) == vector["right"][node]
            assert tree_math.parent(node, leaves) == vector["parent"][node]
            assert tree_math.sibling(node, leaves) == vector["sibling"][node]


def test_tree_operations() -> None:
    for vector in load_vectors("mls/tree-operations.json"):
        suite = cipher_suite(vector["cipher_suite"])
        tree = RatchetTree.decode(unhex(vector["tree_before"]))
        assert tree_hash(suite, tree) == unhex(vector["tree_hash_before"])
        proposal = PROPOSALS.decode(unhex(vector["proposal"]))
        if isinstance(proposal, Add):
            tree, _ = tree.with_leaf_added(proposal.key_package.leaf_node)
        elif isinstance(proposal, Update):
            tree = tree.with_leaf_updated(vector["proposal_sender"], proposal.leaf_node)
        else:
            assert isinstance(proposal, Remove)
            tree = tree.with_leaf_removed(proposal.removed)
        assert tree.encode() == unhex(vector["tree_after"])
        assert tree_hash(suite, tree) == unhex(vector["tree_hash_after"])


def test_tree_validation() -> None:
    for vector in load_vectors("mls/tree-validation.json"):
        suite = cipher_suite(vector["cipher_suite"])
        tree = RatchetTree.decode(unhex(vector["tree"]))
        assert [tree.resolution(node) for node in range(len(tree.nodes))] == vector["resolutions"]
        for node, expected in enumerate(vector["tree_hashes"]):
            assert tree_hash(suite, tree, node) == unhex(expected)
        check_parent_hashes(suite, tree)
        check_unmerged_leaves(tree)
        for index, leaf in tree.leaves():
            leaf.verify_signature(suite, unhex(vector["group_id"]), index)


def _context(vector: dict[str, Any], tree: RatchetTree) -> bytes:
    suite = cipher_suite(vector["cipher_suite"])
    return GroupContext(
        version=1,
        cipher_suite=suite.id,
        group_id=unhex(vector["group_id"]),
        epoch=vector["epoch"],
        tree_hash=tree_hash(suite, tree),
        confirmed_transcript_hash=unhex(vector["confirmed_transcript_hash"]),
        extensions=(),
    ).encode()


def test_treekem() -> None:
    for vector in load_vectors("mls/treekem.json"):
        suite = cipher_suite(vector["cipher_suite"])
        group_id = unhex(vector["group_id"])
        tree = RatchetTree.decode(unhex(vector["ratchet_tree"]))
        check_parent_hashes(suite, tree)
        private_trees = {}
        signature_keys = {}
        for private in vector["leaves_private"]:
            index = private["index"]
            keys = {2 * index: unhex(private["encryption_priv"])}
            signature_keys[index] = unhex(private["signature_priv"])
            for step in private["path_secrets"]:
                secret = unhex(step["path_secret"])
                private_key, public_key = suite.hpke_derive_key_pair(suite.derive_secret(secret, "node"))
                assert tree.encryption_key(step["node"]) == public_key
                keys[step["node"]] = private_key
            private_trees[index] = PrivateTree(index, keys)
        for update in vector["update_paths"]:
            sender = update["sender"]
            path = UpdatePath.decode(unhex(update["update_path"]))
            path.leaf_node.verify_signature(suite, group_id, sender)
            after = apply_path(suite, tree, sender, path)
            assert tree_hash(suite, after) == unhex(update["tree_hash_after"])
            context = _context(vector, after)
            for index, private_tree in private_trees.items():
                if index == sender:
                    continue
                secrets = open_path(suite, after, sender, path, private_tree, context, ())
                assert secrets.commit_secret == unhex(update["commit_secret"])
                expected = unhex(update["path_secrets"][index])
                lowest = tree_math.common_ancestor(index, sender)
                above, _ = path_secrets_from(suite, after, sender, lowest, expected)
                opened = PrivateTree(index, secrets.private_keys)
                assert PrivateTree(index, above).export() == opened.export()
            own_leaf = tree.leaf(sender)
            assert own_leaf is not None
            new = create_path(suite, tree, sender, group_id, own_leaf, signature_keys[sender], os.urandom)
            context = _context(vector, new.tree)
            sealed = seal_path(suite, new, context, (), os.urandom)
            assert apply_path(suite, tree, sender, sealed) == new.tree
            for index, private_tree in private_trees.items():
                if index != sender:
                    received = open_path(suite, new.tree, sender, sealed, private_tree, context, ())
                    assert received.commit_secret == new.secrets.commit_secret
