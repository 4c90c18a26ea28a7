"""How soon a node with many stored messages is ready again, after a clean end and after a kill."""

from __future__ import annotations

import statistics
import sys
import time
from typing import Any

import trio
from node_process import Node, NodeError

from bench.cluster import UNIVERSE, Starling, found_and_join, nodes
from bench.options import Options

LAUNCHER = (sys.executable, "-m", "bench.daemon")
CHUNK_SECONDS = 10.0
RATE = 300


def run(options: Options) -> dict[str, Any]:
    """Two nodes exchange the messages; then one is started again, and again."""
    found: dict[str, list[dict[str, float]]] = {"clean": [], "killed": []}
    with nodes(2, launcher=LAUNCHER) as made:
        found_and_join(made)
        stored = trio.run(_fill, Starling(made), options)
        node = made[1]
        for _ in range(options.restarts):
            for kind, end in (("clean", node.stop), ("killed", node.kill)):
                end()
                found[kind].append(_start(node))
        (shown,) = node.starling("universe", "show", UNIVERSE)
    return {
        "stored_messages": stored,
        "frames_kept": shown.get("frames"),
        "starts": found,
        **{
            f"{kind}_ready_s": round(statistics.median(start["ready_s"] for start in starts), 3)
            for kind, starts in found.items()
        },
    }


async def _fill(system: Starling, options: Options) -> int:
    sent = 0
    async with trio.open_nursery() as nursery:
        await system.open(nursery)
        while sent < options.stored_messages:
            seconds = min(CHUNK_SECONDS, (options.stored_messages - sent) / RATE)
            trial = await system.trial(RATE, seconds)
            if trial.delivered < trial.expected:
                raise NodeError("not all messages arrived", system.nodes[0])
            sent += trial.sent
            options.say(f"  {sent} messages stored")
        nursery.cancel_scope.cancel()
    return sent


def _start(node: Node) -> dict[str, float]:
    loaded = node.home.with_suffix(".loaded")
    node.environment["BENCH_LOADED"] = str(loaded)
    began = time.monotonic()
    node.launch()
    ready_at = node.wait_ready()
    loaded_at = float(loaded.read_text())
    return {"loading_s": round(loaded_at - began, 3), "ready_s": round(ready_at - loaded_at, 3)}


def rows(result: dict[str, Any]) -> list[tuple[str, str, str]]:
    figure = f"{result['clean_ready_s']:.2f} s, after a kill {result['killed_ready_s']:.2f} s"
    return [(f"ready after a restart with {result['stored_messages']} messages", figure, "< 2 s")]
