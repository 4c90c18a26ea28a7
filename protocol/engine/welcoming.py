"""Entering another member's send group by the frame that adds this node (PROTOCOL X-14, R6)."""

from __future__ import annotations

from starling.protocol.decentralized.dmls_message import DMLSMessage
from starling.protocol.decentralized.key_schedule import DMLS_EPOCH, PUNCTURED
from starling.protocol.distributed.head_statement import HeadStatement
from starling.protocol.distributed.member import leaf_identity, read_member
from starling.protocol.distributed.report import GONE, WELCOME
from starling.protocol.distributed.roster import MemberInfo
from starling.protocol.distributed.rules import Rule
from starling.protocol.distributed.send_group_rules import OWNER_LEAF, SendGroupRules
from starling.protocol.distributed.universe_component import read_universe
from starling.protocol.distributed.wire_formats import check_required_wire_formats
from starling.protocol.engine import healing
from starling.protocol.engine.context import Context
from starling.protocol.engine.epochs import enter_epoch, forget_imports_by, forget_imports_from
from starling.protocol.engine.forks import note_fork
from starling.protocol.engine.giving_up import tell_since_backup, tell_unavailable
from starling.protocol.engine.group_state import GroupState
from starling.protocol.engine.own_group import new_group_state, send_group_rules
from starling.protocol.engine.readding import note_owner, note_stuck, own_incarnation_in
from starling.protocol.engine.universe import Universe
from starling.protocol.errors import DecodeError, Invalid, ProtocolError, Unsupported
from starling.protocol.exchange.frame import CommitFrame
from starling.protocol.exchange.member_messages import WantProfiles
from starling.protocol.exchange.waiting import Need
from starling.protocol.extensions.private_external_info import read_root_key, root_public_key
from starling.protocol.mls.group import Group
from starling.protocol.mls.group_info import GroupInfo
from starling.protocol.mls.key_package import KeyPackageBundle
from starling.protocol.mls.leaf_node import COMMIT
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.psk import no_psks
from starling.protocol.mls.welcome import Welcome


class OwnerUnknown(Exception):  # not an error: the roster may still tell whose group this is
    """A Welcome to a group of which the roster does not say yet whose it is."""


def receive_welcome(
    ctx: Context,
    universe: Universe,
    frame_id: bytes,
    data: bytes,
    frame: CommitFrame,
    message: DMLSMessage,
) -> list[Need]:
    """Join the group of a commit frame whose Welcome is for this node; other frames are passed over.

    What this node had of the group before is dropped: it comes anew.
    """
    if not frame.welcome:
        return []
    body = _welcome_of(frame)
    bundle = _bundle_for(universe, body)
    if bundle is None:
        return []
    group_id = message.group_id
    member = universe.owner_of(group_id)
    if member is None:
        raise OwnerUnknown
    if _has_left(universe, bundle, message):
        return []
    rules = send_group_rules(universe, group_id)
    try:
        group, group_info = _open(universe, body, bundle, rules)
        _check(universe, group, group_info, member.identity, message, frame)
    except (ProtocolError, Unsupported):
        if _is_owners_word(universe, member, message, frame):
            note_stuck(ctx, universe, group_id, WELCOME)
        raise
    held = universe.groups.get(group_id)
    if held is not None:
        stuck = universe.stuck.groups.get(group_id)
        skips = held.graph.head_info.number + 1 < group.epoch
        if universe.was_put_back and (skips or (stuck is not None and stuck.reason == GONE)):
            _tell_skipped(ctx, universe, held)
        if held.forked:
            universe.timers.align = (
                ctx.now
            )  # nobody added the owner again while its own group was forked (B7)
        held.delete(ctx)
        forget_imports_from(ctx, universe, group_id, group.epoch)
        universe.agreed.clear()
    universe.stuck.free(ctx, group_id)
    universe.standing.enter(ctx, group_id)
    forget_imports_by(ctx, universe, group_id)
    state = new_group_state(universe, group_id, member.identity, rules)
    state.pinned_epoch = group.epoch
    state.pinned_by = frame.head_statement
    universe.groups[group_id] = state
    info = enter_epoch(ctx, universe, state, group, None, has_path=True, head_statement=frame.head_statement)
    healing.note_welcome(ctx, universe, state, info, group)
    note_owner(ctx, universe, state, group)
    tell_since_backup(ctx, universe, group_id, member.identity)
    _ask_what_is_newer(ctx, universe, member)
    # Whom else it adds only the commit tells, which a joiner cannot open: all whom it may add are served.
    adds = tuple(sorted(info.members - {member.identity}))
    state.log_commit(ctx, frame_id, data, dmls_epoch=message.dmls_epoch, child=info.dmls_epoch, adds=adds)
    ctx.event(
        "group.entered",
        universe.universe_id,
        {"owner": member.identity, "name": universe.name_of(member.identity), "epoch": info.number},
    )
    return [Need("epoch", group_id, info.dmls_epoch)]


