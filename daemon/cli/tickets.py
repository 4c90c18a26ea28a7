"""Tickets for people: made as text, link or QR code, and looked at before they are used."""

from __future__ import annotations

import sys
import time
from argparse import Namespace

from starling.daemon.cli import output, qr
from starling.daemon.cli.client import EXIT_OK, EXIT_REFUSED, Client
from starling.daemon.errors import DaemonError

_MAX_TICKET = 16 * 1024


def create(client: Client, args: Namespace) -> int:
    params = {"universe": args.universe, "uses": args.uses, "expires_in": args.expires, "role": args.role}
    made = client.call("invite.create", params)
    if args.json:
        output.as_json(made)
        return EXIT_OK
    output.line(made["link"] if args.link else made["ticket"])
    if args.qr:
        # In capitals it is of the letters that a code has a mode of its own for, and takes a third less room.
        qr.show(made["link"].upper())
    return EXIT_OK


def inspect(args: Namespace) -> int:
    """What a ticket says; it needs no daemon, for all of it stands in the ticket."""
    from starling.daemon import render
    from starling.protocol.distributed.ticket import Ticket, TicketError

    try:
        ticket = Ticket.parse(given(args.ticket))
    except TicketError as error:
        raise DaemonError(
            f"{error} Copy the whole text that 'invite create' printed.", "ticket.bad"
        ) from None
    shown = render.plain(ticket.inspect(time.time_ns() // 1_000_000))
    if args.json:
        output.as_json(shown)
    else:
        output.pairs(shown)
    if shown["expired"]:
        sys.stderr.write("starling: this ticket has expired; ask for a new one\n")
    return EXIT_REFUSED if shown["expired"] else EXIT_OK


def given(text: str) -> str:
    """A ticket, from standard input where it is `-`; mail programs like to break its long line."""
    if text == "-":
        text = sys.stdin.buffer.read(_MAX_TICKET).decode("utf-8", "replace")
    return "".join(text.split())
