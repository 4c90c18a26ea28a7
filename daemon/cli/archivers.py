"""The commands about archivers."""

from __future__ import annotations

import sys
from argparse import Namespace
from typing import Any

from starling.daemon.cli import output
from starling.daemon.cli.client import EXIT_OK, Client

_MAX_OFFER = 16 * 1024
_ARCHIVES = ("universe_id", "name", "members", "frames", "commits", "opened", "used", "quota", "full")
_COLUMNS = ("name", "identity", "connected", "full", "caught_up", "has_all")


def offer(client: Client, args: Namespace) -> int:
    done = client.call("archiver.offer", {})
    return output.answer(args, done, done["offer"])


def add(client: Client, args: Namespace) -> int:
    text = args.offer
    if text == "-":
        text = sys.stdin.buffer.read(_MAX_OFFER).decode("utf-8", "replace")
    done = client.call("archiver.add", {"universe": args.universe, "offer": "".join(text.split())})
    return output.answer(
        args, done, f"named the archiver {done['archiver'][:16]}; members' nodes connect to it"
    )


def remove(client: Client, args: Namespace) -> int:
    done = client.call("archiver.remove", {"universe": args.universe, "archiver": args.archiver})
    return output.answer(
        args, done, f"removed {done['removed'][:16]}; it forgets what it keeps as soon as it hears"
    )


def list_archivers(client: Client, args: Namespace) -> int:
    shown = client.call("archiver.list", {"universe": args.universe})["archivers"]
    if args.json:
        output.as_json(shown)
    else:
        rows = [{**row, "identity": row["identity"][:16]} for row in shown]
        output.table(rows, _COLUMNS, "no archivers; 'starling archiver add' names one")
    return EXIT_OK


def show_archives(archives: list[dict[str, Any]]) -> None:
    """What an archiver keeps of each universe, how much it may, and where it takes nothing more."""
    rows = [{**archive, "universe_id": archive["universe_id"][:12]} for archive in archives]
    nothing = (
        "no universe has named this archiver; 'starling archiver offer' prints what somebody there needs"
    )
    output.table(rows, _ARCHIVES, nothing)
    for archive in archives:
        if archive["full"]:
            output.line(
                f"{archive['name']} is full: nothing more is taken until members have fetched what is kept, or "
                "archiver.quota is raised"
            )


def drop(client: Client, args: Namespace) -> int:
    done = client.call("archiver.drop", {"universe": args.universe})
    return output.answer(args, done, f"forgot {done['dropped']} and all that was kept of it")
