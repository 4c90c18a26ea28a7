"""The safe exporter: one secret an epoch for each component, with forward secrecy (extensions draft §4.4)."""

from __future__ import annotations

from collections.abc import Iterable

from starling.protocol.crypto.cipher_suite import CipherSuite
from starling.protocol.errors import UsageError
from starling.protocol.mls.node_secrets import NodeRecord, NodeSecrets

_DEPTH = 16


class ExporterTree:
    """The exporter tree of an epoch: 2^16 leaves, one for each component id."""

    __slots__ = ("_secrets",)

    def __init__(self, secrets: NodeSecrets) -> None:
        self._secrets = secrets

    @classmethod
    def begin(cls, suite: CipherSuite, application_export_secret: bytes) -> ExporterTree:
        """The tree of a new epoch, from its application_export_secret (Nh bytes)."""
        return cls(NodeSecrets.from_root(suite, _DEPTH, application_export_secret))

    @classmethod
    def load(cls, suite: CipherSuite, nodes: Iterable[NodeRecord]) -> ExporterTree:
        """The tree that was saved."""
        return cls(NodeSecrets(suite, _DEPTH, nodes))

    def export(self, component_id: int) -> bytes:
        """SafeExportSecret: Nh bytes, given once. `UsageError` (`consumed`) for the second time, or where the
        epoch is superseded."""
        if not 0 <= component_id <= 0xFFFF:
            raise UsageError("a component id has two bytes")
        secret = self._secrets.take(component_id)
        if secret is None:
            raise UsageError(f"the secret of component {component_id:#06x} is gone", "consumed")
        return secret

    def save(self) -> tuple[NodeRecord, ...]:
        """What is left, for saving."""
        return self._secrets.save()

    def wipe(self) -> None:
        """Delete all secrets."""
        self._secrets.wipe()

    def __repr__(self) -> str:
        return "<ExporterTree>"
