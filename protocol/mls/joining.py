"""Joining a group by a Welcome (RFC 9420 §12.4.3.1)."""

from __future__ import annotations

import hmac

from starling.protocol.crypto.cipher_suite import CipherSuite, cipher_suite
from starling.protocol.errors import Invalid, Unsupported, VerificationFailed
from starling.protocol.mls import key_schedule as schedules
from starling.protocol.mls import tree_math
from starling.protocol.mls.epoch import Epoch, enter_epoch
from starling.protocol.mls.extension import DEFAULT_TYPES, RATCHET_TREE, check_unique, find_extension
from starling.protocol.mls.group_info import GroupInfo
from starling.protocol.mls.group_rules import GroupRules
from starling.protocol.mls.key_package import KeyPackageBundle
from starling.protocol.mls.key_schedule import KeySchedule
from starling.protocol.mls.leaf_node import LeafNode
from starling.protocol.mls.private_tree import path_secrets_from
from starling.protocol.mls.psk import FindPsk, PreSharedKeyID, PSKType, ResumptionPSKUsage, find_psk_secret
from starling.protocol.mls.ratchet_tree import RatchetTree
from starling.protocol.mls.rules import Rule
from starling.protocol.mls.tree_hash import tree_hash
from starling.protocol.mls.tree_validation import validate_tree
from starling.protocol.mls.welcome import Welcome, open_group_info, open_group_secrets


def join_by_welcome(
    welcome: Welcome,
    bundle: KeyPackageBundle,
    signature_private_key: bytes,
    *,
    psks: FindPsk,
    ratchet_tree: RatchetTree | None,
    rules: GroupRules,
    key_schedule: KeySchedule,
) -> tuple[Epoch, GroupInfo]:
    """The epoch that a Welcome leads into. Whether the group id is new to us is the caller's check.

    Raises `Invalid`, `VerificationFailed`, `DecodeError`, `Unsupported`, or `Pending` for a missing PSK.
    """
    suite = cipher_suite(welcome.cipher_suite)
    secrets = open_group_secrets(suite, welcome, bundle)
    _check_psks(secrets.psks)
    psk_secret = find_psk_secret(suite, secrets.psks, psks)
    info = open_group_info(suite, welcome, secrets.joiner_secret, psk_secret)
    context = info.group_context
    if context.cipher_suite != suite.id:
        raise Invalid(Rule.WELCOME_SUITE)
    tree = _tree(info, ratchet_tree)
    _check_group_info(suite, info, tree, bundle.key_package.leaf_node)

    def check_leaf(leaf: LeafNode) -> None:
        rules.validate_leaf(leaf, context)

    validate_tree(suite, tree, context.group_id, context.required_capabilities, check_leaf)
    own = next((i for i, leaf in tree.leaves() if leaf == bundle.key_package.leaf_node), None)
    if own is None:
        raise Invalid(Rule.WELCOME_MY_LEAF)
    if own == info.signer:
        raise Invalid(Rule.WELCOME_SIGNER)
    private_keys = {2 * own: bundle.encryption_private_key}
    if secrets.path_secret is not None:
        lowest = tree_math.common_ancestor(own, info.signer)
        try:
            keys, _ = path_secrets_from(suite, tree, info.signer, lowest, secrets.path_secret.path_secret)
        except Invalid:
            raise Invalid(Rule.WELCOME_PATH_SECRET) from None
        if lowest not in keys:
            raise Invalid(Rule.WELCOME_PATH_SECRET)
        private_keys |= keys
    epoch = enter_epoch(
        suite=suite,
        context=context,
        tree=tree,
        own_leaf_index=own,
        private_keys=private_keys,
        signature_private_key=signature_private_key,
        epoch_secret=schedules.epoch_secret(suite, secrets.joiner_secret, psk_secret, context.encode()),
        rules=rules,
        key_schedule=key_schedule,
    )
    if not hmac.compare_digest(epoch.confirmation_tag, info.confirmation_tag):
        epoch.wipe()
        raise Invalid(Rule.CONFIRMATION_TAG)
    return epoch, info


def _tree(info: GroupInfo, ratchet_tree: RatchetTree | None) -> RatchetTree:
    data = find_extension(info.extensions, RATCHET_TREE)
    if data is not None:
        return RatchetTree.decode(data)
    if ratchet_tree is None:
        raise Invalid(Rule.WELCOME_TREE)
    return ratchet_tree


def _check_group_info(suite: CipherSuite, info: GroupInfo, tree: RatchetTree, own_leaf: LeafNode) -> None:
    signer = tree.leaf(info.signer)
    if signer is None:
        raise Invalid(Rule.WELCOME_SIGNER)
    try:
        info.verify(suite, signer.signature_key)
    except VerificationFailed:
        raise Invalid(Rule.WELCOME_SIGNATURE) from None
    check_unique(info.extensions)
    check_unique(info.group_context.extensions)
    known = DEFAULT_TYPES | set(own_leaf.capabilities.extensions)
    for extension in info.group_context.extensions:
        if extension.extension_type not in known:
            raise Unsupported(f"GroupContext extension {extension.extension_type:#06x}")
    if tree_hash(suite, tree) != info.group_context.tree_hash:
        raise Invalid(Rule.TREE_HASH)


def _check_psks(psk_ids: tuple[PreSharedKeyID, ...]) -> None:
    special = [
        psk
        for psk in psk_ids
        if psk.psktype == PSKType.RESUMPTION and psk.usage != ResumptionPSKUsage.APPLICATION
    ]
    if special:
        raise Unsupported("joining after a reinitialization or a branch")
