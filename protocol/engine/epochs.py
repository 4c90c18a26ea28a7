"""Entering an epoch of a send group: what is stored, exported and noted, for own and received commits alike."""

from __future__ import annotations

from collections.abc import Iterable

from starling.protocol.decentralized.epoch_graph import EpochInfo
from starling.protocol.decentralized.key_schedule import DMLS_EPOCH
from starling.protocol.decentralized.settling import lingers_until
from starling.protocol.distributed.dependency import Dependency
from starling.protocol.distributed.export_psk import export_psk
from starling.protocol.distributed.member import MemberId, leaf_identity, member_id
from starling.protocol.distributed.psk_ledger import MAX_OTHER_IMPORTS, ExportedPsk, LastImport
from starling.protocol.distributed.universe_component import read_universe
from starling.protocol.engine.context import Context
from starling.protocol.engine.group_state import GroupState, psk_scope
from starling.protocol.engine.universe import Universe
from starling.protocol.extensions.targeted_messages import TARGETED_SECRETS
from starling.protocol.mls.group import Group
from starling.protocol.packed import Blob, Many, Uint, pack, shape, unpack

_PSK = (Blob.of(32), Uint(), Many((Blob.of(32), Uint(2**32 - 1)), 4096), Uint(), Blob(64, 16))
_IMPORT = Many((Uint(), Blob(64), Blob(64), Blob(64), Blob(64)), 1 + MAX_OTHER_IMPORTS)


def enter_epoch(
    ctx: Context,
    universe: Universe,
    state: GroupState,
    group: Group,
    parent: EpochInfo | None,
    *,
    has_path: bool,
    application_count: int = 0,
    head_statement: bytes = b"",
) -> EpochInfo:
    """Store a new epoch of a group and supersede its parent, which may have children already.

    `application_count` is what the commit says of the parent, `head_statement` travelled with it. An epoch that a
    path commit started is exported at once (X-6), before its exporter secret can go.
    """
    info = EpochInfo(
        dmls_epoch=group.secrets.extra[DMLS_EPOCH],
        number=group.epoch,
        parent=parent.dmls_epoch if parent is not None else None,
        entered_at=ctx.now,
        members=frozenset(leaf_identity(leaf) for _, leaf in group.tree.leaves()),
        with_path=has_path,
        started_by=head_statement,
        parent_count=application_count,
    )
    if has_path:
        _export(ctx, universe, group, info)
    if parent is None or parent.members != info.members:
        universe.trees_changed = True
    # It would give the PSK again after the ledger's copy is wiped, for as long as the epoch is the head.
    group.secrets.take("exporter_secret")
    state.used_root_keys.note(group.context)
    state.enter(ctx, info, group)
    if parent is not None:
        parent.superseded_at = parent.superseded_at or ctx.now
        state.save_info(ctx, parent)
        _supersede(ctx, state, parent, group)
    note_change(ctx, universe)
    universe.sweep_soon(state.group_id, ctx.now)
    return info


def _export(ctx: Context, universe: Universe, group: Group, info: EpochInfo) -> None:
    length = read_universe(group.context.extensions).export_length
    exported = ExportedPsk(
        group.group_id,
        info.number,
        info.dmls_epoch,
        frozenset(member_id(leaf) for _, leaf in group.tree.leaves()),
        ctx.now,
        export_psk(group.export, length),
    )
    universe.ledger.add(exported)
    members = [[member.identity, member.incarnation] for member in sorted(exported.members)]
    row = [universe.universe_id, info.number, members, ctx.now, exported.psk]
    scope = psk_scope(group.group_id, info.dmls_epoch)
    ctx.put("psk", group.group_id + info.dmls_epoch, pack(row), scope)


def _supersede(ctx: Context, state: GroupState, parent: EpochInfo, child: Group) -> None:
    """K-15: the owner needs nothing of its own superseded epochs; a receiver keeps what late messages need."""
    group = state.state(parent.dmls_epoch)
    if state.is_own:
        if group is not None:
            group.supersede(child, keep_handshake=False)
        state.drop_state(ctx, parent.dmls_epoch)
    elif group is not None:
        group.supersede(child)
        state.save_state(ctx, parent.dmls_epoch)
        let_go_of_targeted(ctx, state, parent)


def let_go_of_targeted(ctx: Context, state: GroupState, info: EpochInfo) -> None:
    """T-10: where all messages of an epoch are here, or given up, its secrets for targeted messages go, but as long as
    more may come from another copy of its owner (`LINGER`)."""
    is_over = info.is_past and ctx.now >= lingers_until(state.graph, info)
    group = state.state(info.dmls_epoch) if is_over else None
    if group is not None and group.secrets.forget(TARGETED_SECRETS.names):
        state.save_state(ctx, info.dmls_epoch)


