"""Joining a group by a Welcome (RFC 9420 §12.4.3.1)."""

from __future__ import annotations

import hmac
from collections.abc import Container

from starling.protocol.crypto.cipher_suite import CipherSuite, cipher_suite
from starling.protocol.crypto.secret import PrivateKey, Secret
from starling.protocol.errors import Invalid, Pending
from starling.protocol.mls import key_schedule as schedules
from starling.protocol.mls import tree_math
from starling.protocol.mls.epoch import Epoch, enter_epoch
from starling.protocol.mls.group_info import GroupInfo
from starling.protocol.mls.group_info_validation import validate_group_info
from starling.protocol.mls.group_rules import GroupRules
from starling.protocol.mls.key_package import KeyPackageBundle
from starling.protocol.mls.key_schedule import KeySchedule
from starling.protocol.mls.past_epochs import FindPastEpoch
from starling.protocol.mls.private_tree import path_secrets_from
from starling.protocol.mls.proposal_list import check_psks
from starling.protocol.mls.psk import FindPsk, PreSharedKeyID, ResumptionPSKUsage, find_psk_secret
from starling.protocol.mls.ratchet_tree import RatchetTree
from starling.protocol.mls.rules import Rule
from starling.protocol.mls.succession import check_successor
from starling.protocol.mls.welcome import Welcome, open_group_info, open_group_secrets


def join_by_welcome(
    welcome: Welcome,
    bundle: KeyPackageBundle,
    signature_private_key: bytes,
    *,
    psks: FindPsk,
    past_epochs: FindPastEpoch,
    group_ids: Container[bytes],
    ratchet_tree: RatchetTree | None,
    rules: GroupRules,
    key_schedule: KeySchedule,
) -> tuple[Epoch, GroupInfo]:
    """The epoch that a Welcome leads into; `group_ids` are those of the groups that we are in.

    Raises `Invalid`, `VerificationFailed`, `DecodeError`, `Unsupported`, or `Pending` for a missing PSK
    or the missing past epoch of a group that this one follows.
    """
    suite = cipher_suite(welcome.cipher_suite)
    secrets = open_group_secrets(suite, welcome, bundle)
    link = _link(suite, secrets.psks)
    past = past_epochs(link.psk_group_id or b"", link.psk_epoch or 0) if link is not None else None
    if link is not None and past is None:
        raise Pending("the group that this one follows is not known")

    def find_psk(psk_id: PreSharedKeyID) -> bytes | None:
        return bytes(past.resumption_psk) if past is not None and psk_id == link else psks(psk_id)

    psk_secret = find_psk_secret(suite, secrets.psks, find_psk)
    info = open_group_info(suite, welcome, secrets.joiner_secret, psk_secret)
    context = info.group_context
    if context.cipher_suite != suite.id:
        raise Invalid(Rule.WELCOME_SUITE)
    if context.group_id in group_ids:
        raise Invalid(Rule.WELCOME_GROUP_ID)
    capabilities = bundle.key_package.leaf_node.capabilities
    tree = validate_group_info(suite, info, ratchet_tree, capabilities, rules)
    own = next((i for i, leaf in tree.leaves() if leaf == bundle.key_package.leaf_node), None)
    if own is None:
        raise Invalid(Rule.WELCOME_MY_LEAF)
    if own == info.signer:
        raise Invalid(Rule.GROUP_INFO_SIGNER)
    if link is not None and past is not None:
        check_successor(link.usage or 0, past, context, tree, rules)
    own_key = Secret(bundle.encryption_private_key)
    suite.hpke.load(own_key)
    private_keys: dict[int, PrivateKey] = {2 * own: own_key}
    if secrets.path_secret is not None:
        lowest = tree_math.common_ancestor(own, info.signer)
        try:
            keys, _ = path_secrets_from(suite, tree, info.signer, lowest, secrets.path_secret.path_secret)
        except Invalid:
            raise Invalid(Rule.WELCOME_PATH_SECRET) from None
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


def _link(suite: CipherSuite, psks: tuple[PreSharedKeyID, ...]) -> PreSharedKeyID | None:
    """The PSK that ties the group to the one before it, None where there is none."""
    links = [psk for psk in psks if psk.usage in (ResumptionPSKUsage.REINIT, ResumptionPSKUsage.BRANCH)]
    if len(links) > 1:
        raise Invalid(Rule.WELCOME_PSKS)
    link = links[0] if links else None
    check_psks(suite, psks, (link.usage if link is not None else None) or ResumptionPSKUsage.APPLICATION)
    return link
