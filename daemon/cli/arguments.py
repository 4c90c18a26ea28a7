"""The arguments of `starling`: every command, what it takes, and what does it."""

from __future__ import annotations

import argparse
from typing import Any

from starling.daemon.cli import (
    archivers,
    backups,
    commands,
    evidence,
    forks,
    membership,
    people,
    security,
    tickets,
    values,
)
from starling.daemon.cli.parsing import EXIT_CODES, Parser, add_command, add_group

ROLES = ("reader", "member", "admin")


def parser() -> argparse.ArgumentParser:
    """The whole command line. A command leaves in `run` what does it with a client, in `local` what does it without
    one, or in `node` the name of what runs a node."""
    whole = Parser(
        prog="starling",
        description="Messages between people without a server.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    whole.add_argument(
        "--home", metavar="DIR", default=None, help="directory of this node (else STARLING_HOME, XDG)"
    )
    whole.add_argument("--json", action="store_true", default=False, help="print JSON for programs")
    whole.set_defaults(node=None, local=None)
    top = whole.add_subparsers(metavar="COMMAND", required=True)
    for part in (_node, _universes, _messages, _members, _people, _archivers, _security, _state):
        part(top)
    return whole


def _node(top: Any) -> None:
    """The node itself."""
    init = add_command(top, "init", "make an identity and its data directory", None)
    init.add_argument("--name", help="your name for others (default: the login name)")
    init.add_argument(
        "--passphrase", action="store_true", help="lock the store by a passphrase, which is asked for"
    )
    _passphrase_file(init)
    init.set_defaults(node="init")
    restore = add_command(top, "restore", "make the data directory from a backup, in place of 'init'", None)
    restore.add_argument("file", metavar="FILE", help="what 'starling backup' has made")
    _backup_passphrase_file(restore)
    restore.add_argument(
        "--passphrase", action="store_true", help="lock the store by a passphrase, which is asked for"
    )
    _passphrase_file(restore)
    restore.set_defaults(node="restore")
    daemon = add_command(top, "daemon", "run the node in the foreground", None)
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
    add_command(top, "stop", "end the running daemon", commands.stop)
    backup = add_command(
        top,
        "backup",
        "write identity, universes, people and history to a file, sealed by a passphrase; a copy of the data directory "
        "is none",
        backups.backup,
    )
    backup.add_argument("file", metavar="FILE", help="a new file")
    _backup_passphrase_file(backup)


def _universes(top: Any) -> None:
    """Universes, and what joins people to them."""
    universe = add_group(top, "universe", "found and look at universes")
    create = add_command(universe, "create", "found a universe", commands.universe_create)
    create.add_argument("name", metavar="NAME")
    _suite(create)
    add_command(universe, "list", "all universes of this node", commands.universe_list)
    _universe(add_command(universe, "show", "one universe and its members", commands.universe_show))

    invite = add_group(top, "invite", "tickets for others to join with")
    create = add_command(invite, "create", "make a ticket", tickets.create)
    _universe(create)
    create.add_argument(
        "--uses", type=int, default=1, metavar="N", help="how many may join with it (default 1)"
    )
    create.add_argument(
        "--expires",
        type=values.duration,
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
    inspect = add_command(
        invite, "inspect", "what a ticket says; valid 0, expired or no ticket 4; needs no daemon", None
    )
    inspect.add_argument("ticket", metavar="TICKET", help="text or link; '-' reads standard input")
    inspect.set_defaults(local=tickets.inspect)
    _universe(add_command(invite, "list", "tickets of a universe", commands.invite_list))
    revoke = add_command(invite, "revoke", "take a ticket back", commands.invite_revoke)
    _universe(revoke)
    revoke.add_argument("invite_id", metavar="INVITE_ID", help="or its beginning")

    join = add_command(top, "join", "join a universe by a ticket", commands.join)
    join.add_argument("ticket", metavar="TICKET", help="text or link; '-' reads standard input")
    join.add_argument(
        "--timeout",
        type=values.seconds,
        default=30,
        metavar="S",
        help="seconds to wait (default 30, at most 60)",
    )
    _suite(join)


def _messages(top: Any) -> None:
    """Messages."""
    send = add_command(
        top, "send", "send a message to everyone in a universe, or to one member", commands.send
    )
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
        "--id", type=values.message_id, metavar="HEX", help="16 bytes; a repeat with the same id is sent once"
    )
    send.add_argument("--type", metavar="TYPE", help="of the message (default: text, or binary)")
    send.add_argument("--no-wait", action="store_true", help="do not wait until it is encrypted")

    listen = add_command(top, "listen", "print messages (or other events) as they come", commands.listen)
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
    listen.add_argument("--count", type=values.count, metavar="N", help="end after that many")
    listen.add_argument("--timeout", type=values.seconds, metavar="S", help="end after that many seconds")
    listen.add_argument(
        "--type",
        action="append",
        default=[],
        metavar="KIND",
        help="event kind, or 'all' (default: message.received, and without --json what is to be known of who sends)",
    )

    history = add_command(top, "history", "messages of a universe, own ones too", commands.history)
    _universe(history)
    history.add_argument("--limit", type=int, default=50, metavar="N", help="how many (default 50)")
    history.add_argument("--before", type=int, metavar="NUMBER", help="only older than this one")


