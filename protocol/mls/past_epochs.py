"""What is kept of past epochs: their resumption PSKs, and what a successor is compared with (RFC 9420 §8.6,
§11.2, §11.3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from starling.protocol.crypto.secret import Secret
from starling.protocol.mls.epoch import Epoch
from starling.protocol.mls.group_context import GroupContext
from starling.protocol.mls.leaf_node import LeafNode
from starling.protocol.mls.proposal import ReInit
from starling.protocol.mls.psk import PreSharedKeyID, PSKType


@dataclass(frozen=True, slots=True, eq=False)
class PastEpoch:
    """An epoch that is over, or may soon be. `reinit` is there where its commit ended the group."""

    context: GroupContext
    members: tuple[LeafNode, ...]
    reinit: ReInit | None
    resumption_psk: Secret = field(repr=False)

    @classmethod
    def of(cls, epoch: Epoch) -> PastEpoch:
        """Raises `UsageError` for an epoch that was superseded."""
        members = tuple(leaf for _, leaf in epoch.tree.leaves())
        return cls(epoch.context, members, epoch.reinit, Secret(epoch.secrets.resumption_psk))


FindPastEpoch = Callable[[bytes, int], PastEpoch | None]
"""How a join asks for an epoch by group id and number; None where it is not known."""


def no_past_epochs(group_id: bytes, epoch: int) -> None:
    """Knows no past epoch."""


class PastEpochs:
    """The newest epochs of each group, in memory; what is pushed out or forgotten is wiped."""

    def __init__(self, limit: int = 8) -> None:
        self._limit = limit
        self._groups: dict[bytes, dict[int, PastEpoch]] = {}

    def add(self, past: PastEpoch) -> None:
        """Keep an epoch; the oldest of its group goes where there are more than the limit."""
        epochs = self._groups.setdefault(past.context.group_id, {})
        replaced = epochs.pop(past.context.epoch, None)
        epochs[past.context.epoch] = past
        if replaced is not None:
            replaced.resumption_psk.wipe()
        while len(epochs) > self._limit:
            epochs.pop(min(epochs)).resumption_psk.wipe()

    def find(self, group_id: bytes, epoch: int) -> PastEpoch | None:
        """A `FindPastEpoch`."""
        return self._groups.get(group_id, {}).get(epoch)

    def psk(self, psk_id: PreSharedKeyID) -> bytes | None:
        """A `FindPsk` of resumption PSKs."""
        if psk_id.psktype != PSKType.RESUMPTION:
            return None
        past = self.find(psk_id.psk_group_id or b"", psk_id.psk_epoch or 0)
        return bytes(past.resumption_psk) if past is not None else None

    def forget(self, group_id: bytes) -> None:
        """Wipe what is kept of a group."""
        for past in self._groups.pop(group_id, {}).values():
            past.resumption_psk.wipe()
