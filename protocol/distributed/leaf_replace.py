"""`leaf_replace`: an owner replaces a member's leaf by a newer one of that member (X-10).

A member's leaf in others' groups would otherwise never change, and one later theft of its key would open
every recorded path commit. The new leaf comes from a KeyPackage of the member; there is no Welcome.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar

from starling.protocol.distributed import component_ids
from starling.protocol.distributed.member import leaf_identity, read_member, verify_member
from starling.protocol.distributed.rules import Rule
from starling.protocol.errors import Invalid
from starling.protocol.mls.leaf_node import KEY_PACKAGE, LeafNode
from starling.protocol.mls.proposal import PROPOSALS, CustomProposal
from starling.protocol.mls.ratchet_tree import RatchetTree
from starling.protocol.wire import uint32


@dataclass(frozen=True, slots=True)
class LeafReplace(CustomProposal):
    """The proposal: `struct{uint32 leaf_index; LeafNode leaf_node}`, type 0xF0D2, by value, by the owner."""

    proposal_type: ClassVar[int] = component_ids.LEAF_REPLACE
    requires_path: ClassVar[bool] = True

    leaf_index: uint32
    leaf_node: LeafNode

    def apply(self, tree: RatchetTree) -> RatchetTree:
        """The tree with the leaf replaced and its direct path blank, as by an Update."""
        return tree.with_leaf_updated(self.leaf_index, self.leaf_node)


PROPOSALS.register(LeafReplace)


def check_leaf_replace(
    replace: LeafReplace, old: LeafNode, *, universe_id: bytes, removed: Collection[int] = ()
) -> None:
    """Whether a leaf may take the place of `old`, the leaf at `leaf_index`.

    `removed` are the leaves that the same commit removes. What MLS asks of a leaf (its signature, its
    capabilities) is checked there; the lifetime counts only where a leaf is added. Raises DecodeError,
    Invalid, VerificationFailed.
    """
    if replace.leaf_index == 0:
        raise Invalid(Rule.REPLACE_LEAF_ZERO)
    if replace.leaf_index in removed:
        raise Invalid(Rule.REPLACE_REMOVED)
    new = replace.leaf_node
    if new.leaf_node_source != KEY_PACKAGE:
        raise Invalid(Rule.REPLACE_SOURCE)
    was, becomes = read_member(old), read_member(new)
    if (leaf_identity(new), becomes.universe_id, becomes.send_group_id, becomes.incarnation) != (
        leaf_identity(old),
        was.universe_id,
        was.send_group_id,
        was.incarnation,
    ):
        raise Invalid(Rule.REPLACE_MEMBER)
    if becomes.serial <= was.serial:
        raise Invalid(Rule.REPLACE_SERIAL)
    verify_member(new, universe_id=universe_id)
