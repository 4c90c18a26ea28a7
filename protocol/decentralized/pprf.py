"""A puncturable pseudorandom function: each input gives its output once (draft-kohbrok-mls-dmls-02 §5).

It is MLS's secret tree with one leaf for every possible input. An evaluation deletes the secrets on the way to the
input's leaf and keeps those beside it, so all other inputs can still be evaluated, and this one never again.
"""

from __future__ import annotations

from starling.protocol.crypto.cipher_suite import CipherSuite
from starling.protocol.errors import UsageError
from starling.protocol.mls.node_secrets import NodeSecrets


class PuncturablePRF:
    """Keys, inputs and outputs have Nh bytes. An evaluation adds at most 8 * Nh nodes of Nh bytes (K-7, K-8)."""

    __slots__ = ("_nodes", "_suite")

    def __init__(self, suite: CipherSuite, nodes: NodeSecrets) -> None:
        """The function of which these nodes are left."""
        self._suite = suite
        self._nodes = nodes

    @classmethod
    def keyed(cls, suite: CipherSuite, key: bytes) -> PuncturablePRF:
        """A function that was evaluated nowhere yet."""
        return cls(suite, pprf_nodes(suite, key))

    def evaluate(self, value: bytes) -> bytes:
        """DeriveFSSecret: the output for an input, the first bit of which chooses below the root (K-7).

        Raises `UsageError` (`punctured`) where it was evaluated before.
        """
        return self._output(self._nodes.take(self._leaf(value)))

    def peek(self, value: bytes) -> bytes:
        """What `evaluate` would give: for when it is not known yet whether it will be used (K-8)."""
        return self._output(self._nodes.peek(self._leaf(value)))

    def _leaf(self, value: bytes) -> int:
        _check_length(self._suite, value, "input")
        return int.from_bytes(value)

    def _output(self, leaf_secret: bytes | None) -> bytes:
        if leaf_secret is None:
            raise UsageError("the function was evaluated for this input before", "punctured")
        return self._suite.derive_secret(leaf_secret, "pprf")

    def __repr__(self) -> str:
        return "<PuncturablePRF>"


def pprf_nodes(suite: CipherSuite, key: bytes) -> NodeSecrets:
    """The whole tree of the function with this key."""
    _check_length(suite, key, "key")
    return NodeSecrets.from_root(suite, 8 * suite.hash_length, key)


def _check_length(suite: CipherSuite, value: bytes, what: str) -> None:
    if len(value) != suite.hash_length:
        raise UsageError(f"the {what} of the function has {suite.hash_length} bytes, not {len(value)}")
