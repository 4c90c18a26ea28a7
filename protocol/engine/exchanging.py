"""The exchange with connected members: greeting them, comparing places, answering (PROTOCOL section 7).

Gossip is the quick way; this is what delivers. Each send group is one writer's log, so a place in it, an epoch
and a count, names all frames before it.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator

from starling.protocol.distributed import policy
from starling.protocol.engine import resolving
from starling.protocol.engine.asking import has_reached, is_unknown, note_behind
from starling.protocol.engine.context import Context
from starling.protocol.engine.gone import gone_row
from starling.protocol.engine.group_state import GroupState
from starling.protocol.engine.links import Link
from starling.protocol.engine.profile_exchange import profiles_of
from starling.protocol.engine.universe import Universe
from starling.protocol.exchange.answer import take_in_turn
from starling.protocol.exchange.entries import in_messages as entries_in_messages
from starling.protocol.exchange.frame_log import LoggedFrame
from starling.protocol.exchange.member_messages import (
    Frames,
    Gone,
    Hello,
    Position,
    Pulse,
    Summary,
    Want,
    WantedEpoch,
    WantProfiles,
    WantRoster,
)
from starling.protocol.packed import pack

MAX_HELLO_BYTES = 16 * 1024
"""Of roster entries in a `Hello`: who was away for more than these asks for the rest."""


# opening


def greet(ctx: Context, universe: Universe, peer_id: bytes) -> None:
    """Open the exchange with a connected member: the roster entries that prove us, then our places."""
    pulse_at = ctx.now + ctx.jittered(policy.PULSE_INTERVAL)
    universe.links[peer_id] = Link(pulse_at, is_new=universe.is_asking)
    universe.timers.report_soon(ctx.now)
    entries = universe.roster.proof(universe.me, MAX_HELLO_BYTES)
    ctx.send(peer_id, Hello(universe.universe_id, entries))
    send_summary(ctx, universe, peer_id, answer=False)
    introduce(ctx, universe, peer_id)
    if universe.silenced and universe.is_admitted:
        universe.timers.readmit = ctx.now


def introduce(ctx: Context, universe: Universe, peer_id: bytes) -> None:
    """Where this node is stuck in a member's group, that member may be in its: then neither reads what the other says
    there, and each has to tell its newest KeyPackages (B7)."""
    stuck = universe.stuck.groups.keys() & universe.roster.send_groups.keys()
    owners = sorted({universe.roster.send_groups[group_id].identity for group_id in stuck})
    if owners:
        ctx.send(peer_id, profiles_of(universe, [universe.me]))
        ctx.send(peer_id, WantProfiles.some(universe.universe_id, owners))


def send_entries(ctx: Context, universe: Universe, peer_id: bytes, entries: Iterable[bytes]) -> None:
    """Send roster entries, predecessors first, in as many messages as they take: one where there are none."""
    for message in entries_in_messages(universe.universe_id, entries):
        ctx.send(peer_id, message)


def ask_for_roster(ctx: Context, universe: Universe, peer_id: bytes) -> None:
    """Ask for the entries that this node lacks."""
    ctx.send(peer_id, WantRoster.beside(universe.universe_id, universe.roster.ids))


def send_summary(ctx: Context, universe: Universe, peer_id: bytes, *, answer: bool) -> None:
    places = positions(universe, peer_id)
    ctx.send(peer_id, Summary(universe.universe_id, universe.roster.digest, places, answer))


def positions(universe: Universe, peer_id: bytes) -> tuple[Position, ...]:
    """How far this node is in the send groups that the peer's member is in too, on every branch, and in epochs with
    messages that no commit counts."""
    return tuple(
        (*place, _floor(universe.groups[place[0]], place[1])) for place in _places(universe, peer_id)
    )


def positions_digest(universe: Universe, peer_id: bytes) -> bytes:
    """Of the places alone: each node has a floor of its own."""
    return hashlib.sha256(pack([list(place) for place in _places(universe, peer_id)])).digest()


def _places(universe: Universe, peer_id: bytes) -> Iterator[tuple[bytes, bytes, int, int, bool]]:
    member = universe.member_of_peer(peer_id)
    if member is None:
        return
    for group_id, state in sorted(universe.groups.items()):
        graph = state.graph
        places = {**graph.tips, **{info.dmls_epoch: info for info in state.uncounted()}}
        for head, info in sorted(places.items()) if len(places) > 1 else places.items():
            if member.identity in info.members:
                yield group_id, head, info.number, info.contiguous, graph.hole(head) is None


def _floor(state: GroupState, head: bytes) -> int:
    """The number of the oldest epoch from which on this node could still enter another child of every one up to a head.

    An older one may be kept beside a gap: epochs do not settle in their order.
    """
    kept = frozenset(state.retained())
    lineage = itertools.takewhile(lambda info: info.dmls_epoch in kept, state.graph.lineage(head))
    return min((info.number for info in lineage), default=state.graph[head].number)


def pulse(ctx: Context, universe: Universe, peer_id: bytes, link: Link) -> None:
    link.pulse_at = ctx.now + ctx.jittered(policy.PULSE_INTERVAL)
    digest = positions_digest(universe, peer_id)
    ctx.send(peer_id, Pulse(universe.universe_id, universe.roster.digest, digest))


# comparing


def take_pulse(ctx: Context, universe: Universe, peer_id: bytes, message: Pulse) -> None:
    """Unequal places are told in full, and the peer's asked for."""
    if message.positions_digest != positions_digest(universe, peer_id):
        send_summary(ctx, universe, peer_id, answer=True)
    else:
        _note_told(ctx, universe, peer_id)


