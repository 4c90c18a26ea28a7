"""The node secrets of a secret tree, an exporter tree or a PPRF (RFC 9420 §9; extensions draft §4.4; Decentralized
MLS §5).

A secret is derived when it is needed first, and the one that it came from is deleted. A node is named by
its level below the root and by the leaf bits above it, so no array index is needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from starling.protocol.crypto.cipher_suite import CipherSuite
from starling.protocol.crypto.secret import Secret
from starling.protocol.wire import Struct, opaque, uint16


@dataclass(frozen=True, slots=True)
class NodeRecord(Struct):
    """One node secret as it is saved; `prefix` has the leaf bits above it, big endian, without leading zeros."""

    level: uint16
    prefix: opaque
    secret: opaque = field(repr=False)


class NodeSecrets:
    """The secrets that are left of a tree with 2^`depth` leaves."""

    __slots__ = ("_nodes", "_suite", "depth")

    def __init__(self, suite: CipherSuite, depth: int, nodes: Iterable[NodeRecord]) -> None:
        self._suite = suite
        self.depth = depth
        self._nodes = {(node.level, int.from_bytes(node.prefix)): Secret(node.secret) for node in nodes}

    @classmethod
    def from_root(cls, suite: CipherSuite, depth: int, root_secret: bytes) -> NodeSecrets:
        """The whole tree, from the secret of its root (Nh bytes)."""
        return cls(suite, depth, (NodeRecord(0, b"", root_secret),))

    def _above(self, leaf_index: int) -> int:
        """The level of the node from which a leaf can be derived, 0 also where there is none."""
        level = self.depth
        while level and (level, leaf_index >> (self.depth - level)) not in self._nodes:
            level -= 1
        return level

    def peek(self, leaf_index: int) -> bytes | None:
        """The secret of a leaf, as `take` would give it; nothing is deleted."""
        depth, suite = self.depth, self._suite
        level = self._above(leaf_index)
        start = self._nodes.get((level, leaf_index >> (depth - level)))
        if start is None:
            return None
        secret = bytes(start)
        left, right = suite.expander("tree", b"left"), suite.expander("tree", b"right")
        for bit in _bits(leaf_index, depth)[level:]:
            secret = right(secret) if bit == "1" else left(secret)
        return secret

    def take(self, leaf_index: int) -> bytes | None:
        """The secret of a leaf, which is deleted here with all above it, while the copath stays; None where
        it was taken already, or there is no such leaf."""
        depth = self.depth
        level = self._above(leaf_index)
        start = self._nodes.pop((level, leaf_index >> (depth - level)), None)
        if start is None:
            return None
        secret = bytes(start)
        start.wipe()
        nodes, suite = self._nodes, self._suite
        left, right = suite.expander("tree", b"left"), suite.expander("tree", b"right")
        prefix = leaf_index >> (depth - level)
        for bit in _bits(leaf_index, depth)[level:]:
            level += 1
            prefix <<= 1
            if bit == "1":
                nodes[(level, prefix)] = Secret(left(secret))
                secret = right(secret)
                prefix |= 1
            else:
                nodes[(level, prefix | 1)] = Secret(right(secret))
                secret = left(secret)
        return secret

    def leaves(self) -> Iterator[int]:
        """The leaves that were not taken yet, from the left."""
        spans = [
            (prefix << (self.depth - level), (prefix + 1) << (self.depth - level))
            for level, prefix in self._nodes
        ]
        for first, end in sorted(spans):
            yield from range(first, end)

    def wipe(self) -> None:
        """Delete all that is left."""
        for secret in self._nodes.values():
            secret.wipe()
        self._nodes.clear()

    def save(self) -> tuple[NodeRecord, ...]:
        """What is left, for saving."""
        return tuple(
            NodeRecord(level, prefix.to_bytes((prefix.bit_length() + 7) // 8), bytes(secret))
            for (level, prefix), secret in sorted(self._nodes.items())
        )

    def __repr__(self) -> str:
        return "<NodeSecrets>"


def _bits(leaf_index: int, depth: int) -> str:
    """The way from the root to a leaf, a character a level: "1" is right."""
    return f"{leaf_index:0{depth}b}" if depth else ""
