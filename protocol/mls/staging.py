"""Processing a commit: the next epoch beside the old one (RFC 9420 §12.4.2)."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from starling.protocol.crypto.secret import PrivateKey
from starling.protocol.errors import Invalid, UsageError
from starling.protocol.mls.apply_proposals import AppliedProposals
from starling.protocol.mls.epoch import CommitDigest, Epoch, enter_child
from starling.protocol.mls.external_init import open_init_secret
from starling.protocol.mls.framing import AuthenticatedContent, Sender
from starling.protocol.mls.private_tree import PrivateTree, keys_in
from starling.protocol.mls.proposal_list import ReceivedProposals
from starling.protocol.mls.psk import FindPsk, find_psk_secret
from starling.protocol.mls.public_commit import apply_commit
from starling.protocol.mls.rules import Rule
from starling.protocol.mls.update_path import open_path

FindLeafKey = Callable[[bytes], bytes | None]
"""The private key of an encryption key of ours, None where it is not ours."""


@dataclass(frozen=True, slots=True)
class Staged:
    """The child epoch, None where the commit removes us; what the commit changed, and its sender's leaf."""

    child: Epoch | None
    applied: AppliedProposals
    committer: int


def stage_commit(
    epoch: Epoch,
    content: AuthenticatedContent,
    *,
    psks: FindPsk,
    leaf_private_key: FindLeafKey | None,
    signature_private_key: bytes | None,
    proposals: ReceivedProposals,
    now: int | None,
) -> Staged:
    """The epoch after a commit of a member or of a new member (§12.4.3.2).

    `content` was opened and verified in this epoch. Raises `Invalid`, `Unsupported`, `VerificationFailed`,
    `Pending` for a missing PSK or proposal, `UsageError` (`leaf_key_missing`) without the key of our new
    leaf.
    """
    suite = epoch.suite
    if epoch.reinit is not None:
        raise Invalid(Rule.REINIT_LAST)
    if content.content.sender == Sender.member(epoch.own_leaf_index):
        raise Invalid(Rule.OWN_MESSAGE)
    public = apply_commit(suite, epoch.context, epoch.tree, epoch.rules, content, proposals, now)
    commit, applied, tree = public.commit, public.applied, public.tree
    provisional, committer = public.provisional, public.committer
    if epoch.own_leaf_index in applied.removed:
        return Staged(None, applied, committer)
    # After the removal: who is removed need not have the PSKs that the others mix in.
    psk_secret = find_psk_secret(suite, applied.psk_ids, psks)
    external_init_secret = None
    if applied.external_init is not None:
        external_secret = epoch.secrets.external_secret
        external_init_secret = open_init_secret(suite, external_secret, applied.external_init.kem_output)
    private_tree = PrivateTree(epoch.own_leaf_index, _private_keys(epoch, applied, leaf_private_key))
    keys: Mapping[int, PrivateKey] = private_tree.keys
    root_path_secret = commit_secret = None
    if commit.path is not None:
        secrets = open_path(
            suite, tree, committer, commit.path, private_tree, provisional.encode(), applied.added
        )
        root_path_secret, commit_secret = secrets.root_path_secret, secrets.commit_secret
        keys = keys_in(tree, {**private_tree.keys, **secrets.private_keys})
    held = epoch.signature_private_key
    # A superseded epoch has no signature key any more: nor has a sibling that is entered from it.
    signing: PrivateKey = signature_private_key or (b"" if held.is_wiped else held)
    child = enter_child(
        epoch,
        provisional,
        tree,
        commit=CommitDigest(content.wire_format, content.content, content.auth.signature),
        root_path_secret=root_path_secret,
        commit_secret=commit_secret,
        psk_secret=psk_secret,
        private_keys=keys,
        signature_private_key=signing,
        external_init_secret=external_init_secret,
        reinit=applied.reinit,
    ).epoch
    private_tree.wipe()
    if content.auth.confirmation_tag is None or not _same(
        child.confirmation_tag, content.auth.confirmation_tag
    ):
        child.wipe()
        raise Invalid(Rule.CONFIRMATION_TAG)
    return Staged(child, applied, committer)


def _same(first: bytes, second: bytes) -> bool:
    return hmac.compare_digest(first, second)


def _private_keys(
    epoch: Epoch, applied: AppliedProposals, leaf_private_key: FindLeafKey | None
) -> dict[int, PrivateKey]:
    """Our private keys in the tree after the proposals, with that of our new leaf where it was replaced."""
    keys = keys_in(applied.tree, epoch.private_tree.keys)
    own = epoch.own_leaf_index
    if own in applied.updated:
        leaf = applied.tree.leaf(own)
        assert leaf is not None
        key = leaf_private_key(leaf.encryption_key) if leaf_private_key is not None else None
        if key is None:
            raise UsageError("the private key of the replaced leaf is missing", "leaf_key_missing")
        keys[2 * own] = key
    return keys
