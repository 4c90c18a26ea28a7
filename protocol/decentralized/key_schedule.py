"""The key schedule of send groups: RFC 9420's, and the epoch's unique name (K-13).

This is the place where the punctured schedule (K-1 to K-12) comes in: it changes how a child's init secret is
found and what a superseded epoch keeps, and nothing else. A store says by `name` which schedule it was made with.
"""

from __future__ import annotations

from starling.protocol.crypto.cipher_suite import CipherSuite
from starling.protocol.mls.key_schedule import EpochSecrets, KeySchedule

DMLS_EPOCH = "dmls_epoch"


class SendGroupKeySchedule(KeySchedule):
    """RFC 9420, with `extra["dmls_epoch"]` = DeriveSecret(epoch_secret, "epoch"), a public value of Nh bytes."""

    name = "rfc9420+dmls_epoch"
    # Without puncturing a superseded epoch has no further child: its init secret would open all that follows.
    sibling_secrets: frozenset[str] = frozenset()

    def enter(self, suite: CipherSuite, epoch_secret: bytes) -> EpochSecrets:
        secrets = super().enter(suite, epoch_secret)
        secrets.extra[DMLS_EPOCH] = suite.derive_secret(epoch_secret, "epoch")
        return secrets


SEND_GROUP_KEY_SCHEDULE = SendGroupKeySchedule()