def _has_left(universe: Universe, bundle: KeyPackageBundle, message: DMLSMessage) -> bool:
    """Whether a Welcome is to a leaf that the owner has removed since: the first one pinned, and what it leads to was
    gone by (X-14). Anybody may hold it still, and send it again."""
    left = universe.standing.left.get(message.group_id)
    incarnation = read_member(bundle.key_package.leaf_node).incarnation
    return left is not None and message.epoch < left.epoch and incarnation <= left.incarnation


def _open(
    universe: Universe, welcome: Welcome, bundle: KeyPackageBundle, rules: SendGroupRules
) -> tuple[Group, GroupInfo]:
    return Group.join(
        welcome,
        bundle,
        universe.signature_private_key,
        psks=no_psks,
        rules=rules,
        key_schedule=PUNCTURED,
    )


def _ask_what_is_newer(ctx: Context, universe: Universe, owner: MemberInfo) -> None:
    """Who takes in a member that started anew removes its old leaf in the same commit, which thereby publishes new
    KeyPackages; whom it adds cannot read them, and would give newcomers the old ones. So it asks for them.
    """
    started_anew = read_universe(universe.own.head.context.extensions).supersedes
    if started_anew and owner.peer_id in universe.links:
        ctx.send(owner.peer_id, WantProfiles.some(universe.universe_id, [owner.identity]))


def _tell_skipped(ctx: Context, universe: Universe, held: GroupState) -> None:
    """B10: what a node that was put back has acknowledged before, its owner does not hold any more and does not count:
    nobody but this node knows that it is missing here."""
    head = held.graph.head_info
    tell_unavailable(ctx, universe, held.owner, head.number, head.contiguous)


def adds_again(universe: Universe, state: GroupState, frame: CommitFrame, message: DMLSMessage) -> bool:
    """Whether a frame lets this node into a group anew in which it is stuck (X-14): at a later epoch, and by a
    KeyPackage of a newer incarnation. In other groups the epochs before are processed first, in order."""
    later = message.epoch >= state.graph.head_info.number
    if not frame.welcome or not later or state.group_id not in universe.stuck:
        return False
    bundle = _bundle_for(universe, _welcome_of(frame))
    return bundle is not None and (
        read_member(bundle.key_package.leaf_node).incarnation > own_incarnation_in(state)
    )


def _is_owners_word(universe: Universe, owner: MemberInfo, message: DMLSMessage, frame: CommitFrame) -> bool:
    """Whether the owner itself signed this frame, as far as the roster tells its key: else anybody may have spoilt the
    Welcome."""
    statement = HeadStatement.decode(frame.head_statement)
    expected = (universe.universe_id, message.group_id, message.epoch, message.dmls_epoch)
    try:
        statement.verify(owner.signature_key, commit=message.message.encode() + frame.welcome)
    except ProtocolError:
        return False
    return statement.parent == expected


