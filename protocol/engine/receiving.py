"""Frames of other members: commits, Welcomes and messages, in any order, repeated, or not yet usable."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from starling.protocol.decentralized.dmls_message import DMLSMessage, read_dmls_message
from starling.protocol.decentralized.epoch_graph import EpochInfo
from starling.protocol.distributed.application import (
    AGAIN,
    DIRECT,
    HEADS,
    LOST,
    PROFILE,
    REPORT,
    ApplicationData,
)
from starling.protocol.distributed.commit_content import CommitContent, read_commit_content
from starling.protocol.distributed.head_statement import HeadStatement, is_evidence
from starling.protocol.distributed.member import leaf_identity
from starling.protocol.distributed.report import PSK
from starling.protocol.distributed.roster_rights import READER
from starling.protocol.engine import absence, direct, healing, readding, renaming, resending, welcoming
from starling.protocol.engine.asking import note_behind, note_lack
from starling.protocol.engine.context import Context
from starling.protocol.engine.epochs import enter_epoch, let_go_of_targeted, note_change, note_imports
from starling.protocol.engine.exchanging import ask_for_roster
from starling.protocol.engine.forks import (
    forget_report,
    has_room,
    known_commits,
    make_room,
    note_fork,
    take_resolve,
    watch_for_clone,
    watch_lost_branches,
)
from starling.protocol.engine.group_state import GroupState
from starling.protocol.engine.imports import note_update
from starling.protocol.engine.received_imports import stage_with_imports
from starling.protocol.engine.reporting import take_report
from starling.protocol.engine.rollback import take_own_commit
from starling.protocol.engine.universe import Universe
from starling.protocol.errors import DecodeError, Invalid, Pending, ProtocolError, Unsupported, UsageError
from starling.protocol.exchange.frame import (
    Announcement,
    CommitFrame,
    MessageFrame,
    decode_frame,
    frame_id,
)
from starling.protocol.exchange.frame_log import LoggedFrame
from starling.protocol.exchange.waiting import Need, Wait, WaitingFrame
from starling.protocol.mls.framing import AuthenticatedContent
from starling.protocol.mls.group import Group


@dataclass(frozen=True, slots=True)
class Arrival:
    """One frame with who brought it."""

    peer_id: bytes
    data: bytes
    frame_id: bytes
    frame: CommitFrame | MessageFrame
    message: DMLSMessage


def receive(ctx: Context, universe: Universe, peer_id: bytes, data: bytes) -> bool:
    """Handle one frame and all waiting ones that it sets free; False where it was not decodable."""
    try:
        frame = decode_frame(data)
        if isinstance(frame, Announcement):
            for group_id, dmls_epoch, count in frame.places:
                note_behind(ctx, universe, peer_id, group_id, dmls_epoch, count)
            return True
        message = read_dmls_message(frame.dmls_message)
    except DecodeError:
        universe.refuse("undecodable")
        return False
    except Unsupported:
        universe.refuse("Unsupported")
        return True
    queue = deque([Arrival(peer_id, data, frame_id(data), frame, message)])
    while queue:
        arrival = queue.popleft()
        try:
            satisfied = _receive_one(ctx, universe, arrival)
        except Invalid as refusal:
            universe.refuse(refusal.rule.name)
            satisfied = []
        except (ProtocolError, Unsupported, Pending, UsageError) as refusal:
            # What does not decode inside is its author's fault: who forwards it cannot open it.
            # The one UsageError: a commit puts a KeyPackage in our leaf of which the key is gone.
            universe.refuse(type(refusal).__name__)
            satisfied = []
        for need in satisfied:
            queue.extend(_again(waiting) for waiting in universe.waiting.release(need))
    return True


def _again(waiting: WaitingFrame) -> Arrival:
    frame = decode_frame(waiting.frame)
    assert not isinstance(frame, Announcement), "announcements do not wait"
    message = read_dmls_message(frame.dmls_message)
    return Arrival(waiting.forwarder, waiting.frame, waiting.frame_id, frame, message)


def group_of_frame(frame: bytes) -> bytes | None:
    """The group that a frame is about, None where it is not decodable or an announcement."""
    try:
        decoded = decode_frame(frame)
        if isinstance(decoded, Announcement):
            return decoded.places[0][0]
        return read_dmls_message(decoded.dmls_message).group_id
    except (ProtocolError, Unsupported):
        return None


def _receive_one(ctx: Context, universe: Universe, arrival: Arrival) -> list[Need]:
    if arrival.frame_id in universe.waiting:
        return []
    frame, message = arrival.frame, arrival.message
    group_id = message.group_id
    state = universe.groups.get(group_id)
    try:
        if state is None:
            if universe.was_own(group_id):
                return []
            if isinstance(frame, CommitFrame):
                needs = welcoming.receive_welcome(
                    ctx, universe, arrival.frame_id, arrival.data, frame, message
                )
                readding.note_closed(ctx, universe, arrival.peer_id, group_id)
                return needs
            _require_joined(universe, group_id, message)
            return []
        if arrival.frame_id in state.log:
            return []
        if state.is_own:
            if isinstance(frame, CommitFrame):
                take_own_commit(ctx, universe, arrival.peer_id, frame, message)
            return []
        if isinstance(frame, CommitFrame) and welcoming.adds_again(universe, state, frame, message):
            return welcoming.receive_welcome(ctx, universe, arrival.frame_id, arrival.data, frame, message)
        if isinstance(frame, CommitFrame) and welcoming.is_second_welcome(
            ctx, universe, state, frame, message
        ):
            return []
        info = _find_epoch(state, message)
        if info is None:
            if isinstance(frame, CommitFrame):
                _keep_evidence(ctx, universe, state, frame, message)
            return []
        if isinstance(frame, CommitFrame):
            return _receive_commit(ctx, universe, state, info, arrival, frame, message)
        return _receive_message(ctx, universe, state, info, arrival, frame, message)
    except Wait as wait:
        return _wait(ctx, universe, arrival, group_id, wait.need)
    except welcoming.OwnerUnknown:
        return _wait(ctx, universe, arrival, group_id, Need("roster", group_id, b""))


def _wait(ctx: Context, universe: Universe, arrival: Arrival, group_id: bytes, need: Need) -> list[Need]:
    """Let a frame wait; what is thereby worth another look is given back.

    A commit that imports from a former member's group is the reason to enter that group after all.
    """
    waiting = WaitingFrame(
        frame_id=arrival.frame_id,
        frame=arrival.data,
        group_id=group_id,
        forwarder=arrival.peer_id,
        need=need,
        known_group=group_id in universe.groups,
        since=ctx.now,
    )
    first = not universe.waiting.has_group(group_id)
    universe.turned_away += not universe.waiting.add(waiting)
    if need.kind != "roster":
        note_lack(ctx, universe, arrival.peer_id, need)
    elif first and arrival.peer_id in universe.links:
        ask_for_roster(ctx, universe, arrival.peer_id)
    imports = need.kind == "epoch" and need.group_id != group_id
    return [Need("roster", need.group_id, b"")] if imports else []


def _require_joined(universe: Universe, group_id: bytes, message: DMLSMessage) -> None:
    """A message of a group that this node is not in waits for the Welcome, if one may come."""
    if universe.owner_of(group_id) is not None:
        raise Wait(Need("epoch", group_id, message.dmls_epoch))
    raise Wait(Need("roster", group_id, b""))


def _find_epoch(state: GroupState, message: DMLSMessage) -> EpochInfo | None:
    """The epoch a message was sent in; None where it is too old to matter, or on a closed branch that is settled."""
    info = state.graph.get(message.dmls_epoch)
    if info is not None:
        return info
    number = message.epoch
    left = message.dmls_epoch in state.graph.closed and message.dmls_epoch not in state.awaited
    if left or number <= state.pinned_epoch or number < state.graph.oldest_number:
        return None
    raise Wait(Need("epoch", state.group_id, message.dmls_epoch))


# commits


def _receive_commit(
    ctx: Context,
    universe: Universe,
    state: GroupState,
    info: EpochInfo,
    arrival: Arrival,
    frame: CommitFrame,
    message: DMLSMessage,
) -> list[Need]:
    statement = HeadStatement.decode(frame.head_statement)
    siblings = known_commits(state, info.dmls_epoch)
    if any(known.commit_hash == statement.commit_hash for known in siblings):
        return []
    group = state.state(info.dmls_epoch)
    if group is None:
        _keep_evidence(ctx, universe, state, frame, message)
        return []
    if state.graph.is_too_far_ahead(info.dmls_epoch):
        raise Wait(Need("whole", state.group_id, b""))
    _check_statement(universe, state, info.number, group, statement, frame, message)
    if not has_room(universe, state, info):
        note_fork(ctx, universe, state, siblings[0], statement, is_lost=True)
        return []
    authenticated = group.open_handshake(message.message)
    content = _content_of(authenticated)
    try:
        staged, dependencies = stage_with_imports(universe, state, group, authenticated, content)
    except (ProtocolError, UsageError) as refusal:
        readding.note_refused_commit(ctx, universe, state, info, refusal)
        raise
    except readding.PskLost:
        readding.note_closed_off(ctx, universe, state, info, PSK)
        return []
    if staged.next is None:
        # By a newer incarnation this node is let in anew, in this commit or the next one.
        anew = readding.own_incarnation_in(state) < universe.incarnation
        adds_again = universe.me in (leaf_identity(package.leaf_node) for package in content.adds)
        on_another_branch = info.dmls_epoch != state.graph.head or state.graph.is_forked
        if on_another_branch and not (adds_again and state.group_id in universe.stuck):
            return []  # it is still in the group on the branch that counts
        if anew or adds_again:
            absence.drop_group(ctx, universe, state)
        else:
            absence.leave_group(ctx, universe, state)
        # It may add this node again, at this later epoch.
        return welcoming.receive_welcome(ctx, universe, arrival.frame_id, arrival.data, frame, message)
    universe.standing.heard[state.owner] = ctx.now
    make_room(ctx, universe, state, info)
    removed = tuple(_identity_at(group, index) for index in content.removes)
    child = enter_epoch(
        ctx,
        universe,
        state,
        staged.next,
        info,
        has_path=content.has_path,
        application_count=content.application_count,
        head_statement=frame.head_statement,
    )
    if siblings:
        note_fork(ctx, universe, state, siblings[0], statement)
    state.awaited.pop(child.dmls_epoch, None)
    take_resolve(ctx, universe, state, child, content.closed_heads)
    if state.graph.leave_closed():
        forget_report(ctx, universe, state)
        state.save(ctx)
    watch_for_clone(ctx, universe, state, child)
    note_imports(ctx, universe, state, info, child, dependencies)
    healing.note_commit(
        ctx,
        universe,
        state,
        info,
        child,
        staged.next,
        dependencies=dependencies,
        key_packages=content.key_packages,
        added={leaf_identity(package.leaf_node) for package in content.adds},
    )
    readding.note_owner(ctx, universe, state, staged.next, content.key_packages)
    note_update(ctx, universe, state, child, content)
    logged = LoggedFrame(
        frame_id=arrival.frame_id,
        group_id=state.group_id,
        dmls_epoch=info.dmls_epoch,
        generation=None,
        size=len(arrival.data),
        adds=tuple(leaf_identity(package.leaf_node) for package in content.adds),
        child=child.dmls_epoch,
        stored_at=ctx.now,
    )
    state.log_frame(ctx, logged, arrival.data)
    ctx.event(
        "epoch.started",
        universe.universe_id,
        {
            "owner": state.owner,
            "epoch": child.number,
            "dmls_epoch": child.dmls_epoch,
            "path": content.has_path,
            "imports": len(dependencies),
            "removed": list(removed),
        },
    )
    return [
        Need("epoch", state.group_id, child.dmls_epoch),
        Need("whole", state.group_id, b""),
    ]


def _content_of(authenticated: AuthenticatedContent) -> CommitContent:
    commit = authenticated.content.commit
    if commit is None:
        raise DecodeError("a commit frame without a commit")
    proposals = [item.proposal for item in commit.proposals if item.proposal is not None]
    if len(proposals) != len(commit.proposals):
        raise DecodeError("a send group's commit covers proposals by value")
    return read_commit_content(proposals, has_path=commit.path is not None)


def _check_statement(
    universe: Universe,
    state: GroupState,
    number: int,
    group: Group,
    statement: HeadStatement,
    frame: CommitFrame,
    message: DMLSMessage,
) -> None:
    """R4: the owner's own word for this commit and its Welcome, before anything costly is done."""
    expected = (universe.universe_id, state.group_id, number, message.dmls_epoch)
    owner_leaf = group.tree.leaf(0)
    if statement.parent != expected or owner_leaf is None:
        raise DecodeError("the head statement is about something else")
    statement.verify(owner_leaf.signature_key, commit=message.message.encode() + frame.welcome)


