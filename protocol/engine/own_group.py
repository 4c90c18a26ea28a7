"""This node's own send group: founding it, committing in it, speaking in it (X-11, X-12, X-13, K-23)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.decentralized.dmls_message import wrap
from starling.protocol.decentralized.key_schedule import PUNCTURED
from starling.protocol.distributed import component_ids
from starling.protocol.distributed.application import ApplicationData
from starling.protocol.distributed.archivers import external_receivers
from starling.protocol.distributed.dependency import Dependency
from starling.protocol.distributed.dmls_resolve import ClosedHead
from starling.protocol.distributed.head_statement import HeadStatement
from starling.protocol.distributed.joiner import Joiner
from starling.protocol.distributed.key_packages import build_key_packages
from starling.protocol.distributed.leaf_replace import LeafReplace, check_leaf_replace
from starling.protocol.distributed.member import (
    UNIVERSE_SUITES,
    build_key_package,
    build_owner_leaf,
    leaf_identity,
    member_id,
    owner_extensions,
    read_member,
)
from starling.protocol.distributed.psk_ledger import ExportedPsk
from starling.protocol.distributed.send_group_rules import SendGroupRules
from starling.protocol.distributed.ticket import TicketSecret
from starling.protocol.distributed.universe_component import (
    DEFAULT_EXPORT_LENGTH,
    MODE_EXPLICIT,
    DmlsUniverse,
    send_group_extensions,
)
from starling.protocol.distributed.wire_formats import handshake_wire_format
from starling.protocol.engine import healing
from starling.protocol.engine.commit_proposals import context_updates, import_proposals, statements
from starling.protocol.engine.context import Context
from starling.protocol.engine.epochs import enter_epoch, note_imports
from starling.protocol.engine.forks import take_resolve
from starling.protocol.engine.group_state import GroupState
from starling.protocol.engine.taken_keys import TakenKeys
from starling.protocol.engine.universe import Universe
from starling.protocol.errors import ProtocolError
from starling.protocol.exchange.frame import (
    MAX_GOSSIP_FRAME,
    Announcement,
    CommitFrame,
    MessageFrame,
    frame_id,
)
from starling.protocol.extensions.private_external_rules import new_root_key
from starling.protocol.mls.committing import ChangeLeaf
from starling.protocol.mls.group import Group
from starling.protocol.mls.key_package import KeyPackage
from starling.protocol.mls.proposal import (
    Add,
    AppEphemeral,
    Proposal,
    Remove,
)
from starling.protocol.mls.safe_aad import EMPTY

MAX_REPLACES = 64
BOOT_GENERATIONS = (1, 999)


def send_group_rules(universe: Universe, group_id: bytes) -> SendGroupRules:
    return SendGroupRules(universe.universe_id, is_own=group_id == universe.group_id)


def new_group_state(
    universe: Universe, group_id: bytes, owner: bytes, rules: SendGroupRules | None = None
) -> GroupState:
    """The state of a send group without an epoch yet; `rules` are those of the group that it begins with."""
    rules = rules or send_group_rules(universe, group_id)

    def load(record: bytes, ratchets: bytes) -> Group:
        return Group.load(record, ratchets, rules=rules, key_schedule=PUNCTURED)

    return GroupState(
        universe.universe_id,
        group_id,
        owner,
        is_own=group_id == universe.group_id,
        load=load,
        kept=universe.kept,
        used_root_keys=rules.used_root_keys,
    )


def found_group(ctx: Context, universe: Universe, supersedes: bytes = b"") -> None:
    """Create the own send group with this node alone in it; it may supersede an earlier one (5.6 B4)."""
    suite = cipher_suite(universe.cipher_suite)
    encryption_private_key, encryption_key = suite.hpke_generate(ctx.random)
    leaf = build_owner_leaf(
        universe.identity,
        cipher_suite=suite,
        universe_id=universe.universe_id,
        send_group_id=universe.group_id,
        incarnation=universe.incarnation,
        serial=universe.bundles.next_serial(ctx.now),
        signature_private_key=universe.signature_private_key,
        encryption_key=encryption_key,
        now=ctx.now,
    )
    description = DmlsUniverse(
        universe.universe_id, DEFAULT_EXPORT_LENGTH, universe.me, MODE_EXPLICIT, supersedes
    )
    rules = send_group_rules(universe, universe.group_id)
    group = Group.create(
        cipher_suite=suite,
        group_id=universe.group_id,
        leaf_node=leaf,
        encryption_private_key=encryption_private_key,
        signature_private_key=universe.signature_private_key,
        extensions=send_group_extensions(
            description,
            universe.roster.digest,
            new_root_key(suite, ctx.random),
            external_receivers(universe.roster.archivers.values()),
        ),
        rules=rules,
        key_schedule=PUNCTURED,
        random=ctx.random,
    )
    state = new_group_state(universe, universe.group_id, universe.me, rules)
    universe.groups[universe.group_id] = state
    info = enter_epoch(ctx, universe, state, group, None, has_path=False)
    healing.note_founding(ctx, universe, info)
    universe.forget_group_before()
    universe.made.clear()
    universe.boot.done = True


def make_bundles(
    ctx: Context, universe: Universe, ticket: TicketSecret | None = None, joiner: Joiner | None = None
) -> int:
    """Fresh KeyPackages of ours, one a suite; their serial is given back. Where we join by a ticket they prove it, and
    tell who we are."""
    serial = universe.bundles.next_serial(ctx.now)
    for suite_id in UNIVERSE_SUITES:
        bundle = build_key_package(
            universe.identity,
            cipher_suite=cipher_suite(suite_id),
            universe_id=universe.universe_id,
            send_group_id=universe.group_id,
            incarnation=universe.incarnation,
            serial=serial,
            signature_private_key=universe.signature_private_key,
            now=ctx.now,
            ticket=ticket,
            joiner=joiner,
            random=ctx.random,
        )
        universe.bundles.add(ctx, serial, bundle)
    return serial


def commit(
    ctx: Context,
    universe: Universe,
    *,
    path: bool,
    adds: Sequence[KeyPackage] = (),
    removes: Sequence[int] = (),
    imports: Sequence[ExportedPsk] = (),
    closes: Sequence[ClosedHead] = (),
    replace_leaves: bool = False,
    boot: bool = False,
) -> None:
    """Commit in the own send group, store the frame and distribute it.

    Pathless where nothing needs a path (X-11); a boot commit draws its handshake generation (K-23). `adds` and
    `imports` are never given together (X-13). `closes` are heads of other branches (B5).
    """
    if adds:
        universe.name_due = True
        universe.told = None
    state = universe.own
    parent = state.graph.head_info
    group = state.head
    count, _ = group.application_progress(0)
    dependencies = [
        Dependency(exported.group_id, exported.epoch, exported.dmls_epoch) for exported in imports
    ]
    psks = {dependency.psk_id: found.psk for dependency, found in zip(dependencies, imports, strict=True)}
    proposals = _newer_leaves(ctx, universe, group, removes) if replace_leaves else []
    proposals += [Remove(leaf_index) for leaf_index in removes]
    proposals += [Add(package) for package in adds]
    proposals += import_proposals(ctx, universe, dependencies)
    proposals += context_updates(ctx, universe, group, removes)
    proposals += statements(dependencies, closes, count)
    serial = None
    if path:
        serial = make_bundles(ctx, universe)
        published = build_key_packages(universe.bundles.newest())
        proposals.append(AppEphemeral(component_ids.KEY_PACKAGES, published))
    result = group.commit(
        proposals,
        path=path,
        leaf_node=_new_leaf(universe, group, serial) if serial is not None else None,
        psks=lambda psk_id: psks.get(psk_id.psk_id or b""),
        authenticated_data=EMPTY,
        handshake_generation=ctx.between(*BOOT_GENERATIONS) if boot else 0,
        wire_format=handshake_wire_format(group.context.extensions),
        random=ctx.random,
    )
    statement = HeadStatement.sign(
        universe.signature_private_key,
        universe_id=universe.universe_id,
        group_id=group.group_id,
        epoch=group.epoch,
        parent_dmls_epoch=parent.dmls_epoch,
        commit=result.message + (result.welcome or b""),
    )
    frame = CommitFrame(
        wrap(result.message, parent.dmls_epoch), statement.encode(), result.welcome or b""
    ).encode()
    info = enter_epoch(
        ctx,
        universe,
        state,
        result.next,
        parent,
        has_path=path,
        application_count=count,
        head_statement=statement.encode(),
    )
    universe.made.append(info.dmls_epoch)
    take_resolve(ctx, universe, state, info, closes)
    note_imports(ctx, universe, state, parent, info, dependencies)
    healing.note_commit(
        ctx,
        universe,
        state,
        parent,
        info,
        result.next,
        dependencies=dependencies,
        key_packages=universe.bundles.newest() if path else (),
        added={leaf_identity(package.leaf_node) for package in adds},
    )
    if serial is not None:
        universe.bundles.supersede(ctx, serial, info.number)
        universe.timers.last_update = ctx.now
        universe.timers.messages_since_update = 0
    added = tuple(leaf_identity(package.leaf_node) for package in adds)
    state.log_commit(
        ctx, frame_id(frame), frame, dmls_epoch=parent.dmls_epoch, child=info.dmls_epoch, adds=added
    )
    distribute(ctx, universe, frame, (state.group_id, info.dmls_epoch, 0))
    ctx.event(
        "epoch.started",
        universe.universe_id,
        {
            "owner": universe.me,
            "epoch": info.number,
            "dmls_epoch": info.dmls_epoch,
            "path": path,
            "imports": len(dependencies),
            "removed": [leaf_identity(leaf) for index in removes if (leaf := group.tree.leaf(index))],
        },
    )


def _new_leaf(universe: Universe, group: Group, serial: int) -> ChangeLeaf | None:
    """What changes in our leaf: only a higher incarnation does (B7)."""
    leaf = group.tree.leaf(group.own_leaf_index)
    if leaf is None or read_member(leaf).incarnation == universe.incarnation:
        return None
    extensions = owner_extensions(
        universe.identity,
        universe_id=universe.universe_id,
        send_group_id=universe.group_id,
        incarnation=universe.incarnation,
        serial=serial,
        signature_key=leaf.signature_key,
    )
    return lambda held: replace(held, extensions=extensions)


def _newer_leaves(ctx: Context, universe: Universe, group: Group, removes: Sequence[int]) -> list[Proposal]:
    """Replacements of the leaves for which a higher serial is known (X-10)."""
    replaces: list[Proposal] = []
    taken = TakenKeys(group)
    for index, leaf in group.tree.leaves():
        if index == group.own_leaf_index or index in removes or len(replaces) == MAX_REPLACES:
            continue
        package = universe.profiles.fresh_key_package(leaf_identity(leaf), universe.cipher_suite, ctx.now)
        if package is None:
            continue
        replace = LeafReplace(index, package.leaf_node)
        try:
            check_leaf_replace(replace, leaf, universe_id=universe.universe_id)
        except ProtocolError:
            continue
        if taken.take(package.leaf_node, index):
            replaces.append(replace)
    return replaces


def importable(universe: Universe, now: int) -> list[ExportedPsk]:
    """What the own group may import now (X-7, X-13)."""
    group = universe.own.head
    members = (member_id(leaf) for _, leaf in group.tree.leaves())
    groups = {
        state.group_id: state.graph
        for info in universe.others()
        if (state := universe.groups.get(info.send_group_id)) is not None
        and not state.forked
        and not universe.is_frozen(state)
        and not universe.stuck.pauses(state, now)
    }
    return universe.ledger.importable(universe.own_member_id, members, universe.own.graph, groups)


def protect(ctx: Context, universe: Universe, data: ApplicationData) -> int:
    """Encrypt one message in the head epoch and distribute it; how many other leaves it has is given back."""
    state = universe.own
    info = state.graph.head_info
    group = state.head
    generation, _ = group.application_progress(0)
    message = group.protect(data.encode(), authenticated_data=EMPTY, random=ctx.random)
    frame = MessageFrame(wrap(message, info.dmls_epoch)).encode()
    info.hold(generation)
    if not data.is_control:
        info.user_count = generation + 1
    state.save_ratchets(ctx, info.dmls_epoch)
    state.log_message(
        ctx,
        frame_id(frame),
        frame,
        dmls_epoch=info.dmls_epoch,
        generation=generation,
        is_user=not data.is_control,
    )
    distribute(ctx, universe, frame, (state.group_id, info.dmls_epoch, generation + 1))
    return len(info.members) - 1


def distribute(ctx: Context, universe: Universe, frame: bytes, place: tuple[bytes, bytes, int]) -> None:
    """Gossip a frame, or announce its place where it is too large for that."""
    topics = universe.roster.topics
    if not topics:
        return
    if len(frame) > MAX_GOSSIP_FRAME:
        frame = Announcement((place,)).encode()
    ctx.publish(topics[0], frame)
