"""One joins a universe, and one is removed: how soon every owner has followed. `python -m bench --only membership`."""

from __future__ import annotations

import random
import time
from functools import partial
from typing import Any

from bench.options import Options
from bench.simulated.member import Member
from bench.simulated.universe import SimulatedUniverse
from starling.protocol.distributed import policy
from starling.protocol.distributed.identity import Identity
from starling.protocol.engine.inputs import CreateInvite, JoinUniverse, RemoveMember

_ADDRESS = "/ip4/10.255.0.1/tcp/4001"


def run(options: Options) -> dict[str, Any]:
    return {str(size): _measure(size, options) for size in options.membership_sizes}


def _measure(size: int, options: Options) -> dict[str, Any]:
    began = time.process_time()
    options.say(f"membership: N = {size}")
    universe = SimulatedUniverse(size - 1, 0)
    found = {"joined": join(universe, 0), "removed": remove(universe)}
    return {**found, "processor_s": round(time.process_time() - began)}


def join(universe: SimulatedUniverse, seed: object) -> dict[str, Any]:
    """Somebody joins by a ticket of the founder: virtual seconds from its command until it may speak, and until it is
    in the groups of all and all in its; and the bytes that it sent and received until then."""
    founder, network = universe.members[0], universe.network
    ticket = founder.handle(CreateInvite(founder.universe_id))["ticket"]
    identity = Identity.generate("newcomer", random.Random(f"{seed} newcomer").randbytes)
    newcomer = Member(founder.universe_id, identity, _ADDRESS, (), network, seed)
    network.add(newcomer)
    newcomer.start()
    newcomer.handle(JoinUniverse(ticket))
    network.meet(newcomer, founder)
    joined = universe.wait_for(lambda: newcomer.universe.joining is None)
    until_joined = network.moved[newcomer.peer_id]
    universe.members.append(newcomer)
    network.connect()
    admitted = joined + universe.wait_for(universe.entered)
    found = {
        "joined_s": joined / 1000,
        "admitted_by_all_s": admitted / 1000,
        "bytes_until_joined": until_joined,
        "bytes_until_admitted": network.moved[newcomer.peer_id],
    }
    universe.run(policy.FIRST_PATH_COMMIT)
    return found


def remove(universe: SimulatedUniverse) -> dict[str, Any]:
    """The founder removes the newest: virtual seconds until no owner seals anything to it any more, and until it
    knows."""
    founder, gone = universe.members[0], universe.members.pop()
    founder.handle(RemoveMember(founder.universe_id, gone.identity.identity_public_key))
    removed = universe.wait_for(partial(_all_have_removed, universe, gone))
    told = removed + universe.wait_for(lambda: gone.universe.removed)
    return {"removed_by_all_s": removed / 1000, "told_s": told / 1000}


def _all_have_removed(universe: SimulatedUniverse, gone: Member) -> bool:
    identity = gone.identity.identity_public_key
    return all(identity not in member.universe.own.graph.head_info.members for member in universe.members)


def rows(result: dict[str, Any]) -> list[tuple[str, str, str]]:
    lines = []
    for size, found in result.items():
        joined, removed = found["joined"], found["removed"]
        moved = f"{joined['bytes_until_joined'] / 1000:.0f} kB, then {joined['bytes_until_admitted'] / 1000:.0f} kB"
        lines += [
            (f"from join to speaking, N = {size}", f"{joined['joined_s']:.1f} s", ""),
            (f"from join to admitted by all, N = {size}", f"{joined['admitted_by_all_s']:.1f} s", ""),
            (f"bytes that the joiner moves until then, N = {size}", moved, ""),
            (f"from remove to removed by all, N = {size}", f"{removed['removed_by_all_s']:.1f} s", ""),
        ]
    return lines
