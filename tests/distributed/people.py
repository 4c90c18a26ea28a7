"""Identities and a founded universe for the tests of the membership part, the same at every run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from starling.protocol.distributed.admission import admission_by
from starling.protocol.distributed.identity import Identity
from starling.protocol.distributed.member import DmlsMember
from starling.protocol.distributed.roster import Roster, found
from starling.protocol.distributed.roster_body import Admission, Spend
from starling.protocol.distributed.send_group_id import new_send_group_id
from starling.protocol.distributed.ticket import TicketSecret
from starling.protocol.distributed.ticket_proof import prove


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
TICKET = TicketSecret.generate(random_from("ticket"), ALICE.identity_public_key)


def universe(uses: int = 10, expires_at: int = 1_000) -> Roster:
    """A roster with Alice as its founder and one invite, that of TICKET."""
    _, roster = found(
        ALICE,
        universe_name="Home",
        signature_key=b"\x02" * 32,
        cipher_suite=1,
        incarnation=1,
        random=random_from("universe"),
    )
    add_invite(roster, TICKET, uses, expires_at)
    return roster


def group_of(who: Identity, universe_id: bytes, word: bytes = b"") -> bytes:
    """The id of a send group of somebody, another one for each word."""
    draw = random_from(f"{who.name} {word.hex()}")
    return new_send_group_id(universe_id, who.identity_public_key, draw)


def add_invite(
    roster: Roster,
    ticket: TicketSecret,
    uses: int = 10,
    expires_at: int = 1_000,
    *,
    by: Identity = ALICE,
    role: str = "member",
) -> None:
    roster.add(
        roster.make_invite(
            by,
            ticket_key=ticket.public_key,
            mac_key=ticket.mac_key,
            uses=uses,
            expires_at=expires_at,
            role=role,
        )
    )


def admission(
    roster: Roster,
    who: Identity,
    *,
    by: Identity = ALICE,
    incarnation: int = 1,
    ticket: TicketSecret = TICKET,
    suite: int = 1,
    send_group_id: bytes = b"",
) -> bytes:
    """An entry that admits somebody: by a ticket who is no member, else anew."""
    body = admission_body(
        roster,
        who,
        incarnation=incarnation,
        ticket=ticket,
        suite=suite,
        send_group_id=send_group_id,
    )
    return roster.make_member(by, who.identity_public_key, body)


def admission_body(
    roster: Roster,
    who: Identity,
    *,
    incarnation: int = 1,
    ticket: TicketSecret = TICKET,
    suite: int = 1,
    send_group_id: bytes = b"",
) -> Admission:
    """What such an entry says."""
    identity = who.identity_public_key
    member = roster.members.get(identity)
    invite = roster.invites.get(ticket.invite_id)
    invited = invite.role if invite is not None else "member"
    return signed_admission(
        roster.universe_id,
        who,
        role=member.role if member is not None else invited,
        incarnation=incarnation,
        ticket=ticket,
        spends=member is None,
        suite=suite,
        send_group_id=send_group_id,
    )


def signed_admission(
    universe_id: bytes,
    who: Identity,
    *,
    role: str = "member",
    incarnation: int = 1,
    ticket: TicketSecret = TICKET,
    spends: bool = True,
    suite: int = 1,
    send_group_id: bytes = b"",
) -> Admission:
    """The body of a member entry, with all that its subject has to sign."""
    identity, signature_key, init_key = who.identity_public_key, b"\x03" * 32, b"\x04" * 32
    member = DmlsMember.sign(
        who,
        universe_id=universe_id,
        send_group_id=group_of(who, universe_id, send_group_id),
        incarnation=incarnation,
        serial=1,
        signature_key=signature_key,
    )
    proof = prove(
        ticket,
        universe_id=universe_id,
        identity=identity,
        signature_key=signature_key,
        init_key=init_key,
    )
    return admission_by(
        member,
        name=who.name,
        role=role,
        signature_key=signature_key,
        cipher_suite=suite,
        invite_id=ticket.invite_id,
        spend=Spend(ticket.public_key, init_key, proof.signature) if spends else None,
    )
