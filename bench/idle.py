"""What a node costs that has nothing to do."""

from __future__ import annotations

import time
from typing import Any

from bench.cluster import found_and_join, nodes
from bench.options import Options
from bench.processes import cpu_seconds, memory_mb

SETTLE = 8.0


def run(options: Options) -> dict[str, Any]:
    """CPU and memory of three connected nodes without traffic."""
    with nodes(3) as made:
        found_and_join(made)
        time.sleep(SETTLE)
        pids = [node.pid for node in made]
        before, began = [cpu_seconds([pid]) for pid in pids], time.monotonic()
        time.sleep(options.idle_seconds)
        elapsed = time.monotonic() - began
        used = [cpu_seconds([pid]) - cpu for pid, cpu in zip(pids, before, strict=True)]
        memory = [memory_mb(pid) for pid in pids]
    return {
        "cpu_percent": [round(100 * seconds / elapsed, 2) for seconds in used],
        "memory_mb": memory,
        "mean_cpu_percent": round(100 * sum(used) / elapsed / len(used), 2),
        "mean_rss_mb": round(sum(m["rss"] for m in memory) / len(memory), 1),
    }


def rows(result: dict[str, Any]) -> list[tuple[str, str, str]]:
    figure = f"{result['mean_cpu_percent']:.2f} % of a core, {result['mean_rss_mb']:.0f} MB resident"
    return [("idle node among 3", figure, "")]
