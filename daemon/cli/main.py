"""The entry point: arguments, one command, one exit code, one line for an error."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from starling.daemon.cli import archivers, commands, evidence, forks, membership, people, security, tickets
from starling.daemon.cli.client import (
    EXIT_ERROR,
    EXIT_NOT_RUNNING,
    EXIT_REFUSED,
    EXIT_USAGE,
    CallError,
    Client,
)
from starling.daemon.errors import DaemonError, NotRunning
from starling.daemon.paths import Paths

_EXIT_CODES = """exit codes:
  0  done
  1  an error; one line on standard error says what to do
  2  wrong usage
  3  no daemon is running
  4  refused or not found (unknown universe, bad ticket, not a member, ...)
  5  it did not happen in time
"""

_EXITS = {"config": EXIT_USAGE, "too_long": EXIT_USAGE, "empty": EXIT_USAGE, "ticket.bad": EXIT_REFUSED}
"""The exit codes of errors that are found here and not by the daemon."""

ROLES = ("reader", "member", "admin")

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

Command = Callable[[Client, argparse.Namespace], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    _open_closed_streams()
    parser = _parser()
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
            # The lowest free descriptor, which is this one.
            setattr(sys, name, open(os.devnull, "r" if number == 0 else "w"))  # noqa: SIM115  # stays open as long as the process


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
    if args.json and code == EXIT_REFUSED:
        output.as_json({"error": {"code": word, "message": line}})
    return code


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--home", metavar="DIR", default=argparse.SUPPRESS, help="directory of this node")
    common.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="print JSON for programs"
    )
    parser = argparse.ArgumentParser(
        prog="starling",
        description="Messages between people without a server.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--home", metavar="DIR", default=None, help="directory of this node (else STARLING_HOME, XDG)"
    )
    parser.add_argument("--json", action="store_true", default=False, help="print JSON for programs")
    parser.set_defaults(node=None, local=None)
    top = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(group: Any, name: str, text: str, run: Command | None) -> argparse.ArgumentParser:
        command: argparse.ArgumentParser = group.add_parser(
            name,
            help=text,
            description=text,
            epilog=_EXIT_CODES,
            parents=[common],
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.set_defaults(run=run)
        return command

    def group(name: str, text: str) -> Any:
        return add(top, name, text, None).add_subparsers(metavar="ACTION", required=True)

    init = add(top, "init", "make an identity and its data directory", None)
    init.add_argument("--name", help="your name for others (default: the login name)")
    init.add_argument(
        "--passphrase", action="store_true", help="lock the store by a passphrase, which is asked for"
    )
    _passphrase_file(init)
    init.set_defaults(node="init")
    daemon = add(top, "daemon", "run the node in the foreground", None)
    daemon.add_argument(
        "--config", metavar="FILE", help="configuration (default: starling.toml, see configs/)"
    )
    daemon.add_argument(
        "--role",
        choices=("member", "archiver"),
        help="what this node is (default: node.role of the configuration, else member)",
    )
    _passphrase_file(daemon)
    daemon.add_argument(
        "--stdio",
        action="store_true",
        help="serve an app on standard input and output too, and end with it; the ready line goes to "
        "standard error",
    )
    daemon.set_defaults(node="daemon")
    add(top, "stop", "end the running daemon", commands.stop)

    universe = group("universe", "found and look at universes")
    create = add(universe, "create", "found a universe", commands.universe_create)
    create.add_argument("name", metavar="NAME")
    _suite(create)
    add(universe, "list", "all universes of this node", commands.universe_list)
    _universe(add(universe, "show", "one universe and its members", commands.universe_show))

    invite = group("invite", "tickets for others to join with")
    create = add(invite, "create", "make a ticket", tickets.create)
    _universe(create)
    create.add_argument(
        "--uses", type=int, default=1, metavar="N", help="how many may join with it (default 1)"
    )
    create.add_argument(
        "--expires",
        type=_duration,
        default="24h",
        metavar="TIME",
        help="it holds for 30m, 24h, 7d (default 24h)",
    )
    create.add_argument(
        "--role", choices=ROLES, default="member", help="what who joins becomes (default member)"
    )
    shape = create.add_mutually_exclusive_group()
    shape.add_argument("--link", action="store_true", help="print it as a link")
    shape.add_argument(
        "--qr", action="store_true", help="print it as a QR code too, to be held before a camera"
    )
    inspect = add(
        invite, "inspect", "what a ticket says; valid 0, expired or no ticket 4; needs no daemon", None
    )
    inspect.add_argument("ticket", metavar="TICKET", help="text or link; '-' reads standard input")
    inspect.set_defaults(local=tickets.inspect)
    _universe(add(invite, "list", "tickets of a universe", commands.invite_list))
    revoke = add(invite, "revoke", "take a ticket back", commands.invite_revoke)
    _universe(revoke)
    revoke.add_argument("invite_id", metavar="INVITE_ID", help="or its beginning")

    join = add(top, "join", "join a universe by a ticket", commands.join)
    join.add_argument("ticket", metavar="TICKET", help="text or link; '-' reads standard input")
    join.add_argument(
        "--timeout", type=float, default=30, metavar="S", help="seconds to wait (default 30, at most 60)"
    )
    _suite(join)

    send = add(top, "send", "send a message to everyone in a universe, or to one member", commands.send)
    _universe(send)
    send.add_argument(
        "text",
        metavar="TEXT",
        nargs="*",
        help="the message; '-' reads standard input, after '--' it may begin with '-'",
    )
    send.add_argument(
        "--to",
        metavar="MEMBER",
        help="only to this member: your name for it, its own, or its identity's beginning",
    )
    send.add_argument("--file", metavar="FILE", help="send what is in a file")
    send.add_argument(
        "--id", type=_message_id, metavar="HEX", help="16 bytes; a repeat with the same id is sent once"
    )
    send.add_argument("--type", metavar="TYPE", help="of the message (default: text, or binary)")
    send.add_argument("--no-wait", action="store_true", help="do not wait until it is encrypted")

    listen = add(top, "listen", "print messages (or other events) as they come", commands.listen)
    listen.add_argument("universe", metavar="UNIVERSE", nargs="?", help="only of this one")
    listen.add_argument(
        "--cursor",
        metavar="NAME",
        help="go on where this name stopped, and keep its place; a new name begins at the oldest kept event, "
        "or where --from says (without a cursor: now)",
    )
    listen.add_argument(
        "--from",
        dest="start",
        metavar="SEQ",
        help="where a new cursor begins: after the event of this number (0: the oldest kept), or 'now'",
    )
    listen.add_argument("--count", type=int, metavar="N", help="end after that many")
    listen.add_argument("--timeout", type=float, metavar="S", help="end after that many seconds")
    listen.add_argument(
        "--type",
        action="append",
        default=[],
        metavar="KIND",
        help="event kind, or 'all' (default: message.received, and without --json what is to be known of who sends)",
    )

    history = add(top, "history", "messages of a universe, own ones too", commands.history)
    _universe(history)
    history.add_argument("--limit", type=int, default=50, metavar="N", help="how many (default 50)")
    history.add_argument("--before", type=int, metavar="NUMBER", help="only older than this one")
    _universe(add(top, "members", "who is in a universe", commands.members))
    _universe(add(top, "update", "renew one's own keys now", commands.update))
    for name, text, run in (
        ("remove", "remove a member, where the policy lets this node", membership.remove),
        (
            "block",
            "keep a member out of one's own send group, and show nothing that it says",
            membership.block,
        ),
        ("unblock", "take a blocked member into one's own send group again", membership.unblock),
    ):
        about = add(top, name, text, run)
        _universe(about)
        _member(about)
    role = add(top, "role", "make a member an admin, a member or a reader (admins only)", membership.role)
    _universe(role)
    _member(role)
    role.add_argument("role", metavar="ROLE", choices=ROLES, help=", ".join(ROLES))
    policy = add(
        top, "policy", "who may invite and remove; shows it, or sets it (admins only)", membership.policy
    )
    _universe(policy)
    for deed in ("invite", "remove"):
        policy.add_argument(
            f"--{deed}", choices=("members", "admins"), help=f"who may {deed} members and readers"
        )
    leave = add(top, "leave", "leave a universe for good; only its history stays here", membership.leave)
    _universe(leave)
    leave.add_argument("--force", action="store_true", help="also as the last admin")
    _universe(
        add(
            top,
            "rejoin",
            "be added again by those who removed this node while it was away",
            membership.rejoin,
        )
    )
    add(
        top, "profile", "who this node is; with --name what others are to call you", people.profile
    ).add_argument("--name", metavar="NAME", help="call yourself this from now on")
    archiver = group("archiver", "nodes that keep ciphertext for members who are away")
    naming = add(archiver, "add", "name an archiver, by what 'archiver offer' printed there", archivers.add)
    _universe(naming)
    naming.add_argument("offer", metavar="OFFER", help="the offer's text; '-' reads standard input")
    naming = add(archiver, "remove", "take an archiver's name off the roster", archivers.remove)
    _universe(naming)
    naming.add_argument("archiver", metavar="ARCHIVER", help="its name, or beginning of its identity")
    _universe(add(archiver, "list", "the archivers of a universe", archivers.list_archivers))
    add(archiver, "offer", "on an archiver: make an offer, for one universe to name it", archivers.offer)
    _universe(add(archiver, "drop", "on an archiver: forget a universe and its frames", archivers.drop))
    naming = add(top, "name", "call a member something, on this node alone", people.name)
    _universe(naming)
    _member(naming)
    either = naming.add_mutually_exclusive_group(required=True)
    either.add_argument("name", metavar="NAME", nargs="?", help="your own name for this person")
    either.add_argument("--clear", action="store_true", help="go back to what the person is called by itself")
    verify = add(top, "verify", "twelve digits to compare with a member, once for all", people.verify)
    _universe(verify)
    _member(verify)
    marking = verify.add_mutually_exclusive_group()
    marking.add_argument(
        "--confirm", dest="mark", action="store_const", const=True, help="they are the same on both sides"
    )
    marking.add_argument(
        "--clear", dest="mark", action="store_const", const=False, help="take the confirmation back"
    )
    shown = add(top, "security", "who is healed of a theft from when, and a number to compare", security.show)
    _universe(shown)
    shown.add_argument(
        "member",
        metavar="MEMBER",
        nargs="?",
        help="only this one, with all groups",
    )
    shown = add(top, "forks", "the epochs of every send group: who is where, and what is kept", forks.show)
    _universe(shown)
    shown.add_argument(
        "member",
        metavar="MEMBER",
        nargs="?",
        help="only this one's group, with everybody named",
    )
    proofs = group("evidence", "what proves to anybody that an owner committed twice")
    _universe(add(proofs, "list", "the evidence that this node holds", evidence.list_evidence))
    export = add(proofs, "export", "print evidence, for a file or a mail", evidence.export)
    _universe(export)
    export.add_argument(
        "member", metavar="MEMBER", nargs="?", help="name, or beginning of the identity or group id"
    )
    verify = add(
        proofs, "verify", "check evidence: valid 0, invalid 4, not evidence 1; needs no daemon", None
    )
    verify.add_argument("file", metavar="FILE", help="what holds the text; '-' reads standard input")
    verify.add_argument(
        "--identity",
        type=_identity,
        metavar="HEX",
        help="also check that it is against this identity; 16 digits or more of it",
    )
    verify.set_defaults(local=evidence.verify)
    recover = add(
        top, "recover", "start anew, for a node that was put back to an old state or copied", commands.recover
    )
    _universe(recover)
    readmit = add(top, "readmit", "confirm that a member may start anew (admins only)", commands.readmit)
    _universe(readmit)
    _member(readmit)
    readmit.add_argument(
        "digits",
        metavar="NUMBER",
        nargs="*",
        help="the twelve digits that the member's own node shows; without them what is asked is shown",
    )
    add(top, "status", "how the node is", commands.status)
    add(top, "peers", "who is connected", commands.peers)
    return parser


def _duration(text: str) -> float:
    """Seconds from 90s, 30m, 24h or 7d; a bare number is in hours."""
    number, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS else (text, "h")
    try:
        seconds = float(number) * _UNITS[unit]
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration; write for example 30m, 24h or 7d")
    return seconds


def _message_id(text: str) -> str:
    try:
        if len(text) == 32 and len(bytes.fromhex(text)) == 16:
            return text.lower()
    except ValueError:
        pass
    raise argparse.ArgumentTypeError("a message id is 32 hex digits (16 bytes)")


def _identity(text: str) -> str:
    if 16 <= len(text) <= 64 and all(digit in "0123456789abcdef" for digit in text.lower()):
        return text.lower()
    raise argparse.ArgumentTypeError("an identity is 64 hex digits, or at least the first 16 of them")


def _universe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("universe", metavar="UNIVERSE", help="name, id, or beginning of the id")


def _member(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "member",
        metavar="MEMBER",
        help="your name for the member, its own name, or beginning of the identity",
    )


def _passphrase_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--passphrase-file",
        metavar="FILE",
        help="the passphrase is in this file of mode 0600 (else in STARLING_PASSPHRASE_FILE, or asked for)",
    )


def _suite(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--suite", type=int, default=1, metavar="N", help="MLS cipher suite of the own group (default 1)"
    )


if __name__ == "__main__":
    sys.exit(main())
