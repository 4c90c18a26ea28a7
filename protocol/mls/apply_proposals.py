"""Applying a proposal list to the tree and the GroupContext (RFC 9420 §12.3)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from starling.protocol.crypto.cipher_suite import CipherSuite
from starling.protocol.crypto.secret import PrivateKey
from starling.protocol.errors import Invalid, UsageError
from starling.protocol.mls.app_data_update import apply_app_data_updates
from starling.protocol.mls.extension import (
    APP_DATA_DICTIONARY,
    DEFAULT_TYPES,
    EXTERNAL_SENDERS,
    Extension,
    RequiredCapabilities,
    check_unique,
    find_extension,
)
from starling.protocol.mls.external_sender import check_external_senders
from starling.protocol.mls.group_context import GroupContext
from starling.protocol.mls.group_rules import GroupRules
from starling.protocol.mls.key_package import KeyPackage
from starling.protocol.mls.leaf_node import UPDATE, LeafNode
from starling.protocol.mls.negotiation import Negotiated
from starling.protocol.mls.proposal import (
    Add,
    AppDataUpdate,
    AppEphemeral,
    CustomProposal,
    ExternalInit,
    GroupContextExtensions,
    PreSharedKey,
    ReInit,
    Remove,
    Update,
)
from starling.protocol.mls.proposal_list import CommittedProposal, check_proposal_list, removed_leaf
from starling.protocol.mls.psk import PreSharedKeyID, ResumptionPSKUsage
from starling.protocol.mls.ratchet_tree import RatchetTree
from starling.protocol.mls.rules import Rule
from starling.protocol.mls.tree_validation import check_credentials_supported, check_unique_keys


@dataclass(frozen=True, slots=True)
class AppliedProposals:
    """The tree and extensions after a list; `updated`, `removed` and the keys of `added` are leaf indexes.

    `resynced` is the leaf that an external commit replaces by its sender's new one.
    """

    tree: RatchetTree
    extensions: tuple[Extension, ...]
    updated: tuple[int, ...]
    removed: tuple[int, ...]
    added: dict[int, KeyPackage]
    psk_ids: tuple[PreSharedKeyID, ...]
    external_init: ExternalInit | None
    reinit: ReInit | None
    resynced: int | None


def apply_proposals(
    suite: CipherSuite,
    context: GroupContext,
    tree: RatchetTree,
    committer: int | None,
    proposals: Sequence[CommittedProposal],
    rules: GroupRules,
    *,
    has_path: bool,
    now: int | None = None,
    psk_usage: int = ResumptionPSKUsage.APPLICATION,
) -> AppliedProposals:
    """Check and apply a list, in the order of §12.3, SelfRemove before Remove and AppDataUpdate last.

    `committer` is None for an external commit, whose sender gets its leaf afterwards.
    Lifetimes of added key packages are checked where `now` (milliseconds) is given. What must be unique
    in the tree is checked by `check_new_tree` once a path is merged too. Raises `Invalid` or `Unsupported`.
    """
    check_proposal_list(suite, context, tree, committer, proposals, rules, has_path, psk_usage)
    if not proposals:
        return AppliedProposals(tree, context.extensions, (), (), {}, (), None, None, None)
    external_senders = find_extension(context.extensions, EXTERNAL_SENDERS)
    extensions = _new_extensions(context, proposals)
    context = replace(context, extensions=extensions)
    if find_extension(extensions, EXTERNAL_SENDERS) != external_senders:
        check_external_senders(context, rules)
    required = context.required_capabilities
    removed = tuple(index for index in map(removed_leaf, proposals) if index is not None)
    before = tree
    tree, updated = _apply_updates(tree, proposals, {committer, *removed})
    for leaf_index in updated:
        leaf = tree.leaf(leaf_index)
        if leaf is None:
            raise Invalid(Rule.PROPOSAL_CUSTOM)
        _check_leaf(suite, context, leaf, leaf_index, required, rules)
    for entry in proposals:
        if isinstance(entry.proposal, Update):
            _check_successor(before.leaf(entry.sender.leaf_index or 0), entry.proposal.leaf_node, rules)
    for leaf_index in removed:
        tree = tree.with_leaf_removed(leaf_index)
    packages = [entry.proposal.key_package for entry in proposals if isinstance(entry.proposal, Add)]
    for key_package in packages:
        key_package.validate(suite, now)
        if required is not None:
            key_package.leaf_node.check_required(required)
        rules.validate_leaf(key_package.leaf_node, context)
    tree, new_leaves = tree.with_leaves_added([key_package.leaf_node for key_package in packages])
    added = dict(zip(new_leaves, packages, strict=True))
    for entry in proposals:
        if isinstance(entry.proposal, AppEphemeral):
            rules.app_ephemeral(entry.proposal.component_id, entry.proposal.data)
    extensions = apply_app_data_updates(
        extensions,
        [entry.proposal for entry in proposals if isinstance(entry.proposal, AppDataUpdate)],
        rules.app_data_update,
    )
    replaced = any(isinstance(entry.proposal, GroupContextExtensions) for entry in proposals)
    if replaced or extensions is not context.extensions:
        _check_extensions_supported(tree.leaves(), extensions, required)
    elif added:
        entering = [(leaf_index, package.leaf_node) for leaf_index, package in added.items()]
        _check_extensions_supported(entering, extensions, required)
    psk_ids = tuple(entry.proposal.psk for entry in proposals if isinstance(entry.proposal, PreSharedKey))
    kinds = [entry.proposal for entry in proposals]
    resynced = None
    if committer is None:
        resynced = next((proposal.removed for proposal in kinds if isinstance(proposal, Remove)), None)
    return AppliedProposals(
        tree,
        extensions,
        updated,
        removed,
        added,
        psk_ids,
        next((proposal for proposal in kinds if isinstance(proposal, ExternalInit)), None),
        next((proposal for proposal in kinds if isinstance(proposal, ReInit)), None),
        resynced,
    )


def check_new_tree(before: RatchetTree, tree: RatchetTree, path_of: int | None = None) -> None:
    """What must be unique and supported across the whole new tree (§7.3), the path merged already.

    `path_of` is a leaf whose received path is all that changed: `apply_path` compared its encryption keys, so
    without another signature key, credential or capabilities nothing is left to check."""
    if tree is before:
        return
    if path_of is not None and _same_but_keys(before.leaf(path_of), tree.leaf(path_of)):
        return
    check_unique_keys(tree)
    check_credentials_supported(tree)


def _same_but_keys(old: LeafNode | None, new: LeafNode | None) -> bool:
    return (
        old is not None
        and new is not None
        and old.signature_key == new.signature_key
        and old.credential == new.credential
        and old.capabilities == new.capabilities
    )


def check_committer_leaf(
    suite: CipherSuite,
    context: GroupContext,
    leaf: LeafNode,
    leaf_index: int,
    rules: GroupRules,
    old: LeafNode | None = None,
    signed_by: PrivateKey | None = None,
) -> None:
    """The leaf of an update path, under the new extensions (§7.3); `old` is the leaf that it replaces.

    `signed_by` says which key of ours has just signed it: then only that this is the leaf's key is checked.
    """
    _check_leaf(suite, context, leaf, leaf_index, context.required_capabilities, rules, signed_by)
    if old is not None and leaf.encryption_key == old.encryption_key:
        raise Invalid(Rule.PROPOSAL_UPDATE_KEY)
    _check_successor(old, leaf, rules)


def _check_leaf(
    suite: CipherSuite,
    context: GroupContext,
    leaf: LeafNode,
    leaf_index: int,
    required: RequiredCapabilities | None,
    rules: GroupRules,
    signed_by: PrivateKey | None = None,
) -> None:
    leaf.check(suite, required)
    leaf.check_context_extensions(context.extensions)
    Negotiated.required(context.extensions).check_supported(leaf.extensions)
    if signed_by is None:
        leaf.verify_signature(suite, context.group_id, leaf_index)
    elif suite.signature_public_key(signed_by) != leaf.signature_key:
        raise Invalid(Rule.LEAF_NODE_SIGNATURE)
    rules.validate_leaf(leaf, context)


def _check_successor(old: LeafNode | None, leaf: LeafNode, rules: GroupRules) -> None:
    if old is not None and not rules.same_member(old, leaf):
        raise Invalid(Rule.CREDENTIAL_SUCCESSOR)


def _apply_updates(
    tree: RatchetTree, proposals: Sequence[CommittedProposal], untouchable: set[int | None]
) -> tuple[RatchetTree, tuple[int, ...]]:
    """Apply Updates and custom proposals; a leaf changes at most once, and never one of `untouchable`."""
    updated: list[int] = []
    for entry in proposals:
        proposal = entry.proposal
        if isinstance(proposal, Update):
            leaf_index = entry.sender.leaf_index
            old = tree.leaf(leaf_index) if leaf_index is not None else None
            if leaf_index is None or old is None:  # a private proposal before it took the leaf away
                raise Invalid(Rule.PROPOSAL_UPDATE_SENDER)
            if proposal.leaf_node.leaf_node_source != UPDATE:
                raise Invalid(Rule.LEAF_NODE_SOURCE)
            if proposal.leaf_node.encryption_key == old.encryption_key:
                raise Invalid(Rule.PROPOSAL_UPDATE_KEY)
            changed = [leaf_index]
            tree = tree.with_leaf_updated(leaf_index, proposal.leaf_node)
        elif isinstance(proposal, CustomProposal):
            old_nodes = tree.nodes
            try:
                tree = proposal.apply(tree)
            except UsageError:
                raise Invalid(Rule.PROPOSAL_CUSTOM) from None
            if len(tree.nodes) != len(old_nodes):
                raise Invalid(Rule.PROPOSAL_CUSTOM)
            leaves = zip(old_nodes[::2], tree.nodes[::2], strict=True)
            changed = [index for index, (old_leaf, leaf) in enumerate(leaves) if old_leaf is not leaf]
        else:
            continue
        if untouchable.intersection(changed) or set(updated).intersection(changed):
            raise Invalid(Rule.PROPOSAL_SAME_LEAF)
        updated.extend(changed)
    return tree, tuple(updated)


def _new_extensions(context: GroupContext, proposals: Sequence[CommittedProposal]) -> tuple[Extension, ...]:
    for entry in proposals:
        if isinstance(entry.proposal, GroupContextExtensions):
            extensions = entry.proposal.extensions
            check_unique(extensions)
            required = context.required_capabilities
            if required is not None and AppDataUpdate.proposal_type in required.proposal_types:
                before = find_extension(context.extensions, APP_DATA_DICTIONARY)
                if find_extension(extensions, APP_DATA_DICTIONARY) != before:
                    raise Invalid(Rule.APP_DATA_BY_CONTEXT)
            return extensions
    return context.extensions


def _check_extensions_supported(
    leaves: Iterable[tuple[int, LeafNode]],
    extensions: tuple[Extension, ...],
    required: RequiredCapabilities | None,
) -> None:
    """These members support the GroupContext's extensions with what they require, and `required` (§12.1.7)."""
    types = {extension.extension_type for extension in extensions} - DEFAULT_TYPES
    negotiated = Negotiated.required(extensions)
    for index, leaf in leaves:
        if not types <= set(leaf.capabilities.extensions):
            raise Invalid(Rule.PROPOSAL_CONTEXT_SUPPORT, f"leaf {index}")
        negotiated.check_supported(leaf.extensions)
        if required is not None:
            leaf.check_required(required)
