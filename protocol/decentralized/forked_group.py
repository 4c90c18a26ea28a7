"""A group with many committers that may fork and comes together again (draft-kohbrok-mls-dmls-02 §6; K-9 to K-22).

`ForkedGroup` holds the epochs of one group that are still of use, by `dmls_epoch`: superseded ones punctured, so
that siblings of their children can still be entered, but none of these again. It reads what comes from any fork,
and sends on the winning one alone (K-17). What it decides by is in modules of its own: `fork_choice`,
`consolidation` and `deletion`; the epochs are in `held_epochs`, processing in `fork_receiving`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from starling.protocol.crypto.cipher_suite import CipherSuite, cipher_suite
from starling.protocol.crypto.secret import Secret
from starling.protocol.decentralized import fork_receiving
from starling.protocol.decentralized.consolidation import due_changes
from starling.protocol.decentralized.deletion import ForkLimits
from starling.protocol.decentralized.dmls_message import wrap
from starling.protocol.decentralized.fork_choice import winning_path
from starling.protocol.decentralized.fork_results import (
    Received,
    ReleasedCommit,
)
from starling.protocol.decentralized.fork_rules import ForkRule
from starling.protocol.decentralized.fork_tree import ForkTree
from starling.protocol.decentralized.held_epochs import (
    Changes,
    HeldEpochs,
    MemberOf,
    SavedForks,
    by_signature_key,
    dmls_epoch_of,
)
from starling.protocol.decentralized.key_schedule import PUNCTURED
from starling.protocol.decentralized.lineage import Ancestor, lineage_extension, read_lineage
from starling.protocol.errors import Invalid, ProtocolError, UsageError
from starling.protocol.extensions.targeted_messages import protect_targeted
from starling.protocol.mls.extension import Extension
from starling.protocol.mls.framing import AuthenticatedContent
from starling.protocol.mls.group import CommitResult, Group
from starling.protocol.mls.group_info import GroupInfo
from starling.protocol.mls.group_rules import RFC_RULES, GroupRules
from starling.protocol.mls.key_package import KeyPackageBundle
from starling.protocol.mls.leaf_node import LeafNode
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.proposal import Add, PreSharedKey, Proposal, ReInit, Remove, Update
from starling.protocol.mls.psk import FindPsk, PreSharedKeyID, no_psks
from starling.protocol.mls.welcome import Welcome
from starling.protocol.mls.wire_format import WireFormat

Random = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class _Unreleased:
    parent: bytes
    made: CommitResult
    changes: Changes


class ForkedGroup:
    """One group on all its forks, as one of its members holds it. Times are milliseconds.

    `member_of` names a leaf's member, the same on all forks: by the signature key, unless told otherwise.
    """

    def __init__(
        self,
        group: Group,
        signature_private_key: bytes,
        *,
        lineage: Sequence[Ancestor] = (),
        external: bool = False,
        member_of: MemberOf = by_signature_key,
        limits: ForkLimits | None = None,
        now: int,
    ) -> None:
        """Goes on from a group with the key schedule `PUNCTURED`, which is used through this object alone from
        now on. `lineage` and `external` say how the group came to its epoch, where that is known.
        `UsageError` for another key schedule or a single sender."""
        if group.rules.retain_sender is not None or group.key_schedule is not PUNCTURED:
            raise UsageError("forks need a group with many committers and the punctured key schedule")
        self._epochs = HeldEpochs(group.group_id, group.cipher_suite, group.rules, member_of, limits)
        self._unreleased: _Unreleased | None = None
        self._epochs.keep_signature_key(signature_private_key)
        self._epochs.adopt(group, lineage, now, external=external)

    def __repr__(self) -> str:
        return f"<ForkedGroup {self.group_id.hex()[:16]} with {len(self.epochs)} epochs>"

    # beginning

    @classmethod
    def join(
        cls,
        welcome: Welcome,
        bundle: KeyPackageBundle,
        signature_private_key: bytes,
        *,
        psks: FindPsk = no_psks,
        rules: GroupRules = RFC_RULES,
        member_of: MemberOf = by_signature_key,
        limits: ForkLimits | None = None,
        now: int,
    ) -> ForkedGroup:
        """Join by a Welcome; raises as `Group.join`. Keep the bundle until no fork is left: where the one that we
        joined loses, the same key package is added on the winning one (`rejoin`)."""
        group, info = Group.join(
            welcome, bundle, signature_private_key, psks=psks, rules=rules, key_schedule=PUNCTURED
        )
        lineage = read_lineage(info, group.cipher_suite.hash_length)
        return cls(group, signature_private_key, lineage=lineage, member_of=member_of, limits=limits, now=now)

    @classmethod
    def external_join(
        cls,
        group_info: GroupInfo,
        leaf_node: LeafNode,
        signature_private_key: bytes,
        *,
        resync: bool = False,
        proposals: Sequence[Proposal] = (),
        psks: FindPsk = no_psks,
        rules: GroupRules = RFC_RULES,
        member_of: MemberOf = by_signature_key,
        limits: ForkLimits | None = None,
        now: int,
        random: Random,
    ) -> tuple[ForkedGroup, bytes]:
        """Join by an external commit to the epoch of a `group_info`, and its DMLSMessage; raises as
        `Group.external_join`. Who holds a child of that epoch already refuses it (K-10), and against a member's
        commit it loses: then join again."""
        length = cipher_suite(group_info.group_context.cipher_suite).hash_length
        lineage = read_lineage(group_info, length)
        if not lineage or lineage[-1].number != group_info.group_context.epoch:
            raise Invalid(ForkRule.LINEAGE)
        made = Group.external_join(
            group_info,
            leaf_node,
            signature_private_key,
            resync=resync,
            proposals=proposals,
            psks=psks,
            rules=rules,
            key_schedule=PUNCTURED,
            random=random,
        )
        forked = cls(
            made.next,
            signature_private_key,
            lineage=lineage,
            external=True,
            member_of=member_of,
            limits=limits,
            now=now,
        )
        return forked, wrap(made.message, lineage[-1].dmls_epoch)

    def rejoin(
        self,
        welcome: Welcome,
        bundle: KeyPackageBundle,
        signature_private_key: bytes,
        *,
        psks: FindPsk = no_psks,
        now: int,
    ) -> bytes:
        """Enter another fork of the group by a Welcome, as who joined on a losing one has to; its `dmls_epoch`.

        Raises as `Group.join`, and `Invalid` for another group or a lineage that contradicts what is known. Whose
        Welcomes are taken is the application's to say, as it is whose commits are.
        """
        rules = self._epochs.rules
        group, info = Group.join(
            welcome, bundle, signature_private_key, psks=psks, rules=rules, key_schedule=PUNCTURED
        )
        name = dmls_epoch_of(group)
        if (group.group_id, group.cipher_suite) != (self.group_id, self.cipher_suite):
            group.wipe()
            raise Invalid(ForkRule.OTHER_GROUP)
        if name in self._epochs.live:
            group.wipe()
            return name
        try:
            self._epochs.adopt(group, read_lineage(info, self.cipher_suite.hash_length), now)
        except ProtocolError:
            group.wipe()
            raise
        self._epochs.keep_signature_key(signature_private_key)
        return name

    # what can be seen

    @property
    def group_id(self) -> bytes:
        return self._epochs.group_id

    @property
    def cipher_suite(self) -> CipherSuite:
        return self._epochs.suite

    @property
    def tree(self) -> ForkTree:
        """What is known of the forks; not to be changed."""
        return self._epochs.tree

    @property
    def head(self) -> bytes:
        """The `dmls_epoch` of the winning head (K-16)."""
        return winning_path(self.tree)[-1].dmls_epoch

    @property
    def heads(self) -> tuple[bytes, ...]:
        """The heads of all forks that are held, the winning one first."""
        head = self.head
        heads = [epoch.dmls_epoch for epoch in self.tree if epoch.held and epoch.superseded_at is None]
        return tuple(sorted(heads, key=lambda name: name != head))

    @property
    def epochs(self) -> tuple[bytes, ...]:
        """All epochs whose secrets are held."""
        return tuple(self._epochs.live)

    def epoch_group(self, dmls_epoch: bytes) -> Group:
        """The group in one of the epochs that are held, to look at."""
        return self._epochs.live[dmls_epoch].group

    @property
    def is_removed(self) -> bool:
        """Whether a commit on the winning fork removed us."""
        return winning_path(self.tree)[-1].removes_us

    @property
    def group(self) -> Group:
        """The group in the winning head, to look at and to export from. `UsageError` (`removed`) where we are
        removed on the winning fork."""
        live = self._epochs.live.get(self.head)
        if live is None:
            raise UsageError("we are no member of the winning fork", "removed")
        return live.group

    def sole_head(self) -> Group:
        """The same where no other fork is live: what a branch or a reinitialized group may follow, since its
        resumption PSK does not tell forks apart (K-19). Else `UsageError` (`forked`)."""
        if self.heads != (self.head,):
            raise UsageError("another fork of the group is live", "forked")
        return self.group

    def group_info(self) -> GroupInfo:
        """The GroupInfo of the winning head for an external join, with its lineage (RFC 9420 §12.4.3.2)."""
        path = self.tree.path(self.head)
        return self.group.group_info((lineage_extension(path),), external_pub=True)

    # sending

    def protect(
        self, application_data: bytes, *, authenticated_data: bytes = b"", padding: int = 0, random: Random
    ) -> bytes:
        """A DMLSMessage on the winning fork (K-17); else as `Group.protect`."""
        message = self.group.protect(
            application_data, authenticated_data=authenticated_data, padding=padding, random=random
        )
        self.tree[self.head].messages += 1
        return wrap(message, self.head)

    def protect_targeted(
        self,
        member: bytes,
        application_data: bytes,
        *,
        authenticated_data: bytes | None = None,
        padding: int = 0,
        random: Random,
    ) -> bytes:
        """A DMLSMessage on the winning fork that only this member can read; else as `protect_targeted` of the
        extension. `UsageError` (`recipient`) also for who is no member there."""
        group = self.group
        leaves = {self._epochs.member_of(leaf): index for index, leaf in group.tree.leaves()}
        message = protect_targeted(
            group,
            leaves.get(member, group.own_leaf_index),
            application_data,
            authenticated_data=authenticated_data,
            padding=padding,
            random=random,
        )
        self.tree[self.head].messages += 1
        return wrap(message, self.head)

    def propose(
        self,
        proposal: Proposal,
        *,
        leaf_private_key: bytes | None = None,
        signature_private_key: bytes | None = None,
        wire_format: int = WireFormat.MLS_PRIVATE_MESSAGE,
        now: int | None = None,
        random: Random,
    ) -> tuple[bytes, AuthenticatedContent]:
        """Our proposal on the winning fork, as a DMLSMessage and for `commit`; of an Update with the private keys
        that belong to its leaf."""
        message, content = self.group.propose(proposal, wire_format=wire_format, now=now, random=random)
        live = self._epochs.live[self.head]
        live.proposals.add(content)
        if isinstance(proposal, Update) and leaf_private_key is not None:
            live.leaf_keys[proposal.leaf_node.encryption_key] = Secret(leaf_private_key)
        if signature_private_key is not None:
            self._epochs.keep_signature_key(signature_private_key)
        return wrap(message, self.head), content

    def commit(
        self,
        proposals: Sequence[Proposal] = (),
        *,
        by_reference: Sequence[AuthenticatedContent] = (),
        signature_private_key: bytes | None = None,
        group_info_extensions: tuple[Extension, ...] = (),
        random: Random,
        **options: Any,
    ) -> None:
        """Make a commit on the winning head; further options as for `Group.commit`. Nothing else changes until
        `release` or `abandon` (K-9), and there is one at a time (K-22): else `UsageError` (`unreleased`)."""
        if self._unreleased is not None:
            raise UsageError("release or abandon the commit that was made before", "unreleased")
        every = [*proposals, *(content.content.proposal for content in by_reference)]
        if any(map(fork_receiving.is_resumption_psk, every)):
            raise UsageError("a resumption PSK does not tell forks apart", "resumption_psk")
        head = self.head
        group = self.sole_head() if any(isinstance(item, ReInit) for item in every) else self.group
        made = group.commit(
            proposals,
            by_reference=by_reference,
            signature_private_key=signature_private_key,
            group_info_extensions=(lineage_extension(self.tree.path(head)), *group_info_extensions),
            random=random,
            **options,
        )
        if signature_private_key is not None:
            self._epochs.keep_signature_key(signature_private_key)
        self._unreleased = _Unreleased(head, made, self._epochs.changes(every))

    def release(self, now: int) -> ReleasedCommit:
        """Enter the epoch of our commit and puncture its parent; it may leave once this is saved (K-9).

        `UsageError`: `nothing_made`, or `superseded` where another head wins meanwhile: then abandon it.
        """
        unreleased = self._unreleased
        if unreleased is None:
            raise UsageError("no commit was made", "nothing_made")
        if unreleased.parent != self.head:
            raise UsageError("the winning fork has another head now", "superseded")
        self._unreleased = None
        parent, made = self.tree[unreleased.parent], unreleased.made
        committer = self._epochs.member(made.next, made.next.own_leaf_index)
        name, _ = self._epochs.enter(parent, made.next, committer, unreleased.changes, now)
        return ReleasedCommit(wrap(made.message, parent.dmls_epoch), made.welcome, name)

    def abandon(self) -> None:
        """Give up a commit that was not released: it never happened, but for its handshake generation (K-22)."""
        if self._unreleased is not None:
            self._unreleased.made.next.wipe()
            self._unreleased = None

    def due(self, *, psks: FindPsk = no_psks, random: Random) -> list[Proposal]:
        """What losing forks changed and the winning one did not, as proposals to `commit` (K-18): removals of
        others, adds, and those PSKs that `psks` knows. Empty when all is done."""
        if self.is_removed:
            return []
        changes, group = due_changes(self.tree), self.group
        leaves = {self._epochs.member_of(leaf): index for index, leaf in group.tree.leaves()}
        removed = sorted(leaves[member] for member in changes.removes)
        nonce = self.cipher_suite.hash_length
        found = sorted((psk for psk in changes.psks if psks(psk) is not None), key=PreSharedKeyID.encode)
        return [
            *(Remove(index) for index in removed if index != group.own_leaf_index),
            *(Add(package) for _, package in sorted(changes.adds.items())),
            *(PreSharedKey(replace(psk, psk_nonce=random(nonce))) for psk in found),
        ]

    # receiving

    def receive(self, data: bytes, *, psks: FindPsk = no_psks, now: int) -> Received:
        """Process a DMLSMessage of any fork; to be saved before what it brought is acted on.

        Raises `UnknownEpoch` (keep it, and try again when a commit was entered), `Pending` for a missing PSK or
        proposal or a full place, `DecodeError`, `Invalid`, `VerificationFailed` (also where the epoch that it
        names is not its own), and `Unsupported`. What raised `Pending` can be tried again as it is.
        """
        return fork_receiving.receive(self._epochs, data, psks, now)

    def receive_from_outside(self, data: bytes, *, psks: FindPsk = no_psks, now: int) -> Received:
        """The same for an encoded MLSMessage with a PrivateExternalMessage that does not name its epoch (P-11): the
        heads of its number are tried. Raises `VerificationFailed` where it opens on none."""
        name = fork_receiving.find_epoch(self._epochs, MLSMessage.decode(data))
        return self.receive(wrap(data, name), psks=psks, now=now)

    def receive_targeted(self, data: bytes, *, now: int) -> Received:
        """The same for an encoded MLSMessage with a TargetedMessage that does not name its epoch (T-9): all that are
        held and have its number are tried. Raises `VerificationFailed` where it is of none."""
        name = fork_receiving.find_epoch_of_targeted(self._epochs, MLSMessage.decode(data))
        return self.receive(wrap(data, name), now=now)

    # deleting and saving

    def sweep(self, now: int, *, retain: bool = False) -> tuple[bytes, ...]:
        """Delete what is not needed any more; the names of the epochs whose secrets went.

        `retain` says that a netsplit lasts, or that what was sent in it is still on its way: then only the limits
        count (`deletion`). Process what waits before. Where the winning fork removed us nothing stays.
        """
        return self._epochs.sweep(now, retain)

    def wipe(self) -> None:
        """Delete all secrets: nothing can be done any more."""
        self.abandon()
        self._epochs.wipe()

    def save(self) -> SavedForks:
        """Everything but a commit that was not released: where the process ends before that, it is abandoned."""
        return self._epochs.save()

    @classmethod
    def load(
        cls,
        saved: SavedForks,
        *,
        rules: GroupRules = RFC_RULES,
        member_of: MemberOf = by_signature_key,
        limits: ForkLimits | None = None,
    ) -> ForkedGroup:
        """The group that was saved. Raises `DecodeError`, or `UsageError` where an epoch is missing."""
        forked = cls.__new__(cls)
        forked._epochs = HeldEpochs.load(saved, rules, member_of, limits)
        forked._unreleased = None
        return forked
