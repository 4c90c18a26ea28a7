"""Which leaves can enter a group beside those that stand in it, so that no member stops the commits of others."""

from __future__ import annotations

from starling.protocol.errors import ProtocolError, Unsupported
from starling.protocol.mls.group import Group
from starling.protocol.mls.leaf_node import LeafNode
from starling.protocol.mls.negotiation import Negotiated


class TakenKeys:
    """The keys of a group's tree, which no leaf may have a second time (RFC 9420 §7.3).

    A commit with one bad leaf is invalid as a whole, so a member could stop the commits of all others by a
    KeyPackage of its own: it is passed over instead.
    """

    def __init__(self, group: Group) -> None:
        self._group = group
        self._required = Negotiated.required(group.context.extensions)
        self._encryption_keys = {node.encryption_key for node in group.tree.nodes if node is not None}
        self._signature_keys = {leaf.signature_key: index for index, leaf in group.tree.leaves()}

    def take(self, leaf: LeafNode, index: int | None = None) -> bool:
        """Whether the leaf may be added, or stand at `index` instead of the one there; its keys are taken then."""
        try:
            leaf.check(self._group.cipher_suite, self._group.context.required_capabilities)
            self._required.check_supported(leaf.extensions)
        except (ProtocolError, Unsupported):
            return False
        holder = self._signature_keys.get(leaf.signature_key, index)
        if leaf.encryption_key in self._encryption_keys or holder != index:
            return False
        self._encryption_keys.add(leaf.encryption_key)
        # A leaf that is added has no index yet, and is equal to none that has.
        self._signature_keys[leaf.signature_key] = -1 if index is None else index
        return True
