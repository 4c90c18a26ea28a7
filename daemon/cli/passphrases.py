"""Passphrases from a file or a terminal, for the few commands that need one."""

from __future__ import annotations

import getpass
import os
import sys
from argparse import Namespace
from pathlib import Path

from starling.daemon.errors import PlaceError
from starling.daemon.passphrase import check_passphrase, read_passphrase_file

_ELSE_NODE = "--passphrase-file or STARLING_PASSPHRASE_FILE"
_ELSE_BACKUP = "--backup-passphrase-file"


def new_of_node(args: Namespace) -> str | None:
    """What a new node is to be locked by; None where it is not."""
    given = _of_node(args)
    return (
        _ask_twice("New passphrase for this node: ", _ELSE_NODE)
        if given is None and args.passphrase
        else given
    )


def of_node(args: Namespace) -> str:
    """What opens a node that is locked."""
    given = _of_node(args)
    return given if given is not None else _ask("Passphrase of this node: ", _ELSE_NODE)


def new_of_backup(args: Namespace) -> str:
    """What a backup is to be sealed by."""
    given = _of_backup(args)
    return given if given is not None else _ask_twice("New passphrase for the backup: ", _ELSE_BACKUP)


def of_backup(args: Namespace) -> str:
    """What opens a backup."""
    given = _of_backup(args)
    return given if given is not None else _ask("Passphrase of the backup: ", _ELSE_BACKUP)


def _of_node(args: Namespace) -> str | None:
    path = args.passphrase_file or os.environ.get("STARLING_PASSPHRASE_FILE")
    return read_passphrase_file(Path(path)) if path else None


def _of_backup(args: Namespace) -> str | None:
    path = args.backup_passphrase_file
    return read_passphrase_file(Path(path)) if path else None


def _ask_twice(prompt: str, otherwise: str) -> str:
    passphrase = check_passphrase(_ask(prompt, otherwise))
    if _ask("The same again: ", otherwise) != passphrase:
        raise PlaceError("these were two different passphrases; nothing was made, try again", "passphrase")
    return passphrase


def _ask(prompt: str, otherwise: str) -> str:
    if sys.stdin is None or not sys.stdin.isatty():
        raise PlaceError(
            f"a passphrase is needed: call this in a terminal, or name a file that holds it with {otherwise}",
            "passphrase",
        )
    try:
        return getpass.getpass(prompt)
    except EOFError:
        raise PlaceError("no passphrase was given", "passphrase") from None
