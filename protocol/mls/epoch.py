"""One epoch of a group as one member holds it, and how a group enters one (RFC 9420 §8, §12.4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from starling.protocol.crypto.cipher_suite import CipherSuite
from starling.protocol.crypto.secret import PrivateKey, Secret
from starling.protocol.errors import Invalid, UsageError
from starling.protocol.mls import key_schedule as schedules
from starling.protocol.mls.content_media_types import MediaType, read_media_types
from starling.protocol.mls.exporter_tree import ExporterTree
from starling.protocol.mls.extension import Extension
from starling.protocol.mls.framing import FramedContent
from starling.protocol.mls.group_context import GroupContext
from starling.protocol.mls.group_rules import GroupRules
from starling.protocol.mls.key_schedule import EpochSecrets, KeySchedule
from starling.protocol.mls.private_tree import PrivateTree
from starling.protocol.mls.proposal import ReInit
from starling.protocol.mls.ratchet_tree import RatchetTree
from starling.protocol.mls.replay_cache import ReplayCache
from starling.protocol.mls.rules import Rule
from starling.protocol.mls.safe_aad import uses_safe_aad
from starling.protocol.mls.secret_tree import SecretTree
from starling.protocol.mls.transcript_hash import confirmed_transcript_hash, interim_transcript_hash
from starling.protocol.mls.tree_hash import tree_hash


@dataclass(slots=True, eq=False, repr=False)
class Epoch:
    """Public state with the secrets that belong to it. Entered whole; later only secrets are deleted.

    `reinit` is there where the commit that started the epoch ended the group by a ReInit (§11.2).
    """

    suite: CipherSuite
    context: GroupContext
    tree: RatchetTree
    own_leaf_index: int
    private_tree: PrivateTree
    signature_private_key: Secret
    secrets: EpochSecrets
    secret_tree: SecretTree
    exporter_tree: ExporterTree
    confirmation_tag: bytes
    interim_transcript_hash: bytes
    rules: GroupRules
    key_schedule: KeySchedule
    reinit: ReInit | None = None
    init_input: bytes = b""
    """What the init secret was derived with in the parent, until that is superseded by this one."""
    replay_cache: ReplayCache = field(default_factory=ReplayCache)
    context_bytes: bytes = field(init=False)
    safe_aad: bool = field(init=False)
    media_types: tuple[MediaType, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.context_bytes = self.context.encode()
        self.safe_aad = uses_safe_aad(self.context.extensions)
        self.media_types = read_media_types(self.context.extensions)

    def signing_key(self) -> Secret:
        """Our signature private key; `UsageError` in a superseded epoch and in a group that a ReInit ended."""
        if self.reinit is not None:
            raise UsageError("nothing is sent in a group that was reinitialized", "reinitialized")
        if self.signature_private_key.is_wiped:
            raise UsageError("nothing is sent in a superseded epoch", "superseded")
        return self.signature_private_key

    def leaf_key(self) -> Secret:
        """The private key of our leaf; `UsageError` in a superseded epoch that does not keep it."""
        key = self.private_tree.keys.get(2 * self.own_leaf_index)
        if key is None:
            raise UsageError("this epoch does not hold its leaf key any more", "superseded")
        return key

    def wipe(self) -> None:
        """Delete all secrets."""
        self.secrets.wipe()
        self.secret_tree.wipe()
        self.exporter_tree.wipe()
        self.private_tree.wipe()
        self.signature_private_key.wipe()
        self.replay_cache.clear()


def signing_secret(signature_private_key: PrivateKey) -> Secret:
    """The owner of a signature private key; empty bytes mean that there is none."""
    if isinstance(signature_private_key, Secret):
        return signature_private_key.for_next_owner()
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
    private_keys: Mapping[int, PrivateKey],
    signature_private_key: PrivateKey,
    epoch_secret: bytes,
    rules: GroupRules,
    key_schedule: KeySchedule,
    reinit: ReInit | None = None,
) -> Epoch:
    """The epoch that an epoch_secret begins. With a `retain_sender` only that leaf's ratchets and only our
    leaf's private key are kept."""
    key_schedule.check_context(context.extensions)
    for handshake_format in rules.handshake_formats.values():
        handshake_format.check_context(suite, context.extensions)
    secrets = key_schedule.enter(suite, epoch_secret)
    for derivation in rules.derivations:
        secrets.add(derivation.derive(suite, context, epoch_secret, secrets.exporter_secret))
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
        exporter_tree=ExporterTree.begin(suite, secrets.take("application_export_secret")),
        confirmation_tag=tag,
        interim_transcript_hash=interim_transcript_hash(suite, context.confirmed_transcript_hash, tag),
        rules=rules,
        key_schedule=key_schedule,
        reinit=reinit,
    )


