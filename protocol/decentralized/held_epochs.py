"""The epochs of a group with forks that are known and held: entering, superseding, dropping, saving (K-8, K-15, K-20).

The tree says who came from whom, `live` has the secrets. All that changes either of them is here, so that they agree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from starling.protocol.crypto.cipher_suite import CipherSuite, cipher_suite
from starling.protocol.crypto.secret import Secret
from starling.protocol.decentralized.consolidation import due_of_fork
from starling.protocol.decentralized.deletion import ForkLimits, beyond_limits, settled_epochs, settled_forks
from starling.protocol.decentralized.fork_choice import losing_forks, sibling_to_evict, winning_path
from starling.protocol.decentralized.fork_rules import ForkRule
from starling.protocol.decentralized.fork_tree import ForkEpoch, ForkTree
from starling.protocol.decentralized.forked_record import ForkedRecord
from starling.protocol.decentralized.key_schedule import DMLS_EPOCH
from starling.protocol.decentralized.lineage import Ancestor
from starling.protocol.decentralized.live_epoch import LiveEpoch
from starling.protocol.errors import Invalid, UsageError
from starling.protocol.mls.group import Group, StagedCommit
from starling.protocol.mls.group_rules import GroupRules
from starling.protocol.mls.key_package import KeyPackage
from starling.protocol.mls.leaf_node import LeafNode
from starling.protocol.mls.proposal import Add, PreSharedKey, Proposal
from starling.protocol.mls.psk import PreSharedKeyID

MAX_FORGOTTEN = 1024
"""Names of epochs that are gone, for telling a late message from one of an epoch that is not known yet."""

MemberOf = Callable[[LeafNode], bytes]
"""A name of a leaf's member that is the same on all forks; not empty."""


def by_signature_key(leaf: LeafNode) -> bytes:
    """Tells members apart as MLS tells clients apart; where signature keys change another `MemberOf` is needed."""
    return leaf.signature_key


