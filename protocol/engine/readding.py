"""A member that cannot follow a send group is added again by itself (PROTOCOL R6, B7).

It raises its incarnation in its own send group, with KeyPackages of the new one, and says where it is stuck. Every
owner that reads this adds it again, by a Remove and an Add in one commit. Nobody confirms it, since nobody else can
commit there; so it is bounded: what one group may cause once a day, and what one member may ask for a few times.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from starling.protocol.decentralized.epoch_graph import EpochInfo
from starling.protocol.distributed import policy
from starling.protocol.distributed.application import MESSAGE_ID_SIZE, REPORT, ApplicationData
from starling.protocol.distributed.dependency import Dependency
from starling.protocol.distributed.member import read_member
from starling.protocol.distributed.report import (
    COMMIT,
    GONE,
    PSK,
    WELCOME,
    StuckGroup,
    build_report,
    parse_report,
)
from starling.protocol.distributed.send_group_rules import OWNER_LEAF
from starling.protocol.engine import own_group, reporting
from starling.protocol.engine.asking import is_over, leads_nowhere, note_asked_in_vain
from starling.protocol.engine.context import Context
from starling.protocol.engine.exchanging import introduce
from starling.protocol.engine.group_state import GroupState
from starling.protocol.engine.links import Behind, GoneFrames
from starling.protocol.engine.stuck import Reported, Stuck
from starling.protocol.engine.universe import Universe
from starling.protocol.errors import (
    DecodeError,
    Invalid,
    ProtocolError,
    Unsupported,
    UsageError,
    VerificationFailed,
)
from starling.protocol.exchange.member_messages import Gone
from starling.protocol.mls.group import Group
from starling.protocol.mls.key_package import KeyPackage
from starling.protocol.mls.rules import Rule

_FOR_US_ALONE = frozenset({Rule.CONFIRMATION_TAG, Rule.UPDATE_PATH_PUBLIC_KEY})
"""What an owner can break for one member without the others seeing it."""


class PskLost(Exception):  # not an error: it ends the handling of a commit that can never be processed
    """A commit imports a PSK that this node can never have."""


# noticing


def note_stuck(ctx: Context, universe: Universe, group_id: bytes, reason: str) -> None:
    """This node cannot go on in a member's group: what of it waits here is of no use, and what imports from it by the
    same incarnation cannot be followed either."""
    if group_id == universe.group_id:
        return
    universe.waiting.forget_group(group_id)
    if not universe.is_current(group_id):
        # Nobody can add it there again; so it has to be where others imported from there.
        for importer in universe.waiting.importers_from(group_id):
            note_stuck(ctx, universe, importer, PSK)
        return
    if group_id in universe.stuck:
        return
    state = universe.groups.get(group_id)
    head = state.graph.head if state is not None else b""
    incarnation = own_incarnation_in(state) if state is not None else universe.incarnation
    universe.stuck.note(ctx, group_id, Stuck(head, incarnation, reason))
    note_lost_psks(ctx, universe, group_id, incarnation)
    due = ctx.now + ctx.jittered(policy.READD_DELAY)
    universe.timers.readd = min(universe.timers.readd or due, due)


def watch(ctx: Context, universe: Universe) -> None:
    """On every turn: a group that peers have with this node in it, and that it does not get into."""
    for group_id, lack in universe.lacks.items():
        waited = ctx.now - lack.since > policy.WELCOME_WAIT
        named = ctx.now - lack.named_at < policy.MINUTE
        if waited and named and group_id not in universe.groups and universe.is_current(group_id):
            note_stuck(ctx, universe, group_id, WELCOME)


def note_lost_psks(ctx: Context, universe: Universe, group_id: bytes, incarnation: int) -> None:
    """The epochs of a group that are to come cannot be had by this incarnation: nor can be followed what waits for
    their PSKs and has this node by the same (X-13)."""
    for importer in universe.waiting.importers_from(group_id):
        state = universe.groups.get(importer)
        if state is not None and own_incarnation_in(state) <= incarnation:
            note_stuck(ctx, universe, importer, PSK)


def note_refused_commit(
    ctx: Context, universe: Universe, state: GroupState, parent: EpochInfo, refusal: Exception
) -> None:
    """A commit that the owner signed does not open here. What breaks a rule for all is no reason to be added again:
    the owner would only do it again."""
    if isinstance(refusal, Invalid) and refusal.rule not in _FOR_US_ALONE:
        return
    if isinstance(refusal, Invalid | VerificationFailed | DecodeError | UsageError):
        note_closed_off(ctx, universe, state, parent, COMMIT)


def note_closed_off(
    ctx: Context, universe: Universe, state: GroupState, parent: EpochInfo, reason: str
) -> None:
    """What follows an epoch is closed to this node. On the branch that counts here it is stuck at once; on another one
    if the owner has not said in a minute that this is dead."""
    if parent.dmls_epoch == state.graph.head or not may_be_dead(ctx, state, parent):
        note_stuck(ctx, universe, state.group_id, reason)
    elif state.awaited:
        universe.sweep_soon(state.group_id, ctx.now)


def may_be_dead(ctx: Context, state: GroupState, parent: EpochInfo) -> bool:
    """Whether the branch on which a commit on this epoch shuts this node out is dead, or the owner may yet say that it
    is. It has a minute: perhaps it says only on that branch that the other one is."""
    graph = state.graph
    resolved = (graph.is_at_or_after(resolving, parent.dmls_epoch) for resolving in graph.closed.values())
    since = state.closed_off.setdefault(parent.dmls_epoch, ctx.now)
    return parent.dmls_epoch in graph.closed or any(resolved) or ctx.now - since < policy.BRANCH_WAIT


def can_never_have(universe: Universe, importer: GroupState, dependency: Dependency) -> bool:
    """Whether a PSK that is not in the ledger can come no more: of an own epoch that was lost or is wiped, or of one
    that this node has gone by, or will when it is added again."""
    stuck = universe.stuck.groups.get(dependency.group_id)
    if stuck is not None and own_incarnation_in(importer) <= stuck.incarnation:
        return True
    if universe.was_own(dependency.group_id):
        return True
    state = universe.groups.get(dependency.group_id)
    if state is None:
        return False
    if state.is_own or dependency.dmls_epoch in state.graph:
        return True
    if dependency.dmls_epoch in state.graph.closed and dependency.dmls_epoch not in state.awaited:
        return True
    return dependency.epoch <= state.graph.oldest_number


def own_incarnation_in(state: GroupState) -> int:
    """The incarnation of this node's leaf in the newest epoch of a group that it holds."""
    leaf = state.head.tree.leaf(state.head.own_leaf_index)
    assert leaf is not None, "who is in a group has a leaf"
    return read_member(leaf).incarnation


