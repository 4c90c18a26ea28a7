"""A search to be run by hand: random histories in which data directories are copied, put back and cloned too.

    python -m tests.sim --histories 100 --seed 1 --size 3 --level 0

Prints each history that ends badly, as it can be put among the regressions; exits with 1 where there was one.
"""

from __future__ import annotations

import argparse
import random
import sys

from tests.sim.faults import LEVELS
from tests.sim.history import KINDS_OF_COPIES, KINDS_OF_MEMBERS, PAUSES, Action, History, play
from tests.sim.violation import Violation

from starling.protocol.engine.engine import Engine


def history(seed: int, size: int, level: int, kinds: tuple[str, ...] = KINDS_OF_COPIES) -> History:
    rng = random.Random(seed)
    actions = [
        Action(rng.choice(kinds), rng.randrange(7), rng.randrange(128), rng.choice(PAUSES))
        for _ in range(rng.randint(15, 25))
    ]
    return History(seed, size, level, tuple(actions))


def main() -> int:
    parser = argparse.ArgumentParser(description="Search for histories of copies that end badly.")
    parser.add_argument("--histories", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--size", type=int, default=3, help="members at the start")
    parser.add_argument(
        "--level", type=int, default=0, choices=range(len(LEVELS)), help="how bad the network is"
    )
    parser.add_argument(
        "--members", action="store_true", help="who is a member, and with what rights, changes too"
    )
    args = parser.parse_args()
    kinds = KINDS_OF_MEMBERS if args.members else KINDS_OF_COPIES
    failed = 0
    for seed in range(args.seed, args.seed + args.histories):
        drawn = history(seed, args.size, args.level, kinds)
        try:
            play(drawn, Engine)
        except Violation as violation:
            failed += 1
            print(f"{violation}\n    in {drawn!r}", flush=True)
    print(f"{args.histories} histories, {failed} ended badly")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
