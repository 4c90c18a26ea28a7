"""Groups that follow another: after a ReInit, or as a branch of it (RFC 9420 §11.2, §11.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from starling.protocol.crypto.cipher_suite import CipherSuite, cipher_suite
from starling.protocol.errors import Invalid, Unsupported, UsageError
from starling.protocol.mls.committing import CommitOptions, CreatedCommit, create_commit
from starling.protocol.mls.creation import Creator, create_epoch
from starling.protocol.mls.epoch import Epoch
from starling.protocol.mls.extension import Extension
from starling.protocol.mls.group_context import GroupContext
from starling.protocol.mls.group_rules import GroupRules
from starling.protocol.mls.key_package import KeyPackage
from starling.protocol.mls.key_schedule import KeySchedule
from starling.protocol.mls.leaf_node import LeafNode
from starling.protocol.mls.past_epochs import PastEpoch
from starling.protocol.mls.proposal import Add, PreSharedKey, ReInit
from starling.protocol.mls.psk import PreSharedKeyID, ResumptionPSKUsage
from starling.protocol.mls.ratchet_tree import RatchetTree
from starling.protocol.mls.rules import Rule
from starling.protocol.mls.safe_aad import EMPTY
from starling.protocol.mls.wire_format import MLS10


def check_successor(
    usage: int, past: PastEpoch, context: GroupContext, tree: RatchetTree, rules: GroupRules
) -> None:
    """Whether a group is what its resumption PSK of usage reinit or branch says. Raises `Invalid`."""
    if context.epoch != 1:
        raise Invalid(Rule.SUCCESSOR_EPOCH)
    members = [leaf for _, leaf in tree.leaves()]
    if usage == ResumptionPSKUsage.REINIT:
        if past.reinit is None:
            raise Invalid(Rule.REINIT_COMMITTED)
        if past.reinit != ReInit(context.group_id, context.version, context.cipher_suite, context.extensions):
            raise Invalid(Rule.REINIT_PARAMETERS)
        if not _all_among(past.members, members, rules.same_member):
            raise Invalid(Rule.REINIT_MEMBERS)
        return
    if (context.version, context.cipher_suite) != (past.context.version, past.context.cipher_suite):
        raise Invalid(Rule.BRANCH_PARAMETERS)
    if not _all_among(members, past.members, lambda new, old: rules.same_member(old, new)):
        raise Invalid(Rule.BRANCH_MEMBERS)


def _all_among(
    leaves: Iterable[LeafNode], others: Sequence[LeafNode], same: Callable[[LeafNode, LeafNode], bool]
) -> bool:
    # The equal credential first: with that alone the time grows with the members, not with their square.
    by_credential = {other.credential: other for other in others}

    def is_among(leaf: LeafNode) -> bool:
        equal = by_credential.get(leaf.credential)
        return (equal is not None and same(leaf, equal)) or any(same(leaf, other) for other in others)

    return all(map(is_among, leaves))


def reinitialize(
    epoch: Epoch,
    key_packages: Sequence[KeyPackage],
    creator: Creator,
    options: CommitOptions,
    rules: GroupRules,
    key_schedule: KeySchedule,
    random: Callable[[int], bytes],
) -> CreatedCommit:
    """The initial commit of the group that the epoch's ReInit asks for, with all its members (§11.2)."""
    reinit = epoch.reinit
    if reinit is None:
        raise UsageError("the group was not reinitialized", "not_reinitialized")
    if reinit.version != MLS10:
        raise Unsupported(f"MLS version {reinit.version}")
    suite = cipher_suite(reinit.cipher_suite)
    first = create_epoch(suite, reinit.group_id, creator, reinit.extensions, rules, key_schedule, random)
    return _follow(epoch, ResumptionPSKUsage.REINIT, first, key_packages, options, random)


def branch(
    epoch: Epoch,
    group_id: bytes,
    extensions: tuple[Extension, ...],
    key_packages: Sequence[KeyPackage],
    creator: Creator,
    options: CommitOptions,
    rules: GroupRules,
    key_schedule: KeySchedule,
    random: Callable[[int], bytes],
) -> CreatedCommit:
    """The initial commit of a group of some of the epoch's members (§11.3)."""
    first = create_epoch(epoch.suite, group_id, creator, extensions, rules, key_schedule, random)
    return _follow(epoch, ResumptionPSKUsage.BRANCH, first, key_packages, options, random)


def _follow(
    epoch: Epoch,
    usage: int,
    first: Epoch,
    key_packages: Sequence[KeyPackage],
    options: CommitOptions,
    random: Callable[[int], bytes],
) -> CreatedCommit:
    past = PastEpoch.of(epoch)
    psk_id = _psk_id(usage, past, first.suite, random)
    made = create_commit(
        first,
        [PreSharedKey(psk_id), *map(Add, key_packages)],
        (),
        replace(options, psk_usage=usage, authenticated_data=EMPTY if first.safe_aad else b""),
        {psk_id: bytes(past.resumption_psk)}.get,
        random,
    )
    past.resumption_psk.wipe()
    first.wipe()
    try:
        check_successor(usage, past, made.child.context, made.child.tree, first.rules)
    except Invalid:
        made.child.wipe()
        raise
    return made


def _psk_id(
    usage: int, past: PastEpoch, suite: CipherSuite, random: Callable[[int], bytes]
) -> PreSharedKeyID:
    nonce = random(suite.hash_length)
    return PreSharedKeyID.resumption(usage, past.context.group_id, past.context.epoch, nonce)
