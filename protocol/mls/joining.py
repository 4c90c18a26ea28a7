"""Joining a group by a Welcome (RFC 9420 §12.4.3.1)."""

from __future__ import annotations

import hmac

from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.errors import Invalid, Unsupported
from starling.protocol.mls import key_schedule as schedules
from starling.protocol.mls import tree_math
from starling.protocol.mls.epoch import Epoch, enter_epoch
from starling.protocol.mls.group_info import GroupInfo
from starling.protocol.mls.group_info_validation import validate_group_info
from starling.protocol.mls.group_rules import GroupRules
from starling.protocol.mls.key_package import KeyPackageBundle
from starling.protocol.mls.key_schedule import KeySchedule
from starling.protocol.mls.private_tree import path_secrets_from
from starling.protocol.mls.psk import FindPsk, PreSharedKeyID, PSKType, ResumptionPSKUsage, find_psk_secret
from starling.protocol.mls.ratchet_tree import RatchetTree
from starling.protocol.mls.rules import Rule
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
    capabilities = bundle.key_package.leaf_node.capabilities
    tree = validate_group_info(suite, info, ratchet_tree, capabilities, rules)
    own = next((i for i, leaf in tree.leaves() if leaf == bundle.key_package.leaf_node), None)
    if own is None:
        raise Invalid(Rule.WELCOME_MY_LEAF)
    if own == info.signer:
        raise Invalid(Rule.GROUP_INFO_SIGNER)
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


def _check_psks(psk_ids: tuple[PreSharedKeyID, ...]) -> None:
    special = [
        psk
        for psk in psk_ids
        if psk.psktype == PSKType.RESUMPTION and psk.usage != ResumptionPSKUsage.APPLICATION
    ]
    if special:
        raise Unsupported("joining after a reinitialization or a branch")
