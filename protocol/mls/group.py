"""A group as one of its members sees it, in one epoch (RFC 9420 §6, §11, §12).

A commit gives a new `Group` for the next epoch and leaves this one whole, until the caller, having stored
the new one, supersedes it. So a crash in between loses nothing, and siblings of an epoch can be entered.

All that can be asked of a group stands here with its words; how it is done is in the modules that this one composes.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from types import MappingProxyType

from starling.protocol.crypto.cipher_suite import CipherSuite
from starling.protocol.crypto.hpke import HPKECiphertext
from starling.protocol.mls import key_schedule as schedules
from starling.protocol.mls import succession
from starling.protocol.mls.committing import (
    ChangeLeaf,
    CommitOptions,
    CreatedCommit,
    create_commit,
    create_group_info,
)
from starling.protocol.mls.creation import Creator, create_epoch
from starling.protocol.mls.epoch import Epoch
from starling.protocol.mls.extension import Extension
from starling.protocol.mls.external_join import ExternalJoinOptions, join_by_external_commit
from starling.protocol.mls.framing import AuthenticatedContent, FramedContent, FramedContentAuthData, Sender
from starling.protocol.mls.group_changes import CommitResult, StagedCommit
from starling.protocol.mls.group_context import GroupContext
from starling.protocol.mls.group_info import GroupInfo
from starling.protocol.mls.group_record import load_epoch, save_epoch, save_ratchets
from starling.protocol.mls.group_rules import RFC_RULES, GroupRules
from starling.protocol.mls.joining import join_by_welcome
from starling.protocol.mls.key_package import KeyPackage, KeyPackageBundle
from starling.protocol.mls.key_schedule import RFC9420, EpochSecrets, KeySchedule
from starling.protocol.mls.leaf_node import LeafNode
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.past_epochs import FindPastEpoch, PastEpoch, no_past_epochs
from starling.protocol.mls.pending_proposals import committable
from starling.protocol.mls.proposal import Proposal, ReInit
from starling.protocol.mls.proposal_list import ReceivedProposals, check_own_proposal
from starling.protocol.mls.protection import (
    ApplicationMessage,
    open_handshake,
    peek_sender,
    protect_application,
    protect_handshake,
    sign_content,
    unprotect_application,
)
from starling.protocol.mls.psk import FindPsk, no_psks
from starling.protocol.mls.ratchet_tree import RatchetTree
from starling.protocol.mls.replay_cache import ReplayCache
from starling.protocol.mls.staging import FindLeafKey, stage_commit
from starling.protocol.mls.welcome import Welcome
from starling.protocol.mls.wire_format import ContentType, WireFormat

__all__ = ["CommitResult", "Group", "StagedCommit"]

_NONE_RECEIVED: ReceivedProposals = MappingProxyType({})


class Group:
    """One epoch of a group. Made by `create`, `join`, `external_join`, `load`, `stage` and `commit`."""

    __slots__ = ("_epoch",)

    def __init__(self, epoch: Epoch) -> None:
        self._epoch = epoch

    def __repr__(self) -> str:
        return f"<Group {self.group_id.hex()[:16]} epoch {self.epoch}>"

    # beginning

    @classmethod
    def create(
        cls,
        *,
        cipher_suite: CipherSuite,
        group_id: bytes,
        leaf_node: LeafNode,
        encryption_private_key: bytes,
        signature_private_key: bytes,
        extensions: tuple[Extension, ...] = (),
        rules: GroupRules = RFC_RULES,
        key_schedule: KeySchedule = RFC9420,
        random: Callable[[int], bytes],
    ) -> Group:
        """A group of one member at leaf 0, in epoch 0 (§11). `leaf_node` is signed, of source key_package or
        commit. Raises `Invalid` where the leaf does not meet the extensions."""
        creator = Creator(leaf_node, encryption_private_key, signature_private_key)
        return cls(create_epoch(cipher_suite, group_id, creator, extensions, rules, key_schedule, random))

    @classmethod
    def join(
        cls,
        welcome: Welcome,
        bundle: KeyPackageBundle,
        signature_private_key: bytes,
        *,
        psks: FindPsk = no_psks,
        past_epochs: FindPastEpoch = no_past_epochs,
        group_ids: Container[bytes] = (),
        ratchet_tree: RatchetTree | None = None,
        rules: GroupRules = RFC_RULES,
        key_schedule: KeySchedule = RFC9420,
    ) -> tuple[Group, GroupInfo]:
        """Join by a Welcome (§12.4.3.1); `ratchet_tree` where the GroupInfo carries none.

        `past_epochs` finds the epoch that the group follows, after a ReInit or as a branch (§11.2, §11.3);
        its PSK is not asked of `psks`. `group_ids` are those of the groups that we are in, which no new one
        may have.

        Raises `Invalid`,
        `VerificationFailed`, `DecodeError`, `Unsupported`, or `Pending` for a missing PSK or past epoch.
        """
        epoch, info = join_by_welcome(
            welcome,
            bundle,
            signature_private_key,
            psks=psks,
            past_epochs=past_epochs,
            group_ids=group_ids,
            ratchet_tree=ratchet_tree,
            rules=rules,
            key_schedule=key_schedule,
        )
        return cls(epoch), info

    @classmethod
    def external_join(
        cls,
        group_info: GroupInfo,
        leaf_node: LeafNode,
        signature_private_key: bytes,
        *,
        resync: bool = False,
        proposals: Sequence[Proposal] = (),
        self_removes: Sequence[MLSMessage] = (),
        psks: FindPsk = no_psks,
        ratchet_tree: RatchetTree | None = None,
        authenticated_data: bytes = b"",
        rules: GroupRules = RFC_RULES,
        key_schedule: KeySchedule = RFC9420,
        random: Callable[[int], bytes],
    ) -> CommitResult:
        """Join by an external commit (§12.4.3.2) to the GroupInfo's epoch, which has an external_pub.

        `leaf_node` says credential, capabilities and extensions of our leaf; keys, source and signature are
        made anew. `resync` removes our old leaf. `proposals` are further ones by value (PreSharedKey,
        AppDataUpdate, AppEphemeral), `self_removes` the pending SelfRemove messages of the epoch.
        `ratchet_tree` where the GroupInfo carries none.

        Raises `Invalid`, `DecodeError`, `VerificationFailed`, `Unsupported`, `Pending` for a missing PSK,
        or `UsageError` (`no_old_leaf`, or `framing` where the group asks for SafeAAD).
        """
        options = ExternalJoinOptions(
            leaf_node=leaf_node,
            signature_private_key=signature_private_key,
            resync=resync,
            proposals=proposals,
            self_removes=self_removes,
            ratchet_tree=ratchet_tree,
            authenticated_data=authenticated_data,
            rules=rules,
            key_schedule=key_schedule,
        )
        made = join_by_external_commit(group_info, options, psks, random)
        return CommitResult(made.message, made.content, cls(made.child), None, None, ())

    # saving

    def save(self) -> bytes:
        """The record without the ratchets: it changes only by `supersede`. Holds secrets."""
        return save_epoch(self._epoch)

    def save_ratchets(self) -> bytes:
        """The ratchets, the exporter tree and the replay cache: to be stored with what `protect`, `unprotect`,
        `safe_export` and messages without a generation gave. Holds secrets."""
        return save_ratchets(self._epoch)

    @classmethod
    def load(
        cls,
        record: bytes,
        ratchets: bytes,
        *,
        rules: GroupRules = RFC_RULES,
        key_schedule: KeySchedule = RFC9420,
    ) -> Group:
        """The group that was saved, with the rules and the key schedule it was saved with. Raises
        `DecodeError`, or `UsageError` for another key schedule."""
        return cls(load_epoch(record, ratchets, rules, key_schedule))

    # what can be seen

    @property
    def cipher_suite(self) -> CipherSuite:
        return self._epoch.suite

    @property
    def context(self) -> GroupContext:
        return self._epoch.context

    @property
    def group_id(self) -> bytes:
        return self._epoch.context.group_id

    @property
    def epoch(self) -> int:
        """The number of the epoch."""
        return self._epoch.context.epoch

    @property
    def tree(self) -> RatchetTree:
        return self._epoch.tree

    @property
    def own_leaf_index(self) -> int:
        return self._epoch.own_leaf_index

    @property
    def confirmation_tag(self) -> bytes:
        return self._epoch.confirmation_tag

    @property
    def interim_transcript_hash(self) -> bytes:
        return self._epoch.interim_transcript_hash

    @property
    def secrets(self) -> EpochSecrets:
        """The epoch's secrets, owned by this group; `extra` has what the key schedule adds."""
        return self._epoch.secrets

    @property
    def replay_cache(self) -> ReplayCache:
        """The messages without a generation that were taken in this epoch; saved with the ratchets."""
        return self._epoch.replay_cache

    @property
    def rules(self) -> GroupRules:
        return self._epoch.rules

    @property
    def key_schedule(self) -> KeySchedule:
        return self._epoch.key_schedule

    @property
    def reinit(self) -> ReInit | None:
        """The ReInit that ended the group with this epoch's commit; nothing is sent here then."""
        return self._epoch.reinit

    def past_epoch(self) -> PastEpoch:
        """What is to be kept of this epoch where its resumption PSK may be needed once it is superseded."""
        return PastEpoch.of(self._epoch)

    @property
    def application_generation(self) -> int:
        """The generation of our next application message."""
        return self._epoch.secret_tree.application(self.own_leaf_index).generation

    def application_progress(self, leaf_index: int) -> tuple[int, tuple[int, ...]]:
        """The next generation of a leaf's application ratchet, and the missing generations below it."""
        ratchet = self._epoch.secret_tree.application(leaf_index)
        return ratchet.generation, ratchet.missing

    def export(self, label: str, context: bytes, length: int) -> bytes:
        """MLS-Exporter (§8.5): `length` bytes. `UsageError` in a superseded epoch."""
        exporter_secret = self._epoch.secrets.exporter_secret
        return schedules.export(self._epoch.suite, exporter_secret, label, context, length)

    def safe_export(self, component_id: int) -> bytes:
        """SafeExportSecret (extensions draft §4.4): Nh bytes for a component, once an epoch. `UsageError`
        (`consumed`) after that, and in a superseded epoch."""
        return self._epoch.exporter_tree.export(component_id)

    def group_info(
        self, extensions: tuple[Extension, ...] = (), *, with_tree: bool = True, external_pub: bool = False
    ) -> GroupInfo:
        """The signed GroupInfo of this epoch (§12.4.3); who has one with `external_pub` can join by an
        external commit."""
        return create_group_info(self._epoch, extensions, with_tree=with_tree, external_pub=external_pub)

    # messages

    def protect(
        self,
        application_data: bytes,
        *,
        authenticated_data: bytes = b"",
        padding: int = 0,
        random: Callable[[int], bytes],
    ) -> bytes:
        """An encoded MLSMessage with application data; consumes the next generation of our ratchet.
        `padding` is a number of zero bytes. The ratchets are to be saved before it is sent (§6.3.1).

        Here as in all that is sent, `authenticated_data` is SafeAAD where the group uses it, and
        `application_data` ApplicationFraming where it requires media types: else `UsageError` (`framing`)."""
        return protect_application(self._epoch, application_data, authenticated_data, padding, random)

    def unprotect(self, message: MLSMessage) -> ApplicationMessage:
        """Open an application message and consume its generation, once its signature verified.

        Raises `Invalid`, `VerificationFailed`, `DecodeError`, or `Pending` more than 1,000 generations ahead.
        """
        return unprotect_application(self._epoch, message)

    def peek_generation(self, message: MLSMessage) -> tuple[int, int]:
        """Sender's leaf index and generation of a message under a ratchet, from its sender data alone. Nothing is
        consumed, and nothing is proven beyond that a member made the sender data."""
        sender = peek_sender(self._epoch, message)
        return sender.leaf_index, sender.generation

    def decrypt_with_label(self, label: bytes, context: bytes, ciphertext: HPKECiphertext) -> bytes:
        """Open what was sealed to our leaf's encryption key (§5.1.3), in a superseded epoch too. Raises
        `VerificationFailed` or `DecodeError`."""
        return self.cipher_suite.decrypt_with_label(self._epoch.leaf_key(), label, context, ciphertext)

    def open_psk(self, info: bytes, aad: bytes, sealed: HPKECiphertext, psk: bytes, psk_id: bytes) -> bytes:
        """The same for HPKE's PSK mode (RFC 9180 §6.1). Raises `VerificationFailed`."""
        return self.cipher_suite.hpke.open_psk(self._epoch.leaf_key(), info, aad, sealed, psk, psk_id)

    def sign_with_label(self, label: str, content: bytes) -> bytes:
        """SignWithLabel (§5.1.2) with our leaf's signature key, for what an extension frames itself."""
        return self.cipher_suite.sign_with_label(self._epoch.signing_key(), label, content)

    def open_handshake(self, message: MLSMessage) -> AuthenticatedContent:
        """Open and verify a proposal or commit, so that the caller sees it before it decides.

        Where the handshake ratchet is retained nothing is consumed. In plain RFC 9420 the generation is
        (§9.2): the content is kept by the caller until it is staged.
        """
        return open_handshake(self._epoch, message)

    # changes

    def propose(
        self,
        proposal: Proposal,
        *,
        authenticated_data: bytes = b"",
        wire_format: int = WireFormat.MLS_PRIVATE_MESSAGE,
        padding: int = 0,
        now: int | None = None,
        random: Callable[[int], bytes],
    ) -> tuple[bytes, AuthenticatedContent]:
        """Our proposal as an encoded MLSMessage, and its content for `stage` and `commit`.

        A key package that it adds is validated, its lifetime where `now` (milliseconds) is given. Raises
        `Invalid`, or `UsageError` for a SelfRemove that is not a PublicMessage.
        """
        check_own_proposal(self.cipher_suite, proposal, wire_format, now)
        content = FramedContent(
            self.group_id,
            self.epoch,
            Sender.member(self.own_leaf_index),
            authenticated_data,
            ContentType.PROPOSAL,
            proposal=proposal,
        )
        signature = sign_content(self._epoch, wire_format, content)
        authenticated = AuthenticatedContent(wire_format, content, FramedContentAuthData(signature))
        return protect_handshake(self._epoch, authenticated, None, padding, random), authenticated

    def stage(
        self,
        content: AuthenticatedContent,
        *,
        psks: FindPsk = no_psks,
        leaf_private_key: FindLeafKey | None = None,
        signature_private_key: bytes | None = None,
        proposals: ReceivedProposals = _NONE_RECEIVED,
        now: int | None = None,
    ) -> StagedCommit:
        """The next epoch after a commit of another member or of a new one, which `open_handshake` gave
        (§12.4.2, §12.4.3.2). This group stays.

        `leaf_private_key` finds the private key where the commit replaces our leaf,
        `signature_private_key` is the new one where that changes too; `proposals` are those of this epoch
        by ProposalRef. Lifetimes of added key packages are checked where `now` (milliseconds) is given.

        Staged in a superseded epoch, the next one can send only with a `signature_private_key`.

        Raises `Pending` for a missing PSK or proposal, `UsageError` with the code `leaf_key_missing`,
        `Invalid`, `VerificationFailed`, `DecodeError` or `Unsupported`.
        """
        staged = stage_commit(
            self._epoch,
            content,
            psks=psks,
            leaf_private_key=leaf_private_key,
            signature_private_key=signature_private_key,
            proposals=proposals,
            now=now,
        )
        applied, child = staged.applied, staged.child
        return StagedCommit(
            Group(child) if child is not None else None,
            tuple(applied.added),
            applied.removed,
            applied.updated,
            self_removed=child is None,
            committer=staged.committer,
            external=applied.external_init is not None,
            reinit=applied.reinit,
        )

    def committable(
        self,
        contents: Sequence[AuthenticatedContent],
        proposals: Sequence[Proposal] = (),
        *,
        psks: FindPsk = no_psks,
        now: int | None = None,
    ) -> tuple[AuthenticatedContent, ...]:
        """Those of the received proposals that we can commit together and with `proposals` by value, for
        `by_reference` (§12.2): what is invalid, what others exclude and PSKs that we lack are left out."""
        return committable(self._epoch, contents, proposals, psks, now)

    def commit(
        self,
        proposals: Sequence[Proposal] = (),
        *,
        by_reference: Sequence[AuthenticatedContent] = (),
        path: bool | None = None,
        leaf_node: ChangeLeaf | None = None,
        signature_private_key: bytes | None = None,
        psks: FindPsk = no_psks,
        authenticated_data: bytes = b"",
        handshake_generation: int | None = None,
        wire_format: int = WireFormat.MLS_PRIVATE_MESSAGE,
        padding: int = 0,
        group_info_extensions: tuple[Extension, ...] = (),
        with_tree: bool = True,
        now: int | None = None,
        random: Callable[[int], bytes],
    ) -> CommitResult:
        """Commit proposals, those by reference first (§12.4.1). This group stays.

        `path` None means: where the proposals need one. `leaf_node` changes our leaf with the path;
        `signature_private_key` is the new one where its signature key changes. `handshake_generation` is
        for a retained ratchet only, 0 by default (K-23). The Welcome's GroupInfo carries the tree
        `with_tree`. `wire_format` is PrivateMessage, PublicMessage or one of the rules' `handshake_formats`.

        Raises `Invalid` for a bad list, `Pending` for a missing PSK, `UsageError`.
        """
        options = CommitOptions(
            path=path,
            leaf_node=leaf_node,
            signature_private_key=signature_private_key,
            authenticated_data=authenticated_data,
            handshake_generation=handshake_generation,
            wire_format=wire_format,
            padding=padding,
            group_info_extensions=group_info_extensions,
            with_tree=with_tree,
            now=now,
        )
        made = create_commit(self._epoch, proposals, by_reference, options, psks, random)
        return _result(made)

    # groups that follow

    def reinitialize(
        self,
        key_packages: Sequence[KeyPackage],
        *,
        leaf_node: LeafNode,
        encryption_private_key: bytes,
        signature_private_key: bytes,
        group_info_extensions: tuple[Extension, ...] = (),
        with_tree: bool = True,
        now: int | None = None,
        rules: GroupRules | None = None,
        key_schedule: KeySchedule | None = None,
        random: Callable[[int], bytes],
    ) -> CommitResult:
        """The group that this one's ReInit asks for, in epoch 1, and the Welcome to it (§11.2).

        `key_packages` are those of all other members, in the new suite; our own leaf is as for `create`.
        The message of the result concerns nobody. Rules and key schedule are this group's by default.

        Raises `UsageError`, `Unsupported` for the new parameters, `Invalid`.
        """
        made = succession.reinitialize(
            self._epoch,
            key_packages,
            Creator(leaf_node, encryption_private_key, signature_private_key),
            CommitOptions(group_info_extensions=group_info_extensions, with_tree=with_tree, now=now),
            rules or self._epoch.rules,
            key_schedule or self._epoch.key_schedule,
            random,
        )
        return _result(made)

    def branch(
        self,
        group_id: bytes,
        key_packages: Sequence[KeyPackage],
        *,
        leaf_node: LeafNode,
        encryption_private_key: bytes,
        signature_private_key: bytes,
        extensions: tuple[Extension, ...] | None = None,
        group_info_extensions: tuple[Extension, ...] = (),
        with_tree: bool = True,
        now: int | None = None,
        rules: GroupRules | None = None,
        key_schedule: KeySchedule | None = None,
        random: Callable[[int], bytes],
    ) -> CommitResult:
        """A group of some of this one's members, in epoch 1, and the Welcome to it (§11.3).

        As `reinitialize`, but this group goes on; version and suite are the same, and so are the extensions
        by default.
        """
        made = succession.branch(
            self._epoch,
            group_id,
            self._epoch.context.extensions if extensions is None else extensions,
            key_packages,
            Creator(leaf_node, encryption_private_key, signature_private_key),
            CommitOptions(group_info_extensions=group_info_extensions, with_tree=with_tree, now=now),
            rules or self._epoch.rules,
            key_schedule or self._epoch.key_schedule,
            random,
        )
        return _result(made)

    # ending

    def supersede(self, next_epoch: Group | None, *, keep_handshake: bool | None = None) -> None:
        """Delete what a superseded epoch does not need; the next one, or a sibling of it, is stored with it. There
        is none where a commit removed us: nothing is punctured then (K-20).

        With `keep_handshake` (by default where the rules have a `retain_sender`) what K-15 names stays:
        messages can be read and, where the key schedule punctures, siblings of `next_epoch` be entered, but
        `next_epoch` never again. Without it only what opens late application messages stays. Nothing is
        sent in a superseded epoch.
        """
        epoch = self._epoch
        if keep_handshake is None:
            keep_handshake = epoch.rules.retain_sender is not None
        epoch.signature_private_key.wipe()
        epoch.exporter_tree.wipe()
        init_input = next_epoch._take_init_input() if next_epoch is not None else b""
        if keep_handshake:
            if init_input:
                epoch.key_schedule.puncture(epoch.suite, epoch.secrets, init_input)
            kept = {"sender_data_secret", "membership_key"}
            outliving = (item.names for item in epoch.rules.derivations if item.outlives_head)
            epoch.secrets.keep_only(kept.union(*outliving))
        else:
            epoch.secrets.keep_only({"sender_data_secret"})
            epoch.secrets.wipe_init()
            epoch.secret_tree.drop_handshake()
            epoch.private_tree.wipe()
            epoch.replay_cache.clear()

    def _take_init_input(self) -> bytes:
        """What the parent is punctured at: it says which init secret was ours, so it goes then."""
        init_input, self._epoch.init_input = self._epoch.init_input, b""
        return init_input

    def wipe(self) -> None:
        """Delete all secrets: this epoch can do nothing any more."""
        self._epoch.wipe()


def _result(made: CreatedCommit) -> CommitResult:
    added = tuple(made.applied.added)
    return CommitResult(made.message, made.content, Group(made.child), made.welcome, made.group_info, added)
