"""The commands that are the node themselves, `init` and `daemon`: imported only when one is called."""

from __future__ import annotations

import gc
import getpass
import os
import sys
import threading
from argparse import Namespace
from importlib import import_module
from pathlib import Path
from typing import Any

import trio

from starling.daemon import app
from starling.daemon.cli import output
from starling.daemon.cli.client import EXIT_OK
from starling.daemon.config import read_config
from starling.daemon.errors import ConfigError
from starling.daemon.paths import Paths
from starling.p2p.interface import peer_id_text

_PATIENCE_SECONDS = 2.0
"""How long loading may take before it is said what is waited for."""


def init(paths: Paths, args: Namespace) -> int:
    identity = app.init(paths, args.name if args.name is not None else getpass.getuser())
    made = {
        "name": identity.name,
        "identity": identity.identity_public_key.hex(),
        "peer_id": peer_id_text(identity.peer_id),
        "data": str(paths.data),
    }
    if args.json:
        output.as_json(made)
    else:
        output.line(f"{identity.name} is ready in {paths.data}; next: starling daemon")
    return EXIT_OK


def daemon(paths: Paths, args: Namespace) -> int:
    if args.config is not None and not os.path.exists(args.config):
        raise ConfigError(f"there is no configuration file {args.config}; check the path given with --config")
    config = read_config(paths.config if args.config is None else Path(args.config))
    app.configure_logging(config.log_level)

    def ready(said: dict[str, Any]) -> None:
        # What is loaded by now stays: the collector need not look at half a million objects again and again.
        gc.collect()
        gc.freeze()
        if args.json:
            output.as_json(said)
        else:
            sys.stdout.write(
                f"ready socket={said['socket']} addresses={','.join(said['addresses']) or '-'}\n"
            )
            sys.stdout.flush()

    async def main() -> None:
        if not args.stdio:
            return await app.run(paths, config, ready=ready, load=_load)
        async with _standard_streams() as stdio:
            await app.run(paths, config, ready=ready, load=_load, stdio=stdio)

    trio.run(main)
    return EXIT_OK


def _load() -> None:
    """Import the libraries of the network and the engine: a second of work, more on a busy machine."""
    said = "starling: loading the network layer, which can take some seconds on a busy machine\n"
    patience = threading.Timer(_PATIENCE_SECONDS, sys.stderr.write, (said,))
    patience.daemon = True
    patience.start()
    # Nothing of what is loaded goes again, so looking for it would cost a tenth of the time.
    gc.disable()
    try:
        import_module("starling.p2p.network")
        import_module("starling.protocol.engine.engine")
    finally:
        gc.enable()
        patience.cancel()


def _standard_streams() -> trio.abc.Stream:
    """Standard input and output for a client alone: what else is printed, the ready line too, goes to the log."""
    streams: trio.abc.Stream = trio.StapledStream(
        trio.lowlevel.FdStream(os.dup(1)), trio.lowlevel.FdStream(os.dup(0))
    )
    os.dup2(2, 1)
    return streams
