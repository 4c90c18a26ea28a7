"""Identities and a founded universe for the tests of the membership part, the same at every run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from starling.protocol.distributed.identity import Identity
from starling.protocol.distributed.roster import Roster, found
from starling.protocol.distributed.ticket import TicketSecret


def random_from(seed: str) -> Callable[[int], bytes]:
    """A source of repeatable bytes."""
    count = 0

    def random(length: int) -> bytes:
        nonlocal count
        count += 1
        return hashlib.shake_256(f"{seed} {count}".encode()).digest(length)

    return random


def person(name: str) -> Identity:
    return Identity.generate(name, random_from(name))


ALICE, BOB, CAROL, DAVE = (person(name) for name in ("Alice", "Bob", "Carol", "Dave"))
TICKET = TicketSecret.generate(random_from("ticket"))


def universe(uses: int = 10, expires_at: int = 1_000) -> Roster:
    """A roster with Alice as its founder and one invite, that of TICKET."""
    _, roster = found(
        ALICE,
        universe_name="Home",
        send_group_id=b"\x01" * 32,
        signature_key=b"\x02" * 32,
        cipher_suite=1,
        incarnation=1,
        random=random_from("universe"),
    )
    add_invite(roster, TICKET, uses, expires_at)
    return roster


def add_invite(roster: Roster, ticket: TicketSecret, uses: int = 10, expires_at: int = 1_000) -> None:
    roster.add(
        roster.make_invite(
            ALICE, invite_id=ticket.invite_id, mac_key=ticket.mac_key, uses=uses, expires_at=expires_at
        )
    )


def admission(
    roster: Roster,
    who: Identity,
    *,
    incarnation: int = 1,
    ticket: TicketSecret = TICKET,
    suite: int = 1,
    send_group_id: bytes = b"",
) -> bytes:
    """An entry by Alice that admits somebody."""
    return roster.make_member(
        ALICE,
        subject=who.identity_public_key,
        name=who.name,
        send_group_id=send_group_id or hashlib.sha256(who.name.encode()).digest(),
        peer_id=who.peer_id,
        signature_key=b"\x03" * 32,
        cipher_suite=suite,
        incarnation=incarnation,
        invite_id=ticket.invite_id,
    )