def take_summary(ctx: Context, universe: Universe, peer_id: bytes, message: Summary) -> None:
    """Note where the peer holds more than this node."""
    lacking: dict[bytes, tuple[bytes, int]] = {}
    own_heads: list[bytes] = []
    own_floors: list[int] = []
    former_heads: list[tuple[int, bytes]] = []
    for group_id, head, number, count, whole, floor in message.positions:
        state = universe.groups.get(group_id)
        if state is not None and state.is_own:
            own_heads.append(head)
            own_floors.append(floor)
            _check_own(ctx, universe, state, head, number, count, peer_id)
        elif state is None:
            if universe.owner_of(group_id) is not None:
                lacking[group_id] = (head, 0)
            elif universe.was_own(group_id) and head not in universe.given_up:
                former_heads.append((number, head))
        elif is_unknown(state, head):
            if number >= state.graph.oldest_number:
                lacking[group_id] = (head, count)
        elif head in state.graph and _lacks(state, head, count, whole):
            lacking.setdefault(group_id, (head, count))
    for group_id, (head, count) in lacking.items():
        note_behind(ctx, universe, peer_id, group_id, head, count)
    member = universe.member_of_peer(peer_id)
    if former_heads and member is not None:
        universe.shown_heads[member.identity] = max(former_heads)[1]
    if own_heads and member is not None:
        resolving.note_floor(universe, member.identity, own_heads, min(own_floors))
    universe.boot.answered = True
    _note_told(ctx, universe, peer_id)
    if message.answer:
        send_summary(ctx, universe, peer_id, answer=False)


def _note_told(ctx: Context, universe: Universe, peer_id: bytes) -> None:
    """The peer has said how far it is: where this node asks to start anew, it can be asked."""
    link = universe.links.get(peer_id)
    if link is not None and link.is_new:
        link.is_new = False
        if universe.is_asking:
            universe.timers.readmit = ctx.now


def _lacks(state: GroupState, head: bytes, count: int, whole: bool) -> bool:
    return (whole and state.graph.hole(head) is not None) or not has_reached(state, head, count)


def _check_own(
    ctx: Context, universe: Universe, state: GroupState, head: bytes, number: int, count: int, peer_id: bytes
) -> None:
    """Somebody knows an epoch of our own group that we do not, or more messages in one than we know to have sent:
    perhaps we were restored (5.3, B3)."""
    member = universe.member_of_peer(peer_id)
    if member is None:
        return
    if head in state.graph and count > state.graph[head].next_generation:
        _suspect(ctx, universe, peer_id, head, number)
    if head in state.graph or head in state.graph.closed or number < state.graph.oldest_number:
        return
    if resolving.note_own_heads(ctx, universe, member.identity, (head,)) or not universe.rollbacks:
        universe.boot.waits_for_proof = not universe.boot.done and not universe.rollbacks
        note_behind(ctx, universe, peer_id, state.group_id, head, 0, grace=0)
    _suspect(ctx, universe, peer_id, head, number)


def _suspect(ctx: Context, universe: Universe, peer_id: bytes, head: bytes, number: int) -> None:
    """A bare claim: it is told once for each peer that makes it, and only the universe's members can."""
    universe.was_put_back = True
    if peer_id not in universe.suspected:
        universe.suspected.add(peer_id)
        ctx.event(
            "rollback.suspected", universe.universe_id, {"peer_id": peer_id, "epoch": number, "head": head}
        )


# answering


def answer_want(ctx: Context, universe: Universe, peer_id: bytes, message: Want) -> None:
    """Send what a member lacks, as far as it may have it, in fair shares."""
    member = universe.member_of_peer(peer_id)
    if member is None:
        return
    queues: list[Iterator[LoggedFrame]] = []
    gone: list[tuple[bytes, int | None]] = []
    # Each group and each epoch once, however often it is named: an answer costs what it holds.
    for group_id, epochs in dict(message.groups).items():
        state = universe.groups.get(group_id)
        row = gone_row(universe, group_id, member.identity, epochs)
        gone += [row] if row is not None else []
        if state is None or not universe.shares(state, member.identity):
            continue
        if not epochs:
            adding = state.log.adding(member.identity)
            if adding is not None:
                queues.append(iter((adding,)))
            continue
        queues.append(_following(state, epochs))
        if state.owner == member.identity:
            # It asks only where it was put back; what lies between may be gone, but this proves it (B3).
            queues.append(_leading_to_heads(state))
    frame_ids = take_in_turn(queues)
    if frame_ids:
        ctx.send(peer_id, Frames(universe.universe_id), frame_ids)
    if gone:
        ctx.send(peer_id, Gone(universe.universe_id, tuple(gone)))


def _leading_to_heads(state: GroupState) -> Iterator[LoggedFrame]:
    for tip in state.graph.tips.values():
        yield from state.log.leading_to(tip.dmls_epoch, tip.parent)


def _following(state: GroupState, epochs: tuple[WantedEpoch, ...]) -> Iterator[LoggedFrame]:
    listed = {epoch[0]: epoch for epoch in epochs}
    for dmls_epoch, contiguous, children in listed.values():
        for frame in state.log.after(dmls_epoch, contiguous, children):
            if frame.dmls_epoch == dmls_epoch or frame.dmls_epoch not in listed:
                yield frame
