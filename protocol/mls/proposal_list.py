"""Which proposals a commit covers, and whether they may stand together (RFC 9420 §12.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from starling.protocol.crypto.cipher_suite import CipherSuite
from starling.protocol.errors import Invalid, Pending, Unsupported, UsageError
from starling.protocol.mls.app_data_update import check_app_data_updates
from starling.protocol.mls.commit import ProposalOrRef
from starling.protocol.mls.extension import check_unique
from starling.protocol.mls.framing import AuthenticatedContent, Sender
from starling.protocol.mls.group_context import GroupContext
from starling.protocol.mls.group_rules import GroupRules
from starling.protocol.mls.leaf_node import DEFAULT_PROPOSALS
from starling.protocol.mls.proposal import (
    Add,
    AppDataUpdate,
    AppEphemeral,
    CustomProposal,
    ExternalInit,
    GroupContextExtensions,
    PreSharedKey,
    Proposal,
    ReInit,
    Remove,
    SelfRemove,
    Update,
)
from starling.protocol.mls.psk import PreSharedKeyID, PSKType, ResumptionPSKUsage
from starling.protocol.mls.ratchet_tree import RatchetTree
from starling.protocol.mls.rules import Rule
from starling.protocol.mls.wire_format import MLS10, SenderType, WireFormat

_IN_EXTERNAL_COMMIT = (ExternalInit, Remove, PreSharedKey, SelfRemove, AppDataUpdate, AppEphemeral)

ReceivedProposals = Mapping[bytes, AuthenticatedContent]
"""Verified proposals of the epoch by their ProposalRef."""


@dataclass(frozen=True, slots=True)
class CommittedProposal:
    """A proposal of a commit, and who proposed it."""

    proposal: Proposal
    sender: Sender


def resolve_proposals(
    entries: Sequence[ProposalOrRef], context: GroupContext, committer: Sender, received: ReceivedProposals
) -> tuple[CommittedProposal, ...]:
    """The proposals that a commit covers, in its order; `Pending` where one has not come in this epoch."""
    resolved = []
    for entry in entries:
        if entry.proposal is not None:
            if isinstance(entry.proposal, Update):
                raise Invalid(Rule.PROPOSAL_UPDATE_BY_VALUE)
            if isinstance(entry.proposal, SelfRemove):
                raise Invalid(Rule.SELF_REMOVE_BY_VALUE)
            resolved.append(CommittedProposal(entry.proposal, committer))
            continue
        found = received.get(entry.reference or b"")
        here = (context.group_id, context.epoch)
        if found is None or (found.content.group_id, found.content.epoch) != here:
            raise Pending("a proposal that the commit refers to is missing")
        resolved.append(received_proposal(found))
    return tuple(resolved)


def received_proposal(content: AuthenticatedContent) -> CommittedProposal:
    """A proposal that came in a message of its own, for a commit by reference."""
    proposal = content.content.proposal
    if proposal is None:
        raise UsageError("only proposals are committed by reference")
    if isinstance(proposal, SelfRemove) and content.wire_format != WireFormat.MLS_PUBLIC_MESSAGE:
        raise Invalid(Rule.SELF_REMOVE_PUBLIC)
    return CommittedProposal(proposal, content.content.sender)


def check_own_proposal(suite: CipherSuite, proposal: Proposal, wire_format: int, now: int | None) -> None:
    """What a member looks at before it sends a proposal (§7.3, §12.1.1)."""
    if isinstance(proposal, SelfRemove) and wire_format != WireFormat.MLS_PUBLIC_MESSAGE:
        raise UsageError("a SelfRemove is sent in a PublicMessage")
    if isinstance(proposal, Add):
        proposal.key_package.validate(suite, now)


def requires_path(proposals: Sequence[CommittedProposal]) -> bool:
    """Whether a commit of these has to have a path (§12.4)."""
    return not proposals or any(entry.proposal.requires_path for entry in proposals)


def check_proposal_list(
    suite: CipherSuite,
    context: GroupContext,
    tree: RatchetTree,
    committer: int | None,
    proposals: Sequence[CommittedProposal],
    rules: GroupRules,
    has_path: bool,
    psk_usage: int = ResumptionPSKUsage.APPLICATION,
) -> None:
    """All of §12.2 that can be said before the list is applied; `committer` is None for an external commit.

    `psk_usage` is the usage of resumption PSKs that the list may hold. Raises `Invalid`, or `Unsupported` for
    a custom proposal that this group does not use.
    """
    kinds = [entry.proposal for entry in proposals]
    if committer is None:
        _check_external(proposals)
    else:
        _check_internal(kinds)
    _check_custom(kinds, rules)
    _check_leaves(tree, committer, proposals)
    _check_added(tree, proposals)
    check_psks(suite, [proposal.psk for proposal in kinds if isinstance(proposal, PreSharedKey)], psk_usage)
    check_app_data_updates([proposal for proposal in kinds if isinstance(proposal, AppDataUpdate)])
    _check_types_supported(tree, proposals)
    for entry in proposals:
        rules.check_proposal(context, tree, entry.sender, entry.proposal)
    rules.check_proposals(context, tree, committer, kinds, has_path)


def removed_leaf(entry: CommittedProposal) -> int | None:
    """The leaf that a proposal removes, None for one that removes nobody."""
    if isinstance(entry.proposal, Remove):
        return entry.proposal.removed
    return entry.sender.leaf_index if isinstance(entry.proposal, SelfRemove) else None


def _check_internal(proposals: Sequence[Proposal]) -> None:
    """The kinds of proposals in a member's commit."""
    if sum(isinstance(proposal, GroupContextExtensions) for proposal in proposals) > 1:
        raise Invalid(Rule.PROPOSAL_CONTEXT_TWICE)
    for proposal in proposals:
        if isinstance(proposal, ExternalInit):
            raise Invalid(Rule.PROPOSAL_EXTERNAL_INIT)
        if isinstance(proposal, ReInit):
            if len(proposals) > 1:
                raise Invalid(Rule.PROPOSAL_REINIT_ALONE)
            if proposal.version < MLS10:
                raise Invalid(Rule.PROPOSAL_REINIT_VERSION)
            check_unique(proposal.extensions)


