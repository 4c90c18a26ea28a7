"""The daemon, measured: `python -m bench.daemon` loads all modules, notes the time, and is then `starling`.

`BENCH_LOADED` names a file for the time (of `time.monotonic`) at which the modules were loaded. `BENCH_PROFILE`
names one for samples of where the daemon spends its time, between SIGUSR1 and SIGUSR2.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from pathlib import Path

_COUNTED = ("libp2p", "starling.daemon.cli.node", "starling.p2p.network", "starling.protocol.engine.engine")
"""What a daemon loads when it starts: loaded before the time is noted, so that it counts as loading."""


def main() -> int:
    for module in _COUNTED:
        importlib.import_module(module)
    from starling.daemon.cli.main import main as starling_main

    if loaded := os.environ.get("BENCH_LOADED"):
        Path(loaded).write_text(str(time.monotonic()))
    if profile := os.environ.get("BENCH_PROFILE"):
        from bench.sampler import sample_on_signals

        sample_on_signals(Path(profile))
    return starling_main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
