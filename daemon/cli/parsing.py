"""How commands are added to the command line, and what is wrong with one that does not fit."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, NoReturn

from starling.daemon.cli.client import Client

EXIT_CODES = """exit codes:
  0  done
  1  an error; one line on standard error says what to do
  2  wrong usage
  3  no daemon is running
  4  refused or not found (unknown universe, bad ticket, not a member, ...)
  5  it did not happen in time
with --json every failure prints {"error": {"code": WORD, "message": TEXT}}; but
where a result tells what is wrong (a join that goes on, a message that cannot
be delivered, a check that found faults) that result
"""

Command = Callable[[Client, argparse.Namespace], int]


class WrongUsage(Exception):
    """The words of a command line do not fit together; `usage` are the lines that show how they do."""

    def __init__(self, prog: str, usage: str, message: str) -> None:
        self.prog = prog
        self.usage = usage
        super().__init__(message)


class Parser(argparse.ArgumentParser):
    """Raises `WrongUsage` instead of ending the process: programs are told in JSON too."""

    def error(self, message: str) -> NoReturn:
        raise WrongUsage(self.prog, self.format_usage(), message)


def _common() -> argparse.ArgumentParser:
    """What stands after a command too."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--home", metavar="DIR", default=argparse.SUPPRESS, help="directory of this node")
    common.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="print JSON for programs"
    )
    return common


def add_command(group: Any, name: str, text: str, run: Command | None) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = group.add_parser(
        name,
        help=text,
        description=text,
        epilog=EXIT_CODES,
        parents=[_common()],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(run=run)
    return command


def add_group(top: Any, name: str, text: str) -> Any:
    return add_command(top, name, text, None).add_subparsers(metavar="ACTION", required=True)
