"""The private keys that one member holds in a ratchet tree (RFC 9420 §4.2)."""

from __future__ import annotations

from collections.abc import Mapping

from starling.protocol.crypto.cipher_suite import CipherSuite
from starling.protocol.crypto.secret import PrivateKey, Secret
from starling.protocol.errors import Invalid
from starling.protocol.mls import tree_math
from starling.protocol.mls.ratchet_tree import RatchetTree
from starling.protocol.mls.rules import Rule


class PrivateTree:
    """`keys` maps node indexes to private keys; the own leaf's is always among them."""

    __slots__ = ("keys", "leaf_index")

    def __init__(self, leaf_index: int, keys: Mapping[int, PrivateKey]) -> None:
        self.leaf_index = leaf_index
        self.keys = {
            node: key.for_next_owner() if isinstance(key, Secret) else Secret(key)
            for node, key in keys.items()
        }

    def __repr__(self) -> str:
        return f"<PrivateTree of leaf {self.leaf_index}>"

    def export(self) -> dict[int, bytes]:
        """The keys as plain bytes, for a store."""
        return {node: bytes(key) for node, key in self.keys.items()}

    def wipe(self) -> None:
        for key in self.keys.values():
            key.wipe()
        self.keys.clear()


def keys_in(tree: RatchetTree, keys: Mapping[int, PrivateKey]) -> dict[int, PrivateKey]:
    """The private keys whose nodes are still in the tree and not blank."""
    return {
        node: key for node, key in keys.items() if node < len(tree.nodes) and tree.nodes[node] is not None
    }


def path_secrets_from(
    suite: CipherSuite, tree: RatchetTree, leaf_index: int, start: int, path_secret: bytes
) -> tuple[dict[int, PrivateKey], bytes]:
    """The private keys of the nodes on a leaf's filtered direct path from `start` up, and the root's path
    secret (§7.4). Raises `Invalid(UPDATE_PATH_PUBLIC_KEY)` where a public key is not the tree's."""
    keys: dict[int, PrivateKey] = {}
    secret = path_secret
    root_secret = path_secret
    above = [node for node, _ in tree.filtered_direct_path(leaf_index)]
    for node in above:
        if not tree_math.is_ancestor(node, start):
            continue
        private_key, public_key = suite.hpke.derive_secret_pair(suite.derive_secret(secret, "node"))
        if tree.nodes[node] is None or tree.encryption_key(node) != public_key:
            raise Invalid(Rule.UPDATE_PATH_PUBLIC_KEY)
        keys[node] = private_key
        root_secret = secret
        secret = suite.derive_secret(secret, "path")
    return keys, root_secret
