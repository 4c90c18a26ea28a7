"""Update paths: fresh keys from a leaf to the root (RFC 9420 §7.4, §7.5, §7.6)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

from starling.protocol.crypto.cipher_suite import CipherSuite
from starling.protocol.crypto.hpke import HPKECiphertext, Random
from starling.protocol.crypto.secret import PrivateKey
from starling.protocol.errors import Invalid
from starling.protocol.mls import tree_math
from starling.protocol.mls.leaf_node import COMMIT, LeafNode
from starling.protocol.mls.parent_hash import path_changes
from starling.protocol.mls.private_tree import PrivateTree, path_secrets_from
from starling.protocol.mls.ratchet_tree import RatchetTree
from starling.protocol.mls.rules import Rule
from starling.protocol.wire import Struct, Vector, opaque

_LABEL = "UpdatePathNode"


@dataclass(frozen=True, slots=True)
class UpdatePathNode(Struct):
    """A fresh public key, and its path secret sealed to each node of the copath child's resolution."""

    encryption_key: opaque
    encrypted_path_secret: Vector[HPKECiphertext]


@dataclass(frozen=True, slots=True)
class UpdatePath(Struct):
    leaf_node: LeafNode
    nodes: Vector[UpdatePathNode]


@dataclass(frozen=True, slots=True)
class PathSecrets:
    """What a path gives its committer or a receiver.

    `root_path_secret` is path_secret[n]; `commit_secret` is
    path_secret[n+1]; `private_keys` are by node; `by_node` are the path secrets that Welcomes carry.
    """

    commit_secret: bytes = field(repr=False)
    root_path_secret: bytes = field(repr=False)
    private_keys: dict[int, PrivateKey] = field(repr=False)
    by_node: dict[int, bytes] = field(repr=False)


@dataclass(frozen=True, slots=True)
class NewPath:
    """A path before its secrets are sealed: sealing needs the GroupContext, which needs the new tree."""

    tree: RatchetTree
    leaf_node: LeafNode
    secrets: PathSecrets
    filtered: tuple[tuple[int, int], ...]


def create_path(
    suite: CipherSuite,
    tree: RatchetTree,
    leaf_index: int,
    group_id: bytes,
    leaf_node: LeafNode,
    signature_private_key: PrivateKey,
    random: Random,
) -> NewPath:
    """Draw fresh secrets for a committer's leaf and filtered direct path (§7.5).

    `leaf_node` says credential, capabilities, extensions and signature key of the new leaf; its keys, source,
    parent hash and signature are made here.
    """
    leaf_private, leaf_public = suite.hpke_generate(random)
    filtered = tuple(tree.filtered_direct_path(leaf_index))
    secret = random(suite.hash_length)
    root_secret = secret
    private_keys: dict[int, PrivateKey] = {2 * leaf_index: leaf_private}
    public_keys: list[tuple[int, int, bytes]] = []
    by_node: dict[int, bytes] = {}
    for node, sibling in filtered:
        by_node[node] = root_secret = secret
        private_keys[node], public = suite.hpke.derive_secret_pair(suite.derive_secret(secret, "node"))
        public_keys.append((node, sibling, public))
        secret = suite.derive_secret(secret, "path")
    # Without a parent node there is still a fresh secret: the drawn one stands for path_secret[n] (K-4).
    commit_secret = secret if filtered else suite.derive_secret(secret, "path")
    changes, parent_hash = path_changes(suite, tree, leaf_index, public_keys)
    leaf = replace(
        leaf_node,
        encryption_key=leaf_public,
        leaf_node_source=COMMIT,
        lifetime=None,
        parent_hash=parent_hash,
    ).sign(suite, signature_private_key, group_id, leaf_index)
    new_tree = tree.with_nodes({**changes, 2 * leaf_index: leaf})
    return NewPath(new_tree, leaf, PathSecrets(commit_secret, root_secret, private_keys, by_node), filtered)


