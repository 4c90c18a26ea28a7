"""The secret tree: from the encryption secret to each member's ratchets (RFC 9420 §9)."""

from __future__ import annotations

from dataclasses import dataclass

from starling.protocol.crypto.cipher_suite import CipherSuite
from starling.protocol.errors import Invalid
from starling.protocol.mls.node_secrets import NodeRecord, NodeSecrets
from starling.protocol.mls.ratchet import Ratchet, RatchetRecord, RetainedRatchet, load_ratchet
from starling.protocol.mls.rules import Rule
from starling.protocol.wire import Struct, Vector, uint8, uint32


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

    __slots__ = ("_application", "_handshake", "_nodes", "_suite")

    def __init__(self, suite: CipherSuite, leaf_count: int, encryption_secret: bytes) -> None:
        self._suite = suite
        depth = max(leaf_count - 1, 0).bit_length()
        self._nodes = NodeSecrets.from_root(suite, depth, encryption_secret)
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
        self._nodes.wipe()
        for ratchets in (self._handshake, self._application):
            for other in [leaf for leaf in ratchets if leaf != leaf_index]:
                ratchets.pop(other).wipe()

    def drop_handshake(self) -> None:
        """Delete all handshake ratchets: of a tree whose leaves were not all opened this opens the rest
        first."""
        for leaf_index in list(self._nodes.leaves()):
            self._open_leaf(leaf_index)
        for ratchet in self._handshake.values():
            ratchet.wipe()
        self._handshake.clear()

    def wipe(self) -> None:
        """Delete all secrets."""
        self._nodes.wipe()
        for ratchets in (self._handshake, self._application):
            for ratchet in ratchets.values():
                ratchet.wipe()
            ratchets.clear()

    def save(self) -> SecretTreeRecord:
        """The state of all ratchets, and the tree secrets that were not opened yet."""
        leaves = sorted(self._handshake.keys() | self._application.keys())
        return SecretTreeRecord(
            self._nodes.depth,
            self._nodes.save(),
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
        tree._nodes = NodeSecrets(suite, record.depth, record.nodes)
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
        """Make the two ratchets of a leaf; nothing where its secrets are gone or opened already."""
        secret = self._nodes.take(leaf_index)
        if secret is None:
            return
        suite = self._suite
        handshake = suite.expand_with_label(secret, "handshake", b"", suite.hash_length)
        application = suite.expand_with_label(secret, "application", b"", suite.hash_length)
        self._handshake[leaf_index] = (RetainedRatchet if retain_handshake else Ratchet)(suite, handshake)
        self._application[leaf_index] = Ratchet(suite, application)

    def __repr__(self) -> str:
        return "<SecretTree>"


def _save(ratchet: Ratchet | None) -> RatchetRecord | None:
    return None if ratchet is None else ratchet.save()
