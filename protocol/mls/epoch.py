"""One epoch of a group as one member holds it, and how a group enters one (RFC 9420 §8, §12.4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from starling.protocol.crypto.cipher_suite import CipherSuite
from starling.protocol.crypto.secret import Secret
from starling.protocol.errors import Invalid, UsageError
from starling.protocol.mls import key_schedule as schedules
from starling.protocol.mls.extension import Extension
from starling.protocol.mls.framing import FramedContent
from starling.protocol.mls.group_context import GroupContext
from starling.protocol.mls.group_rules import GroupRules
from starling.protocol.mls.key_schedule import EpochSecrets, KeySchedule
from starling.protocol.mls.private_tree import PrivateTree
from starling.protocol.mls.ratchet_tree import RatchetTree
from starling.protocol.mls.rules import Rule
from starling.protocol.mls.secret_tree import SecretTree
from starling.protocol.mls.transcript_hash import confirmed_transcript_hash, interim_transcript_hash
from starling.protocol.mls.tree_hash import tree_hash


@dataclass(slots=True, eq=False, repr=False)
class Epoch:
    """Public state with the secrets that belong to it. Entered whole; later only secrets are deleted."""

    suite: CipherSuite
    context: GroupContext
    tree: RatchetTree
    own_leaf_index: int
    private_tree: PrivateTree
    signature_private_key: Secret
    secrets: EpochSecrets
    secret_tree: SecretTree
    confirmation_tag: bytes
    interim_transcript_hash: bytes
    rules: GroupRules
    key_schedule: KeySchedule
    context_bytes: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.context_bytes = self.context.encode()

    def signing_key(self) -> bytes:
        """Our signature private key; `UsageError` in a superseded epoch."""
        if self.signature_private_key.is_wiped:
            raise UsageError("nothing is sent in a superseded epoch", "superseded")
        return bytes(self.signature_private_key)

    def wipe(self) -> None:
        """Delete all secrets."""
        self.secrets.wipe()
        self.secret_tree.wipe()
        self.private_tree.wipe()
        self.signature_private_key.wipe()


def signing_secret(signature_private_key: bytes) -> Secret:
    """The owner of a signature private key; empty bytes mean that there is none."""
    secret = Secret(signature_private_key)
    if not signature_private_key:
        secret.wipe()
    return secret


def enter_epoch(
    *,
    suite: CipherSuite,
    context: GroupContext,
    tree: RatchetTree,
    own_leaf_index: int,
    private_keys: Mapping[int, bytes],
    signature_private_key: bytes,
    epoch_secret: bytes,
    rules: GroupRules,
    key_schedule: KeySchedule,
) -> Epoch:
    """The epoch that an epoch_secret begins. With a `retain_sender` only that leaf's ratchets and only our
    leaf's private key are kept."""
    secrets = key_schedule.enter(suite, epoch_secret)
    tag = schedules.confirmation_tag(suite, secrets.confirmation_key, context.confirmed_transcript_hash)
    secret_tree = SecretTree(suite, tree.leaf_count, secrets.take("encryption_secret"))
    if rules.retain_sender is not None:
        secret_tree.keep_only(rules.retain_sender)
        private_keys = {2 * own_leaf_index: private_keys[2 * own_leaf_index]}
    return Epoch(
        suite=suite,
        context=context,
        tree=tree,
        own_leaf_index=own_leaf_index,
        private_tree=PrivateTree(own_leaf_index, private_keys),
        signature_private_key=signing_secret(signature_private_key),
        secrets=secrets,
        secret_tree=secret_tree,
        confirmation_tag=tag,
        interim_transcript_hash=interim_transcript_hash(suite, context.confirmed_transcript_hash, tag),
        rules=rules,
        key_schedule=key_schedule,
    )


def provisional_context(epoch: Epoch, tree: RatchetTree, extensions: tuple[Extension, ...]) -> GroupContext:
    """The context that path secrets are sealed with: the new epoch, but the old transcript (§12.4.1)."""
    context = epoch.context
    if context.epoch >= 2**64 - 1:
        raise Invalid(Rule.EPOCH_LIMIT)
    return replace(
        context, epoch=context.epoch + 1, tree_hash=tree_hash(epoch.suite, tree), extensions=extensions
    )


@dataclass(frozen=True, slots=True)
class ChildEpoch:
    """A child epoch, and its joiner secret for those who are welcomed to it."""

    epoch: Epoch
    joiner_secret: bytes = field(repr=False)


def enter_child(
    parent: Epoch,
    provisional: GroupContext,
    tree: RatchetTree,
    *,
    wire_format: int,
    content: FramedContent,
    signature: bytes,
    root_path_secret: bytes | None,
    commit_secret: bytes | None,
    psk_secret: bytes,
    private_keys: Mapping[int, bytes],
    signature_private_key: bytes,
) -> ChildEpoch:
    """The epoch after a commit; its confirmation tag is not compared here. No path gives a commit secret of
    zeros. The parent is left as it is."""
    suite = parent.suite
    confirmed = confirmed_transcript_hash(
        suite, parent.interim_transcript_hash, wire_format, content, signature
    )
    context = replace(provisional, confirmed_transcript_hash=confirmed)
    encoded = context.encode()
    init_secret = parent.key_schedule.child_init_secret(parent.secrets, root_path_secret, encoded)
    joiner = schedules.joiner_secret(suite, init_secret, commit_secret or bytes(suite.hash_length), encoded)
    epoch = enter_epoch(
        suite=suite,
        context=context,
        tree=tree,
        own_leaf_index=parent.own_leaf_index,
        private_keys=private_keys,
        signature_private_key=signature_private_key,
        epoch_secret=schedules.epoch_secret(suite, joiner, psk_secret, encoded),
        rules=parent.rules,
        key_schedule=parent.key_schedule,
    )
    return ChildEpoch(epoch, joiner)
