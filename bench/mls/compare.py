"""Milliseconds of each operation in each library, and the ratios of this one to mls-rs."""

from __future__ import annotations

import statistics
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from bench.mls import breakdown, universe
from bench.mls.peers import NAMES, PeerError, Worker, start
from bench.mls.scenario import Client, Population
from bench.options import Options
from starling.protocol.mls.key_package import KeyPackage
from starling.protocol.mls.message import MLSMessage

SHAPES = ("flat", "warm")
OPERATIONS = ("add", "update", "process", "join", "encrypt", "decrypt", "export")
YARDSTICK = "mls-rs"
GOALS = {
    "add": 1.2, "update": 1.2, "join": 1.2, "process": 1.0, "encrypt": 0.6, "decrypt": 0.6, "export": 1.0,
}  # fmt: skip
ROUNDS = {2: 4, 10: 4, 100: 2, 1000: 1}
"""How many groups of each size a library measures when it is its turn; the quickest counts."""

TIMES = {2: 8, 10: 8, 100: 3, 1000: 2}
"""How often each operation is done in such a group, by a member that has just joined; the quickest counts."""

TOO_SLOW = 5_000.0
"""A library whose operation took so many milliseconds is not asked for the next size."""

UNIVERSE = 100
"""How many members the universe has of which all send groups are joined."""

Figures = dict[str, list[float]]
"""By operation: one figure a repeat, in milliseconds."""


def goal(operation: str, shape: str, size: int) -> float:
    """The greatest ratio to mls-rs that is allowed."""
    return 0.2 if (operation, shape, size) == ("process", "flat", 1000) else GOALS[operation]


def run(options: Options) -> dict[str, Any]:
    workers: list[Worker] = []
    failed: dict[str, str] = {}
    for name in NAMES:
        try:
            workers.append(start(name))
        except PeerError as error:
            failed[name] = str(error)
    found: dict[str, dict[str, dict[str, Figures]]] = {}
    try:
        for size in options.group_sizes:
            for shape in SHAPES:
                options.say(f"mls: {shape}, N = {size}")
                figures = _measure(shape, size, options.mls_repeats, workers, failed)
                found.setdefault(shape, {})[str(size)] = figures
    finally:
        for worker in workers:
            worker.close()
    greatest = max(options.group_sizes)
    options.say(f"mls: where the time goes, N = {greatest}; all groups of a universe")
    return {
        "figures": found,
        "failed": failed,
        "breakdown": breakdown.measure(greatest),
        "universe": universe.measure(min(greatest, UNIVERSE)),
    }


def _measure(
    shape: str, size: int, repeats: int, workers: list[Worker], failed: dict[str, str]
) -> dict[str, Figures]:
    figures: dict[str, Figures] = {}
    for _ in range(repeats):
        best: defaultdict[str, dict[str, float]] = defaultdict(dict)
        populations = [Population(size) for _ in range(ROUNDS.get(size, 1))]
        for worker in workers:
            if worker.name in failed:
                continue
            try:
                measured = [_round(worker, population, shape, size) for population in populations]
            except PeerError as error:
                failed[worker.name] = f"{shape}, N = {size}: {error}"
                continue
            for operation, reason in (item for found in measured for item in found.failed.items()):
                failed.setdefault(f"{worker.name}, {operation}, {shape}", f"N = {size}: {reason}")
            for operation in set.intersection(*(set(found.milliseconds) for found in measured)):
                best[worker.name][operation] = min(found.milliseconds[operation] for found in measured)
        for name, quickest in best.items():
            for operation, milliseconds in quickest.items():
                figures.setdefault(name, {}).setdefault(operation, []).append(milliseconds)
            if max(quickest.values()) > TOO_SLOW:
                failed.setdefault(name, f"over {TOO_SLOW / 1000:.0f} s in {shape}, N = {size}")
    return figures


@dataclass
class Round:
    """By operation: milliseconds, or what a library said where it failed."""

    milliseconds: dict[str, float]
    failed: dict[str, str]


def _round(worker: Worker, population: Population, shape: str, size: int) -> Round:
    newcomer = MLSMessage.decode(bytes.fromhex(worker.ask("key_package")["key_package"])).body
    assert isinstance(newcomer, KeyPackage)
    warm = shape == "warm"
    scene = population.warm(newcomer) if warm else population.flat(newcomer)
    measured: dict[str, Any] = {}
    failed: dict[str, str] = {}
    if not warm:
        packages = [client.key_package() for client in population.clients]
        measured |= worker.ask(
            "found", times=TIMES.get(size, 1), key_packages=[package.hex() for package in packages]
        )
        failed |= measured.pop("failed", {})
    one_more = Client("one more").key_package().hex()
    measured |= worker.ask(
        "join", warm=warm, times=TIMES.get(size, 1), key_package=one_more, **scene.as_request()
    )
    failed |= measured.pop("failed", {})
    if measured.pop("export_after", None) != scene.export_after.hex() and measured.pop("process", None):
        failed["process"] = "came to another epoch than the committer"
    return Round(measured, failed)


def rows(result: dict[str, Any]) -> list[tuple[str, str, str]]:
    lines = []
    for shape, sizes in result["figures"].items():
        for size, figures in sizes.items():
            for operation in OPERATIONS:
                lines.append(_row(shape, int(size), operation, figures))
    lines.extend(breakdown.rows(result["breakdown"]))
    lines.extend(universe.rows(result["universe"]))
    lines.extend((f"mls, {name}", reason, "") for name, reason in result["failed"].items())
    return lines


def _row(shape: str, size: int, operation: str, figures: dict[str, Figures]) -> tuple[str, str, str]:
    texts = []
    for name in NAMES:
        measured = figures.get(name, {}).get(operation)
        texts.append(f"{name} {statistics.median(measured):9.3f}" if measured else f"{name}         -")
    ours, theirs = (figures.get(name, {}).get(operation) for name in ("starling", YARDSTICK))
    allowed = goal(operation, shape, size)
    verdict = f"at most {allowed} of {YARDSTICK}"
    if ours and theirs:
        ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
        verdict = f"{ratio:.2f} of {YARDSTICK}, at most {allowed}{'' if ratio <= allowed else ': missed'}"
    return f"mls {operation}, {shape}, N = {size}", " ".join(texts) + " ms", verdict
