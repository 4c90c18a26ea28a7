"""From the heal of a partition in which everybody wrote until all have converged, and until all have settled.

One *exchange round* is `policy.PULSE_INTERVAL`: in that time any two connected members compare their places once
(each begins to every four seconds, give or take a quarter) and hand over what the other lacks. News of
one side is heard at the far end of the other after at most as many rounds as links lie between, and in one more
everybody has heard everybody's report of it: hence the goal of (diameter + 1) rounds, and of twice that for settling.
"""

from __future__ import annotations

import random
from typing import Any

from bench.simulated.traffic import KINDS
from bench.simulated.universe import SimulatedUniverse
from starling.protocol.distributed import policy

WRITES = 3
"""Messages that everybody writes while parted, one in each of so many minutes."""

SIZE = 200
"""Bytes of each."""

RENEWING = 4
"""One member in so many renews its keys while parted: there are imports then, and epochs superseded on one side."""


def measure(universe: SimulatedUniverse, seed: object) -> dict[str, Any]:
    """Seconds from the heal, found to a tenth; and the bytes that reached a node in that time."""
    members = universe.members
    rng = random.Random(f"{seed} partition")
    shuffled = rng.sample(members, len(members))
    universe.network.part([shuffled[: len(members) // 2], shuffled[len(members) // 2 :]])
    for minute in range(WRITES):
        for member in universe.each_once(policy.MINUTE, rng):
            universe.say(member, SIZE)
            if minute == 1 and members.index(member) % RENEWING == 0:
                universe.renew(member)
    universe.count_anew()
    retained = universe.retained()
    universe.network.part([members])
    converged = universe.wait_for(universe.converged)
    rounds = universe.network.diameter() + 1
    settled = converged + universe.wait_for(universe.settled)
    counted = universe.count_anew()
    return {
        "diameter": rounds - 1,
        "converged_s": converged / 1000,
        "settled_s": settled / 1000,
        "goal_s": rounds * policy.PULSE_INTERVAL / 1000,
        "retained_per_node": round(retained / len(members), 1),
        "bytes_per_node": {kind: round(counted.size[kind] / len(members)) for kind in KINDS},
    }
