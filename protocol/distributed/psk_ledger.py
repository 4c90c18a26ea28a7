"""The exported PSKs of a universe's send groups (PROTOCOL X-6, X-13, X-18).

Every epoch that a path commit started is exported once, when it is entered. The ledger says what may be
imported, and forgets what nobody can need any more.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from starling.protocol.decentralized.epoch_graph import EpochGraph
from starling.protocol.decentralized.settling import RETENTION
from starling.protocol.distributed.member import MemberId

MAX_PER_OWNER = 64

MAX_OTHER_IMPORTS = 8
"""How many imports of one member from one group are remembered that lie on other branches than its newest."""


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
    """The newest import from a group by a member, as processed here: of which epoch, by number and name.

    `parent` is the importing commit's parent, in the importer's group `importer_group_id`, and `child` the epoch that
    the commit started: where the parent has several, it tells the branch.
    """

    epoch: int
    dmls_epoch: bytes
    importer_group_id: bytes
    parent: bytes
    child: bytes


class PskLedger:
    """Exported PSKs by (group_id, dmls_epoch), and who has imported what last."""

    def __init__(self) -> None:
        self.psks: dict[tuple[bytes, bytes], ExportedPsk] = {}
        self.last_imports: dict[tuple[bytes, bytes], LastImport] = {}
        """By (importer's identity, group imported from)."""
        self.other_imports: dict[tuple[bytes, bytes], tuple[LastImport, ...]] = {}
        """Older ones that the last does not follow: on another branch of either group."""
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

    def newest(self, group_id: bytes, graph: EpochGraph | None = None) -> ExportedPsk | None:
        """The newest export of a group, of those on the way to the head where its graph is given."""
        found: Iterable[ExportedPsk] = self._groups.get(group_id, {}).values()
        if graph is not None and has_branches(graph):
            found = (exported for exported in found if graph.is_at_or_after(graph.head, exported.dmls_epoch))
        return max(found, key=lambda exported: exported.epoch, default=None)

    # imports

    def imports(self, importer: bytes, group_id: bytes) -> Iterator[LastImport]:
        """What a member has imported from a group last, on every branch."""
        last = self.last_imports.get((importer, group_id))
        if last is not None:
            yield last
            yield from self.other_imports.get((importer, group_id), ())

    def note_import(
        self, importer: bytes, group_id: bytes, new: LastImport, graphs: Mapping[bytes, EpochGraph]
    ) -> tuple[LastImport, ...]:
        """Remember an import; it takes the place of those that it follows. All that are remembered are given back,
        the newest first."""
        kept = [
            old
            for old in self.imports(importer, group_id)
            if old.importer_group_id == new.importer_group_id
            and not (
                _is_before(graphs.get(group_id), old.dmls_epoch, old.epoch, new.dmls_epoch, new.epoch)
                and _is_on_way(graphs.get(new.importer_group_id), old.child, new.parent)
            )
        ][:MAX_OTHER_IMPORTS]
        self.last_imports[importer, group_id] = new
        self.other_imports.pop((importer, group_id), None)
        if kept:
            self.other_imports[importer, group_id] = tuple(kept)
        return (new, *kept)

    def load_imports(self, importer: bytes, group_id: bytes, imports: tuple[LastImport, ...]) -> None:
        """What `note_import` gave."""
        self.last_imports[importer, group_id] = imports[0]
        if imports[1:]:
            self.other_imports[importer, group_id] = imports[1:]

    def forget_imports(self, importer: bytes, group_id: bytes) -> None:
        self.last_imports.pop((importer, group_id), None)
        self.other_imports.pop((importer, group_id), None)

    def forget_from(self, importer: bytes, group_id: bytes, number: int) -> tuple[LastImport, ...]:
        """Forget what a member imported of a group from an epoch number on; what is left is given back."""
        kept = tuple(last for last in self.imports(importer, group_id) if last.epoch < number)
        self.forget_imports(importer, group_id)
        if kept:
            self.load_imports(importer, group_id, kept)
        return kept

    def forget_branch(
        self, importer: bytes, group_id: bytes, epochs: frozenset[bytes]
    ) -> tuple[LastImport, ...]:
        """Forget the imports by the commits that started these epochs of the importer's; what is left is given back."""
        kept = tuple(last for last in self.imports(importer, group_id) if last.child not in epochs)
        self.forget_imports(importer, group_id)
        if kept:
            self.load_imports(importer, group_id, kept)
        return kept

    def is_behind(
        self,
        importer: bytes,
        dependency: tuple[bytes, int, bytes],
        importing: tuple[bytes, bytes],
        graphs: Mapping[bytes, EpochGraph],
    ) -> bool:
        """Whether a member has imported an epoch, or a later one on its branch, before (X-7).

        `dependency` is (group, number, `dmls_epoch`), the last empty where it is not known; `importing` the importer's
        group and the parent of the commit. What the importer did on another branch of its own group does not count.
        """
        group_id, epoch, dmls_epoch = dependency
        importer_group_id, parent = importing
        graph = graphs.get(group_id)
        # It may be on a branch that still comes, or never can; where it is not named, or is of an epoch that has gone
        # by, the numbers tell while there is one branch.
        if graph is not None and dmls_epoch not in graph:
            is_named, is_new = bool(dmls_epoch), epoch >= graph.oldest_number
            if (is_named and is_new) or (has_branches(graph) and (is_named or is_new)):
                return False
        return any(
            last.importer_group_id == importer_group_id
            and _is_before(graph, dmls_epoch, epoch, last.dmls_epoch, last.epoch)
            and _is_on_way(graphs.get(importer_group_id), last.child, parent)
            for last in self.imports(importer, group_id)
        )

    def importable(
        self,
        importer: MemberId,
        importer_group: Iterable[MemberId],
        own: EpochGraph,
        groups: Mapping[bytes, EpochGraph],
    ) -> list[ExportedPsk]:
        """What the owner may import now (X-7, X-13): of each of the `groups` the newest epoch on the way to its head
        that it has not imported on its own branch, known to every member of the importer's group; in ascending order
        of psk_id. `own` is the importer's graph."""
        fresh = []
        for group_id, graph in groups.items():
            newest = self.newest(group_id, graph)
            if newest is not None and not self.has_imported(importer.identity, newest, groups, own):
                fresh.append(newest)
        # Read last, and only where there is something new: this is asked before every message.
        others = frozenset(importer_group) - {importer} if fresh else frozenset()
        chosen = [exported for exported in fresh if others <= exported.members]
        return sorted(chosen, key=lambda exported: (exported.epoch, exported.group_id))

    def has_imported(
        self,
        identity: bytes,
        exported: ExportedPsk,
        graphs: Mapping[bytes, EpochGraph],
        importing: EpochGraph | None,
    ) -> bool:
        """Whether a member has imported an epoch or a later one, on the branch of its own group that counts."""
        graph = graphs.get(exported.group_id)
        return any(
            _is_before(graph, exported.dmls_epoch, exported.epoch, last.dmls_epoch, last.epoch)
            and (importing is None or _is_on_way(importing, last.child, importing.head))
            for last in self.imports(identity, exported.group_id)
        )

    # forgetting

    def unneeded(
        self,
        now: int,
        owners: Mapping[bytes, bytes],
        members: Iterable[bytes],
        retained: Mapping[bytes, Iterable[bytes]],
        graphs: Mapping[bytes, EpochGraph],
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
                    or self._imported_by_all(exported, owners.get(group_id), everybody, kept_epochs, graphs)
                ):
                    gone.append(exported)
        return gone

    def _imported_by_all(
        self,
        exported: ExportedPsk,
        owner: bytes | None,
        members: list[bytes],
        retained: Mapping[bytes, frozenset[bytes]],
        graphs: Mapping[bytes, EpochGraph],
    ) -> bool:
        importers = [identity for identity in members if identity != owner]
        if not importers:
            return False
        graph = graphs.get(exported.group_id)
        in_row = graph is None or not has_branches(graph)
        for identity in importers:
            last = self.last_imports.get((identity, exported.group_id))
            if last is None or (in_row and last.epoch < exported.epoch):
                return False
            importing = graphs.get(last.importer_group_id)
            if not self.has_imported(identity, exported, graphs, importing):
                return False
            for used in self.imports(identity, exported.group_id):
                kept = retained.get(used.importer_group_id, frozenset())
                if _may_come_again(graphs.get(used.importer_group_id), used, kept) and _is_before(
                    graph, exported.dmls_epoch, exported.epoch, used.dmls_epoch, used.epoch
                ):
                    return False
        return True

    def remove(self, exported: ExportedPsk) -> None:
        if self.psks.pop((exported.group_id, exported.dmls_epoch), None) is not None:
            del self._groups[exported.group_id][exported.dmls_epoch]
            if not self._groups[exported.group_id]:
                del self._groups[exported.group_id]


def has_branches(graph: EpochGraph) -> bool:
    """Whether epochs of a group may lie side by side, so that their numbers do not tell which came first."""
    return len(graph.tips) > 1 or bool(graph.closed)


def _may_come_again(graph: EpochGraph | None, used: LastImport, retained: Container[bytes]) -> bool:
    """Whether a sibling of an import, or of what led to it, can still be entered: it may import the same. An epoch
    that lingers outlasts later ones."""
    if graph is None or used.parent not in graph:
        return used.parent in retained
    return any(info.dmls_epoch in retained for info in graph.lineage(used.parent))


def _is_before(graph: EpochGraph | None, first: bytes, number: int, second: bytes, later: int) -> bool:
    """Whether the first epoch is the second or leads to it. Where one is not known any more, it is old, and the
    numbers tell, but of a dead branch: what its owner said since it closed that is not on the way to it."""
    if graph is None or not has_branches(graph) or first not in graph:
        return number <= later
    if second not in graph:
        resolving = graph.closed.get(second)
        is_since = resolving is not None and (
            resolving not in graph or graph.is_at_or_after(first, resolving)
        )
        return number <= later and not is_since
    return graph.is_at_or_after(second, first)


def _is_on_way(graph: EpochGraph | None, ancestor: bytes, dmls_epoch: bytes) -> bool:
    """Whether an epoch leads to another; one that is not known any more does."""
    return graph is None or ancestor not in graph or graph.is_at_or_after(dmls_epoch, ancestor)