def take_gone(ctx: Context, universe: Universe, peer_id: bytes, message: Gone) -> None:
    """A peer that was asked cannot help. The owner's word ends the waiting; without it all connected peers have to say
    so for some time, for who claims to have nothing may lie, and others may come back who have it."""
    for group_id, oldest in message.groups:
        _note_gone(ctx, universe, peer_id, group_id, oldest)


def note_closed(ctx: Context, universe: Universe, peer_id: bytes, group_id: bytes) -> None:
    """What a peer has of a former member's group does not let this node in: the KeyPackage that it was added by is
    forgotten. It is as if the peer had nothing."""
    if group_id not in universe.groups and not universe.is_current(group_id):
        _note_gone(ctx, universe, peer_id, group_id, None)


def _note_gone(ctx: Context, universe: Universe, peer_id: bytes, group_id: bytes, oldest: int | None) -> None:
    behind = universe.behind.get(group_id)
    if behind is None or behind.peer_id != peer_id:
        return
    state = universe.groups.get(group_id)
    is_cut_off = oldest is not None and _is_cut_off(ctx, universe, behind, group_id)
    if not is_cut_off and not _cannot_help(universe, group_id, oldest):
        if (
            state is not None
            and is_over(state, behind.head)
            and (oldest or 0) > state.graph[behind.head].number
        ):
            note_asked_in_vain(ctx, universe, group_id, behind)
        return
    place = state.graph.head if state is not None else b""
    told = universe.gone.get(group_id)
    if told is None or told.place != place:
        told = universe.gone[group_id] = GoneFrames(place)
    told.peers.add(peer_id)
    owner = universe.roster.send_groups[group_id]
    others = universe.links.keys() - told.peers
    patience = policy.STALLED if universe.is_current(group_id) else policy.GONE_WAIT
    lack = universe.lacks.get(group_id)
    waited = lack is not None and ctx.now - lack.since >= patience
    if peer_id == owner.peer_id or (waited and not others):
        del universe.gone[group_id], universe.behind[group_id]
        note_stuck(ctx, universe, group_id, GONE)
    elif others:
        universe.behind[group_id] = Behind(min(others), behind.head, behind.count, ctx.now)


