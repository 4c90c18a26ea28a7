"""What an extension derives where an epoch begins, besides the secrets of RFC 9420 §8."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from starling.protocol.crypto.cipher_suite import CipherSuite
from starling.protocol.mls.group_context import GroupContext

Derive = Callable[[CipherSuite, GroupContext, bytes, bytes], Mapping[str, bytes]]
"""Suite, GroupContext, epoch_secret and exporter_secret (Nh bytes each) of an epoch to its secrets by name. Which of
the names there are may depend on the GroupContext."""


@dataclass(frozen=True, slots=True)
class Derivation:
    """Secrets of every epoch of a group: derived at its entry, since neither epoch_secret nor exporter_secret last,
    and held by `EpochSecrets` under `names`, which saves and wipes them with its own.

    With `outlives_head` they stay in a superseded epoch from which late messages and siblings can be read
    (`Group.supersede` with `keep_handshake`); else, and in any other superseded epoch, they go.
    """

    names: frozenset[str]
    derive: Derive
    outlives_head: bool = False
