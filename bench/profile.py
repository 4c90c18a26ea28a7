"""Where the daemons' CPU time goes for each message, by layer and by function."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import trio
from node_process import Node

from bench.cluster import Starling, found_and_join, nodes
from bench.options import Options

LAUNCHER = (sys.executable, "-m", "bench.daemon")
ROOT = str(Path(__file__).resolve().parent.parent) + os.sep
TOP = 25
STACKS = Path(__file__).parent / "results" / "profile.stacks"

LAYERS = (
    ("crypto: signatures, AEAD, HPKE, hashes", ("protocol/crypto/", "/cryptography/", "/pyhpke/")),
    ("wire codec and packing", ("protocol/wire/", "protocol/packed.py")),
    ("MLS", ("protocol/mls/",)),
    ("engine and exchange", ("protocol/",)),
    (
        "store (SQLite, sealing)",
        ("daemon/store", "daemon/sealing", "daemon/event_log", "daemon/history", "daemon/key_slots"),
    ),
    ("socket (JSON-RPC, events)", ("daemon/ipc/", "daemon/render", "daemon/event_hub")),
    ("loop", ("daemon/loop.py", "daemon/outbound.py")),
    ("libp2p: noise", ("/libp2p/security/",)),
    ("libp2p: yamux", ("/libp2p/stream_muxer/",)),
    ("libp2p: pubsub", ("/libp2p/pubsub/", "p2p/gossip.py", "p2p/bundle.py")),
    ("libp2p: the rest", ("/libp2p/",)),
    ("network layer (p2p)", ("p2p/",)),
)
"""The innermost frame that is of one of these layers decides; what has none is the scheduler (trio) itself."""


def run(options: Options) -> dict[str, Any]:
    """Three nodes under steady load, sampled."""
    with nodes(3, launcher=LAUNCHER) as made:
        # The folder of the nodes is known only now, so they are started again with a place for the samples.
        for node in made:
            node.stop()
            node.environment["BENCH_PROFILE"] = str(_samples(node))
            node.start()
        found_and_join(made)
        trial = trio.run(_load, Starling(made), made, options)
        stacks: Counter[tuple[str, ...]] = Counter()
        for node in made:
            for stack, count in json.loads(_samples(node).read_text()):
                stacks[tuple(stack)] += count
    _keep_stacks(stacks)
    total = sum(stacks.values()) or 1
    layers: Counter[str] = Counter()
    own: Counter[str] = Counter()
    inclusive: Counter[str] = Counter()
    for stack, count in stacks.items():
        layers[_layer(stack)] += count
        own[_short(stack[0])] += count
        for name in {_short(entry) for entry in stack if entry.startswith(ROOT) and ".venv" not in entry}:
            inclusive[name] += count
    cpu_us = 1e6 * trial["cpu_s"] / trial["sent"] if trial["sent"] else 0.0

    def shares(counts: Counter[str], top: int | None = None) -> dict[str, dict[str, float]]:
        return {
            name: {
                "percent": round(100 * count / total, 1),
                "us_per_message": round(cpu_us * count / total),
            }
            for name, count in counts.most_common(top)
        }

    return {
        "rate": options.profile_rate,
        "samples": total,
        "cpu_us_per_message_all_nodes": round(cpu_us),
        "p50_ms": trial["p50_ms"],
        "counters_per_message_all_nodes": trial["counters"],
        "layers": shares(layers),
        "functions_own": shares(own, TOP),
        "functions_inclusive": shares(inclusive, TOP),
    }


def _keep_stacks(stacks: Counter[tuple[str, ...]]) -> None:
    """Keep the stacks in the form that flame graph programs read: outermost first, a count at the end."""
    STACKS.parent.mkdir(exist_ok=True)
    with STACKS.open("w") as file:
        for stack, count in stacks.most_common():
            file.write(";".join(_short(entry) for entry in reversed(stack)) + f" {count}\n")


def _samples(node: Node) -> Path:
    return node.home.with_suffix(".samples")


async def _load(system: Starling, made: list[Node], options: Options) -> dict[str, Any]:
    async with trio.open_nursery() as nursery:
        await system.open(nursery)
        await system.trial(options.profile_rate, 3.0)
        before = await _counters(system)
        for node in made:
            os.kill(node.pid, signal.SIGUSR1)
        trial = await system.trial(options.profile_rate, options.profile_seconds)
        for node in made:
            os.kill(node.pid, signal.SIGUSR2)
        until = time.monotonic() + 10
        while not all(_samples(node).exists() for node in made) and time.monotonic() < until:
            await trio.sleep(0.1)
        after = await _counters(system)
        nursery.cancel_scope.cancel()
    per_message = {
        name: round(count / trial.sent, 3) for name, count in (after - before).most_common() if trial.sent
    }
    return trial.summary() | {"cpu_s": trial.cpu_s, "counters": per_message}


async def _counters(system: Starling) -> Counter[str]:
    """What all nodes count of themselves."""
    found: Counter[str] = Counter()
    for client in system.clients:
        status = await client.call("daemon.status")
        found.update(status["network"])
        found.update({name: value for name, value in status.items() if name in ("commits", "last_event")})
    return found


def _layer(stack: tuple[str, ...]) -> str:
    for entry in stack:
        # Ours are named by their place in the repository, others by a part of their path.
        own = entry.removeprefix(ROOT) if entry.startswith(ROOT) and ".venv" not in entry else None
        for layer, parts in LAYERS:
            for part in parts:
                if (own is not None and own.startswith(part)) or (
                    own is None and part[0] == "/" and part in entry
                ):
                    return layer
    return "trio and the rest"


def _short(entry: str) -> str:
    for part in ("site-packages/", ROOT, "/lib/"):
        if part in entry:
            return entry.split(part, 1)[1]
    return entry


def rows(result: dict[str, Any]) -> list[tuple[str, str, str]]:
    lines = [
        (
            f"CPU for a message on all 3 nodes at {result['rate']}/s",
            f"{result['cpu_us_per_message_all_nodes'] / 1000:.2f} ms",
            "",
        )
    ]
    for name, count in result["counters_per_message_all_nodes"].items():
        lines.append((f"  {name} for a message", f"{count:.2f}", ""))
    for name, share in result["layers"].items():
        lines.append((f"  {name}", f"{share['percent']:4.1f} %  {share['us_per_message']:6.0f} us", ""))
    lines.append(("own time of functions", "", ""))
    for name, share in list(result["functions_own"].items())[:12]:
        lines.append((f"  {name}", f"{share['percent']:4.1f} %  {share['us_per_message']:6.0f} us", ""))
    lines.append(("time of Starling's functions with what they call", "", ""))
    for name, share in list(result["functions_inclusive"].items())[:TOP]:
        lines.append((f"  {name}", f"{share['percent']:4.1f} %  {share['us_per_message']:6.0f} us", ""))
    return lines
