"""`python -m tests.fuzz`: fuzz everything that is decoded, groups and the engine, for a time, from a seed.

A line of progress goes to standard error. Findings are written to a folder; the exit code is 1 if there was one.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from pathlib import Path

from tests.fuzz.corpus import CORPUS, keep, replay
from tests.fuzz.session import Session
from tests.fuzz.targets import TARGETS

PROGRESS_EVERY = 10.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long (default: 60)")
    parser.add_argument("--seed", default="0", help="another seed gives other inputs (default: 0)")
    parser.add_argument("--only", action="append", choices=TARGETS, help="only this one (repeatable)")
    parser.add_argument("--keep", type=Path, default=CORPUS, help="the folder for findings")
    parser.add_argument("--replay", type=Path, help="feed one kept finding again instead")
    args = parser.parse_args()
    if args.replay is not None:
        replay(args.replay)
        return 0
    session = Session(args.seed, {name: TARGETS[name] for name in args.only or TARGETS})
    end = time.monotonic() + args.seconds
    shown = time.monotonic()
    known: set[str] = set()
    while time.monotonic() < end:
        target, case, finding = session.step()
        if finding is not None and finding.what not in known:
            known.add(finding.what)
            file = keep(args.keep, target, case, finding)
            traceback.print_exception(finding)
            print(f"finding in {target}: {finding.what}\n  kept in {file}", file=sys.stderr, flush=True)
        if time.monotonic() - shown >= PROGRESS_EVERY:
            shown = time.monotonic()
            print(session.progress(), file=sys.stderr, flush=True)
    print(session.progress())
    return 1 if session.findings else 0


if __name__ == "__main__":
    sys.exit(main())
