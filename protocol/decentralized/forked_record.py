"""The saved form of what a group with forks knows of its epochs: private to this implementation, versioned, strict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from starling.protocol.decentralized.fork_tree import ForkEpoch, ForkTree
from starling.protocol.errors import DecodeError
from starling.protocol.mls.key_package import KeyPackage
from starling.protocol.mls.psk import PreSharedKeyID
from starling.protocol.wire import Struct, Vector, opaque, uint8, uint16, uint32, uint64

_VERSION = 1

_EXTERNAL, _HELD, _REMOVES_US, _KNOWN_MEMBERS, _SUPERSEDED = 1, 2, 4, 8, 16


@dataclass(frozen=True, slots=True)
class _Added(Struct):
    member: opaque
    key_package: KeyPackage


@dataclass(frozen=True, slots=True)
class _EpochRecord(Struct):
    """`parent` and `committer` are empty where unknown; members are given by how they differ from the parent's."""

    dmls_epoch: opaque
    number: uint64
    parent: opaque
    confirmation_tag: opaque
    flags: uint8
    joined: Vector[opaque]
    left: Vector[opaque]
    committer: opaque
    added: Vector[_Added]
    psks: Vector[PreSharedKeyID]
    entered_at: uint64
    superseded_at: uint64
    present: Vector[opaque]
    messages: uint32
    siblings_entered: uint32


@dataclass(frozen=True, slots=True)
class PrivateKeyRecord(Struct):
    public_key: opaque
    private_key: opaque = field(repr=False)


@dataclass(frozen=True, slots=True)
class ForkedRecord(Struct):
    """Everything but the epochs that are held; `forgotten` are the names of epochs that were."""

    version: uint16
    group_id: opaque
    cipher_suite: uint16
    epochs: Vector[_EpochRecord]
    roots: Vector[opaque]
    forgotten: Vector[opaque]
    signature_keys: Vector[PrivateKeyRecord] = field(repr=False)

    @classmethod
    def of(
        cls,
        group_id: bytes,
        cipher_suite: int,
        tree: ForkTree,
        forgotten: tuple[bytes, ...],
        signature_keys: Mapping[bytes, bytes],
    ) -> ForkedRecord:
        return cls(
            _VERSION,
            group_id,
            cipher_suite,
            tuple(_saved(tree, epoch) for root in tree.roots for epoch in tree.subtree(root)),
            tuple(tree.roots),
            forgotten,
            tuple(PrivateKeyRecord(*pair) for pair in signature_keys.items()),
        )

    def tree(self) -> ForkTree:
        """Raises `DecodeError` for another version, or epochs that make no tree."""
        if self.version != _VERSION:
            raise DecodeError(f"a record of forks of version {self.version}")
        tree = ForkTree()
        for record in self.epochs:
            if record.dmls_epoch in tree or (record.parent and record.parent not in tree):
                raise DecodeError("the epochs make no tree")
            tree.add(_loaded(tree, record))
        if sorted(self.roots) != sorted(tree.roots) or not self.roots:
            raise DecodeError("the epochs make no tree")
        tree.roots = list(self.roots)
        return tree


def _saved(tree: ForkTree, epoch: ForkEpoch) -> _EpochRecord:
    before = _members_before(tree, epoch.parent)
    members = epoch.members if epoch.members is not None else frozenset[bytes]()
    flags = (
        (_EXTERNAL if epoch.external else 0)
        | (_HELD if epoch.held else 0)
        | (_REMOVES_US if epoch.removes_us else 0)
        | (_KNOWN_MEMBERS if epoch.members is not None else 0)
        | (_SUPERSEDED if epoch.superseded_at is not None else 0)
    )
    return _EpochRecord(
        epoch.dmls_epoch,
        epoch.number,
        epoch.parent or b"",
        epoch.confirmation_tag,
        flags,
        tuple(sorted(members - before)),
        tuple(sorted(before - members)),
        epoch.committer or b"",
        tuple(_Added(*pair) for pair in epoch.added.items()),
        epoch.psks,
        epoch.entered_at,
        epoch.superseded_at or 0,
        tuple(sorted(epoch.present)),
        epoch.messages,
        epoch.siblings_entered,
    )


def _loaded(tree: ForkTree, record: _EpochRecord) -> ForkEpoch:
    before = _members_before(tree, record.parent or None)
    members = (before | set(record.joined)) - set(record.left)
    return ForkEpoch(
        record.dmls_epoch,
        record.number,
        record.parent or None,
        record.confirmation_tag,
        external=bool(record.flags & _EXTERNAL),
        members=(before if members == before else members) if record.flags & _KNOWN_MEMBERS else None,
        committer=record.committer or None,
        added={entry.member: entry.key_package for entry in record.added},
        psks=record.psks,
        entered_at=record.entered_at,
        superseded_at=record.superseded_at if record.flags & _SUPERSEDED else None,
        held=bool(record.flags & _HELD),
        removes_us=bool(record.flags & _REMOVES_US),
        present=set(record.present),
        messages=record.messages,
        siblings_entered=record.siblings_entered,
    )


def _members_before(tree: ForkTree, parent: bytes | None) -> frozenset[bytes]:
    return (tree[parent].members if parent is not None else None) or frozenset()
