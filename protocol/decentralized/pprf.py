"""A puncturable pseudorandom function: each input gives its output once (draft-kohbrok-mls-dmls-02 §5).

It is MLS's secret tree with one leaf for every possible input. An evaluation deletes the secrets on the way to the
input's leaf and keeps those beside it, so all other inputs can still be evaluated, and this one never again.
"""

from __future__ import annotations

from collections.abc import Iterable

from starling.protocol.crypto.cipher_suite import CipherSuite
from starling.protocol.errors import UsageError
from starling.protocol.mls.node_secrets import NodeRecord, NodeSecrets


class PuncturablePRF:
    """Keys, inputs and outputs have Nh bytes. An evaluation adds at most 8 * Nh nodes of Nh bytes (K-7, K-8)."""

    __slots__ = ("_nodes", "_suite")

    def __init__(self, suite: CipherSuite, nodes: Iterable[NodeRecord]) -> None:
        """From what `save` gave."""
        self._suite = suite
        self._nodes = NodeSecrets(suite, 8 * suite.hash_length, nodes)

    @classmethod
    def keyed(cls, suite: CipherSuite, key: bytes) -> PuncturablePRF:
        """A function that was evaluated nowhere yet."""
        _check_length(suite, key, "key")
        return cls(suite, (NodeRecord(0, b"", key),))

    def evaluate(self, value: bytes) -> bytes:
        """DeriveFSSecret: the output for an input, the first bit of which chooses below the root (K-7).

        Raises `UsageError` (`punctured`) where it was evaluated before.
        """
        _check_length(self._suite, value, "input")
        leaf_secret = self._nodes.take(int.from_bytes(value))
        if leaf_secret is None:
            raise UsageError("the function was evaluated for this input before", "punctured")
        return self._suite.derive_secret(leaf_secret, "pprf")

    def copy(self) -> PuncturablePRF:
        """A second one, to evaluate before it is known whether the result will be used (K-8)."""
        return PuncturablePRF(self._suite, self.save())

    def save(self) -> tuple[NodeRecord, ...]:
        """What is left. Holds secrets."""
        return self._nodes.save()

    def wipe(self) -> None:
        """Delete what is left: no input can be evaluated any more."""
        self._nodes.wipe()

    def __repr__(self) -> str:
        return "<PuncturablePRF>"


def _check_length(suite: CipherSuite, value: bytes, what: str) -> None:
    if len(value) != suite.hash_length:
        raise UsageError(f"the {what} of the function has {suite.hash_length} bytes, not {len(value)}")