def provisional_context(
    suite: CipherSuite, context: GroupContext, tree: RatchetTree, extensions: tuple[Extension, ...]
) -> GroupContext:
    """The context that path secrets are sealed with: the new epoch, but the old transcript (§12.4.1)."""
    if context.epoch >= 2**64 - 1:
        raise Invalid(Rule.EPOCH_LIMIT)
    return replace(context, epoch=context.epoch + 1, tree_hash=tree_hash(suite, tree), extensions=extensions)


@dataclass(frozen=True, slots=True)
class CommitDigest:
    """What the transcript takes of a commit: its wire format, content and signature (§8.2)."""

    wire_format: int
    content: FramedContent
    signature: bytes


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
    commit: CommitDigest,
    root_path_secret: bytes | None,
    commit_secret: bytes | None,
    psk_secret: bytes,
    private_keys: Mapping[int, PrivateKey],
    signature_private_key: PrivateKey,
    external_init_secret: bytes | None = None,
    reinit: ReInit | None = None,
) -> ChildEpoch:
    """The epoch after a commit; its confirmation tag is not compared here. No path gives a commit secret of
    zeros. `external_init_secret` takes the place of the parent's after an external commit, whatever the key
    schedule (§8.3, K-10). The parent is left as it is until the child supersedes it (K-8)."""
    schedule = parent.key_schedule
    init_input = b""

    def init_secret(group_context: bytes) -> bytes:
        nonlocal init_input
        if external_init_secret is not None:
            return external_init_secret
        init_input = schedule.init_input(parent.suite, root_path_secret, group_context)
        return schedule.init_secret(parent.suite, parent.secrets, init_input)

    child = enter_by_init_secret(
        suite=parent.suite,
        interim_transcript_hash=parent.interim_transcript_hash,
        provisional=provisional,
        tree=tree,
        commit=commit,
        init_secret=init_secret,
        commit_secret=commit_secret,
        psk_secret=psk_secret,
        own_leaf_index=parent.own_leaf_index,
        private_keys=private_keys,
        signature_private_key=signature_private_key,
        rules=parent.rules,
        key_schedule=schedule,
        reinit=reinit,
    )
    child.epoch.init_input = init_input
    return child


def enter_by_init_secret(
    *,
    suite: CipherSuite,
    interim_transcript_hash: bytes,
    provisional: GroupContext,
    tree: RatchetTree,
    commit: CommitDigest,
    init_secret: Callable[[bytes], bytes],
    commit_secret: bytes | None,
    psk_secret: bytes,
    own_leaf_index: int,
    private_keys: Mapping[int, PrivateKey],
    signature_private_key: PrivateKey,
    rules: GroupRules,
    key_schedule: KeySchedule,
    reinit: ReInit | None = None,
) -> ChildEpoch:
    """The epoch after a commit, from what any of its members knows (§8): `interim_transcript_hash` is the
    parent's, and `init_secret` gives the init secret for the encoded GroupContext."""
    confirmed = confirmed_transcript_hash(
        suite, interim_transcript_hash, commit.wire_format, commit.content, commit.signature
    )
    context = replace(provisional, confirmed_transcript_hash=confirmed)
    encoded = context.encode()
    zeros = bytes(suite.hash_length)
    joiner = schedules.joiner_secret(suite, init_secret(encoded), commit_secret or zeros, encoded)
    epoch = enter_epoch(
        suite=suite,
        context=context,
        tree=tree,
        own_leaf_index=own_leaf_index,
        private_keys=private_keys,
        signature_private_key=signature_private_key,
        epoch_secret=schedules.epoch_secret(suite, joiner, psk_secret, encoded),
        rules=rules,
        key_schedule=key_schedule,
        reinit=reinit,
    )
    return ChildEpoch(epoch, joiner)
