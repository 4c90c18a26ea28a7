"""A group as an outsider sees it who holds its GroupContext and ratchet tree, and follows its commits.

It holds no secret of the group, so it cannot check a confirmation tag: that all members really entered an epoch it
takes from the committer's signature. The GroupContext itself can hold what outsiders are not to see (P-5, S-12).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import MappingProxyType

from starling.protocol.crypto.cipher_suite import CipherSuite, cipher_suite
from starling.protocol.errors import Invalid, UsageError
from starling.protocol.mls.framing import AuthenticatedContent
from starling.protocol.mls.group_context import GroupContext
from starling.protocol.mls.group_info import GroupInfo
from starling.protocol.mls.group_rules import RFC_RULES, GroupRules
from starling.protocol.mls.proposal_list import ReceivedProposals
from starling.protocol.mls.public_commit import apply_commit
from starling.protocol.mls.ratchet_tree import RatchetTree
from starling.protocol.mls.rules import Rule
from starling.protocol.mls.transcript_hash import confirmed_transcript_hash, interim_transcript_hash
from starling.protocol.mls.tree_hash import tree_hash

_NONE_RECEIVED: ReceivedProposals = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class GroupView:
    """One epoch. `interim_transcript_hash` (Nh bytes) is needed to follow a commit only."""

    group_context: GroupContext
    tree: RatchetTree
    interim_transcript_hash: bytes = b""
    rules: GroupRules = RFC_RULES
    cipher_suite: CipherSuite = field(init=False)

    def __post_init__(self) -> None:
        """Raises `Invalid` where the tree is not that of the GroupContext, `Unsupported` for an unknown suite."""
        suite = cipher_suite(self.group_context.cipher_suite)
        object.__setattr__(self, "cipher_suite", suite)
        if tree_hash(suite, self.tree) != self.group_context.tree_hash:
            raise Invalid(Rule.TREE_HASH)

    @classmethod
    def of_group_info(
        cls, group_info: GroupInfo, tree: RatchetTree, rules: GroupRules = RFC_RULES
    ) -> GroupView:
        """The epoch of a GroupInfo, whose signature is checked; its tree's leaves are taken as they are. Raises
        `Invalid`, `VerificationFailed`, `Unsupported`."""
        context = group_info.group_context
        suite = cipher_suite(context.cipher_suite)
        signer = tree.leaf(group_info.signer)
        if signer is None:
            raise Invalid(Rule.GROUP_INFO_SIGNER)
        group_info.verify(suite, signer.signature_key)
        confirmed, tag = context.confirmed_transcript_hash, group_info.confirmation_tag
        return cls(context, tree, interim_transcript_hash(suite, confirmed, tag), rules)

    def follow(
        self, content: AuthenticatedContent, proposals: ReceivedProposals = _NONE_RECEIVED
    ) -> GroupView:
        """The epoch after a commit that was verified in this one; `proposals` are this epoch's by ProposalRef.

        Raises `Invalid`, `Unsupported`, `DecodeError`, `Pending` for a missing proposal, and `UsageError` without
        an interim transcript hash.
        """
        if not self.interim_transcript_hash:
            raise UsageError("the view has no interim transcript hash")
        suite = self.cipher_suite
        public = apply_commit(suite, self.group_context, self.tree, self.rules, content, proposals, None)
        tag = content.auth.confirmation_tag
        if tag is None:
            raise Invalid(Rule.CONFIRMATION_TAG)
        confirmed = confirmed_transcript_hash(
            suite, self.interim_transcript_hash, content.wire_format, content.content, content.auth.signature
        )
        context = replace(public.provisional, confirmed_transcript_hash=confirmed)
        return GroupView(context, public.tree, interim_transcript_hash(suite, confirmed, tag), self.rules)