def _keep_evidence(
    ctx: Context, universe: Universe, state: GroupState, frame: CommitFrame, message: DMLSMessage
) -> None:
    """A second commit on an epoch whose state is gone cannot be followed: that it was made is told all the same."""
    statement = HeadStatement.decode(frame.head_statement)
    known = next(iter(known_commits(state, message.dmls_epoch)), None)
    if known is not None and is_evidence(known, statement):
        _check_statement(universe, state, known.epoch, state.head, statement, frame, message)
        note_fork(ctx, universe, state, known, statement, is_lost=True)


def _identity_at(group: Group, index: int) -> bytes:
    leaf = group.tree.leaf(index)
    return leaf_identity(leaf) if leaf is not None else b""


# messages


def _receive_message(
    ctx: Context,
    universe: Universe,
    state: GroupState,
    info: EpochInfo,
    arrival: Arrival,
    frame: MessageFrame,
    message: DMLSMessage,
) -> list[Need]:
    """Messages are taken in the owner's order, across epochs too (I4); others wait for those before them."""
    group = state.state(info.dmls_epoch)
    if group is None:
        return []
    _, generation = group.peek_generation(message.message)
    if info.holds(generation):
        return []
    if state.graph.hole(info.dmls_epoch) is not None:
        raise Wait(Need("whole", state.group_id, b""))
    if generation != info.next_generation and not info.given_up:
        raise Wait(Need("progress", state.group_id, info.dmls_epoch, generation))
    received = group.unprotect(message.message)
    universe.standing.heard[state.owner] = ctx.now
    info.hold(generation)
    state.save_ratchets(ctx, info.dmls_epoch)
    data = _application_data(universe, received.application_data)
    logged = LoggedFrame(
        frame_id=arrival.frame_id,
        group_id=state.group_id,
        dmls_epoch=info.dmls_epoch,
        generation=generation,
        size=len(arrival.data),
        is_user=data is not None and not data.is_control,
        stored_at=ctx.now,
    )
    state.log_frame(ctx, logged, arrival.data)
    if data is not None:
        _take(ctx, universe, state, info, generation, data)
    needs = [Need("progress", state.group_id, info.dmls_epoch, info.next_generation)]
    if info.is_past:
        let_go_of_targeted(ctx, state, info)
        universe.sweep_soon(state.group_id, ctx.now)
        state.save_info(ctx, info)
        note_change(ctx, universe)
        needs.append(Need("whole", state.group_id, b""))
    return needs


