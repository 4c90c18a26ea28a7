"""Keeping the own send group in step with the roster: removing and adding (X-13, X-15)."""

from __future__ import annotations

from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.distributed import policy
from starling.protocol.distributed.key_packages import check_key_package
from starling.protocol.distributed.member import leaf_identity, member_id
from starling.protocol.distributed.send_group_rules import OWNER_LEAF
from starling.protocol.engine import absence, own_group, resending, topics
from starling.protocol.engine.commit_proposals import names_archivers
from starling.protocol.engine.context import Context
from starling.protocol.engine.imports import import_now
from starling.protocol.engine.membership import is_readmitted
from starling.protocol.engine.taken_keys import TakenKeys
from starling.protocol.engine.universe import Universe
from starling.protocol.errors import ProtocolError, Unsupported
from starling.protocol.exchange.member_messages import WantProfiles
from starling.protocol.mls.key_package import KeyPackage


def align(ctx: Context, universe: Universe) -> None:
    """Commit what the roster asks for: removals at once; then imports, then adds (X-13, X-15). A change of archivers
    is committed at once too: one that is none any more opens the commit that says so, and no later one."""
    universe.timers.align = None
    topics.watch(ctx, universe)
    absence.take_back(ctx, universe)
    removes = leaves_to_remove(ctx, universe)
    for group_id in list(universe.stuck.reports):
        state = universe.groups.get(group_id)
        if state is not None:
            universe.stuck.drop_answered(ctx, state)
    leaves = {
        leaf_identity(leaf): (index, member_id(leaf).incarnation)
        for index, leaf in universe.own.head.tree.leaves()
        if index not in removes
    }
    adds: list[KeyPackage] = []
    again: dict[bytes, int] = {}
    unknown: list[bytes] = []
    put_off: list[int] = []
    taken = TakenKeys(universe.own.head)
    for identity in universe.roster.members:
        incarnation = universe.incarnation_of(identity)
        index, held = leaves.get(identity, (None, -1))
        if identity == universe.me or held >= incarnation or universe.standing.keeps_out(identity):
            continue
        if index is not None and held >= universe.roster.members[identity].incarnation:
            allowed_at = _may_add_again_at(ctx, universe, identity)
            if allowed_at is None or allowed_at > ctx.now:
                put_off += [allowed_at] if allowed_at is not None else []
                continue
        package = usable_key_package(ctx, universe, identity, incarnation, is_again=index is not None)
        if package is None:
            unknown.append(identity)
        elif taken.take(package.leaf_node, index):
            adds.append(package)
            if index is not None:
                again[identity] = index
    if adds:
        if removes:
            own_group.commit(ctx, universe, path=True, removes=removes)
        if len(adds) > len(again):
            import_now(ctx, universe)  # who is in the group already may lack just what would be imported
        owed = {identity: resending.owed_to(universe, identity) for identity in again}
        own_group.commit(ctx, universe, path=True, removes=list(again.values()), adds=adds)
        for identity in again:
            universe.stuck.note_readded(ctx, identity, universe.own.graph.head_info.number)
            theirs = universe.groups.get(universe.roster.members[identity].send_group_id)
            if theirs is not None:
                theirs.updated = False  # its next path commit is imported at once, as a joiner's first
                theirs.save(ctx)
        for identity in map(leaf_identity, (package.leaf_node for package in adds)):
            orders = owed.get(identity) or resending.held_back_for(universe, identity)
            resending.send_again(ctx, universe, identity, orders)
    elif removes:
        own_group.commit(ctx, universe, path=True, removes=removes)
    if not names_archivers(universe):
        own_group.commit(ctx, universe, path=False)
    if unknown:
        for peer_id in universe.links:
            ctx.send(peer_id, WantProfiles.some(universe.universe_id, unknown))
        pause = min(policy.ASK_AGAIN << min(universe.timers.profile_asks, 8), policy.ASK_SELDOM)
        universe.timers.profile_asks += 1
        universe.timers.align = ctx.now + ctx.jittered(pause)
    else:
        universe.timers.profile_asks = 0
        universe.timers.align = min(put_off, default=None)


def removed_leaves(universe: Universe) -> list[int]:
    """The leaves of the own group that the roster does not count as members any more, or by a newer incarnation, or
    that this node keeps out."""
    least = {
        info.identity: info.incarnation
        for info in universe.roster.members.values()
        if not universe.standing.keeps_out(info.identity)
    }
    found = []
    for index, leaf in universe.own.head.tree.leaves():
        identity, incarnation = member_id(leaf)
        if index != OWNER_LEAF and (identity not in least or incarnation < least[identity]):
            found.append(index)
    return found


def leaves_to_remove(ctx: Context, universe: Universe) -> list[int]:
    """Those of them that are removed now: who started anew keeps its old leaf until it can be added by a new one, else
    it would miss what is sent between. What it may lack is held back for it."""
    removes = []
    for index in removed_leaves(universe):
        leaf = universe.own.head.tree.leaf(index)
        identity = leaf_identity(leaf) if leaf is not None else b""
        info = universe.roster.members.get(identity)
        kept_out = universe.standing.keeps_out(identity)
        if info is not None and not kept_out and is_readmitted(universe, info):
            if usable_key_package(ctx, universe, identity, universe.incarnation_of(identity)) is None:
                continue
            resending.hold_back_whole(ctx, universe, identity)
        removes.append(index)
    return removes


def _may_add_again_at(ctx: Context, universe: Universe, identity: bytes) -> int | None:
    """From when on a member that asks for it may be added again by itself; None where a person has to confirm it, as
    its own group has forked (B7)."""
    state = universe.groups.get(universe.roster.members[identity].send_group_id)
    if state is not None and state.forked:
        return None
    return universe.stuck.may_readd_at(identity, ctx.now)


def usable_key_package(
    ctx: Context, universe: Universe, identity: bytes, incarnation: int, *, is_again: bool = False
) -> KeyPackage | None:
    """The KeyPackage to add a member by; None where none is known that holds and is of this incarnation."""
    package = universe.profiles.key_package(identity, universe.cipher_suite)
    if is_again:
        package = universe.profiles.fresh_key_package(identity, universe.cipher_suite, ctx.now)
    if package is None:
        return None
    try:
        package.validate(cipher_suite(universe.cipher_suite), ctx.now)
        member = check_key_package(package, universe_id=universe.universe_id, identity=identity)
    except (ProtocolError, Unsupported):
        return None
    return package if member.incarnation == incarnation else None
