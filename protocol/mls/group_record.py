"""The saved form of an epoch: private to this implementation, versioned, strict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.errors import DecodeError, UsageError
from starling.protocol.mls.epoch import Epoch, signing_secret
from starling.protocol.mls.exporter_tree import ExporterTree
from starling.protocol.mls.group_context import GroupContext
from starling.protocol.mls.group_rules import GroupRules
from starling.protocol.mls.key_schedule import EpochSecrets, KeySchedule
from starling.protocol.mls.node_secrets import NodeRecord
from starling.protocol.mls.private_tree import PrivateTree
from starling.protocol.mls.proposal import ReInit
from starling.protocol.mls.ratchet_tree import RatchetTree
from starling.protocol.mls.replay_cache import ReplayCache, SeenRecord
from starling.protocol.mls.secret_tree import SecretTree, SecretTreeRecord
from starling.protocol.wire import Reader, Struct, Vector, When, opaque, uint16, uint32

_VERSION = 1
_ENDED = 2
"""The version of a record with the ReInit that ended the group."""


@dataclass(frozen=True, slots=True)
class _NodeKey(Struct):
    node: uint32
    private_key: opaque = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Named(Struct):
    name: opaque
    value: opaque = field(repr=False)


@dataclass(frozen=True, slots=True)
class GroupRecord(Struct):
    """Everything of an epoch but its ratchets; the signature key is empty in a superseded epoch."""

    version: uint16
    key_schedule: opaque
    context: GroupContext
    tree: opaque
    own_leaf_index: uint32
    private_keys: Vector[_NodeKey]
    signature_private_key: opaque = field(repr=False)
    secrets: Vector[_Named]
    extra: Vector[_Named]
    init_nodes: Vector[NodeRecord]
    confirmation_tag: opaque
    interim_transcript_hash: opaque
    reinit: Annotated[ReInit | None, When("version", _ENDED)] = None


@dataclass(frozen=True, slots=True)
class ExporterTreeRecord(Struct):
    """The nodes that are left of an exporter tree."""

    nodes: Vector[NodeRecord]


@dataclass(frozen=True, slots=True)
class ReplayCacheRecord(Struct):
    """The messages without a generation that were taken."""

    seen: Vector[SeenRecord]


def save_epoch(epoch: Epoch) -> bytes:
    """The record without the ratchets: it changes only when the epoch is superseded."""
    signing = epoch.signature_private_key
    return GroupRecord(
        _VERSION if epoch.reinit is None else _ENDED,
        epoch.key_schedule.name.encode(),
        epoch.context,
        epoch.tree.encode(),
        epoch.own_leaf_index,
        tuple(_NodeKey(node, key) for node, key in sorted(epoch.private_tree.export().items())),
        b"" if signing.is_wiped else bytes(signing),
        _named(dict(epoch.secrets.items())),
        _named(epoch.secrets.extra),
        epoch.secrets.init_nodes.save() if epoch.secrets.init_nodes is not None else (),
        epoch.confirmation_tag,
        epoch.interim_transcript_hash,
        epoch.reinit,
    ).encode()


def save_ratchets(epoch: Epoch) -> bytes:
    """What sending, receiving and the safe exporter consume: the records of the secret tree, the exporter tree, and
    the replay cache, the last ones only where they or what follows have something."""
    nodes, seen = epoch.exporter_tree.save(), epoch.replay_cache.save()
    exporter_tree = ExporterTreeRecord(nodes).encode() if nodes or seen else b""
    replay_cache = ReplayCacheRecord(seen).encode() if seen else b""
    return epoch.secret_tree.save().encode() + exporter_tree + replay_cache


def load_epoch(record: bytes, ratchets: bytes, rules: GroupRules, key_schedule: KeySchedule) -> Epoch:
    """The epoch that was saved. Raises `DecodeError`, or `UsageError` for another key schedule."""
    saved = GroupRecord.decode(record)
    if saved.version not in (_VERSION, _ENDED):
        raise DecodeError(f"a group record of version {saved.version}")
    if saved.key_schedule != key_schedule.name.encode():
        raise UsageError("the group was saved with another key schedule")
    suite = cipher_suite(saved.context.cipher_suite)
    reader = Reader(ratchets)
    secret_tree = SecretTreeRecord.read(reader)
    exporter_nodes = ExporterTreeRecord.read(reader).nodes if reader.left else ()
    seen = _read_seen(reader) if reader.left else ()
    reader.finish()
    return Epoch(
        suite=suite,
        context=saved.context,
        tree=RatchetTree.decode(saved.tree),
        own_leaf_index=saved.own_leaf_index,
        private_tree=PrivateTree(
            saved.own_leaf_index, {entry.node: entry.private_key for entry in saved.private_keys}
        ),
        signature_private_key=signing_secret(saved.signature_private_key),
        secrets=EpochSecrets(
            _read_named(saved.secrets),
            _read_named(saved.extra),
            key_schedule.load_init_nodes(suite, saved.init_nodes),
        ),
        secret_tree=SecretTree.load(suite, secret_tree),
        exporter_tree=ExporterTree.load(suite, exporter_nodes),
        confirmation_tag=saved.confirmation_tag,
        interim_transcript_hash=saved.interim_transcript_hash,
        rules=rules,
        key_schedule=key_schedule,
        reinit=saved.reinit,
        replay_cache=ReplayCache(seen),
    )


def _read_seen(reader: Reader) -> tuple[SeenRecord, ...]:
    seen = ReplayCacheRecord.read(reader).seen
    if not seen:
        raise DecodeError("a replay cache without anything")
    return seen


def _named(values: Mapping[str, bytes]) -> tuple[_Named, ...]:
    return tuple(_Named(name.encode(), values[name]) for name in sorted(values))


def _read_named(values: tuple[_Named, ...]) -> dict[str, bytes]:
    try:
        return {entry.name.decode(): entry.value for entry in values}
    except UnicodeDecodeError:
        raise DecodeError("a name is not UTF-8") from None
