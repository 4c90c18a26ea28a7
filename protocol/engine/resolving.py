"""Closing the branches of the own group that this node does not know, after it was put back (PROTOCOL 5.6 B3 to B5).

Which heads they have only the others can tell, and anybody could claim anything: nothing is closed before a commit is
shown that this node signed and does not know.
"""

from __future__ import annotations

from collections.abc import Iterable

from starling.protocol.distributed.dmls_resolve import MAX_CLOSED_HEADS, ClosedHead
from starling.protocol.engine import own_group
from starling.protocol.engine.context import Context
from starling.protocol.engine.universe import Universe

MAX_RESOLVES = 4
"""How often heads are closed in one run: members can name what they like."""

MAX_NAMED = 8
"""How many heads one member may name in a run."""

UNREAD = 60 * 1000
"""How long members may take to follow the own branch, in milliseconds."""

GRACE = 1000
"""How long other members may name heads too before those that are known are closed, in milliseconds."""


def note_own_heads(ctx: Context, universe: Universe, member: bytes, heads: Iterable[bytes]) -> bool:
    """A member names heads of the own group; whether one is new that is not known here."""
    graph = universe.own.graph
    named = sum(member in names for names in universe.foreign_heads.values())
    new = False
    for head in heads:
        if head in graph or head in graph.closed or member in universe.foreign_heads.get(head, ()):
            continue
        if head and named < MAX_NAMED:
            named += 1
            new = new or head not in universe.foreign_heads
            universe.foreign_heads.setdefault(head, set()).add(member)
    if new:
        resolve_soon(ctx, universe)
    return new


def note_floor(universe: Universe, identity: bytes, heads: Iterable[bytes], floor: int) -> None:
    """A member tells of which epoch of the own group, by number, it could enter another child at the earliest. That is
    of interest as long as none of its heads is of the own branch, after the last common epoch."""
    graph, number = universe.own.graph, branched_at(universe)
    if any(head in graph and graph[head].number > number for head in heads):
        universe.floors.pop(identity, None)
    else:
        universe.floors[identity] = floor


def branched_at(universe: Universe) -> int:
    """The number of the last epoch of the own group that is on all branches, as far as it is known."""
    found = universe.branched_at
    return found if found is not None else universe.began_at


def cut_off(universe: Universe) -> list[bytes]:
    """The members that cannot follow the own branch any more: it began before their floor."""
    if not universe.rollbacks:
        return []
    number = branched_at(universe)
    return sorted(identity for identity, floor in universe.floors.items() if floor > number)


def is_unread(universe: Universe, now: int) -> bool:
    """Whether this node was put back, and for a minute every connected member has said to be on another branch of the
    own group: whatever they told before, they cannot follow."""
    if not universe.rollbacks or not universe.boot.done or not _follow_another(universe):
        universe.timers.unread = None
        return False
    universe.timers.unread = universe.timers.unread or now
    return now - universe.timers.unread >= UNREAD


def _follow_another(universe: Universe) -> bool:
    """Whether some members are connected, and all of them have said to be on another branch."""
    connected = [info.identity for info in universe.others() if info.peer_id in universe.links]
    return bool(connected) and all(identity in universe.floors for identity in connected)


def closing(universe: Universe) -> tuple[ClosedHead, ...]:
    """What the next commit is to close; nothing before there is proof."""
    if not universe.rollbacks or universe.resolves >= MAX_RESOLVES:
        return ()
    graph = universe.own.graph
    named = universe.foreign_heads
    heads = [head for head in named if head not in graph and head not in graph.closed]
    # One member can claim anything: first what most of them say.
    heads.sort(key=lambda head: (-len(named[head]), head))
    number = branched_at(universe)
    return tuple(ClosedHead(head, number) for head in heads[:MAX_CLOSED_HEADS])


def resolve_soon(ctx: Context, universe: Universe) -> None:
    """Where there is something to close it is closed in a moment; the boot commit does it where that is to come."""
    if closing(universe):
        due = ctx.now + GRACE
        universe.timers.resolve = min(universe.timers.resolve or due, due)


def resolve(ctx: Context, universe: Universe) -> None:
    """Close what is known by now, in a commit of its own."""
    universe.timers.resolve = None
    heads = closing(universe)
    if heads:
        universe.resolves += 1
        own_group.commit(ctx, universe, path=False, closes=heads)
        resolve_soon(ctx, universe)  # one commit closes no more than 8