def note_change(ctx: Context, universe: Universe) -> None:
    """Something happened that the next `heads` report tells (R1)."""
    universe.converged = False
    universe.agreed.clear()
    universe.timers.plan_report(ctx.now)


def note_imports(
    ctx: Context,
    universe: Universe,
    state: GroupState,
    parent: EpochInfo,
    child: EpochInfo,
    dependencies: Iterable[Dependency],
) -> None:
    """Remember what a member has imported last (X-7, X-18)."""
    graphs = universe.graphs()
    for dependency in dependencies:
        last = LastImport(
            dependency.epoch, dependency.dmls_epoch, state.group_id, parent.dmls_epoch, child.dmls_epoch
        )
        imports = universe.ledger.note_import(state.owner, dependency.group_id, last, graphs)
        _save_imports(ctx, universe, state.owner, dependency.group_id, imports)


def _save_imports(
    ctx: Context, universe: Universe, importer: bytes, source: bytes, imports: tuple[LastImport, ...]
) -> None:
    rows = [
        [item.epoch, item.dmls_epoch, item.importer_group_id, item.parent, item.child] for item in imports
    ]
    ctx.put("import", universe.universe_id + importer + source, pack(rows))


def forget_branch_imports(
    ctx: Context, universe: Universe, state: GroupState, epochs: Iterable[EpochInfo]
) -> None:
    """What was imported on a branch that goes: once its epochs are not known, nothing tells it from another."""
    gone = frozenset(info.dmls_epoch for info in epochs)
    for importer, source in list(universe.ledger.last_imports):
        held = tuple(universe.ledger.imports(importer, source))
        if importer != state.owner or not any(last.child in gone for last in held):
            continue
        kept = universe.ledger.forget_branch(importer, source, gone)
        if kept:
            _save_imports(ctx, universe, importer, source, kept)
        else:
            ctx.delete("import", universe.universe_id + importer + source)


def forget_imports_from(ctx: Context, universe: Universe, group_id: bytes, number: int) -> None:
    """This node enters a group anew, at this epoch: what others imported of the same or a higher number may be of a
    branch that it does not know any more, and numbers do not tell which came first."""
    for importer, source in list(universe.ledger.last_imports):
        held = tuple(universe.ledger.imports(importer, source))
        if source != group_id or all(last.epoch < number for last in held):
            continue
        kept = universe.ledger.forget_from(importer, source, number)
        if kept:
            _save_imports(ctx, universe, importer, source, kept)
        else:
            ctx.delete("import", universe.universe_id + importer + source)


def forget_imports_by(ctx: Context, universe: Universe, group_id: bytes) -> None:
    """This node enters a group anew: what its owner imported there before may have been on a branch that this node
    does not know any more. As for a newcomer, the next import is the first."""
    for (importer, source), last in list(universe.ledger.last_imports.items()):
        if last.importer_group_id == group_id:
            universe.ledger.forget_imports(importer, source)
            ctx.delete("import", universe.universe_id + importer + source)


def forget_imports(ctx: Context, universe: Universe, group_id: bytes) -> None:
    """What a group of a former member imported, and what was imported from it."""
    for (importer, source), last in list(universe.ledger.last_imports.items()):
        if group_id in (source, last.importer_group_id):
            universe.ledger.forget_imports(importer, source)
            ctx.delete("import", universe.universe_id + importer + source)


def forget_psk(ctx: Context, universe: Universe, exported: ExportedPsk) -> None:
    """Wipe a ledger copy (X-18)."""
    universe.ledger.remove(exported)
    ctx.delete("psk", exported.group_id + exported.dmls_epoch)
    ctx.erase(psk_scope(exported.group_id, exported.dmls_epoch))


def psk_universe(row: bytes) -> bytes:
    """The universe id of a `psk` row."""
    return bytes(shape(unpack(row, max_bytes=2**20), _PSK)[0])


def load_psk(universe: Universe, group_id: bytes, dmls_epoch: bytes, row: bytes) -> None:
    _, epoch, members, entered_at, psk = shape(unpack(row, max_bytes=2**20), _PSK)
    known = frozenset(MemberId(identity, incarnation) for identity, incarnation in members)
    universe.ledger.add(ExportedPsk(group_id, epoch, dmls_epoch, known, entered_at, psk))


def load_import(universe: Universe, key: bytes, row: bytes) -> None:
    imports = tuple(LastImport(*item) for item in shape(unpack(row, max_bytes=4096), _IMPORT))
    universe.ledger.load_imports(key[32:64], key[64:], imports)