def _application_data(universe: Universe, encoded: bytes) -> ApplicationData | None:
    """What a member said; None, and counted, where it is no application data of ours."""
    try:
        return ApplicationData.decode(encoded)
    except DecodeError:
        universe.refuse("application_data")
        return None


def _take(
    ctx: Context,
    universe: Universe,
    state: GroupState,
    info: EpochInfo,
    generation: int,
    data: ApplicationData,
) -> None:
    if data.is_control:
        if data.content_type == HEADS and state.graph.is_at_or_after(state.graph.head, info.dmls_epoch):
            take_report(ctx, universe, state.owner, data.body)
            watch_lost_branches(ctx, universe, state)
        elif data.content_type == REPORT:
            readding.take_report(ctx, universe, state.owner, data.body)
        elif data.content_type == PROFILE:
            renaming.take_name(ctx, universe, state, data.body)
        elif data.content_type == LOST:
            resending.take_lost(ctx, universe, state, info.number, data.body)
        return
    info.user_count = generation + 1
    note_change(ctx, universe)
    if data.content_type == DIRECT:
        message = direct.open_message(ctx, universe, state, info.dmls_epoch, data.body)
        if message is not None:
            deliver(ctx, universe, state, info, message, is_direct=True)
    elif data.content_type == AGAIN:
        for message in resending.open_again(universe, state, info.dmls_epoch, data.body):
            deliver(ctx, universe, state, info, message)
    else:
        deliver(ctx, universe, state, info, data)


def deliver(
    ctx: Context,
    universe: Universe,
    state: GroupState,
    info: EpochInfo,
    data: ApplicationData,
    *,
    is_direct: bool = False,
) -> None:
    """Hand a message to the apps, once per (sender, id) whatever brings it (5.2). Of who is blocked here, or a reader,
    none is shown, also not later."""
    sender = universe.roster.members.get(state.owner)
    if sender is not None and sender.role == READER:
        universe.refuse("reader")
        return
    if not universe.delivered.is_new(ctx, state.owner, data.message_id):
        return
    if state.owner in universe.standing.blocked:
        return
    ctx.event(
        "message.received",
        universe.universe_id,
        {
            "sender": state.owner,
            "sender_name": universe.name_of(state.owner),
            "id": data.message_id,
            "to": universe.me if is_direct else None,
            "type": data.content_type,
            "body": data.body,
            "refs": list(data.refs),
            "epoch": info.number,
            "dmls_epoch": info.dmls_epoch,
        },
    )
