"""The daemon, measured: `python -m bench.daemon` loads all modules, notes the time, and is then `starling`.

`BENCH_LOADED` names a file for the time (of `time.monotonic`) at which the modules were loaded. `BENCH_PROFILE`
names one for samples of where the daemon spends its time, between SIGUSR1 and SIGUSR2.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path


def main() -> int:
    import libp2p  # noqa: F401  # loaded here so that it is not counted later

    import starling.daemon.cli.node
    import starling.p2p.network
    import starling.protocol.engine.engine  # noqa: F401  # as above
    from starling.daemon.cli.main import main as starling_main

    if loaded := os.environ.get("BENCH_LOADED"):
        Path(loaded).write_text(str(time.monotonic()))
    if profile := os.environ.get("BENCH_PROFILE"):
        from bench.sampler import sample_on_signals

        sample_on_signals(Path(profile))
    return starling_main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