def _cannot_help(universe: Universe, group_id: bytes, oldest: int | None) -> bool:
    """Whether a peer that can lead on from this epoch is of no use to this node."""
    if group_id == universe.group_id or group_id in universe.stuck:
        return False
    if group_id not in universe.roster.send_groups:
        return False
    state = universe.groups.get(group_id)
    if oldest is None:
        # Of a member's group that this node is in it asks what follows: this answers what it asked before it was.
        return state is None or not universe.is_current(group_id)
    if state is None:
        return False
    hole = state.graph.hole(state.graph.head)
    needed = hole.number if hole is not None else state.graph.head_info.number
    return oldest > needed


def _is_cut_off(ctx: Context, universe: Universe, behind: Behind, group_id: bytes) -> bool:
    """Whether a peer that goes on from older epochs than this node's head does so on a branch that begins where this
    node cannot enter another child any more. Nobody tells it there that its own branch is dead."""
    if group_id == universe.group_id or group_id in universe.stuck or not universe.is_current(group_id):
        return False
    lack = universe.lacks.get(group_id)
    waited = lack is not None and ctx.now - lack.since >= policy.BRANCH_WAIT
    return waited and leads_nowhere(universe, group_id, behind)


# asking


def ask(ctx: Context, universe: Universe) -> None:
    """Raise the incarnation and tell where this node is stuck; only tell where that has been done too often."""
    universe.timers.readd = None
    waiting = _unasked(ctx, universe)
    if not waiting:
        # It has asked before, and what it told then was not for these groups' owners.
        _introduce_to_all(ctx, universe)
        return
    owners = {group_id: universe.roster.send_groups[group_id].identity for group_id in waiting}
    # Who was put back lacks frames by that: once a run no group is the reason. Proof is its own signature alone.
    is_own_fault = bool(universe.rollbacks) and not universe.stuck.has_asked
    allowed_at = universe.stuck.may_readd_at(universe.me, ctx.now)
    if not is_own_fault:
        allowed_at = max(allowed_at, min(universe.stuck.may_ask_at(owner) for owner in owners.values()))
    if allowed_at <= ctx.now:
        _raise_incarnation(ctx, universe)
        universe.stuck.has_asked = True
        if not is_own_fault:
            for owner in owners.values():
                universe.stuck.asked(ctx, owner)
    else:
        universe.timers.readd = allowed_at
    _say(ctx, universe, waiting, asked=allowed_at <= ctx.now)


def ask_again(ctx: Context, universe: Universe, groups: Iterable[bytes]) -> None:
    """Have all owners add this node again, because a person says so; of these groups it needs that."""
    waiting = {}
    for group_id in groups:
        waiting[group_id] = universe.stuck.groups.get(group_id) or Stuck(b"", universe.incarnation, GONE)
    _raise_incarnation(ctx, universe)
    _say(ctx, universe, waiting, asked=True)


def _say(ctx: Context, universe: Universe, waiting: Mapping[bytes, Stuck], *, asked: bool) -> None:
    """Tell where this node is stuck, each group once, and where its newest KeyPackages are."""
    told = []
    for group_id, stuck in waiting.items():
        owner = universe.roster.send_groups[group_id].identity
        if asked:
            stuck.asked = universe.incarnation
        if not stuck.told:
            told.append(StuckGroup(group_id, stuck.dmls_epoch, stuck.incarnation, stuck.reason))
            stuck.told = True
            _tell(ctx, universe, universe.me, owner, stuck.reason)
        universe.stuck.note(ctx, group_id, stuck)
    _introduce_to_all(ctx, universe)
    if told and len(universe.own.graph.head_info.members) > 1:
        data = ApplicationData(REPORT, ctx.random(MESSAGE_ID_SIZE), (), build_report(told))
        own_group.protect(ctx, universe, data)


