"""The key schedule of Decentralized MLS (draft-kohbrok-mls-dmls-02 §4): one epoch, several children, each once.

An epoch has no init secret of its own. That of a child is the output of a puncturable PRF for the child's commit, and
entering the child punctures it: what is kept of the epoch leads to other children, and never to this one again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from starling.protocol.crypto.cipher_suite import CipherSuite
from starling.protocol.decentralized.pprf import PuncturablePRF, pprf_nodes
from starling.protocol.mls.extension import (
    KOH_KEY_SCHEDULE,
    REQUIRED_CAPABILITIES,
    Extension,
    RequiredCapabilities,
)
from starling.protocol.mls.key_schedule import EpochSecrets, KeySchedule
from starling.protocol.mls.node_secrets import NodeRecord, NodeSecrets

DMLS_EPOCH = "dmls_epoch"


class PuncturedKeySchedule(KeySchedule):
    """K-1 to K-8, and `extra["dmls_epoch"]` = DeriveSecret(epoch_secret, "epoch"), public, Nh bytes (K-13).

    A group has it by the GroupContext extension `koh_key_schedule` (0xF0D1, empty), from epoch 0 on (K-5).
    """

    name = "punctured"
    extension_type = KOH_KEY_SCHEDULE
    labels: Mapping[str, str] = MappingProxyType(
        {name: label for name, label in KeySchedule.labels.items() if name != "init_secret"}
    )

    def enter(self, suite: CipherSuite, epoch_secret: bytes) -> EpochSecrets:
        secrets = super().enter(suite, epoch_secret)
        secrets.extra[DMLS_EPOCH] = suite.derive_secret(epoch_secret, "epoch")
        secrets.init_nodes = pprf_nodes(suite, suite.derive_secret(epoch_secret, "parent_init"))
        return secrets

    def init_input(
        self, suite: CipherSuite, root_path_secret: bytes | None, child_group_context: bytes
    ) -> bytes:
        """The PPRF's input, Nh bytes. Without a path the path secret is taken as zeros (K-3)."""
        confirmation = suite.derive_secret(root_path_secret or bytes(suite.hash_length), "conf")
        return suite.expand_with_label(confirmation, "child_init", child_group_context, suite.hash_length)

    def init_secret(self, suite: CipherSuite, parent: EpochSecrets, init_input: bytes) -> bytes:
        return self._function(suite, parent).peek(init_input)

    def load_init_nodes(self, suite: CipherSuite, nodes: Iterable[NodeRecord]) -> NodeSecrets:
        return NodeSecrets(suite, 8 * suite.hash_length, nodes)

    def puncture(self, suite: CipherSuite, parent: EpochSecrets, init_input: bytes) -> None:
        self._function(suite, parent).evaluate(init_input)

    def _function(self, suite: CipherSuite, parent: EpochSecrets) -> PuncturablePRF:
        assert parent.init_nodes is not None, "every epoch of this schedule has them"
        return PuncturablePRF(suite, parent.init_nodes)


PUNCTURED = PuncturedKeySchedule()
"""The key schedule of Decentralized MLS."""


def punctured_extensions() -> tuple[Extension, ...]:
    """The GroupContext extensions of a group with this schedule: its name, and that all members support it (K-5)."""
    required = RequiredCapabilities((KOH_KEY_SCHEDULE,))
    return Extension(REQUIRED_CAPABILITIES, required.encode()), Extension(KOH_KEY_SCHEDULE, b"")
