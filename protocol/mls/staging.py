"""Processing a commit: the next epoch beside the old one (RFC 9420 §12.4.2)."""

from __future__ import annotations

import hmac
from collections.abc import Callable

from starling.protocol.errors import Invalid, UsageError
from starling.protocol.mls.apply_proposals import (
    AppliedProposals,
    apply_proposals,
    check_committer_leaf,
    check_new_tree,
)
from starling.protocol.mls.commit import Commit
from starling.protocol.mls.epoch import Epoch, enter_child, provisional_context
from starling.protocol.mls.framing import AuthenticatedContent
from starling.protocol.mls.private_tree import PrivateTree, keys_in
from starling.protocol.mls.proposal_list import ReceivedProposals, requires_path, resolve_proposals
from starling.protocol.mls.psk import FindPsk, find_psk_secret
from starling.protocol.mls.rules import Rule
from starling.protocol.mls.update_path import apply_path, open_path

FindLeafKey = Callable[[bytes], bytes | None]
"""The private key of an encryption key of ours, None where it is not ours."""


def stage_commit(
    epoch: Epoch,
    content: AuthenticatedContent,
    *,
    psks: FindPsk,
    leaf_private_key: FindLeafKey | None,
    signature_private_key: bytes | None,
    proposals: ReceivedProposals,
    now: int | None,
) -> tuple[Epoch | None, AppliedProposals]:
    """The child epoch, None where the commit removes us; and what the commit changed.

    `content` was opened and verified in this epoch. Raises `Invalid`, `Unsupported`, `VerificationFailed`,
    `Pending` for a missing PSK or proposal, `UsageError` (`leaf_key_missing`) without the key of our new
    leaf.
    """
    suite = epoch.suite
    committer, commit = _committer(epoch, content)
    listed = resolve_proposals(commit.proposals, epoch.context, committer, proposals)
    has_path = commit.path is not None
    if not has_path and requires_path(listed):
        raise Invalid(Rule.PATH_REQUIRED)
    applied = apply_proposals(
        suite, epoch.context, epoch.tree, committer, listed, epoch.rules, has_path=has_path, now=now
    )
    tree = applied.tree
    if commit.path is not None:
        tree = apply_path(suite, tree, committer, commit.path)
    provisional = provisional_context(epoch, tree, applied.extensions)
    if commit.path is not None:
        check_committer_leaf(suite, provisional, commit.path.leaf_node, committer, epoch.rules)
    check_new_tree(epoch.tree, tree)
    if epoch.own_leaf_index in applied.removed:
        return None, applied
    # After the removal: who is removed need not have the PSKs that the others mix in.
    psk_secret = find_psk_secret(suite, applied.psk_ids, psks)
    keys = _private_keys(epoch, applied, leaf_private_key)
    root_path_secret = commit_secret = None
    if commit.path is not None:
        private_tree = PrivateTree(epoch.own_leaf_index, keys)
        secrets = open_path(
            suite, tree, committer, commit.path, private_tree, provisional.encode(), applied.added
        )
        private_tree.wipe()
        root_path_secret, commit_secret = secrets.root_path_secret, secrets.commit_secret
        keys = keys_in(tree, keys | secrets.private_keys)
    held = epoch.signature_private_key
    # A superseded epoch has no signature key any more: nor has a sibling that is entered from it.
    signing = signature_private_key or (b"" if held.is_wiped else bytes(held))
    child = enter_child(
        epoch,
        provisional,
        tree,
        wire_format=content.wire_format,
        content=content.content,
        signature=content.auth.signature,
        root_path_secret=root_path_secret,
        commit_secret=commit_secret,
        psk_secret=psk_secret,
        private_keys=keys,
        signature_private_key=signing,
    ).epoch
    if content.auth.confirmation_tag is None or not _same(
        child.confirmation_tag, content.auth.confirmation_tag
    ):
        child.wipe()
        raise Invalid(Rule.CONFIRMATION_TAG)
    return child, applied


def _same(first: bytes, second: bytes) -> bool:
    return hmac.compare_digest(first, second)


def _committer(epoch: Epoch, content: AuthenticatedContent) -> tuple[int, Commit]:
    framed = content.content
    if framed.group_id != epoch.context.group_id:
        raise Invalid(Rule.WRONG_GROUP)
    if framed.epoch != epoch.context.epoch:
        raise Invalid(Rule.WRONG_EPOCH)
    if framed.commit is None:
        raise Invalid(Rule.CONTENT_TYPE)
    committer = framed.sender.leaf_index
    if committer is None:
        raise Invalid(Rule.SENDER_TYPE)
    if epoch.tree.leaf(committer) is None:
        raise Invalid(Rule.SENDER_BLANK)
    if committer == epoch.own_leaf_index:
        raise Invalid(Rule.OWN_MESSAGE)
    return committer, framed.commit


def _private_keys(
    epoch: Epoch, applied: AppliedProposals, leaf_private_key: FindLeafKey | None
) -> dict[int, bytes]:
    """Our private keys in the tree after the proposals, with that of our new leaf where it was replaced."""
    keys = keys_in(applied.tree, epoch.private_tree.export())
    own = epoch.own_leaf_index
    if own in applied.updated:
        leaf = applied.tree.leaf(own)
        assert leaf is not None
        key = leaf_private_key(leaf.encryption_key) if leaf_private_key is not None else None
        if key is None:
            raise UsageError("the private key of the replaced leaf is missing", "leaf_key_missing")
        keys[2 * own] = key
    return keys
