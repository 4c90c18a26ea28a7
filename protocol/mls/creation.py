"""Creating a group of one member (RFC 9420 §11)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from starling.protocol.crypto.cipher_suite import CipherSuite
from starling.protocol.mls.apply_proposals import check_committer_leaf
from starling.protocol.mls.epoch import Epoch, enter_epoch
from starling.protocol.mls.extension import Extension, check_unique
from starling.protocol.mls.external_sender import check_external_senders
from starling.protocol.mls.group_context import GroupContext
from starling.protocol.mls.group_rules import GroupRules
from starling.protocol.mls.key_schedule import KeySchedule
from starling.protocol.mls.leaf_node import LeafNode
from starling.protocol.mls.ratchet_tree import RatchetTree
from starling.protocol.mls.tree_hash import tree_hash
from starling.protocol.mls.wire_format import MLS10


@dataclass(frozen=True, slots=True)
class Creator:
    """The creator's signed leaf, of source key_package or commit, with its private keys."""

    leaf_node: LeafNode
    encryption_private_key: bytes = field(repr=False)
    signature_private_key: bytes = field(repr=False)


def create_epoch(
    suite: CipherSuite,
    group_id: bytes,
    creator: Creator,
    extensions: tuple[Extension, ...],
    rules: GroupRules,
    key_schedule: KeySchedule,
    random: Callable[[int], bytes],
) -> Epoch:
    """Epoch 0, the creator at leaf 0. Raises `Invalid` where the leaf does not meet the extensions."""
    check_unique(extensions)
    tree, own = RatchetTree().with_leaf_added(creator.leaf_node)
    context = GroupContext(MLS10, suite.id, group_id, 0, tree_hash(suite, tree), b"", extensions)
    check_committer_leaf(suite, context, creator.leaf_node, own, rules)
    check_external_senders(context, rules)
    return enter_epoch(
        suite=suite,
        context=context,
        tree=tree,
        own_leaf_index=own,
        private_keys={2 * own: creator.encryption_private_key},
        signature_private_key=creator.signature_private_key,
        epoch_secret=random(suite.hash_length),
        rules=rules,
        key_schedule=key_schedule,
    )