def _members(top: Any) -> None:
    """Who is a member, and what each may."""
    _universe(add_command(top, "members", "who is in a universe", commands.members))
    _universe(add_command(top, "update", "renew one's own keys now", commands.update))
    for name, text, run in (
        ("remove", "remove a member, where the policy lets this node", membership.remove),
        (
            "block",
            "keep a member out of one's own send group, and show nothing that it says",
            membership.block,
        ),
        ("unblock", "take a blocked member into one's own send group again", membership.unblock),
    ):
        about = add_command(top, name, text, run)
        _universe(about)
        _member(about)
        if name == "remove":
            about.add_argument(
                "--disown",
                action="store_true",
                help="undo all that it did too; who came by it alone goes with it",
            )
    role = add_command(
        top, "role", "make a member an admin, a member or a reader (admins only)", membership.role
    )
    _universe(role)
    _member(role)
    role.add_argument("role", metavar="ROLE", choices=ROLES, help=", ".join(ROLES))
    policy = add_command(
        top, "policy", "who may invite and remove; shows it, or sets it (admins only)", membership.policy
    )
    _universe(policy)
    for deed in ("invite", "remove"):
        policy.add_argument(
            f"--{deed}", choices=("members", "admins"), help=f"who may {deed} members and readers"
        )
    leave = add_command(
        top, "leave", "leave a universe for good; only its history stays here", membership.leave
    )
    _universe(leave)
    leave.add_argument("--force", action="store_true", help="also as the last admin")
    _universe(
        add_command(
            top,
            "rejoin",
            "be added again by those who removed this node while it was away",
            membership.rejoin,
        )
    )


def _people(top: Any) -> None:
    """What people are called, and who they are."""
    add_command(
        top, "profile", "who this node is; with --name what others are to call you", people.profile
    ).add_argument("--name", metavar="NAME", help="call yourself this from now on")
    naming = add_command(top, "name", "call a member something, on this node alone", people.name)
    _universe(naming)
    _member(naming)
    either = naming.add_mutually_exclusive_group(required=True)
    either.add_argument("name", metavar="NAME", nargs="?", help="your own name for this person")
    either.add_argument("--clear", action="store_true", help="go back to what the person is called by itself")
    verify = add_command(top, "verify", "twelve digits to compare with a member, once for all", people.verify)
    _universe(verify)
    _member(verify)
    marking = verify.add_mutually_exclusive_group()
    marking.add_argument(
        "--confirm", dest="mark", action="store_const", const=True, help="they are the same on both sides"
    )
    marking.add_argument(
        "--clear", dest="mark", action="store_const", const=False, help="take the confirmation back"
    )


def _archivers(top: Any) -> None:
    """Archivers, from both sides."""
    archiver = add_group(top, "archiver", "nodes that keep ciphertext for members who are away")
    naming = add_command(
        archiver, "add", "name an archiver, by what 'archiver offer' printed there", archivers.add
    )
    _universe(naming)
    naming.add_argument("offer", metavar="OFFER", help="the offer's text; '-' reads standard input")
    naming = add_command(archiver, "remove", "take an archiver's name off the roster", archivers.remove)
    _universe(naming)
    naming.add_argument("archiver", metavar="ARCHIVER", help="its name, or beginning of its identity")
    _universe(add_command(archiver, "list", "the archivers of a universe", archivers.list_archivers))
    add_command(
        archiver, "offer", "on an archiver: make an offer, for one universe to name it", archivers.offer
    )
    _universe(
        add_command(archiver, "drop", "on an archiver: forget a universe and its frames", archivers.drop)
    )


def _security(top: Any) -> None:
    """Healing, forks, evidence, and starting anew."""
    shown = add_command(
        top, "security", "who is healed of a theft from when, and a number to compare", security.show
    )
    _universe(shown)
    _one_member(shown, "only this one, with all groups")
    shown = add_command(
        top, "forks", "the epochs of every send group: who is where, and what is kept", forks.show
    )
    _universe(shown)
    _one_member(shown, "only this one's group, with everybody named")
    proofs = add_group(top, "evidence", "what proves to anybody that an owner committed twice")
    _universe(add_command(proofs, "list", "the evidence that this node holds", evidence.list_evidence))
    export = add_command(proofs, "export", "print evidence, for a file or a mail", evidence.export)
    _universe(export)
    _one_member(export, "name, or beginning of the identity or group id")
    verify = add_command(
        proofs, "verify", "check evidence: valid 0, invalid 4, not evidence 1; needs no daemon", None
    )
    verify.add_argument("file", metavar="FILE", help="what holds the text; '-' reads standard input")
    verify.add_argument(
        "--identity",
        type=values.identity,
        metavar="HEX",
        help="also check that it is against this identity; 16 digits or more of it",
    )
    verify.set_defaults(local=evidence.verify)
    recover = add_command(
        top, "recover", "start anew, for a node that was put back to an old state or copied", commands.recover
    )
    _universe(recover)
    readmit = add_command(
        top, "readmit", "confirm that a member may start anew (admins only)", commands.readmit
    )
    _universe(readmit)
    _member(readmit)
    readmit.add_argument(
        "digits",
        metavar="NUMBER",
        nargs="*",
        help="the twelve digits that the member's own node shows; without them what is asked is shown",
    )


def _state(top: Any) -> None:
    """The node from outside."""
    add_command(top, "status", "how the node is", commands.status)
    add_command(top, "peers", "who is connected", commands.peers)


def _universe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("universe", metavar="UNIVERSE", help="name, id, or beginning of the id")


def _member(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "member",
        metavar="MEMBER",
        help="your name for the member, its own name, or beginning of the identity",
    )


def _one_member(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument("member", metavar="MEMBER", nargs="?", help=text)


def _passphrase_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--passphrase-file",
        metavar="FILE",
        help="the passphrase is in this file of mode 0600 (else in STARLING_PASSPHRASE_FILE, or asked for)",
    )


def _backup_passphrase_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--backup-passphrase-file",
        metavar="FILE",
        help="the passphrase of the backup is in this file of mode 0600 (else it is asked for)",
    )


def _suite(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--suite", type=int, default=1, metavar="N", help="MLS cipher suite of the own group (default 1)"
    )
