"""A new gossip topic after a removal: who was removed knows the one before."""

from __future__ import annotations

import itertools

from starling.protocol.distributed import policy
from starling.protocol.distributed.roster_rights import Right
from starling.protocol.engine.context import Context
from starling.protocol.engine.membership import add_entries
from starling.protocol.engine.universe import Universe
from starling.protocol.errors import UsageError


def watch(ctx: Context, universe: Universe) -> None:
    """Who was removed knows the newest topic: there has to be another one. Who removes makes it at once; after a leave,
    or where that got lost, the most senior member that is there does, and the others wait whether it does."""
    timers, roster = universe.timers, universe.roster
    if not roster.topic_is_stale or not roster.may(universe.me, Right.TOPIC):
        timers.topic = None
    elif timers.topic is None:
        there = {info.identity for info in universe.others() if info.peer_id in universe.links}
        before = itertools.takewhile(lambda identity: identity != universe.me, roster.seniority)
        timers.topic = ctx.now + policy.TOPIC_TURN * (1 + sum(identity in there for identity in before))


def renew(ctx: Context, universe: Universe) -> None:
    """Make a topic that nobody knows who was removed, where none has made one yet. Who has made as many entries as it
    may leaves that to the others."""
    universe.timers.topic = None
    if not universe.roster.topic_is_stale or not universe.roster.may(universe.me, Right.TOPIC):
        return
    try:
        entry = universe.roster.make_topic(universe.identity, ctx.random)
    except UsageError:
        universe.refuse("topic")
        return
    add_entries(ctx, universe, [entry])
