"""What a user message costs under steady talk: protocol commits, and the bytes that reach a node.

Everybody says something every `INTERVAL`, at a time of its own. An update is due after max(100, 20 N) messages of a
member (`policy.update_message_limit`), so where N is large a universe talks for hours between two of one member.
The members therefore begin at evenly spread points of that cycle, and as many updates are due in the window as it is
shares of the cycle.
"""

from __future__ import annotations

import random
from typing import Any

from bench.simulated.traffic import KINDS
from bench.simulated.universe import SimulatedUniverse
from starling.protocol.distributed import policy

INTERVAL = 30 * policy.SECOND
SIZE = 200
"""Bytes of a user message."""

WARM_UP = 3
"""Messages of everybody that are not counted: what was left to import is imported with them."""


def measure(universe: SimulatedUniverse, messages: int, seed: object) -> dict[str, Any]:
    """Over about so many user messages of all members together."""
    size = len(universe.members)
    limit = policy.update_message_limit(size)
    rounds = max(1, messages // limit) * limit // size
    rng = random.Random(f"{seed} talk")
    _talk(universe, rng, WARM_UP)
    for index, member in enumerate(universe.members):
        member.universe.timers.messages_since_update = limit - (2 * index + 1) * limit // (2 * size)
    universe.count_anew()
    start = universe.queue.now
    _talk(universe, rng, rounds)
    counted = universe.count_anew()
    said = rounds * size
    return {
        "messages": said,
        "virtual_s": (universe.queue.now - start) / 1000,
        "made": dict(counted.made),
        "commits_per_message": counted.made["commits"] / said,
        "bytes_per_message": {kind: round(counted.size[kind] / size / said, 1) for kind in KINDS},
        "pieces_per_message": {kind: round(counted.pieces[kind] / size / said, 3) for kind in KINDS},
    }


def _talk(universe: SimulatedUniverse, rng: random.Random, times: int) -> None:
    for _ in range(times):
        for member in universe.each_once(INTERVAL, rng):
            universe.say(member, SIZE)
