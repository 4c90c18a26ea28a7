"""What a user message costs under steady talk: protocol commits, and the bytes that reach a node.

Everybody says something every `INTERVAL`, at a time of its own. An update is due after max(100, 20 N) messages of a
member (`policy.update_message_limit`): the *cycle*. With everybody at an evenly spread point of it, as many updates are
due in a time as it is shares of a cycle, each followed by an import of every other member.

Where the window holds a share or more, it is talk with just these updates. Where a share would take too long (over
`messages`), two things are measured one after the other: talk without an update, and the wave of commits that one
update makes; a message then bears its share of a wave.
"""

from __future__ import annotations

import random
from typing import Any

from bench.simulated.traffic import COMMIT, KINDS, Traffic
from bench.simulated.universe import SimulatedUniverse
from starling.protocol.distributed import policy

INTERVAL = 30 * policy.SECOND
SIZE = 200
"""Bytes of a user message."""

WARM_UP = 3
"""Messages of everybody that are not counted: what was left to import is imported with them."""

LEAST_ROUNDS = 4
"""Messages of everybody that are counted where the window is shorter than a share."""


def measure(universe: SimulatedUniverse, messages: int, seed: object) -> dict[str, Any]:
    """Over at most about so many user messages of all members together."""
    size = len(universe.members)
    limit = policy.update_message_limit(size)
    rng = random.Random(f"{seed} talk")
    _begin_cycle(universe, limit, none_due=messages < limit)
    _talk(universe, rng, WARM_UP)
    universe.count_anew()
    start = universe.queue.now
    if messages < limit:
        rounds = LEAST_ROUNDS
        _talk(universe, rng, rounds)
        wave_of, talked = limit, universe.count_anew()
        universe.renew(universe.members[0])
        _talk(universe, rng, 1)
        wave = universe.count_anew()
    else:
        rounds = messages // limit * limit // size
        _begin_cycle(universe, limit)
        _talk(universe, rng, rounds)
        talked = universe.count_anew()
        wave_of, wave = rounds * size, talked
    said = rounds * size
    return {
        "messages": said,
        "virtual_s": (universe.queue.now - start) / 1000,
        "commits": dict(wave.made),
        "of_messages": wave_of,
        **per_message(talked, wave, size, said, wave_of),
    }


def per_message(talked: Traffic, wave: Traffic, nodes: int, said: int, wave_of: int) -> dict[str, Any]:
    """What each of `said` messages brought to a node, and each of `wave_of` messages of the commits of a wave."""
    each = {kind: talked.size[kind] / nodes / said for kind in KINDS if kind != COMMIT}
    each[COMMIT] = wave.size[COMMIT] / nodes / wave_of
    return {
        "commits_per_message": wave.made["commits"] / wave_of,
        "bytes_per_message": {kind: round(each[kind], 1) for kind in KINDS},
    }


def _begin_cycle(universe: SimulatedUniverse, limit: int, *, none_due: bool = False) -> None:
    size = len(universe.members)
    for index, member in enumerate(universe.members):
        to_go = limit if none_due else (2 * index + 1) * limit // (2 * size)
        member.universe.timers.messages_since_update = limit - to_go


def _talk(universe: SimulatedUniverse, rng: random.Random, times: int) -> None:
    for _ in range(times):
        for member in universe.each_once(INTERVAL, rng):
            universe.say(member, SIZE)
