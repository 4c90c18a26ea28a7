"""What a client checks of a GroupInfo before it joins by it (RFC 9420 §12.4.3.1, §12.4.3.2)."""

from __future__ import annotations

from starling.protocol.crypto.cipher_suite import CipherSuite
from starling.protocol.errors import Invalid, Unsupported, VerificationFailed
from starling.protocol.mls.capabilities import Capabilities
from starling.protocol.mls.components import read_dictionary
from starling.protocol.mls.extension import (
    DEFAULT_TYPES,
    RATCHET_TREE,
    check_unique,
    find_extension,
)
from starling.protocol.mls.external_sender import check_external_senders
from starling.protocol.mls.grease import supported
from starling.protocol.mls.group_info import GroupInfo
from starling.protocol.mls.group_rules import GroupRules
from starling.protocol.mls.leaf_node import LeafNode
from starling.protocol.mls.negotiation import Negotiated
from starling.protocol.mls.ratchet_tree import RatchetTree
from starling.protocol.mls.rules import Rule
from starling.protocol.mls.tree_hash import tree_hash
from starling.protocol.mls.tree_validation import validate_tree


def validate_group_info(
    suite: CipherSuite,
    info: GroupInfo,
    ratchet_tree: RatchetTree | None,
    capabilities: Capabilities,
    rules: GroupRules,
) -> RatchetTree:
    """The group's tree, from the GroupInfo or else `ratchet_tree`; the confirmation tag is not checked here.

    `capabilities` are the joiner's. Raises `Invalid`, `DecodeError`, or `Unsupported` for a GroupContext
    extension that the joiner does not know.
    """
    context = info.group_context
    tree = _tree(info, ratchet_tree)
    signer = tree.leaf(info.signer)
    if signer is None:
        raise Invalid(Rule.GROUP_INFO_SIGNER)
    try:
        info.verify(suite, signer.signature_key)
    except VerificationFailed:
        raise Invalid(Rule.GROUP_INFO_SIGNATURE) from None
    check_unique(info.extensions)
    check_unique(context.extensions)
    # What we advertise may hold GREASE values; what we support does not (§13.5).
    known = DEFAULT_TYPES | supported(capabilities.extensions)
    for extension in context.extensions:
        if extension.extension_type not in known:
            raise Unsupported(f"GroupContext extension {extension.extension_type:#06x}")
    if tree_hash(suite, tree) != context.tree_hash:
        raise Invalid(Rule.TREE_HASH)
    check_external_senders(context, rules)
    read_dictionary(info.extensions)
    required = Negotiated.required(context.extensions)

    def check_leaf(leaf: LeafNode) -> None:
        required.check_supported(leaf.extensions)
        leaf.check_context_extensions(context.extensions)
        rules.validate_leaf(leaf, context)

    return validate_tree(
        suite, tree, context.group_id, context.required_capabilities, check_leaf, rules.leaf_verification
    )


def _tree(info: GroupInfo, ratchet_tree: RatchetTree | None) -> RatchetTree:
    data = find_extension(info.extensions, RATCHET_TREE)
    if data is not None:
        return RatchetTree.decode(data)
    if ratchet_tree is None:
        raise Invalid(Rule.GROUP_INFO_TREE)
    return ratchet_tree
