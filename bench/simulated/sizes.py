"""Universes of several sizes: each talks, then heals from a partition. `python -m bench --only universe`."""

from __future__ import annotations

import statistics
import time
from typing import Any

from bench.options import Options
from bench.simulated import healing, talking
from bench.simulated.traffic import KINDS
from bench.simulated.universe import SimulatedUniverse

LARGE, LARGE_HEALS = 20, 3
"""Universes of so many members or more heal at most so often, smaller ones as often as `options.heals` says."""

GOAL_SIZE, GOAL = 20, 0.1
"""At this size no more protocol commits are to be made for a user message."""


def run(options: Options) -> dict[str, Any]:
    return {str(size): _measure(size, options) for size in options.universe_sizes}


def _measure(size: int, options: Options) -> dict[str, Any]:
    began = time.process_time()
    options.say(f"universe: N = {size}")
    universe = SimulatedUniverse(size, 0)
    options.say("universe: everybody is in everybody's group")
    talked = talking.measure(universe, options.talked_messages, 0)
    options.say("universe: talked")
    healed = [healing.measure(universe, 0)]
    for seed in range(1, options.heals if size < LARGE else min(options.heals, LARGE_HEALS)):
        options.say(f"universe: healed {seed} times")
        universe = SimulatedUniverse(size, seed)
        healed.append(healing.measure(universe, seed))
    return {"talked": talked, "healed": healed, "processor_s": round(time.process_time() - began)}


def rows(result: dict[str, Any]) -> list[tuple[str, str, str]]:
    lines = []
    for size, found in result.items():
        for what, times in (("converged", 1), ("settled", 2)):
            seconds = [healed[f"{what}_s"] for healed in found["healed"]]
            goal = times * min(healed["goal_s"] for healed in found["healed"])
            verdict = f"at most {goal:.0f} s{'' if max(seconds) <= goal else ': missed'}"
            figure = f"{statistics.median(seconds):.1f} s, at worst {max(seconds):.1f} s"
            lines.append((f"from heal to {what}, N = {size}", figure, verdict))
        commits = found["talked"]["commits_per_message"]
        goal_text = ""
        if int(size) == GOAL_SIZE:
            goal_text = f"at most {GOAL}{'' if commits <= GOAL else ': missed'}"
        lines.append((f"commits per user message, N = {size}", f"{commits:.3f}", goal_text))
        each = found["talked"]["bytes_per_message"]
        split = ", ".join(f"{kind} {each[kind]:.0f}" for kind in KINDS if each[kind])
        lines.append((f"at each node per user message, N = {size}", f"{sum(each.values()):.0f} B", split))
    return lines