@dataclass(frozen=True, slots=True)
class SavedForks:
    """`forks` changes with nearly everything; each of `epochs`, by name, with what happens in it. Hold secrets."""

    forks: bytes
    epochs: dict[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Changes:
    """What consolidation has to know of a commit: members added, with their key packages, and PSKs."""

    added: Mapping[bytes, KeyPackage]
    psks: tuple[PreSharedKeyID, ...]


class HeldEpochs:
    """`live` has the epochs of `tree` that are held, by `dmls_epoch`."""

    def __init__(
        self,
        group_id: bytes,
        suite: CipherSuite,
        rules: GroupRules,
        member_of: MemberOf,
        limits: ForkLimits | None,
    ) -> None:
        self.group_id = group_id
        self.suite = suite
        self.rules = rules
        self.member_of = member_of
        self.limits = limits or ForkLimits()
        self.tree = ForkTree()
        self.live: dict[bytes, LiveEpoch] = {}
        self._forgotten: dict[bytes, None] = {}
        self._signature_keys: dict[bytes, Secret] = {}

    def is_known(self, name: bytes) -> bool:
        """Whether an epoch is, or was, one of ours, held or not."""
        return name in self.tree or name in self._forgotten

    # entering

    def adopt(self, group: Group, lineage: Sequence[Ancestor], now: int, *, external: bool = False) -> bytes:
        """Hold an epoch that no commit led us into, below its ancestors; its name. Raises `Invalid` for a lineage
        that contradicts what is known, and then nothing changed."""
        name = dmls_epoch_of(group)
        own = Ancestor(name, group.epoch, group.confirmation_tag, int(external))
        line = self._new_part((*lineage, own))
        for parent, ancestor in zip((None, *line), line, strict=False):
            self._name_removal(ancestor)
            if ancestor.dmls_epoch not in self.tree:
                self.tree.add(
                    ForkEpoch(
                        ancestor.dmls_epoch,
                        ancestor.number,
                        parent.dmls_epoch if parent is not None else None,
                        ancestor.confirmation_tag,
                        external=bool(ancestor.external),
                        entered_at=now,
                        superseded_at=None if ancestor is own else now,
                    )
                )
        epoch = self.tree[name]
        epoch.members, epoch.held, epoch.superseded_at = self._members(group), True, None
        epoch.entered_at = now
        epoch.present.add(self.member(group, group.own_leaf_index))
        self.live[name] = LiveEpoch(group)
        self._forgotten.pop(name, None)
        return name

    def _new_part(self, line: Sequence[Ancestor]) -> Sequence[Ancestor]:
        """A line of epochs from the first that is known here on, the whole where none is. From there each has to
        be the child of the one before, or new: else a Welcome could put anything anywhere."""
        first = next((i for i, ancestor in enumerate(line) if ancestor.dmls_epoch in self.tree), 0)
        for before, ancestor in zip((None, *line[first:]), line[first:], strict=False):
            known = self.tree.epochs.get(ancestor.dmls_epoch)
            if known is None:
                continue
            expected = (ancestor.number, ancestor.confirmation_tag)
            if (known.number, known.confirmation_tag) != expected or (known.held and ancestor is line[-1]):
                raise Invalid(ForkRule.LINEAGE)
            if before is not None and known.parent != before.dmls_epoch:
                raise Invalid(ForkRule.LINEAGE)
        return line[first:]

    def _name_removal(self, ancestor: Ancestor) -> None:
        """An epoch that we were removed in gets its true name where we come back to what follows it."""
        left = self.tree.epochs.get(ancestor.confirmation_tag)
        if left is None or not left.removes_us:
            return
        self.tree.drop(left.dmls_epoch)
        if ancestor.dmls_epoch not in self.tree:
            left.dmls_epoch, left.removes_us = ancestor.dmls_epoch, False
            self.tree.add(left)

    def enter(
        self,
        parent: ForkEpoch,
        group: Group,
        committer: bytes,
        changes: Changes,
        now: int,
        *,
        external: bool = False,
    ) -> tuple[bytes, tuple[bytes, ...]]:
        """Puncture the parent and hold the child: its name, and those of the epochs that had to go for it (B11),
        of which it may be one."""
        name = dmls_epoch_of(group)
        members = self._members(group)
        self.tree.add(
            ForkEpoch(
                name,
                group.epoch,
                parent.dmls_epoch,
                group.confirmation_tag,
                external=external,
                members=parent.members if members == parent.members else members,
                committer=committer,
                added=changes.added,
                psks=changes.psks,
                entered_at=now,
                held=True,
                present={committer},
            )
        )
        self.live[name] = LiveEpoch(group)
        self._supersede(parent, group, committer, now)
        evicted = sibling_to_evict(self.tree, parent)
        if evicted is None:
            return name, ()
        names = [epoch.dmls_epoch for epoch in self.tree.subtree(evicted.dmls_epoch) if epoch.held]
        for each in names:
            self._drop_secrets(each)
        return name, tuple(names)

    def leave(self, parent: ForkEpoch, staged: StagedCommit, tag: bytes, changes: Changes, now: int) -> None:
        """A commit removed us: the epoch that it starts counts among its siblings, without secrets (K-20)."""
        group = self.live[parent.dmls_epoch].group
        committer = self.member(group, staged.committer)
        gone = {self.member(group, index) for index in staged.removed}
        self.tree.add(
            ForkEpoch(
                tag,
                parent.number + 1,
                parent.dmls_epoch,
                tag,
                members=((parent.members or frozenset()) - gone) | changes.added.keys(),
                committer=committer,
                added=changes.added,
                psks=changes.psks,
                entered_at=now,
                removes_us=True,
                present={committer},
            )
        )
        self._supersede(parent, None, committer, now)

    def _supersede(self, parent: ForkEpoch, child: Group | None, committer: bytes, now: int) -> None:
        self.live[parent.dmls_epoch].group.supersede(child, keep_handshake=True)
        if parent.superseded_at is None:
            parent.superseded_at = now
        parent.siblings_entered += 1
        if committer in (parent.members or ()):
            parent.present.add(committer)

    # deleting

    def sweep(self, now: int, retain: bool) -> tuple[bytes, ...]:
        """What `ForkedGroup.sweep` says."""
        before = tuple(self.live)
        if not retain:
            if winning_path(self.tree)[-1].removes_us:
                self.drop_all()
            ourselves = self._ourselves()
            for first in settled_forks(self.tree, ourselves):
                self._drop_fork(first)
            for epoch in settled_epochs(self.tree, ourselves):
                self._drop_secrets(epoch.dmls_epoch)
        for epoch in beyond_limits(self.tree, self.limits, now):
            self._drop_secrets(epoch.dmls_epoch)
        for point, first in losing_forks(self.tree):
            if self.tree.is_live(first):
                continue
            if now - first.entered_at > self.limits.age or not due_of_fork(self.tree, point, first):
                self._drop_fork(first)
        self._trim()
        return tuple(name for name in before if name not in self.live)

    def drop_all(self) -> None:
        """Delete the secrets of all epochs."""
        for name in tuple(self.live):
            self._drop_secrets(name)

    def wipe(self) -> None:
        """The same, and the signature keys."""
        self.drop_all()
        for key in self._signature_keys.values():
            key.wipe()
        self._signature_keys.clear()

    def _drop_secrets(self, name: bytes) -> None:
        live = self.live.pop(name, None)
        if live is not None:
            live.wipe()
            self.tree[name].held = False
            self._forget(name)

    def _drop_fork(self, first: ForkEpoch) -> None:
        for epoch in self.tree.subtree(first.dmls_epoch):
            self._drop_secrets(epoch.dmls_epoch)
        for name in self.tree.drop(first.dmls_epoch):
            self._forget(name)

    def _forget(self, name: bytes) -> None:
        self._forgotten[name] = None
        while len(self._forgotten) > MAX_FORGOTTEN:
            del self._forgotten[next(iter(self._forgotten))]

    def _trim(self) -> None:
        """Forget what orders no forks and is due nowhere, and the keys of leaves that are gone."""
        settled = []
        for epoch in winning_path(self.tree)[:-1]:
            if epoch.held or len(epoch.children) > 1:
                break
            settled.append(epoch)
        for epoch in settled:
            epoch.added, epoch.psks = {}, ()
        for epoch in settled[: max(0, len(settled) - self.limits.remembered)]:
            self.tree.drop_root(epoch.dmls_epoch)
            self._forget(epoch.dmls_epoch)
        leaves = [live.group.tree.leaf(live.group.own_leaf_index) for live in self.live.values()]
        leaves += [proposal.leaf_node for live in self.live.values() for proposal in live.updates()]
        used = {leaf.signature_key for leaf in leaves if leaf is not None}
        for public in self._signature_keys.keys() - used:
            self._signature_keys.pop(public).wipe()

    # members and keys

    def member(self, group: Group, leaf_index: int) -> bytes:
        """The member that an occupied leaf of a group is."""
        leaf = group.tree.leaf(leaf_index)
        assert leaf is not None
        return self.member_of(leaf)

    def _members(self, group: Group) -> frozenset[bytes]:
        return frozenset(self.member_of(leaf) for _, leaf in group.tree.leaves())

    def _ourselves(self) -> bytes:
        group = next((live.group for live in self.live.values()), None)
        return b"" if group is None else self.member(group, group.own_leaf_index)

    def changes(self, proposals: Sequence[Proposal | None]) -> Changes:
        packages = [proposal.key_package for proposal in proposals if isinstance(proposal, Add)]
        psks = tuple(proposal.psk for proposal in proposals if isinstance(proposal, PreSharedKey))
        return Changes({self.member_of(package.leaf_node): package for package in packages}, psks)

    def keep_signature_key(self, private_key: bytes) -> None:
        """Hold a signature key for as long as a leaf of ours in a held epoch has it."""
        public = self.suite.signature_public_key(private_key)
        if public not in self._signature_keys:
            self._signature_keys[public] = Secret(private_key)

    def signature_key(self, public: bytes) -> bytes | None:
        """The private key of one that is held; a superseded epoch has none to hand on to a sibling."""
        key = self._signature_keys.get(public)
        return None if key is None else bytes(key)

    # saving

    def save(self) -> SavedForks:
        keys = {public: bytes(private) for public, private in self._signature_keys.items()}
        record = ForkedRecord.of(self.group_id, self.suite.id, self.tree, tuple(self._forgotten), keys)
        return SavedForks(record.encode(), {name: live.save() for name, live in self.live.items()})

    @classmethod
    def load(
        cls, saved: SavedForks, rules: GroupRules, member_of: MemberOf, limits: ForkLimits | None
    ) -> HeldEpochs:
        """Raises `DecodeError`, or `UsageError` where an epoch is missing."""
        record = ForkedRecord.decode(saved.forks)
        held = cls(record.group_id, cipher_suite(record.cipher_suite), rules, member_of, limits)
        held.tree = record.tree()
        names = [epoch.dmls_epoch for epoch in held.tree if epoch.held]
        if not set(names) <= saved.epochs.keys():
            raise UsageError("an epoch of the group is missing")
        held.live = {name: LiveEpoch.load(saved.epochs[name], rules) for name in names}
        held._forgotten = dict.fromkeys(record.forgotten)
        held._signature_keys = {
            entry.public_key: Secret(entry.private_key) for entry in record.signature_keys
        }
        return held


def dmls_epoch_of(group: Group) -> bytes:
    """The name of a group's epoch (K-13): Nh bytes, public."""
    return group.secrets.extra[DMLS_EPOCH]
