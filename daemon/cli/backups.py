"""The backup of a node that runs; `node` restores one."""

from __future__ import annotations

import os
from argparse import Namespace

from starling.daemon.cli import output
from starling.daemon.cli.client import Client

_PATIENCE_SECONDS = 600.0


def backup(client: Client, args: Namespace) -> int:
    # Brings the cryptography of passphrases along, for which no other command of a client should wait.
    from starling.daemon.cli import passphrases

    path = os.path.abspath(args.file)
    params = {"path": path, "passphrase": passphrases.new_of_backup(args)}
    made = client.call("backup.export", params, wait=_PATIENCE_SECONDS)
    return output.answer(
        args,
        made,
        f"backed up to {path}: {made['messages']} messages, {made['bytes']} bytes; restore it by: starling restore",
    )
