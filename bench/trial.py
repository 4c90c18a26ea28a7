"""One stretch of offered load on some system, what came of it, and the search for the highest rate that holds."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import Any, Protocol

LADDER = (25, 50, 75, 100, 150, 200, 250, 300, 350, 400, 500, 600, 700, 800, 1000, 1250, 1500, 2000, 2500)
"""Rates tried, in messages a second of all senders together."""

SIZE = 200
"""Bytes of a message's body."""

LAST_DELIVERY = 2.0
"""Seconds after the last send by which the last delivery must have come."""

PROBE_DELIVERY = 0.8
"""The same for the short trials of a search, in which a growing backlog has less time to show."""

GROWTH = 0.3
"""Seconds of traffic by which the backlog may differ between the first and the last third."""


@dataclass
class Trial:
    """What happened. `backlog` are deliveries still missing of what was due, every quarter of a second."""

    rate: float
    seconds: float
    sent: int
    expected: int
    delivered: int
    last_delivery_s: float
    latencies_ms: list[float] = field(repr=False)
    backlog: list[int] = field(repr=False)
    cpu_s: float = 0.0
    """CPU seconds of all nodes' processes together."""

    others_cpu: float = 0.0
    """Cores that everything else on the machine had meanwhile: what this trial did not have."""

    def is_sustained(self, last_delivery: float = LAST_DELIVERY) -> bool:
        """Everything arrived, the last in time, and the backlog did not grow."""
        third = len(self.backlog) // 3
        growth = 0.0
        if third:
            growth = statistics.fmean(self.backlog[-third:]) - statistics.fmean(self.backlog[:third])
        allowed = GROWTH * self.expected / self.seconds
        return self.delivered >= self.expected and self.last_delivery_s <= last_delivery and growth <= allowed

    def percentile(self, share: float) -> float:
        """Of the latencies, in milliseconds."""
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")

    def summary(self) -> dict[str, Any]:
        return {
            "rate": self.rate,
            "seconds": self.seconds,
            "sent": self.sent,
            "expected": self.expected,
            "delivered": self.delivered,
            "last_delivery_s": round(self.last_delivery_s, 3),
            "p50_ms": round(self.percentile(0.5), 2),
            "p99_ms": round(self.percentile(0.99), 2),
            "backlog_max": max(self.backlog, default=0),
            "cpu_ms_per_message": round(1000 * self.cpu_s / self.sent, 3) if self.sent else None,
            "others_cpu_percent": round(100 * self.others_cpu),
            "sustained": self.is_sustained(),
        }


class System(Protocol):
    """Something that carries messages between nodes and can be loaded."""

    name: str
    pids: list[int]

    async def trial(self, rate: float, seconds: float) -> Trial:
        """Send `rate` messages a second in total, evenly from all nodes."""


async def search(system: System, probe_seconds: float, start: int, log: list[dict[str, Any]]) -> int:
    """The highest rate of the ladder that holds in short trials; 0 where none does."""

    async def holds(at: int) -> bool:
        trial = await system.trial(LADDER[at], probe_seconds)
        held = trial.is_sustained(PROBE_DELIVERY)
        log.append(trial.summary() | {"system": system.name, "kind": "probe", "sustained": held})
        return held

    at = LADDER.index(start)
    if await holds(at):
        while at + 1 < len(LADDER):
            step = min(2, len(LADDER) - 1 - at)
            if not await holds(at + step):
                if step == 2 and await holds(at + 1):
                    at += 1
                break
            at += step
        return LADDER[at]
    while at > 0:
        at = max(0, at - 2)
        if await holds(at):
            return LADDER[at + 1] if await holds(at + 1) else LADDER[at]
    return 0


async def confirm(system: System, rate: int, seconds: float, log: list[dict[str, Any]]) -> Trial | None:
    """The highest rate from `rate` downwards that holds for the whole time; None where none does."""
    for step in reversed([step for step in LADDER if step <= rate]):
        trial = await system.trial(step, seconds)
        log.append(trial.summary() | {"system": system.name, "kind": "sustain"})
        if trial.is_sustained():
            return trial
    return None
