"""The exchange with connected members: comparing places, asking, answering (PROTOCOL section 7).

Gossip is the quick way; this is what delivers. Each send group is one writer's log, so a place in it, an epoch
and a count, names all frames before it.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator

from starling.protocol.distributed import policy
from starling.protocol.engine import resolving
from starling.protocol.engine.context import Context
from starling.protocol.engine.gone import gone_row
from starling.protocol.engine.group_state import GroupState
from starling.protocol.engine.universe import Behind, Lack, Link, Universe
from starling.protocol.exchange.answer import take_in_turn
from starling.protocol.exchange.entries import in_messages as entries_in_messages
from starling.protocol.exchange.frame_log import LoggedFrame
from starling.protocol.exchange.messages import (
    MAX_WANTED_EPOCHS,
    Frames,
    Gone,
    Hello,
    Position,
    Profiles,
    Pulse,
    Summary,
    Want,
    WantedEpoch,
    WantedGroup,
    WantProfiles,
    WantRoster,
)
from starling.protocol.exchange.waiting import Need
from starling.protocol.packed import pack

MAX_BEHIND = 1024
MAX_OTHERS_BEHIND = 16
MAX_EPOCHS_WANTED = 1024
"""Of all groups in one `Want`, which may have 256 KiB."""

MAX_RETRY = 30_000
MAX_HELLO_BYTES = 16 * 1024
"""Of roster entries in a `Hello`: who was away for more than these asks for the rest."""

MAX_PROFILES_BYTES = 2 * 1024 * 1024


# opening


def greet(ctx: Context, universe: Universe, peer_id: bytes) -> None:
    """Open the exchange with a connected member: the roster entries that prove us, then our places."""
    universe.links[peer_id] = Link(pulse_at=ctx.now + ctx.jittered(policy.PULSE_INTERVAL))
    universe.timers.report_soon(ctx.now)
    entries = universe.roster.proof(universe.me, MAX_HELLO_BYTES)
    ctx.send(peer_id, Hello(universe.universe_id, entries))
    send_summary(ctx, universe, peer_id, answer=False)
    introduce(ctx, universe, peer_id)
    if universe.silenced and (universe.is_asking or universe.is_admitted):
        universe.timers.readmit = ctx.now


def introduce(ctx: Context, universe: Universe, peer_id: bytes) -> None:
    """Where this node is stuck in a member's group, that member may be in its: then neither reads what the other says
    there, and each has to tell its newest KeyPackages (B7)."""
    stuck = universe.stuck.groups.keys() & universe.roster.send_groups.keys()
    owners = sorted({universe.roster.send_groups[group_id].identity for group_id in stuck})
    if owners:
        ctx.send(peer_id, profiles_of(universe, [universe.me]))
        ctx.send(peer_id, WantProfiles(universe.universe_id, tuple(owners)))


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


def take_summary(ctx: Context, universe: Universe, peer_id: bytes, message: Summary) -> None:
    """Note where the peer holds more than this node."""
    lacking: dict[bytes, tuple[bytes, int]] = {}
    own_heads: list[bytes] = []
    own_floors: list[int] = []
    for group_id, head, number, count, whole, floor in message.positions:
        state = universe.groups.get(group_id)
        if state is not None and state.is_own:
            own_heads.append(head)
            own_floors.append(floor)
            _check_own(ctx, universe, state, head, number, count, peer_id)
        elif state is None:
            if universe.owner_of(group_id) is not None:
                lacking[group_id] = (head, 0)
        elif _is_unknown(state, head):
            if number >= state.graph.oldest_number:
                lacking[group_id] = (head, count)
        elif head in state.graph and _lacks(state, head, count, whole):
            lacking.setdefault(group_id, (head, count))
    for group_id, (head, count) in lacking.items():
        note_behind(ctx, universe, peer_id, group_id, head, count)
    member = universe.member_of_peer(peer_id)
    if own_heads and member is not None:
        resolving.note_floor(universe, member.identity, own_heads, min(own_floors))
    universe.boot.answered = True
    if message.answer:
        send_summary(ctx, universe, peer_id, answer=False)


def lacks_a_head(universe: Universe, state: GroupState) -> bool:
    """Whether a connected peer has named a head of a group that is not known here, or a frame waits that may be on the
    way to one."""
    behind = universe.behind.get(state.group_id)
    if behind is None:
        return universe.waiting.has_group(state.group_id)
    return any(
        _is_unknown(state, head) for head in (behind.head, *(head for head, _ in behind.others.values()))
    )


def _is_unknown(state: GroupState, head: bytes) -> bool:
    """Whether a head that a peer names is news: one that was closed and is not asked for any more is none."""
    return head not in state.graph and (head not in state.graph.closed or head in state.awaited)


def _lacks(state: GroupState, head: bytes, count: int, whole: bool) -> bool:
    return (whole and state.graph.hole(head) is not None) or not _has_reached(state, head, count)


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


def _has_reached(state: GroupState, head: bytes, count: int) -> bool:
    """An epoch that this node is past may have more messages than any commit counts, as long as they can be read."""
    info = state.graph.get(head)
    if info is None or info.contiguous >= count:
        return info is not None
    return info.is_past and (info.given_up or state.state(head) is None)


def note_behind(
    ctx: Context,
    universe: Universe,
    peer_id: bytes,
    group_id: bytes,
    head: bytes,
    count: int,
    *,
    grace: int = policy.BEHIND_GRACE,
) -> None:
    """A peer holds more of a group; gossip may still bring it, else it is asked for after `grace`."""
    _note_lacking(ctx, universe, group_id)
    held = universe.behind.get(group_id)
    state = universe.groups.get(group_id)
    if held is not None and held.peer_id == peer_id:
        # A head that is not known is asked for by more than one that is: it stays until it came.
        if state is None or head not in state.graph or not _is_unknown(state, held.head):
            held.head, held.count = head, count
        return
    if held is not None and held.peer_id in universe.links and held.attempts < 1:
        if state is not None and _is_unknown(state, head) and len(held.others) < MAX_OTHERS_BEHIND:
            held.others[peer_id] = (head, count)
        return
    if held is None and len(universe.behind) >= MAX_BEHIND:
        return
    if peer_id in universe.links:
        others = held.others if held is not None else {}
        universe.behind[group_id] = Behind(peer_id, head, count, ctx.now + grace, others=others)


def _ask_another(ctx: Context, universe: Universe, group_id: bytes) -> None:
    """One peer is done with: the next of those that named what is not known here takes its place."""
    behind = universe.behind.pop(group_id)
    state = universe.groups.get(group_id)
    while behind.others and state is not None:
        peer_id, (head, count) = behind.others.popitem()
        if peer_id in universe.links and _is_unknown(state, head):
            universe.behind[group_id] = Behind(peer_id, head, count, ctx.now, others=behind.others)
            return


def _note_lacking(ctx: Context, universe: Universe, group_id: bytes) -> None:
    lack = universe.lacks.get(group_id)
    if lack is not None:
        lack.named_at = ctx.now
    elif group_id != universe.group_id and universe.owner_of(group_id) is not None:
        universe.lacks[group_id] = Lack(ctx.now, ctx.now, _place(universe, group_id))


def _place(universe: Universe, group_id: bytes) -> tuple[bytes, int]:
    state = universe.groups.get(group_id)
    return (state.graph.head, state.graph.head_info.contiguous) if state is not None else (b"", 0)


def note_stalled(ctx: Context, universe: Universe) -> None:
    """Tell once of each group in which nothing has come for a day although peers have more of it (5.3).

    Only that group is stalled, and what imports from it. A peer that merely claims to have more can do that too.
    """
    for group_id, lack in list(universe.lacks.items()):
        owner = universe.owner_of(group_id)
        named = not universe.links or ctx.now - lack.named_at < policy.LACK_FORGOTTEN
        if owner is None or not named:
            del universe.lacks[group_id]
        elif lack.place != _place(universe, group_id):
            universe.lacks[group_id] = Lack(ctx.now, ctx.now, _place(universe, group_id))
        elif ctx.now - lack.since >= policy.STALLED and not lack.told:
            lack.told = True
            state = universe.groups.get(group_id)
            epoch = state.graph.head_info.number if state is not None else None
            body = {"owner": owner.identity, "epoch": epoch, "since": lack.since}
            ctx.event("group.stalled", universe.universe_id, body)


def note_lack(ctx: Context, universe: Universe, peer_id: bytes, need: Need) -> None:
    """A frame waits for something: ask for it soon, the one who forwarded the frame or any member."""
    asked = peer_id if peer_id in universe.links else next(iter(universe.links), None)
    if asked is None:
        return
    state = universe.groups.get(need.group_id)
    head, count = need.dmls_epoch, 0
    if state is not None and need.kind != "epoch":
        head = need.dmls_epoch or state.graph.head
        info = state.graph.get(head)
        count = info.contiguous + 1 if info is not None else 0
    note_behind(ctx, universe, asked, need.group_id, head, count)


# asking


def ask(ctx: Context, universe: Universe) -> None:
    """Ask for what is due: one message to each peer."""
    wanted: dict[bytes, list[WantedGroup]] = {}
    for group_id, behind in list(universe.behind.items()):
        satisfied = _is_satisfied(universe, group_id, behind)
        if satisfied:
            universe.lacks.pop(group_id, None)
        if satisfied or behind.peer_id not in universe.links:
            _ask_another(ctx, universe, group_id)
            continue
        if behind.due > ctx.now:
            continue
        blocked = universe.waiting.blocked(group_id)
        if blocked is not None and blocked.group_id not in universe.behind:
            note_behind(ctx, universe, behind.peer_id, blocked.group_id, blocked.dmls_epoch, 0, grace=0)
        want = _want(universe, group_id, behind.head, behind.count)
        behind.attempts = behind.attempts + 1 if want == behind.asked else 0
        behind.asked = want
        behind.due = ctx.now + ctx.jittered(min(policy.ASK_AGAIN << min(behind.attempts, 6), MAX_RETRY))
        if behind.attempts > 8:
            _note_asked_in_vain(ctx, universe, group_id, behind)
            _ask_another(ctx, universe, group_id)
            continue
        wanted.setdefault(behind.peer_id, []).append(want)
    for peer_id, groups in wanted.items():
        for part in in_messages(groups):
            ctx.send(peer_id, Want(universe.universe_id, part))


def _note_asked_in_vain(ctx: Context, universe: Universe, group_id: bytes, behind: Behind) -> None:
    """A peer that names a closed head does not bring what leads to it."""
    state = universe.groups.get(group_id)
    member = universe.member_of_peer(behind.peer_id)
    if state is not None and member is not None and behind.head in state.awaited:
        state.asked_in_vain.setdefault(behind.head, set()).add(member.identity)
        universe.sweep_soon(group_id, max(ctx.now, state.awaited[behind.head] + policy.GONE_WAIT))


def in_messages(groups: Iterable[WantedGroup]) -> Iterator[tuple[WantedGroup, ...]]:
    """What is asked of one peer, in as many messages as it takes: none is refused as too large."""
    part: list[WantedGroup] = []
    epochs = 0
    for group in groups:
        if epochs + len(group[1]) > MAX_EPOCHS_WANTED:
            yield tuple(part)
            part, epochs = [], 0
        part.append(group)
        epochs += len(group[1])
    yield tuple(part)


def _want(universe: Universe, group_id: bytes, head: bytes, count: int) -> WantedGroup:
    """What is lacking of a group on all branches: of each epoch that is not whole the rest, and that of `head`, of
    which the peer holds `count` messages. Where that is not known it may be on a branch of any epoch that can still be
    entered again: then those are listed too."""
    state = universe.groups.get(group_id)
    if state is None or group_id in universe.stuck:
        return (group_id, ())
    graph = state.graph
    listed = {info.dmls_epoch: info for info in graph.incomplete()}
    if head in graph and not _has_reached(state, head, count):
        listed.setdefault(head, graph[head])
    if _is_unknown(state, head):
        older = graph.lineage(graph.head) if state.is_own else map(graph.__getitem__, state.retained())
        for info in itertools.islice(older, MAX_WANTED_EPOCHS):
            listed.setdefault(info.dmls_epoch, info)
    return (
        group_id,
        tuple(
            (info.dmls_epoch, info.contiguous, info.children)
            for info in itertools.islice(listed.values(), MAX_WANTED_EPOCHS)
        ),
    )


def _is_satisfied(universe: Universe, group_id: bytes, behind: Behind) -> bool:
    state = universe.groups.get(group_id)
    if state is None:
        return universe.owner_of(group_id) is None
    if behind.head in state.graph.closed and behind.head not in state.graph:
        return behind.head not in state.awaited
    return _has_reached(state, behind.head, behind.count) and state.graph.is_whole


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


def take_answer(ctx: Context, universe: Universe, peer_id: bytes) -> None:
    """After the frames of an answer were handled: go on asking the same peer at once, and report soon what they led to.

    What gossip did not bring comes in amounts: after a heal, or an absence.
    """
    universe.timers.report_soon(ctx.now)
    for behind in universe.behind.values():
        if behind.peer_id == peer_id:
            behind.due = ctx.now


# profiles


def profiles_of(universe: Universe, identities: list[bytes]) -> Profiles:
    """The newest KeyPackages and addresses of these members, this node's own from its bundles.

    Each once, and as many as one message can hold: for the others one asks again.
    """
    found = []
    size = 0
    for identity in dict.fromkeys(identities):
        if identity == universe.me:
            packages = tuple(package.encode() for package in universe.bundles.newest())
            own = universe.own_address
            address = own.encode() if own is not None else b""
        elif (profile := universe.profiles.get(identity)) is not None:
            packages, address = profile.wire()
        else:
            continue
        size += sum(map(len, packages)) + len(address)
        if size > MAX_PROFILES_BYTES:
            break
        found.append((packages, address))
    return Profiles(universe.universe_id, tuple(found))
