"""What each epoch is healed of, kept beside the graph (PROTOCOL 5.5): a vector for every epoch that somebody could
still build on or import.

That are the epochs with secrets and those whose PSK is in the ledger; a vector goes when both are gone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from starling.protocol.decentralized.epoch_graph import EpochInfo
from starling.protocol.distributed.dependency import Dependency
from starling.protocol.distributed.healing import Vector, after_commit, founded, welcomed
from starling.protocol.distributed.member import leaf_identity, read_member
from starling.protocol.engine.context import Context
from starling.protocol.engine.group_state import GroupState
from starling.protocol.engine.healing_vectors import Healing, vector_row
from starling.protocol.engine.universe import Universe
from starling.protocol.errors import ProtocolError
from starling.protocol.mls.group import Group
from starling.protocol.mls.key_package import KeyPackage
from starling.protocol.packed import pack


def note_founding(ctx: Context, universe: Universe, info: EpochInfo) -> None:
    """This node founded its group."""
    _keep(ctx, universe, universe.group_id, info, founded(universe.me, ctx.now))


def note_welcome(ctx: Context, universe: Universe, state: GroupState, info: EpochInfo, group: Group) -> None:
    """This node was let into a group: all that it knows of what was before is the tree."""
    vector = welcomed(_leaves(ctx, universe, group, from_index=0), state.owner, universe.me)
    _keep(ctx, universe, state.group_id, info, vector)


def note_commit(
    ctx: Context,
    universe: Universe,
    state: GroupState,
    parent: EpochInfo,
    child: EpochInfo,
    group: Group,
    *,
    dependencies: Iterable[Dependency],
    key_packages: Sequence[KeyPackage],
    added: Collection[bytes],
) -> None:
    """A commit was entered; `group` is the state of its child, `key_packages` are those that it publishes.

    The owner made these with the same commit, so their serial is the time of its path.
    """
    healing = universe.healing
    vector = after_commit(
        healing.vector(state.group_id, parent.dmls_epoch),
        owner=state.owner,
        members=child.members,
        imported=[healing.vector(found.group_id, found.dmls_epoch) for found in dependencies],
        made_at=_made_at(ctx, universe, state.owner, key_packages) if child.with_path else None,
        leaves=_leaves(ctx, universe, group, from_index=1) if child.with_path else None,
        added=added,
    )
    _keep(ctx, universe, state.group_id, child, vector)


def sweep(ctx: Context, universe: Universe) -> None:
    """Forget the vectors of epochs that nobody can build on or import any more."""
    needed = {
        (group_id, dmls_epoch)
        for group_id, state in universe.groups.items()
        for dmls_epoch in state.retained()
    }
    for group_id, dmls_epoch in universe.healing.epochs - needed - universe.ledger.psks.keys():
        universe.healing.forget(group_id, dmls_epoch)
        ctx.delete("healing", group_id + dmls_epoch)


def forget_all(ctx: Context, universe: Universe) -> None:
    """This node is no member any more."""
    for group_id, dmls_epoch in universe.healing.epochs:
        ctx.delete("healing", group_id + dmls_epoch)
    for identity in universe.healing.stated.seen:
        ctx.delete("clock", universe.universe_id + identity)
    universe.healing = Healing()


def _keep(ctx: Context, universe: Universe, group_id: bytes, info: EpochInfo, vector: Vector) -> None:
    healing = universe.healing
    before = healing.vector(group_id, info.parent) if info.parent is not None else {}
    if vector is not before:
        healing.changed.update(name for name, time in vector.items() if time != before.get(name))
    healing.keep(group_id, info.dmls_epoch, vector)
    ctx.put("healing", group_id + info.dmls_epoch, vector_row(universe.universe_id, vector))


def _leaves(ctx: Context, universe: Universe, group: Group, *, from_index: int) -> dict[bytes, int]:
    """When each leaf of a group was made, by its member's clock as far as that can be believed."""
    return {
        (identity := leaf_identity(leaf)): _believed(ctx, universe, identity, read_member(leaf).serial)
        for index, leaf in group.tree.leaves()
        if index >= from_index
    }


def _made_at(
    ctx: Context, universe: Universe, owner: bytes, key_packages: Sequence[KeyPackage]
) -> int | None:
    """When an owner made a commit with a path, None where it does not say so in a way that makes sense."""
    try:
        serials = [
            read_member(package.leaf_node).serial
            for package in key_packages
            if leaf_identity(package.leaf_node) == owner
        ]
    except ProtocolError:
        return None
    # Of several that differ the oldest: more is not said of all.
    return _believed(ctx, universe, owner, min(serials)) if serials else None


def _believed(ctx: Context, universe: Universe, identity: bytes, serial: int) -> int:
    stated = universe.healing.stated
    if stated.note(identity, serial, ctx.now):
        seen = [[other, time] for other, time in stated.seen[identity].items()]
        ctx.put("clock", universe.universe_id + identity, pack(seen))
    return stated.believed(identity, serial)