def _check_external(proposals: Sequence[CommittedProposal]) -> None:
    """The kinds of proposals in an external commit; references can only be to SelfRemoves."""
    for entry in proposals:
        by_value = entry.sender.sender_type == SenderType.NEW_MEMBER_COMMIT
        if not by_value and not isinstance(entry.proposal, SelfRemove):
            raise Invalid(Rule.EXTERNAL_COMMIT_REFERENCE)
        if not isinstance(entry.proposal, _IN_EXTERNAL_COMMIT):
            raise Invalid(Rule.EXTERNAL_COMMIT_PROPOSAL)
    kinds = [entry.proposal for entry in proposals]
    if sum(isinstance(proposal, ExternalInit) for proposal in kinds) != 1:
        raise Invalid(Rule.EXTERNAL_COMMIT_INIT)
    if sum(isinstance(proposal, Remove) for proposal in kinds) > 1:
        raise Invalid(Rule.EXTERNAL_COMMIT_REMOVE)


def _check_custom(proposals: Sequence[Proposal], rules: GroupRules) -> None:
    for proposal in proposals:
        known = rules.custom_proposals.get(proposal.proposal_type)
        if isinstance(proposal, CustomProposal) and type(proposal) is not known:
            raise Unsupported(f"proposal type {proposal.proposal_type:#06x} is not used in this group")


def _check_leaves(tree: RatchetTree, committer: int | None, proposals: Sequence[CommittedProposal]) -> None:
    touched: set[int] = set()
    for entry in proposals:
        proposal = entry.proposal
        if isinstance(proposal, Update):
            leaf_index = entry.sender.leaf_index
            if leaf_index is None or tree.leaf(leaf_index) is None:
                raise Invalid(Rule.PROPOSAL_UPDATE_SENDER)
            if leaf_index == committer:
                raise Invalid(Rule.PROPOSAL_UPDATE_OF_COMMITTER)
        elif isinstance(proposal, (Remove, SelfRemove)):
            leaf_index = removed_leaf(entry)
            if leaf_index is None:
                raise Invalid(Rule.SELF_REMOVE_SENDER)
            if tree.leaf(leaf_index) is None:
                raise Invalid(Rule.PROPOSAL_REMOVE_BLANK)
            if leaf_index == committer:
                raise Invalid(Rule.PROPOSAL_REMOVE_OF_COMMITTER)
        else:
            continue
        if leaf_index in touched:
            raise Invalid(Rule.PROPOSAL_SAME_LEAF)
        touched.add(leaf_index)


def _check_added(tree: RatchetTree, proposals: Sequence[CommittedProposal]) -> None:
    """Clients are told apart by their signature keys; an application may do more in its rules."""
    adds = [entry.proposal for entry in proposals if isinstance(entry.proposal, Add)]
    if not adds:
        return
    added = [proposal.key_package.leaf_node.signature_key for proposal in adds]
    removed = {removed_leaf(entry) for entry in proposals}
    members = {leaf.signature_key for index, leaf in tree.leaves() if index not in removed}
    if len(added) != len(set(added)) or members & set(added):
        raise Invalid(Rule.PROPOSAL_SAME_CLIENT)


def check_psks(
    suite: CipherSuite,
    psks: Sequence[PreSharedKeyID],
    usage: int = ResumptionPSKUsage.APPLICATION,
) -> None:
    """PSKs that are used together: each once, with a nonce of Nh bytes, resumption PSKs of this usage or of
    usage application (§8.4, §12.1.4, §12.2)."""
    if len(psks) != len(set(psks)):
        raise Invalid(Rule.PROPOSAL_PSK_TWICE)
    for psk in psks:
        if len(psk.psk_nonce) != suite.hash_length:
            raise Invalid(Rule.PROPOSAL_PSK_NONCE)
        if psk.psktype == PSKType.RESUMPTION and psk.usage not in (ResumptionPSKUsage.APPLICATION, usage):
            raise Invalid(Rule.PROPOSAL_PSK_USAGE)


def _check_types_supported(tree: RatchetTree, proposals: Sequence[CommittedProposal]) -> None:
    types = {entry.proposal.proposal_type for entry in proposals} - DEFAULT_PROPOSALS
    if not types:
        return
    removed = {removed_leaf(entry) for entry in proposals}
    for index, leaf in tree.leaves():
        if index not in removed and not types <= set(leaf.capabilities.proposals):
            raise Invalid(Rule.PROPOSAL_TYPE_SUPPORT, f"leaf {index}")
