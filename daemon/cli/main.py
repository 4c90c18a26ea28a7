"""The entry point: arguments, one command, one exit code, one line for an error."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from starling.daemon.cli import arguments, commands
from starling.daemon.cli.client import (
    EXIT_ERROR,
    EXIT_NOT_RUNNING,
    EXIT_REFUSED,
    EXIT_TIMEOUT,
    EXIT_USAGE,
    CallError,
    Client,
)
from starling.daemon.cli.parsing import WrongUsage
from starling.daemon.errors import DaemonError, NotRunning
from starling.daemon.paths import Paths

_EXITS = {
    "config": EXIT_USAGE,
    "too_long": EXIT_USAGE,
    "empty": EXIT_USAGE,
    "not_utf8": EXIT_USAGE,
    "ticket.bad": EXIT_REFUSED,
    "evidence.unclear": EXIT_REFUSED,
    "readmit.number": EXIT_REFUSED,
    "events.late": EXIT_TIMEOUT,
}
"""The exit codes of errors that are found here and not by the daemon."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    _open_closed_streams()
    try:
        args = _parse(argv)
    except WrongUsage as wrong:
        return _wrong(wrong, sys.argv[1:] if argv is None else argv)
    return _run(args)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = arguments.parser()
    args, further = parser.parse_known_args(argv)
    is_send = getattr(args, "run", None) is commands.send
    if further and (not is_send or any(word.startswith("-") for word in further)):
        parser.error(f"unrecognized arguments: {' '.join(further)}")
    if further:
        # Options may stand between universe and text too, which argparse cannot do by itself.
        args.text = [*args.text, *further]
    if is_send and bool(args.text) == (args.file is not None):
        parser.error("send takes either TEXT, '-' for standard input, or --file FILE")
    start = getattr(args, "start", None)
    if start is not None and start != "now" and not start.isdecimal():
        parser.error("--from takes an event number or 'now'")
    return args


def _run(args: argparse.Namespace) -> int:
    try:
        paths = Paths.find(args.home)
        if args.node is not None:
            return _run_node(args, paths)
        if args.local is not None:
            done: int = args.local(args)
            return done
        client = Client(paths)
        try:
            code: int = args.run(client, args)
            return code
        finally:
            client.close()
    except CallError as error:
        return _fail(str(error), error.exit_code, args, error.code)
    except NotRunning as error:
        return _fail(str(error), EXIT_NOT_RUNNING, args, error.code)
    except DaemonError as error:
        return _fail(str(error), _EXITS.get(error.code, EXIT_ERROR), args, error.code)
    except TimeoutError:
        return _fail("the daemon does not answer; look at its log", EXIT_ERROR, args, "timeout")
    except BrokenPipeError:
        # Whoever read our output has gone, as in `starling listen | head`; nothing is to be said to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_ERROR
    except KeyboardInterrupt:
        return 130


def _open_closed_streams() -> None:
    """Put nothing where the caller closed a standard stream: else the next file that is opened would be it."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            # The lowest free descriptor, which is this one; it stays open as long as the process.
            null = os.open(os.devnull, os.O_RDONLY if number == 0 else os.O_WRONLY)
            setattr(sys, name, os.fdopen(null, "r" if number == 0 else "w"))


def _run_node(args: argparse.Namespace, paths: Paths) -> int:
    # Heavy: libraries of the node itself, which no client command needs.
    from starling.daemon.cli import node
    from starling.protocol.errors import UsageError

    try:
        run: Callable[[Paths, argparse.Namespace], int] = getattr(node, args.node)
        return run(paths, args)
    except UsageError as error:
        return _fail(str(error), EXIT_USAGE, args, error.code)


def _fail(message: str, code: int, args: argparse.Namespace, word: str) -> int:
    from starling.daemon.cli import output

    line = output.clean(message).replace("\n", " ")
    sys.stderr.write(f"starling: {line}\n")
    if args.json:
        output.as_json({"error": {"code": word, "message": line}})
    return code


def _wrong(wrong: WrongUsage, words: Sequence[str]) -> int:
    """What argparse says, and that in JSON too where it is among the words, which could not be read to their end."""
    sys.stderr.write(f"{wrong.usage}{wrong.prog}: error: {wrong}\n")
    if "--json" in words:
        from starling.daemon.cli import output

        output.as_json({"error": {"code": "usage", "message": str(wrong)}})
    return EXIT_USAGE


if __name__ == "__main__":
    sys.exit(main())