def is_second_welcome(
    ctx: Context, universe: Universe, state: GroupState, frame: CommitFrame, message: DMLSMessage
) -> bool:
    """Whether a frame would let this node into a group again, at an epoch that it has already gone by (X-14).

    The first Welcome pins. Between it and the head this node followed every commit, and none added it; so if the
    owner signed this one too, it has contradicted itself. At a later epoch it may be added again, in order.
    """
    known = message.dmls_epoch in state.graph
    if not frame.welcome or known or message.epoch >= state.graph.head_info.number:
        return False
    bundle = _bundle_for(universe, _welcome_of(frame))
    if bundle is None:
        return False
    if read_member(bundle.key_package.leaf_node).incarnation < own_incarnation_in(state):
        return True  # how it was in the group before it was added again
    statement = HeadStatement.decode(frame.head_statement)
    pinned = HeadStatement.decode(state.pinned_by)
    if statement.commit_hash != pinned.commit_hash:
        leaf = state.head.tree.leaf(OWNER_LEAF)
        expected = (universe.universe_id, state.group_id, message.epoch, message.dmls_epoch)
        if leaf is None or statement.parent != expected:
            raise Invalid(Rule.WELCOME_FRAME)
        statement.verify(leaf.signature_key, commit=message.message.encode() + frame.welcome)
        note_fork(ctx, universe, state, pinned, statement, is_lost=True)
        _leave_out(ctx, universe, state, _welcome_of(frame), bundle)
    return True


def _leave_out(
    ctx: Context, universe: Universe, state: GroupState, welcome: Welcome, bundle: KeyPackageBundle
) -> None:
    """R5: the epoch that a second Welcome leads to is on a branch that nothing bridges: it is as if it was closed, so
    that nobody is asked for it, and who imports from it is not waited for."""
    try:
        group, _ = _open(universe, welcome, bundle, send_group_rules(universe, state.group_id))
    except (ProtocolError, Unsupported) as refusal:
        universe.refuse(type(refusal).__name__)
        return
    dmls_epoch = group.secrets.extra.get(DMLS_EPOCH, b"")
    group.wipe()
    if dmls_epoch not in state.graph and dmls_epoch not in state.graph.closed:
        state.graph.close(dmls_epoch, state.graph.head, ctx.now)
        state.save(ctx)


def _welcome_of(frame: CommitFrame) -> Welcome:
    body = MLSMessage.decode(frame.welcome).body
    if not isinstance(body, Welcome):
        raise DecodeError("the Welcome of a commit frame is none")
    return body


def _bundle_for(universe: Universe, welcome: Welcome) -> KeyPackageBundle | None:
    named = {entry.new_member for entry in welcome.secrets}
    for bundle in universe.bundles.all():
        package = bundle.key_package
        if package.cipher_suite == welcome.cipher_suite and package.reference() in named:
            return bundle
    return None


def _check(
    universe: Universe,
    group: Group,
    group_info: GroupInfo,
    owner: bytes,
    message: DMLSMessage,
    frame: CommitFrame,
) -> None:
    """X-14, and that the Welcome leads to the epoch that the frame's commit starts (R6)."""
    leaf = group.tree.leaf(OWNER_LEAF)
    if group_info.signer != OWNER_LEAF or leaf is None or leaf.leaf_node_source != COMMIT:
        raise Invalid(Rule.WELCOME_SIGNER)
    if group.own_leaf_index == OWNER_LEAF:
        raise Invalid(Rule.WELCOME_LEAF)
    check_required_wire_formats(group.context.extensions)
    root_key = read_root_key(group.context)
    if root_key is None:
        raise Invalid(Rule.ROOT_KEY)
    root_public_key(group.cipher_suite, root_key)
    description = read_universe(group.context.extensions)
    if (
        description.universe_id != universe.universe_id
        or description.owner_identity != owner
        or leaf_identity(leaf) != owner
        or read_member(leaf).send_group_id != group.group_id
    ):
        raise Invalid(Rule.WELCOME_OWNER)
    if description.supersedes:
        superseded = universe.roster.send_groups.get(description.supersedes)
        if superseded is None or superseded.identity != owner or description.supersedes == group.group_id:
            raise Invalid(Rule.WELCOME_SUPERSEDES)
    statement = HeadStatement.decode(frame.head_statement)
    expected = (universe.universe_id, group.group_id, message.epoch, message.dmls_epoch)
    if (
        statement.parent != expected
        or group.group_id != message.group_id
        or group.epoch != message.epoch + 1
        or not group.secrets.extra.get(DMLS_EPOCH)
    ):
        raise Invalid(Rule.WELCOME_FRAME)
    statement.verify(leaf.signature_key, commit=message.message.encode() + frame.welcome)
