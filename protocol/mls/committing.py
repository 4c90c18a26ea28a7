"""Creating a commit and the Welcome of those it adds (RFC 9420 §12.4.1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from starling.protocol.errors import UsageError
from starling.protocol.mls import tree_math
from starling.protocol.mls.apply_proposals import (
    AppliedProposals,
    apply_proposals,
    check_committer_leaf,
    check_new_tree,
)
from starling.protocol.mls.commit import Commit, ProposalOrRef
from starling.protocol.mls.epoch import CommitDigest, Epoch, enter_child, provisional_context
from starling.protocol.mls.extension import RATCHET_TREE, Extension
from starling.protocol.mls.external_init import external_pub_extension
from starling.protocol.mls.framing import AuthenticatedContent, FramedContent, FramedContentAuthData, Sender
from starling.protocol.mls.group_info import GroupInfo
from starling.protocol.mls.leaf_node import LeafNode
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.private_tree import keys_in
from starling.protocol.mls.proposal import Proposal
from starling.protocol.mls.proposal_list import CommittedProposal, received_proposal, requires_path
from starling.protocol.mls.protection import protect_handshake, sign_content
from starling.protocol.mls.psk import FindPsk, ResumptionPSKUsage, find_psk_secret
from starling.protocol.mls.update_path import NewPath, UpdatePath, create_path, seal_path
from starling.protocol.mls.welcome import create_welcome
from starling.protocol.mls.wire_format import ContentType, WireFormat

ChangeLeaf = Callable[[LeafNode], LeafNode]
"""Our leaf as it is to the leaf as it shall be; keys, source, parent hash and signature are made anew."""


@dataclass(frozen=True, slots=True)
class CommitOptions:
    """How a commit is made; see `Group.commit`."""

    path: bool | None = None
    leaf_node: ChangeLeaf | None = None
    signature_private_key: bytes | None = field(repr=False, default=None)
    authenticated_data: bytes = b""
    handshake_generation: int | None = None
    wire_format: int = WireFormat.MLS_PRIVATE_MESSAGE
    padding: int = 0
    group_info_extensions: tuple[Extension, ...] = ()
    with_tree: bool = True
    now: int | None = None
    psk_usage: int = ResumptionPSKUsage.APPLICATION


@dataclass(frozen=True, slots=True)
class CreatedCommit:
    """An encoded MLSMessage, the child epoch, and an encoded Welcome with its GroupInfo where members
    were added."""

    message: bytes
    content: AuthenticatedContent
    child: Epoch
    welcome: bytes | None
    group_info: GroupInfo | None
    applied: AppliedProposals


def create_commit(
    epoch: Epoch,
    by_value: Sequence[Proposal],
    by_reference: Sequence[AuthenticatedContent],
    options: CommitOptions,
    psks: FindPsk,
    random: Callable[[int], bytes],
) -> CreatedCommit:
    """A commit of these proposals, those by reference first. The epoch is left as it is, but for the
    handshake generation that was used. Raises `UsageError`, `Invalid` for a bad list, `Pending` for a
    missing PSK."""
    suite, own = epoch.suite, epoch.own_leaf_index
    signing = epoch.signing_key()
    listed = _listed(own, by_value, by_reference)
    with_path = requires_path(listed) if options.path is None else options.path
    if not with_path and requires_path(listed):
        raise UsageError("these proposals need a path")
    if not with_path and (options.leaf_node or options.signature_private_key):
        raise UsageError("our leaf changes only with a path")
    applied = apply_proposals(
        suite,
        epoch.context,
        epoch.tree,
        own,
        listed,
        epoch.rules,
        has_path=with_path,
        now=options.now,
        psk_usage=options.psk_usage,
    )
    psk_secret = find_psk_secret(suite, applied.psk_ids, psks)
    keys = keys_in(applied.tree, epoch.private_tree.keys)
    path = _create_path(epoch, applied, options, random) if with_path else None
    tree = path.tree if path is not None else applied.tree
    provisional = provisional_context(suite, epoch.context, tree, applied.extensions)
    update_path = None
    if path is not None:
        old = epoch.tree.leaf(own)
        signed_by = options.signature_private_key or signing
        check_committer_leaf(suite, provisional, path.leaf_node, own, epoch.rules, old, signed_by)
        update_path = seal_path(suite, path, provisional.encode(), applied.added, random)
        keys = keys_in(tree, keys | path.secrets.private_keys)
    check_new_tree(epoch.tree, tree)
    content = _frame(epoch, by_value, by_reference, update_path, options.authenticated_data)
    signature = sign_content(epoch, options.wire_format, content)
    child = enter_child(
        epoch,
        provisional,
        tree,
        commit=CommitDigest(options.wire_format, content, signature),
        root_path_secret=path.secrets.root_path_secret if path is not None else None,
        commit_secret=path.secrets.commit_secret if path is not None else None,
        psk_secret=psk_secret,
        private_keys=keys,
        signature_private_key=options.signature_private_key or signing,
        reinit=applied.reinit,
    )
    auth = FramedContentAuthData(signature, child.epoch.confirmation_tag)
    authenticated = AuthenticatedContent(options.wire_format, content, auth)
    message = protect_handshake(epoch, authenticated, options.handshake_generation, options.padding, random)
    info = welcome = None
    if applied.added:
        info = create_group_info(child.epoch, options.group_info_extensions, with_tree=options.with_tree)
        welcome = MLSMessage.of(
            create_welcome(
                suite,
                info,
                child.joiner_secret,
                psk_secret,
                applied.psk_ids,
                applied.added,
                lambda leaf_index: _path_secret(path, own, leaf_index),
                random,
            )
        ).encode()
    return CreatedCommit(message, authenticated, child.epoch, welcome, info, applied)


def create_group_info(
    epoch: Epoch, extensions: tuple[Extension, ...] = (), *, with_tree: bool, external_pub: bool = False
) -> GroupInfo:
    """The signed GroupInfo of an epoch, with the ratchet tree and the external public key in it where asked
    for (§12.4.3)."""
    if external_pub:
        external_secret = epoch.secrets.external_secret
        extensions = (external_pub_extension(epoch.suite, external_secret), *extensions)
    if with_tree:
        extensions = (Extension(RATCHET_TREE, epoch.tree.encode()), *extensions)
    info = GroupInfo(epoch.context, extensions, epoch.confirmation_tag, epoch.own_leaf_index, b"")
    return info.sign(epoch.suite, epoch.signing_key())


def _listed(
    own: int, by_value: Sequence[Proposal], by_reference: Sequence[AuthenticatedContent]
) -> tuple[CommittedProposal, ...]:
    listed = [received_proposal(content) for content in by_reference]
    listed.extend(CommittedProposal(proposal, Sender.member(own)) for proposal in by_value)
    return tuple(listed)


def _create_path(
    epoch: Epoch,
    applied: AppliedProposals,
    options: CommitOptions,
    random: Callable[[int], bytes],
) -> NewPath:
    own = epoch.own_leaf_index
    leaf = applied.tree.leaf(own)
    assert leaf is not None
    if options.leaf_node is not None:
        leaf = options.leaf_node(leaf)
    signing = options.signature_private_key or epoch.signing_key()
    if options.signature_private_key is not None:
        leaf = replace(leaf, signature_key=epoch.suite.signature_public_key(options.signature_private_key))
    return create_path(epoch.suite, applied.tree, own, epoch.context.group_id, leaf, signing, random)


def _frame(
    epoch: Epoch,
    by_value: Sequence[Proposal],
    by_reference: Sequence[AuthenticatedContent],
    path: UpdatePath | None,
    authenticated_data: bytes,
) -> FramedContent:
    entries = [ProposalOrRef.by_reference(content.reference(epoch.suite)) for content in by_reference]
    entries.extend(ProposalOrRef.by_value(proposal) for proposal in by_value)
    return FramedContent(
        epoch.context.group_id,
        epoch.context.epoch,
        Sender.member(epoch.own_leaf_index),
        authenticated_data,
        ContentType.COMMIT,
        commit=Commit(tuple(entries), path),
    )


def _path_secret(path: NewPath | None, committer: int, leaf_index: int) -> bytes | None:
    if path is None:
        return None
    return path.secrets.by_node[tree_math.common_ancestor(committer, leaf_index)]