def seal_path(
    suite: CipherSuite, path: NewPath, group_context: bytes, new_leaves: Collection[int], random: Random
) -> UpdatePath:
    """Seal the path secrets to the copath, leaving out the leaves that this commit adds (§7.6)."""
    excluded = {2 * leaf for leaf in new_leaves}
    nodes = []
    for node, child in path.filtered:
        sealed = tuple(
            suite.encrypt_with_label(
                path.tree.encryption_key(target), _LABEL, group_context, path.secrets.by_node[node], random
            )
            for target in path.tree.resolution(child)
            if target not in excluded
        )
        nodes.append(UpdatePathNode(path.tree.encryption_key(node), sealed))
    return UpdatePath(path.leaf_node, tuple(nodes))


def apply_path(suite: CipherSuite, tree: RatchetTree, leaf_index: int, path: UpdatePath) -> RatchetTree:
    """The tree with a received path merged; checks its shape, keys, parent hash and its leaf's source (§7.5).

    The leaf's own validation (§7.3) and signature are the caller's.
    """
    filtered = tree.filtered_direct_path(leaf_index)
    if len(filtered) != len(path.nodes):
        raise Invalid(Rule.UPDATE_PATH_LENGTH)
    if path.leaf_node.leaf_node_source != COMMIT:
        raise Invalid(Rule.LEAF_NODE_SOURCE)
    held = {node.encryption_key for node in tree.nodes if node is not None}
    fresh = [path.leaf_node.encryption_key, *(node.encryption_key for node in path.nodes)]
    if len(set(fresh)) != len(fresh) or held & set(fresh):
        raise Invalid(Rule.UPDATE_PATH_KEY_REUSED)
    for node in path.nodes:
        suite.hpke.check_public_key(node.encryption_key)
    public_keys = [
        (index, sibling, node.encryption_key)
        for (index, sibling), node in zip(filtered, path.nodes, strict=True)
    ]
    changes, parent_hash = path_changes(suite, tree, leaf_index, public_keys)
    if path.leaf_node.parent_hash != parent_hash:
        raise Invalid(Rule.UPDATE_PATH_PARENT_HASH)
    return tree.with_nodes({**changes, 2 * leaf_index: path.leaf_node})


def open_path(
    suite: CipherSuite,
    tree: RatchetTree,
    sender: int,
    path: UpdatePath,
    private_tree: PrivateTree,
    group_context: bytes,
    new_leaves: Collection[int],
) -> PathSecrets:
    """Open the path secret meant for us and derive all above it (§7.6).

    `tree` is the one that `apply_path` gave; the copath of the sender is in it as it was. Raises
    `Invalid` for a wrong count of ciphertexts or wrong public keys, `VerificationFailed` where nothing opens.
    """
    excluded = {2 * leaf for leaf in new_leaves}
    own = 2 * private_tree.leaf_index
    filtered = tree.filtered_direct_path(sender)
    found: tuple[int, bytes] | None = None
    for (node, child), step in zip(filtered, path.nodes, strict=True):
        resolution = tree.resolution(child)
        if excluded:
            resolution = [target for target in resolution if target not in excluded]
        if len(resolution) != len(step.encrypted_path_secret):
            raise Invalid(Rule.UPDATE_PATH_CIPHERTEXTS)
        if found is None and tree_math.is_ancestor(node, own):
            place = next((i for i, target in enumerate(resolution) if target in private_tree.keys), None)
            if place is not None:
                key, sealed = private_tree.keys[resolution[place]], step.encrypted_path_secret[place]
                found = (node, suite.decrypt_with_label(key, _LABEL, group_context, sealed))
    if found is None:
        raise Invalid(Rule.UPDATE_PATH_CIPHERTEXTS)
    node, secret = found
    keys, root_secret = path_secrets_from(suite, tree, sender, node, secret)
    return PathSecrets(suite.derive_secret(root_secret, "path"), root_secret, keys, {})
