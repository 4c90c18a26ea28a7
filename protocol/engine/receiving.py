"""Frames of other members: commits, Welcomes and messages, in any order, repeated, or not yet usable."""

from __future__ import annotations

from collections import deque

from starling.protocol.decentralized.dmls_message import DMLSMessage, read_dmls_message
from starling.protocol.decentralized.epoch_graph import EpochInfo
from starling.protocol.engine import readding, welcoming
from starling.protocol.engine.arrival import Arrival
from starling.protocol.engine.asking import note_behind, note_lack
from starling.protocol.engine.context import Context
from starling.protocol.engine.exchanging import ask_for_roster
from starling.protocol.engine.group_state import GroupState
from starling.protocol.engine.received_commits import keep_evidence, receive_commit
from starling.protocol.engine.received_messages import receive_message
from starling.protocol.engine.rollback import take_own_commit
from starling.protocol.engine.universe import Universe
from starling.protocol.errors import DecodeError, Invalid, Pending, ProtocolError, Unsupported, UsageError
from starling.protocol.exchange.frame import Announcement, CommitFrame, decode_frame, frame_id
from starling.protocol.exchange.waiting import Need, Wait, WaitingFrame


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
                keep_evidence(ctx, universe, state, frame, message)
            return []
        if isinstance(frame, CommitFrame):
            return receive_commit(ctx, universe, state, info, arrival, frame)
        return receive_message(ctx, universe, state, info, arrival)
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