def _introduce_to_all(ctx: Context, universe: Universe) -> None:
    for peer_id in universe.links:
        introduce(ctx, universe, peer_id)


def _unasked(ctx: Context, universe: Universe) -> dict[bytes, Stuck]:
    """The groups in which nobody knows yet that this node is to be added again."""
    found = {}
    for group_id, stuck in list(universe.stuck.groups.items()):
        state = universe.groups.get(group_id)
        if not universe.is_current(group_id):
            universe.stuck.free(ctx, group_id)
        elif state is not None and state.graph.head != stuck.dmls_epoch:
            universe.stuck.free(ctx, group_id)  # it went on all the same
        elif stuck.asked is None:
            if state is not None and own_incarnation_in(state) < universe.incarnation:
                stuck.asked = universe.incarnation
                universe.stuck.note(ctx, group_id, stuck)
            else:
                found[group_id] = stuck
    return found


def _raise_incarnation(ctx: Context, universe: Universe) -> None:
    """Become somebody new for X-13. First the others are told what has arrived, so that it is not sent again."""
    reporting.send_report(ctx, universe)
    # In seconds where this node may have forgotten that it had a higher one.
    least = ctx.now // 1000 if universe.was_put_back else 0
    universe.incarnation = max(universe.incarnation + 1, least)
    # Those KeyPackages are out of use as soon as all have added it, as a joiner's are (5.4).
    universe.timers.first_path = ctx.now + policy.FIRST_PATH_COMMIT
    universe.save(ctx)
    own_group.commit(ctx, universe, path=True, replace_leaves=True)
    universe.stuck.note_readded(ctx, universe.me, universe.own.graph.head_info.number)


def _tell(ctx: Context, universe: Universe, identity: bytes, owner: bytes, reason: str) -> None:
    body = {"identity": identity, "owner": owner, "reason": reason}
    ctx.event("member.stuck", universe.universe_id, body)


# hearing


def take_report(ctx: Context, universe: Universe, member: bytes, body: bytes) -> None:
    """Another member is stuck: tell it, and import nothing from those owners until it is added again there."""
    try:
        groups = parse_report(body)
    except DecodeError:
        universe.refuse("report")
        return
    for group in groups:
        owner = universe.roster.send_groups.get(group.group_id)
        if owner is None or owner.identity == member or not universe.is_current(group.group_id):
            continue
        if member in universe.roster.members:
            incarnation = min(group.incarnation, universe.incarnation_of(member))
            reported = Reported(group.dmls_epoch, incarnation, ctx.now + policy.DAY)
            universe.stuck.take_report(ctx, group.group_id, member, reported)
        _tell(ctx, universe, member, owner.identity, group.reason)


def note_owner(
    ctx: Context,
    universe: Universe,
    state: GroupState,
    group: Group,
    packages: tuple[KeyPackage, ...] = (),
) -> None:
    """What a member's own group shows of it, entered by a commit or by a Welcome: the incarnation of its leaf, and the
    fresh KeyPackages of a path commit. Bad ones hurt only itself and do not undo its commit."""
    if not universe.is_current(state.group_id):
        return  # of who started anew a superseded group tells nothing, whoever still commits there
    known = universe.incarnation_of(state.owner)
    incarnation = shown_incarnation(group)
    universe.profiles.note_incarnation(ctx, state.owner, incarnation)
    if incarnation > known:
        universe.timers.align = ctx.now
    if packages and incarnation >= known:
        try:
            universe.profiles.learn_key_packages(ctx, state.owner, incarnation, packages)
        except (ProtocolError, Unsupported):
            universe.refuse("key_packages")


def shown_incarnation(group: Group) -> int:
    """The incarnation that the owner of a group has shown in it."""
    leaf = group.tree.leaf(OWNER_LEAF)
    assert leaf is not None, "the owner is leaf 0"
    return read_member(leaf).incarnation
