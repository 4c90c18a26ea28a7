"""The commands that are the node themselves, `init`, `restore` and `daemon`: imported only when one is called."""

from __future__ import annotations

import gc
import getpass
import os
import sys
import threading
import time
from argparse import Namespace
from contextlib import AsyncExitStack
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import trio

from starling.daemon import app, data_directory
from starling.daemon.cli import output, passphrases
from starling.daemon.cli.client import EXIT_OK
from starling.daemon.config import read_config
from starling.daemon.errors import ConfigError
from starling.daemon.paths import Paths
from starling.p2p.interface import peer_id_text
from starling.protocol.distributed.identity import Identity

_PATIENCE_SECONDS = 2.0
"""How long loading may take before it is said what is waited for."""


def init(paths: Paths, args: Namespace) -> int:
    passphrase = passphrases.new_of_node(args)
    identity = data_directory.init(
        paths, args.name if args.name is not None else getpass.getuser(), passphrase
    )
    made = _made(identity, paths, passphrase)
    locked = ", locked by the passphrase" if passphrase is not None else ""
    text = f"{identity.name} is ready in {paths.data}{locked}; next: starling daemon"
    return output.answer(args, made, text)


def _made(identity: Identity, paths: Paths, passphrase: str | None) -> dict[str, Any]:
    return {
        "name": identity.name,
        "identity": identity.identity_public_key.hex(),
        "peer_id": peer_id_text(identity.peer_id),
        "data": str(paths.data),
        "passphrase": passphrase is not None,
    }


def restore(paths: Paths, args: Namespace) -> int:
    """Make a data directory of a backup; each universe asks for a confirmation then, once the daemon runs."""
    opened_by = passphrases.of_backup(args)
    passphrase = passphrases.new_of_node(args)

    def progress(done: int, of: int) -> None:
        if sys.stderr is not None and sys.stderr.isatty():
            sys.stderr.write(f"\rstarling: {done} of {of} messages" + ("\n" if done == of else ""))

    contents = data_directory.restore(
        paths,
        Path(args.file),
        opened_by,
        now=time.time_ns() // 1_000_000,
        passphrase=passphrase,
        progress=progress,
    )
    made = _made(contents.identity, paths, passphrase) | {"messages": contents.messages}
    return output.answer(
        args,
        made,
        f"{contents.identity.name} is back in {paths.data}, with {contents.messages} messages; next: starling daemon. "
        "Where others admit, an admin confirms by 'starling readmit' the number that 'starling universe show' has.",
    )


def daemon(paths: Paths, args: Namespace) -> int:
    if args.config is not None and not os.path.exists(args.config):
        raise ConfigError(f"there is no configuration file {args.config}; check the path given with --config")
    config = read_config(paths.config if args.config is None else Path(args.config))
    if args.role is not None:
        config = replace(config, node_role=args.role)
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

    # Before trio opens descriptors of its own.
    descriptors = _take_standard_descriptors() if args.stdio else None

    async def main() -> None:
        async with AsyncExitStack() as stack:
            stdio = None
            if descriptors is not None:
                stdio = await stack.enter_async_context(_stream(*descriptors))
            await app.run(
                paths,
                config,
                ready=ready,
                load=_load,
                ask_passphrase=lambda: passphrases.of_node(args),
                stdio=stdio,
            )

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
        import_module("starling.protocol.archiver.engine")
    finally:
        gc.enable()
        patience.cancel()


def _take_standard_descriptors() -> tuple[int, int]:
    """Standard input and output for a client alone: what else is printed, the ready line too, goes to the log."""
    taken = os.dup(0), os.dup(1)
    os.dup2(2, 1)
    return taken


def _stream(reading: int, writing: int) -> trio.abc.Stream:
    stream: trio.abc.Stream = trio.StapledStream(
        trio.lowlevel.FdStream(writing), trio.lowlevel.FdStream(reading)
    )
    return stream
