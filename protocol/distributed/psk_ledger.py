"""The exported PSKs of a universe's send groups (PROTOCOL X-6, X-13, X-18).

Every epoch that a path commit started is exported once, when it is entered. The ledger says what may be
imported, and forgets what nobody can need any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from starling.protocol.decentralized.epoch_graph import RETENTION
from starling.protocol.distributed.member import MemberId

MAX_PER_OWNER = 64


@dataclass(frozen=True, slots=True)
class ExportedPsk:
    """One exported PSK; `members` are the leaves of its epoch, who can know it."""

    group_id: bytes
    epoch: int
    dmls_epoch: bytes
    members: frozenset[MemberId]
    entered_at: int
    psk: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class LastImport:
    """The newest import from a group by a member, as processed here.

    `parent` is the importing commit's parent, in the importer's group `importer_group_id`.
    """

    epoch: int
    importer_group_id: bytes
    parent: bytes


class PskLedger:
    """Exported PSKs by (group_id, dmls_epoch), and who has imported what last."""

    def __init__(self) -> None:
        self.psks: dict[tuple[bytes, bytes], ExportedPsk] = {}
        self.last_imports: dict[tuple[bytes, bytes], LastImport] = {}
        """By (importer's identity, group imported from)."""
        self._groups: dict[bytes, dict[bytes, ExportedPsk]] = {}

    def add(self, exported: ExportedPsk) -> None:
        self.psks[exported.group_id, exported.dmls_epoch] = exported
        self._groups.setdefault(exported.group_id, {})[exported.dmls_epoch] = exported

    def find(self, group_id: bytes, dmls_epoch: bytes) -> ExportedPsk | None:
        return self.psks.get((group_id, dmls_epoch))

    def forks(self, epoch: int, group_id: bytes) -> list[ExportedPsk]:
        """All epochs of a group with this number: more than one where it has forked."""
        return [found for found in self._groups.get(group_id, {}).values() if found.epoch == epoch]

    def count(self, group_id: bytes) -> int:
        """How many PSKs of a group are kept."""
        return len(self._groups.get(group_id, {}))

    def newest(self, group_id: bytes) -> ExportedPsk | None:
        found = self._groups.get(group_id, {}).values()
        return max(found, key=lambda exported: exported.epoch, default=None)

    def importable(
        self, importer: MemberId, importer_group: Iterable[MemberId], groups: Iterable[bytes]
    ) -> list[ExportedPsk]:
        """What the owner may import now (X-7, X-13): per group the newest epoch that it has not imported,
        known to every member of the importer's group; in ascending order of psk_id."""
        fresh = []
        for group_id in groups:
            newest = self.newest(group_id)
            last = self.last_imports.get((importer.identity, group_id))
            if newest is not None and (last is None or newest.epoch > last.epoch):
                fresh.append(newest)
        # Read last, and only where there is something new: this is asked before every message.
        others = frozenset(importer_group) - {importer} if fresh else frozenset()
        chosen = [exported for exported in fresh if others <= exported.members]
        return sorted(chosen, key=lambda exported: (exported.epoch, exported.group_id))

    def unneeded(
        self,
        now: int,
        owners: Mapping[bytes, bytes],
        members: Iterable[bytes],
        retained: Mapping[bytes, Iterable[bytes]],
    ) -> list[ExportedPsk]:
        """What X-18 lets go: `owners` maps groups to owners, `members` are the current identities,
        `retained` the epochs of each group whose state is still kept here."""
        everybody = list(members)
        kept_epochs = {group_id: frozenset(epochs) for group_id, epochs in retained.items()}
        gone: list[ExportedPsk] = []
        for group_id, exports in self._groups.items():
            group = sorted(exports.values(), key=lambda exported: exported.epoch)
            excess = len(group) - MAX_PER_OWNER
            for position, exported in enumerate(group):
                newest = position == len(group) - 1
                old = now - exported.entered_at > RETENTION and not newest
                if (
                    position < excess
                    or old
                    or self._imported_by_all(exported, owners.get(group_id), everybody, kept_epochs)
                ):
                    gone.append(exported)
        return gone

    def _imported_by_all(
        self,
        exported: ExportedPsk,
        owner: bytes | None,
        members: list[bytes],
        retained: Mapping[bytes, frozenset[bytes]],
    ) -> bool:
        importers = [identity for identity in members if identity != owner]
        if not importers:
            return False
        for identity in importers:
            last = self.last_imports.get((identity, exported.group_id))
            if last is None or last.epoch < exported.epoch:
                return False
            if last.parent in retained.get(last.importer_group_id, frozenset()):
                return False
        return True

    def remove(self, exported: ExportedPsk) -> None:
        if self.psks.pop((exported.group_id, exported.dmls_epoch), None) is not None:
            del self._groups[exported.group_id][exported.dmls_epoch]
            if not self._groups[exported.group_id]:
                del self._groups[exported.group_id]
