"""Verifying the signatures of many leaves: what a joiner spends its time on (RFC 9420 §7.3, §12.4.3.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from starling.protocol.crypto.cipher_suite import CipherSuite
from starling.protocol.mls.leaf_node import KEY_PACKAGE, LeafNode

Map = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
"""`map`, or what does the same with several threads, such as `map` of a `ThreadPoolExecutor`."""

_GREATEST = 4096
"""Greater leaves, in bytes, are not remembered."""

_AT_ONCE = 32
"""How many leaves a thread is given at once."""


class LeafVerification:
    """Verifies all leaves anew, one after the other, unless told otherwise.

    `remembered` is a number of leaves: so many that came from key packages are kept, and each is verified and
    held in memory once, however many groups it is in. What such a leaf signs does not name its group, so a
    signature that verified does so in every group. `parallel_map` spreads the work: verifying releases the
    interpreter's lock.
    """

    def __init__(self, *, remembered: int = 0, parallel_map: Map = map) -> None:
        self._capacity = remembered
        self._remembered: dict[tuple[int, bytes], LeafNode] = {}
        self._map = parallel_map

    def verify(
        self, suite: CipherSuite, group_id: bytes, leaves: Sequence[tuple[int, LeafNode]]
    ) -> list[tuple[int, LeafNode]]:
        """Leaves with their leaf indexes; gives the same, with the remembered objects in place of equal ones.
        Raises `Invalid(LEAF_NODE_SIGNATURE)`."""
        known = [self._remembered.get((suite.id, leaf.encode())) for _, leaf in leaves]
        fresh = [entry for entry, held in zip(leaves, known, strict=True) if held is None]

        def verify_some(start: int) -> None:
            for leaf_index, leaf in fresh[start : start + _AT_ONCE]:
                leaf.verify_signature(suite, group_id, leaf_index)

        for _ in self._map(verify_some, range(0, len(fresh), _AT_ONCE)):
            pass
        found = [(leaf_index, held or leaf) for (leaf_index, leaf), held in zip(leaves, known, strict=True)]
        for _, leaf in found:
            self._remember(suite, leaf)
        return found

    def _remember(self, suite: CipherSuite, leaf: LeafNode) -> None:
        """As the newest; the oldest is forgotten where there are too many."""
        if leaf.leaf_node_source != KEY_PACKAGE or not self._capacity:
            return
        key = (suite.id, leaf.encode())
        if len(key[1]) > _GREATEST:
            return
        self._remembered.pop(key, None)
        self._remembered[key] = leaf
        if len(self._remembered) > self._capacity:
            del self._remembered[next(iter(self._remembered))]
