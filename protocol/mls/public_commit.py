"""What a commit does that all can see who hold GroupContext and ratchet tree, without any secret (RFC 9420 §12.4.2)."""

from __future__ import annotations

from dataclasses import dataclass

from starling.protocol.crypto.cipher_suite import CipherSuite
from starling.protocol.errors import Invalid
from starling.protocol.mls.apply_proposals import (
    AppliedProposals,
    apply_proposals,
    check_committer_leaf,
    check_new_tree,
)
from starling.protocol.mls.commit import Commit
from starling.protocol.mls.epoch import provisional_context
from starling.protocol.mls.framing import AuthenticatedContent
from starling.protocol.mls.group_context import GroupContext
from starling.protocol.mls.group_rules import GroupRules
from starling.protocol.mls.negotiation import check_wire_format
from starling.protocol.mls.proposal_list import ReceivedProposals, requires_path, resolve_proposals
from starling.protocol.mls.ratchet_tree import RatchetTree
from starling.protocol.mls.rules import Rule
from starling.protocol.mls.update_path import apply_path
from starling.protocol.mls.wire_format import ContentType, SenderType


@dataclass(frozen=True, slots=True)
class PublicCommit:
    """`tree` and the `provisional` GroupContext (of the old transcript) are those of the next epoch; `committer` is the
    sender's leaf there."""

    commit: Commit
    applied: AppliedProposals
    tree: RatchetTree
    provisional: GroupContext
    committer: int


def apply_commit(
    suite: CipherSuite,
    context: GroupContext,
    tree: RatchetTree,
    rules: GroupRules,
    content: AuthenticatedContent,
    proposals: ReceivedProposals,
    now: int | None,
) -> PublicCommit:
    """Check a commit of a member or of a new one and apply it; context and tree are those before it.

    `content` was verified in this epoch. Raises `Invalid`, `Unsupported`, `DecodeError`, `Pending` for a missing
    proposal.
    """
    member, commit = _committer(context, tree, rules, content)
    listed = resolve_proposals(commit.proposals, context, content.content.sender, proposals)
    has_path = commit.path is not None
    if not has_path and requires_path(listed):
        raise Invalid(Rule.PATH_REQUIRED)
    applied = apply_proposals(suite, context, tree, member, listed, rules, has_path=has_path, now=now)
    after, committer = (applied.tree, member) if member is not None else applied.tree.with_free_leaf()
    if commit.path is not None:
        after = apply_path(suite, after, committer, commit.path)
    provisional = provisional_context(suite, context, after, applied.extensions)
    if commit.path is not None:
        replaced = applied.resynced if member is None else member
        old = tree.leaf(replaced) if replaced is not None else None
        check_committer_leaf(suite, provisional, commit.path.leaf_node, committer, rules, old)
    check_new_tree(tree, after, member if applied.tree is tree else None)
    return PublicCommit(commit, applied, after, provisional, committer)


def _committer(
    context: GroupContext, tree: RatchetTree, rules: GroupRules, content: AuthenticatedContent
) -> tuple[int | None, Commit]:
    """The committer's leaf, None for an external commit; and the commit."""
    framed = content.content
    if framed.group_id != context.group_id:
        raise Invalid(Rule.WRONG_GROUP)
    if framed.epoch != context.epoch:
        raise Invalid(Rule.WRONG_EPOCH)
    check_wire_format(context.extensions, content.wire_format)
    if framed.commit is None:
        raise Invalid(Rule.CONTENT_TYPE)
    if framed.sender.sender_type == SenderType.NEW_MEMBER_COMMIT:
        rules.check_sender(framed.sender, ContentType.COMMIT)
        return None, framed.commit
    committer = framed.sender.leaf_index
    if committer is None:
        raise Invalid(Rule.SENDER_TYPE)
    if tree.leaf(committer) is None:
        raise Invalid(Rule.SENDER_BLANK)
    return committer, framed.commit
