"""`make bench`, or `python -m bench`: measure, print a table, and keep everything in a JSON file."""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from node_process import NodeError

from bench import (
    charts,
    decentralized,
    idle,
    joining,
    profile,
    restart,
    semi_private,
    targeted,
    traffic,
    wire,
)
from bench.gossip import GossipError
from bench.mls import compare as mls
from bench.options import QUICK, Options
from bench.simulated import membership, sizes, thousand

RESULTS = Path(__file__).parent / "results"
BENCHMARKS: dict[str, ModuleType] = {
    "idle": idle,
    "join": joining,
    "restart": restart,
    "wire": wire,
    "traffic": traffic,
    "mls": mls,
    "decentralized": decentralized,
    "semi-private": semi_private,
    "targeted": targeted,
    "universe": sizes,
    "membership": membership,
    "thousand": thousand,
}
LONG = ("thousand",)
"""Only where they are asked for."""

LARGE_UNIVERSES = (5, 20, 50, 100)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter, fewer repeats, 3 processes alone")
    parser.add_argument("--only", action="append", choices=BENCHMARKS, help="only this one (repeatable)")
    parser.add_argument(
        "--profile", action="store_true", help="only: where the daemon's time goes per message"
    )
    parser.add_argument("--repeats", type=int, help="how often each is measured")
    parser.add_argument("--rate", type=int, help="messages a second for --profile")
    parser.add_argument("--sizes", type=int, nargs="+", metavar="N", help="numbers of processes for traffic")
    parser.add_argument("--members", type=int, nargs="+", metavar="N", help="sizes of simulated universes")
    parser.add_argument(
        "--large",
        action="store_true",
        help="only: simulated universes of up to 100 members, and of 1,000 (about an hour, 4 GB)",
    )
    parser.add_argument(
        "--draw", nargs="+", metavar="FILE", help="only: the pictures in docs/ from results that were kept"
    )
    args = parser.parse_args()
    if args.draw:
        return charts.main(args.draw)
    options = QUICK if args.quick else Options()
    if args.sizes:
        options = replace(options, sizes=tuple(args.sizes))
    if args.large:
        options = replace(options, universe_sizes=LARGE_UNIVERSES)
    if args.members:
        options = replace(options, universe_sizes=tuple(args.members))
    if args.repeats:
        options = replace(options, repeats=args.repeats)
    if args.rate:
        options = replace(options, profile_rate=args.rate)
    chosen = {"profile": profile} if args.profile else _chosen(args)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)

    began = time.time()
    results: dict[str, Any] = {}
    failed = False
    try:
        for name, module in chosen.items():
            options.say(f"measuring: {name}")
            try:
                results[name] = module.run(options)
            except (NodeError, GossipError) as error:
                failed = True
                results[name] = {"error": str(error)}
                options.say(f"{name} failed: {error}")
                for line in error.log_tail if isinstance(error, NodeError) else ():
                    options.say(f"    {line}")
    except KeyboardInterrupt:
        failed = True
        options.say("interrupted")
    _print_table(chosen, results)
    print(f"\nkept in {_keep(results, began, args)}")
    return 1 if failed else 0


def _chosen(args: argparse.Namespace) -> dict[str, ModuleType]:
    names = args.only or (["universe", *LONG] if args.large else [n for n in BENCHMARKS if n not in LONG])
    return {name: module for name, module in BENCHMARKS.items() if name in names}


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _print_table(chosen: dict[str, ModuleType], results: dict[str, Any]) -> None:
    lines: list[tuple[str, str, str]] = [("what", "figure", "goal")]
    for name, result in results.items():
        lines += (
            [(name, f"failed: {result['error']}", "")] if "error" in result else chosen[name].rows(result)
        )
    widths = [max(len(line[column]) for line in lines) for column in range(2)]
    for what, figure, goal in lines:
        print(f"{what:<{widths[0]}}  {figure:<{widths[1]}}  {goal}".rstrip())


def _keep(results: dict[str, Any], began: float, args: argparse.Namespace) -> Path:
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{time.strftime('%Y%m%d-%H%M%S', time.localtime(began))}-{os.getpid()}.json"
    about = {
        "starling": version("starling"),
        "libp2p": version("libp2p"),
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "load_average": os.getloadavg(),
        "began": int(began),
        "seconds": round(time.time() - began, 1),
        "arguments": sys.argv[1:],
    }
    file.write_text(json.dumps({"about": about, "results": results}, indent=1) + "\n")
    return file


if __name__ == "__main__":
    sys.exit(main())
