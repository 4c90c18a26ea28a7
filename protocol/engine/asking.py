"""Asking connected members for what they hold more of: whom, when, and how often (PROTOCOL section 7)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

from starling.protocol.decentralized.settling import HEAD_WAIT
from starling.protocol.distributed import policy
from starling.protocol.engine.context import Context
from starling.protocol.engine.group_state import GroupState
from starling.protocol.engine.links import Behind, Lack
from starling.protocol.engine.universe import Universe
from starling.protocol.exchange.member_messages import MAX_WANTED_EPOCHS, Want, WantedGroup
from starling.protocol.exchange.waiting import Need

MAX_BEHIND = 1024
MAX_OTHERS_BEHIND = 16
MAX_EPOCHS_WANTED = 1024
"""Of all groups in one `Want`, which may have 256 KiB."""

MAX_RETRY = 30_000


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
        if state is None or head not in state.graph or not is_unknown(state, held.head):
            held.head, held.count = head, count
        return
    if held is not None and held.peer_id in universe.links and held.attempts < 1:
        if state is not None and is_unknown(state, head) and len(held.others) < MAX_OTHERS_BEHIND:
            held.others[peer_id] = (head, count)
        return
    if held is None and len(universe.behind) >= MAX_BEHIND:
        return
    if peer_id in universe.links:
        others = held.others if held is not None else {}
        universe.behind[group_id] = Behind(peer_id, head, count, ctx.now + grace, others=others)


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


def _ask_another(ctx: Context, universe: Universe, group_id: bytes) -> None:
    """One peer is done with: the next of those that named what is not known here takes its place."""
    behind = universe.behind.pop(group_id)
    state = universe.groups.get(group_id)
    while behind.others and state is not None:
        peer_id, (head, count) = behind.others.popitem()
        if peer_id in universe.links and is_unknown(state, head):
            universe.behind[group_id] = Behind(peer_id, head, count, ctx.now, others=behind.others)
            return


def lacks_a_head(universe: Universe, state: GroupState) -> bool:
    """Whether a connected peer has named a head of a group that is not known here, or a frame waits that may be on the
    way to one."""
    behind = universe.behind.get(state.group_id)
    if behind is None:
        return universe.waiting.has_group(state.group_id)
    return any(
        is_unknown(state, head) for head in (behind.head, *(head for head, _ in behind.others.values()))
    )


def is_unknown(state: GroupState, head: bytes) -> bool:
    """Whether a head that a peer names is news: one that was closed and is not asked for any more is none."""
    return head not in state.graph and (head not in state.graph.closed or head in state.awaited)


def has_reached(state: GroupState, head: bytes, count: int) -> bool:
    """An epoch that this node is past may have more messages than any commit counts, as long as they can be read."""
    info = state.graph.get(head)
    if info is None or info.contiguous >= count:
        return info is not None
    return info.is_past and (info.given_up or state.state(head) is None)


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
            note_asked_in_vain(ctx, universe, group_id, behind)
            _ask_another(ctx, universe, group_id)
            continue
        wanted.setdefault(behind.peer_id, []).append(want)
    for peer_id, groups in wanted.items():
        for part in in_messages(groups):
            ctx.send(peer_id, Want(universe.universe_id, part))


def note_asked_in_vain(ctx: Context, universe: Universe, group_id: bytes, behind: Behind) -> None:
    """A peer that names a closed head does not bring what leads to it, or one that holds more of an epoch which is over
    than any commit counts does not bring that."""
    state = universe.groups.get(group_id)
    member = universe.member_of_peer(behind.peer_id)
    if state is None or member is None:
        return
    if behind.head in state.awaited:
        state.asked_in_vain.setdefault(behind.head, set()).add(member.identity)
        universe.sweep_soon(group_id, max(ctx.now, state.awaited[behind.head] + policy.GONE_WAIT))
    elif is_over(state, behind.head):
        state.asked_in_vain.setdefault(behind.head, set()).add(member.identity)
        info = state.graph[behind.head]
        since = info.superseded_at if not info.children else None
        universe.sweep_soon(group_id, max(ctx.now, since + HEAD_WAIT) if since is not None else ctx.now)


def is_over(state: GroupState, dmls_epoch: bytes) -> bool:
    """Whether this node has all that any commit counts of an epoch, or its owner has closed it as a head, and this node
    can still read more of it."""
    info = state.graph.get(dmls_epoch)
    if info is None or state.state(dmls_epoch) is None:
        return False
    return info.is_past or (not info.children and dmls_epoch in state.graph.closed)


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
    if head in graph and not has_reached(state, head, count):
        listed.setdefault(head, graph[head])
    if is_unknown(state, head):
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


def leads_nowhere(universe: Universe, group_id: bytes, behind: Behind) -> bool:
    """Whether a head that a peer names is as far away as when the peer was asked last, and no import of another group
    is what it waits for: none of the epochs in which this node could enter another child leads there."""
    state = universe.groups.get(group_id)
    return (
        state is not None
        and is_unknown(state, behind.head)
        and universe.waiting.blocked(group_id) is None
        and sum(1 for _ in state.retained()) <= MAX_WANTED_EPOCHS
        and _want(universe, group_id, behind.head, behind.count) == behind.asked
    )


def _is_satisfied(universe: Universe, group_id: bytes, behind: Behind) -> bool:
    state = universe.groups.get(group_id)
    if state is None:
        return universe.owner_of(group_id) is None
    if behind.head in state.graph.closed and behind.head not in state.graph:
        return behind.head not in state.awaited
    return has_reached(state, behind.head, behind.count) and state.graph.is_whole


def take_answer(ctx: Context, universe: Universe, peer_id: bytes) -> None:
    """After the frames of an answer were handled: go on asking the same peer at once, and report soon what they led to.

    What gossip did not bring comes in amounts: after a heal, or an absence. Where the answer led nowhere, it is asked
    for once more, with what it waits for, and then ever more rarely: frames that wait for one another, which anybody
    can make up, would else be asked for and sent as fast as the network carries them.
    """
    universe.timers.report_soon(ctx.now)
    for group_id, behind in universe.behind.items():
        if behind.peer_id == peer_id and (
            behind.attempts == 0 or _want(universe, group_id, behind.head, behind.count) != behind.asked
        ):
            behind.due = ctx.now
