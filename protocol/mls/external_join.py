"""Joining a group by an external commit, without a member being online (RFC 9420 §12.4.3.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from starling.protocol.crypto.cipher_suite import CipherSuite, cipher_suite
from starling.protocol.errors import Invalid, Unsupported, UsageError
from starling.protocol.mls import framing
from starling.protocol.mls.apply_proposals import apply_proposals, check_committer_leaf, check_new_tree
from starling.protocol.mls.commit import Commit, ProposalOrRef
from starling.protocol.mls.epoch import CommitDigest, Epoch, enter_by_init_secret, provisional_context
from starling.protocol.mls.external_init import external_pub_of, seal_init_secret
from starling.protocol.mls.framing import AuthenticatedContent, FramedContent, FramedContentAuthData, Sender
from starling.protocol.mls.group_context import GroupContext
from starling.protocol.mls.group_info import GroupInfo
from starling.protocol.mls.group_info_validation import validate_group_info
from starling.protocol.mls.group_rules import GroupRules
from starling.protocol.mls.key_schedule import KeySchedule
from starling.protocol.mls.leaf_node import LeafNode
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.private_tree import keys_in
from starling.protocol.mls.proposal import ExternalInit, Proposal, Remove, SelfRemove
from starling.protocol.mls.proposal_list import CommittedProposal, received_proposal
from starling.protocol.mls.psk import FindPsk, find_psk_secret
from starling.protocol.mls.public_message import PublicMessage
from starling.protocol.mls.ratchet_tree import RatchetTree
from starling.protocol.mls.rules import Rule
from starling.protocol.mls.safe_aad import read_safe_aad, uses_safe_aad
from starling.protocol.mls.transcript_hash import interim_transcript_hash
from starling.protocol.mls.update_path import create_path, seal_path
from starling.protocol.mls.wire_format import ContentType, SenderType, WireFormat


@dataclass(frozen=True, slots=True)
class ExternalJoinOptions:
    """How an external commit is made; see `Group.external_join`."""

    leaf_node: LeafNode
    signature_private_key: bytes = field(repr=False)
    resync: bool
    proposals: Sequence[Proposal]
    self_removes: Sequence[MLSMessage]
    ratchet_tree: RatchetTree | None
    authenticated_data: bytes
    rules: GroupRules
    key_schedule: KeySchedule


@dataclass(frozen=True, slots=True)
class ExternalJoin:
    """An encoded MLSMessage with the external commit, and the epoch that it starts."""

    message: bytes
    content: AuthenticatedContent
    child: Epoch


def join_by_external_commit(
    info: GroupInfo, options: ExternalJoinOptions, psks: FindPsk, random: Callable[[int], bytes]
) -> ExternalJoin:
    """Raises `Invalid` or `DecodeError` for a bad GroupInfo or list, `Unsupported`, `Pending` for a missing
    PSK, `UsageError` where a resync finds no old leaf."""
    context, rules, signing = info.group_context, options.rules, options.signature_private_key
    suite = cipher_suite(context.cipher_suite)
    if suite.id not in options.leaf_node.capabilities.cipher_suites:
        raise Unsupported(f"our leaf does not support the group's cipher suite {suite.id}")
    new_leaf = replace(options.leaf_node, signature_key=suite.signature_public_key(signing))
    parent_tree = validate_group_info(suite, info, options.ratchet_tree, new_leaf.capabilities, rules)
    if uses_safe_aad(context.extensions):
        try:
            read_safe_aad(options.authenticated_data)
        except Invalid as invalid:
            raise UsageError(f"the group asks for another form: {invalid}", "framing") from None
    kem_output, init_secret = seal_init_secret(suite, external_pub_of(info), random)
    by_value: list[Proposal] = [ExternalInit(kem_output)]
    if options.resync:
        by_value.append(Remove(_old_leaf(parent_tree, new_leaf, rules)))
    by_value.extend(options.proposals)
    sender = Sender(SenderType.NEW_MEMBER_COMMIT)
    by_reference = [_self_remove(suite, context, parent_tree, message) for message in options.self_removes]
    listed = [CommittedProposal(proposal, sender) for proposal in by_value]
    listed.extend(map(received_proposal, by_reference))
    applied = apply_proposals(suite, context, parent_tree, None, listed, rules, has_path=True)
    psk_secret = find_psk_secret(suite, applied.psk_ids, psks)

    tree, own = applied.tree.with_free_leaf()
    path = create_path(suite, tree, own, context.group_id, new_leaf, signing, random)
    provisional = provisional_context(suite, context, path.tree, applied.extensions)
    old = parent_tree.leaf(applied.resynced) if applied.resynced is not None else None
    check_committer_leaf(suite, provisional, path.leaf_node, own, rules, old)
    check_new_tree(parent_tree, path.tree)
    update_path = seal_path(suite, path, provisional.encode(), (), random)
    entries = [ProposalOrRef.by_value(proposal) for proposal in by_value]
    entries.extend(ProposalOrRef.by_reference(content.reference(suite)) for content in by_reference)
    content = FramedContent(
        context.group_id,
        context.epoch,
        sender,
        options.authenticated_data,
        ContentType.COMMIT,
        commit=Commit(tuple(entries), update_path),
    )
    wire_format = WireFormat.MLS_PUBLIC_MESSAGE
    signature = framing.sign(suite, signing, framing.to_be_signed(wire_format, content, context.encode()))
    child = enter_by_init_secret(
        suite=suite,
        interim_transcript_hash=interim_transcript_hash(
            suite, context.confirmed_transcript_hash, info.confirmation_tag
        ),
        provisional=provisional,
        tree=path.tree,
        commit=CommitDigest(wire_format, content, signature),
        init_secret=lambda group_context: init_secret,
        commit_secret=path.secrets.commit_secret,
        psk_secret=psk_secret,
        own_leaf_index=own,
        private_keys=keys_in(path.tree, path.secrets.private_keys),
        signature_private_key=signing,
        rules=rules,
        key_schedule=options.key_schedule,
    ).epoch
    auth = FramedContentAuthData(signature, child.confirmation_tag)
    message = MLSMessage.of(PublicMessage(content, auth, None)).encode()
    return ExternalJoin(message, AuthenticatedContent(wire_format, content, auth), child)


def _old_leaf(tree: RatchetTree, new_leaf: LeafNode, rules: GroupRules) -> int:
    """The leaf that a resync replaces: the one with our signature key, else the only one of the same member."""
    found = [index for index, leaf in tree.leaves() if leaf.signature_key == new_leaf.signature_key]
    found = found or [index for index, leaf in tree.leaves() if rules.same_member(leaf, new_leaf)]
    if len(found) != 1:
        raise UsageError("there is not exactly one old leaf to replace", "no_old_leaf")
    return found[0]


def _self_remove(
    suite: CipherSuite, context: GroupContext, tree: RatchetTree, message: MLSMessage
) -> AuthenticatedContent:
    """A SelfRemove as an outsider can verify it: all but the membership tag (extensions draft §6.3)."""
    body = message.body
    if not isinstance(body, PublicMessage):
        raise Invalid(Rule.SELF_REMOVE_PUBLIC)
    framed = body.content
    if not isinstance(framed.proposal, SelfRemove):
        raise Invalid(Rule.CONTENT_TYPE)
    if framed.group_id != context.group_id:
        raise Invalid(Rule.WRONG_GROUP)
    if framed.epoch != context.epoch:
        raise Invalid(Rule.WRONG_EPOCH)
    if framed.sender.leaf_index is None:
        raise Invalid(Rule.SELF_REMOVE_SENDER)
    leaf = tree.leaf(framed.sender.leaf_index)
    if leaf is None:
        raise Invalid(Rule.SENDER_BLANK)
    tbs = framing.to_be_signed(WireFormat.MLS_PUBLIC_MESSAGE, framed, context.encode())
    framing.verify(suite, leaf.signature_key, tbs, body.auth.signature)
    return AuthenticatedContent(WireFormat.MLS_PUBLIC_MESSAGE, framed, body.auth)
