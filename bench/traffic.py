"""Messages through the sockets: the delay at a quiet rate, and the highest rate that holds, beside raw pubsub."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import trio

from bench.cluster import Starling, found_and_join, nodes
from bench.gossip import gossip
from bench.gossip_node import SETTINGS
from bench.options import Options
from bench.trial import System, Trial, confirm, search

QUIET_RATE = 20
START = {3: 200, 5: 75}
"""Where the search begins, by number of processes."""


def run(options: Options) -> dict[str, Any]:
    """For 3 processes and for 5; every system in turn, several times, within one run."""
    return {
        "raw_settings": SETTINGS,
        **{str(count): trio.run(_measure, count, options) for count in options.sizes},
    }


async def _measure(count: int, options: Options) -> dict[str, Any]:
    log: list[dict[str, Any]] = []
    with ExitStack() as stack:
        options.say(f"{count} processes of each system")
        made = stack.enter_context(nodes(count))
        found_and_join(made)
        starling = Starling(made)
        systems: list[System] = [starling]
        systems += [stack.enter_context(gossip(kind, count)) for kind in ("raw", "bundled")]
        async with trio.open_nursery() as nursery:
            await starling.open(nursery)
            quiet = await _quiet(systems, options, log)
            sustained = await _sustained(systems, count, options, log)
            nursery.cancel_scope.cancel()
    rates = {name: max((t.rate for t in trials), default=0) for name, trials in sustained.items()}
    return {
        "quiet": {name: _merged(trials) for name, trials in quiet.items()},
        "sustained": {name: [trial.summary() for trial in trials] for name, trials in sustained.items()},
        "sustained_rate": rates,
        "ratio_to_raw": _ratio(rates, "raw"),
        "ratio_to_bundled": _ratio(rates, "bundled"),
        "trials": log,
    }


async def _quiet(
    systems: list[System], options: Options, log: list[dict[str, Any]]
) -> dict[str, list[Trial]]:
    found: dict[str, list[Trial]] = {system.name: [] for system in systems}
    for _ in range(options.repeats):
        for system in systems:
            trial = await system.trial(QUIET_RATE, options.quiet_seconds)
            log.append(trial.summary() | {"system": system.name, "kind": "quiet"})
            options.say(f"  {system.name}: {QUIET_RATE}/s p50 {trial.percentile(0.5):.1f} ms")
            found[system.name].append(trial)
    return found


async def _sustained(
    systems: list[System], count: int, options: Options, log: list[dict[str, Any]]
) -> dict[str, list[Trial]]:
    found: dict[str, list[Trial]] = {system.name: [] for system in systems}
    start = START.get(count, 100)

    async def measure(system: System) -> None:
        turns = InTurn(system, turn)
        candidate = await search(turns, options.probe_seconds, start, log)
        options.say(f"  {system.name}: short trials hold {candidate}/s")
        for _ in range(options.repeats):
            trial = await confirm(turns, candidate, options.sustain_seconds, log)
            rate = 0 if trial is None else trial.rate
            options.say(f"  {system.name}: {rate}/s held for {options.sustain_seconds:.0f} s")
            if trial is not None:
                found[system.name].append(trial)

    # One trial at a time, and the systems take turns, since the lock is given in the order of asking: what
    # else the machine does falls on all of them alike.
    turn = trio.Lock()
    async with trio.open_nursery() as nursery:
        for system in systems:
            nursery.start_soon(measure, system)
    return found


class InTurn:
    """A `System` whose trials wait for their turn."""

    def __init__(self, system: System, turn: trio.Lock) -> None:
        self.name = system.name
        self.pids = system.pids
        self._system = system
        self._turn = turn

    async def trial(self, rate: float, seconds: float) -> Trial:
        async with self._turn:
            return await self._system.trial(rate, seconds)


def _merged(trials: list[Trial]) -> dict[str, Any]:
    """The trials of one system at one rate as one."""
    latencies = [latency for trial in trials for latency in trial.latencies_ms]
    whole = Trial(
        trials[0].rate,
        sum(trial.seconds for trial in trials),
        sum(trial.sent for trial in trials),
        sum(trial.expected for trial in trials),
        sum(trial.delivered for trial in trials),
        max(trial.last_delivery_s for trial in trials),
        latencies,
        [],
        sum(trial.cpu_s for trial in trials),
        sum(trial.others_cpu for trial in trials) / len(trials),
    )
    return whole.summary()


def _ratio(rates: dict[str, float], other: str) -> float | None:
    return round(rates["starling"] / rates[other], 3) if rates[other] else None


def rows(result: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Lines of the table: what, figure, goal."""
    lines = []
    for count in (key for key in result if key.isdigit()):
        found = result[count]
        for name, quiet in found["quiet"].items():
            goal = "p50 < 50 ms" if name == "starling" else ""
            figure = f"p50 {quiet['p50_ms']:.1f} ms, p99 {quiet['p99_ms']:.1f} ms"
            lines.append((f"{count} processes, {QUIET_RATE} msg/s, {name}", figure, goal))
        for name, rate in found["sustained_rate"].items():
            goal = ">= 300 and >= raw" if name == "starling" and count == "3" else ""
            cpu = next((t["cpu_ms_per_message"] for t in found["sustained"][name] if t["rate"] == rate), None)
            each = "" if cpu is None else f", {cpu:.2f} ms CPU a message on all nodes"
            lines.append((f"{count} processes, sustained, {name}", f"{rate:.0f} msg/s{each}", goal))
        others = [t["others_cpu_percent"] for t in found["trials"] if t["kind"] == "sustain"]
        if others:
            what = f"{count} processes, taken by others meanwhile"
            lines.append((what, f"{min(others)} to {max(others)} % of a core", ""))
        ratios = f"{found['ratio_to_raw']} of raw, {found['ratio_to_bundled']} of bundled"
        lines.append((f"{count} processes, ratio of sustained rates", ratios, ""))
    return lines
