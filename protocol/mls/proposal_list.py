"""Which proposals a commit covers, and whether they may stand together (RFC 9420 §12.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from starling.protocol.crypto.cipher_suite import CipherSuite
from starling.protocol.errors import Invalid, Pending, Unsupported
from starling.protocol.mls.app_data_update import check_app_data_updates
from starling.protocol.mls.commit import ProposalOrRef
from starling.protocol.mls.framing import AuthenticatedContent, Sender
from starling.protocol.mls.group_context import GroupContext
from starling.protocol.mls.group_rules import GroupRules
from starling.protocol.mls.leaf_node import DEFAULT_PROPOSALS
from starling.protocol.mls.proposal import (
    Add,
    AppDataUpdate,
    CustomProposal,
    ExternalInit,
    GroupContextExtensions,
    PreSharedKey,
    Proposal,
    ReInit,
    Remove,
    Update,
)
from starling.protocol.mls.psk import PreSharedKeyID, PSKType, ResumptionPSKUsage
from starling.protocol.mls.ratchet_tree import RatchetTree
from starling.protocol.mls.rules import Rule
from starling.protocol.mls.wire_format import MLS10

ReceivedProposals = Mapping[bytes, AuthenticatedContent]
"""Verified proposals of the epoch by their ProposalRef."""


@dataclass(frozen=True, slots=True)
class CommittedProposal:
    """A proposal of a commit, and who proposed it."""

    proposal: Proposal
    sender: Sender


def resolve_proposals(
    entries: Sequence[ProposalOrRef], context: GroupContext, committer: int, received: ReceivedProposals
) -> tuple[CommittedProposal, ...]:
    """The proposals that a commit covers, in its order; `Pending` where one has not come in this epoch."""
    resolved = []
    for entry in entries:
        if entry.proposal is not None:
            if isinstance(entry.proposal, Update):
                raise Invalid(Rule.PROPOSAL_UPDATE_BY_VALUE)
            resolved.append(CommittedProposal(entry.proposal, Sender.member(committer)))
            continue
        found = received.get(entry.reference or b"")
        content = found.content if found is not None else None
        here = (context.group_id, context.epoch)
        if content is None or content.proposal is None or (content.group_id, content.epoch) != here:
            raise Pending("a proposal that the commit refers to is missing")
        resolved.append(CommittedProposal(content.proposal, content.sender))
    return tuple(resolved)


def requires_path(proposals: Sequence[CommittedProposal]) -> bool:
    """Whether a commit of these has to have a path (§12.4)."""
    return not proposals or any(entry.proposal.requires_path for entry in proposals)


def check_proposal_list(
    suite: CipherSuite,
    context: GroupContext,
    tree: RatchetTree,
    committer: int,
    proposals: Sequence[CommittedProposal],
    rules: GroupRules,
    has_path: bool,
) -> None:
    """All of §12.2 that can be said before the list is applied. Raises `Invalid`, or `Unsupported` for a
    custom proposal that this group does not use."""
    kinds = [entry.proposal for entry in proposals]
    _check_kinds(kinds, rules)
    _check_leaves(tree, committer, proposals)
    _check_added(tree, kinds)
    _check_psks(suite, [proposal.psk for proposal in kinds if isinstance(proposal, PreSharedKey)])
    check_app_data_updates([proposal for proposal in kinds if isinstance(proposal, AppDataUpdate)])
    _check_types_supported(tree, kinds)
    rules.check_proposals(context, tree, committer, kinds, has_path)


def _check_kinds(proposals: Sequence[Proposal], rules: GroupRules) -> None:
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
            raise Unsupported("reinitialization")
        known = rules.custom_proposals.get(proposal.proposal_type)
        if isinstance(proposal, CustomProposal) and type(proposal) is not known:
            raise Unsupported(f"proposal type {proposal.proposal_type:#06x} is not used in this group")


def _check_leaves(tree: RatchetTree, committer: int, proposals: Sequence[CommittedProposal]) -> None:
    touched: set[int] = set()
    for entry in proposals:
        proposal = entry.proposal
        if isinstance(proposal, Update):
            leaf_index = entry.sender.leaf_index
            if leaf_index is None or tree.leaf(leaf_index) is None:
                raise Invalid(Rule.PROPOSAL_UPDATE_SENDER)
            if leaf_index == committer:
                raise Invalid(Rule.PROPOSAL_UPDATE_OF_COMMITTER)
        elif isinstance(proposal, Remove):
            leaf_index = proposal.removed
            if tree.leaf(leaf_index) is None:
                raise Invalid(Rule.PROPOSAL_REMOVE_BLANK)
            if leaf_index == committer:
                raise Invalid(Rule.PROPOSAL_REMOVE_OF_COMMITTER)
        else:
            continue
        if leaf_index in touched:
            raise Invalid(Rule.PROPOSAL_SAME_LEAF)
        touched.add(leaf_index)


def _check_added(tree: RatchetTree, proposals: Sequence[Proposal]) -> None:
    """Clients are told apart by their signature keys; an application may do more in its rules."""
    added = [
        proposal.key_package.leaf_node.signature_key for proposal in proposals if isinstance(proposal, Add)
    ]
    if not added:
        return
    removed = {proposal.removed for proposal in proposals if isinstance(proposal, Remove)}
    members = {leaf.signature_key for index, leaf in tree.leaves() if index not in removed}
    if len(added) != len(set(added)) or members & set(added):
        raise Invalid(Rule.PROPOSAL_SAME_CLIENT)


def _check_psks(suite: CipherSuite, psks: Sequence[PreSharedKeyID]) -> None:
    if len(psks) != len(set(psks)):
        raise Invalid(Rule.PROPOSAL_PSK_TWICE)
    for psk in psks:
        if len(psk.psk_nonce) != suite.hash_length:
            raise Invalid(Rule.PROPOSAL_PSK_NONCE)
        if psk.psktype == PSKType.RESUMPTION and psk.usage != ResumptionPSKUsage.APPLICATION:
            raise Invalid(Rule.PROPOSAL_PSK_USAGE)


def _check_types_supported(tree: RatchetTree, proposals: Sequence[Proposal]) -> None:
    types = {proposal.proposal_type for proposal in proposals} - DEFAULT_PROPOSALS
    if not types:
        return
    removed = {proposal.removed for proposal in proposals if isinstance(proposal, Remove)}
    for index, leaf in tree.leaves():
        if index not in removed and not types <= set(leaf.capabilities.proposals):
            raise Invalid(Rule.PROPOSAL_TYPE_SUPPORT, f"leaf {index}")
