"""The secret tree: from the encryption secret to each member's ratchets (RFC 9420 §9).

A secret is derived when it is needed first, and the one that it came from is deleted. A node is named by
its level below
the root and by the leaf bits above it, so no array index is needed.
"""

from __future__ import annotations

from dataclasses import dataclass

from starling.protocol.crypto.cipher_suite import CipherSuite
from starling.protocol.crypto.secret import Secret
from starling.protocol.errors import Invalid
from starling.protocol.mls.ratchet import Ratchet, RatchetRecord, RetainedRatchet, load_ratchet
from starling.protocol.mls.rules import Rule
from starling.protocol.wire import Struct, Vector, opaque, uint8, uint32


@dataclass(frozen=True, slots=True)
class NodeRecord(Struct):
    level: uint8
    prefix: uint32
    secret: opaque


@dataclass(frozen=True, slots=True)
class LeafRatchets(Struct):
    """The saved ratchets of one leaf; a wiped one is absent."""

    leaf_index: uint32
    handshake: RatchetRecord | None
    application: RatchetRecord | None


@dataclass(frozen=True, slots=True)
class SecretTreeRecord(Struct):
    depth: uint8
    nodes: Vector[NodeRecord]
    leaves: Vector[LeafRatchets]


class SecretTree:
    """The ratchets of an epoch. `leaf_count` is that of the ratchet tree: a power of two, blanks included."""

    __slots__ = ("_application", "_depth", "_handshake", "_nodes", "_suite")

    def __init__(self, suite: CipherSuite, leaf_count: int, encryption_secret: bytes) -> None:
        self._suite = suite
        self._depth = max(leaf_count - 1, 0).bit_length()
        self._nodes: dict[tuple[int, int], Secret] = {(0, 0): Secret(encryption_secret)}
        self._handshake: dict[int, Ratchet] = {}
        self._application: dict[int, Ratchet] = {}

    def handshake(self, leaf_index: int) -> Ratchet:
        """The handshake ratchet of a leaf; `Invalid` where it was deleted."""
        return self._ratchet(self._handshake, leaf_index)

    def application(self, leaf_index: int) -> Ratchet:
        """The application ratchet of a leaf; `Invalid` where it was deleted."""
        return self._ratchet(self._application, leaf_index)

    def keep_only(self, leaf_index: int) -> None:
        """Keep the ratchets of one leaf, its handshake ratchet retained at generation 0; delete everything
        else."""
        self._open_leaf(leaf_index, retain_handshake=True)
        for secret in self._nodes.values():
            secret.wipe()
        self._nodes.clear()
        for ratchets in (self._handshake, self._application):
            for other in [leaf for leaf in ratchets if leaf != leaf_index]:
                ratchets.pop(other).wipe()

    def drop_handshake(self) -> None:
        """Delete all handshake ratchets: of a tree whose leaves were not all opened this opens the rest
        first."""
        for level, prefix in sorted(self._nodes):
            if (level, prefix) in self._nodes:
                shift = self._depth - level
                for leaf_index in range(prefix << shift, (prefix + 1) << shift):
                    self._open_leaf(leaf_index)
        for ratchet in self._handshake.values():
            ratchet.wipe()
        self._handshake.clear()

    def wipe(self) -> None:
        """Delete all secrets."""
        for secret in self._nodes.values():
            secret.wipe()
        for ratchets in (self._handshake, self._application):
            for ratchet in ratchets.values():
                ratchet.wipe()
            ratchets.clear()
        self._nodes.clear()

    def save(self) -> SecretTreeRecord:
        """The state of all ratchets, and the tree secrets that were not opened yet."""
        leaves = sorted(self._handshake.keys() | self._application.keys())
        return SecretTreeRecord(
            self._depth,
            tuple(NodeRecord(level, prefix, bytes(s)) for (level, prefix), s in sorted(self._nodes.items())),
            tuple(
                LeafRatchets(leaf, _save(self._handshake.get(leaf)), _save(self._application.get(leaf)))
                for leaf in leaves
            ),
        )

    @classmethod
    def load(cls, suite: CipherSuite, record: SecretTreeRecord) -> SecretTree:
        """The tree that was saved."""
        tree = cls.__new__(cls)
        tree._suite = suite
        tree._depth = record.depth
        tree._nodes = {(node.level, node.prefix): Secret(node.secret) for node in record.nodes}
        tree._handshake = {
            leaf.leaf_index: load_ratchet(suite, leaf.handshake) for leaf in record.leaves if leaf.handshake
        }
        tree._application = {
            leaf.leaf_index: load_ratchet(suite, leaf.application)
            for leaf in record.leaves
            if leaf.application
        }
        return tree

    def _ratchet(self, ratchets: dict[int, Ratchet], leaf_index: int) -> Ratchet:
        if leaf_index not in ratchets:
            self._open_leaf(leaf_index)
        ratchet = ratchets.get(leaf_index)
        if ratchet is None:
            raise Invalid(Rule.RATCHET_DELETED, f"leaf {leaf_index}")
        return ratchet

    def _open_leaf(self, leaf_index: int, *, retain_handshake: bool = False) -> None:
        """Derive down to a leaf and make its two ratchets; nothing where its secrets are gone or opened
        already."""
        if leaf_index >> self._depth:
            return
        level = self._depth
        while level and (level, leaf_index >> (self._depth - level)) not in self._nodes:
            level -= 1
        start = self._nodes.pop((level, leaf_index >> (self._depth - level)), None)
        if start is None:
            return
        secret = bytes(start)
        start.wipe()
        suite = self._suite
        while level < self._depth:
            level += 1
            prefix = leaf_index >> (self._depth - level)
            left = suite.expand_with_label(secret, "tree", b"left", suite.hash_length)
            right = suite.expand_with_label(secret, "tree", b"right", suite.hash_length)
            self._nodes[(level, prefix ^ 1)] = Secret(left if prefix & 1 else right)
            secret = right if prefix & 1 else left
        handshake = suite.expand_with_label(secret, "handshake", b"", suite.hash_length)
        application = suite.expand_with_label(secret, "application", b"", suite.hash_length)
        self._handshake[leaf_index] = (RetainedRatchet if retain_handshake else Ratchet)(suite, handshake)
        self._application[leaf_index] = Ratchet(suite, application)

    def __repr__(self) -> str:
        return "<SecretTree>"


def _save(ratchet: Ratchet | None) -> RatchetRecord | None:
    return None if ratchet is None else ratchet.save()
