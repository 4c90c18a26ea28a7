"""What is on the disks of a universe's members before the first of them starts: set up in bulk.

Members who join one after another process about N cubed commits. Here the founder signs the roster entries of
all, every member begins with all of them and with everybody's KeyPackages and addresses, and with its own send group,
which holds nobody else yet. The engines do the rest: when they start, each owner adds all others in one commit.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.distributed import policy
from starling.protocol.distributed.admission import admission_by
from starling.protocol.distributed.identity import Identity
from starling.protocol.distributed.member import DmlsMember
from starling.protocol.distributed.peer_address import PeerAddress
from starling.protocol.distributed.roster import Roster, entry_id, found
from starling.protocol.distributed.roster_body import Kind, Spend
from starling.protocol.distributed.roster_entry import decode_entry, sign_entry
from starling.protocol.distributed.roster_rights import MEMBER
from starling.protocol.distributed.send_group_id import new_send_group_id
from starling.protocol.distributed.ticket import TicketSecret
from starling.protocol.distributed.ticket_proof import prove
from starling.protocol.engine import membership, own_group
from starling.protocol.engine.context import Context
from starling.protocol.engine.profiles import ProfileStore
from starling.protocol.engine.step import Put
from starling.protocol.engine.universe import Universe
from starling.protocol.mls.key_package import KeyPackage

SUITE = 1
Record = tuple[str, bytes, bytes]


@dataclass(frozen=True, slots=True)
class Seat:
    """One member, its KeyPackage for `SUITE`, and the rows that its engine starts from."""

    identity: Identity
    group_id: bytes
    signature_private_key: bytes
    address: str
    key_package: KeyPackage
    records: tuple[Record, ...]


@dataclass(frozen=True, slots=True)
class Founded:
    """A universe before its first start; seat 0 is the founder's. `profiles` are rows that everybody has."""

    universe_id: bytes
    roster: Roster
    seats: tuple[Seat, ...]
    profiles: dict[bytes, Record]

    def records(self, seat: Seat) -> list[Record]:
        """All rows of one member: its own, and the others' profiles."""
        own = seat.identity.identity_public_key
        return [*seat.records, *(row for identity, row in self.profiles.items() if identity != own)]


@dataclass(frozen=True, slots=True)
class _Person:
    identity: Identity
    signature_private_key: bytes
    signature_key: bytes
    draw: Callable[[int], bytes]


def founded(size: int, seed: object, now: int, keeps: int | None = None) -> Founded:
    """A universe of `size` members; only the first `keeps` of them (all by default) get rows of their own."""
    people = [_person(index, seed) for index in range(size)]
    universe_id, roster = _roster(people, now)
    seats: list[Seat] = []
    profiles: dict[bytes, Record] = {}
    for index, person in enumerate(people):
        address = f"/ip4/10.{index >> 16}.{index >> 8 & 255}.{index & 255}/tcp/4001"
        ctx = Context(now, person.draw)
        group_id = roster.members[person.identity.identity_public_key].send_group_id
        universe = Universe(
            person.identity,
            universe_id,
            group_id=group_id,
            cipher_suite=SUITE,
            incarnation=0,
            signature_private_key=person.signature_private_key,
            now=now,
        )
        universe.roster = roster
        own_group.make_bundles(ctx, universe)
        newest = universe.bundles.newest()
        profiles[universe.me] = _profile(universe, tuple(newest), address, now)
        if keeps is None or index < keeps:
            universe.save(ctx)
            membership.store_roster(ctx, universe)
            own_group.found_group(ctx, universe)
        rows = _rows(ctx)
        own = next(package for package in newest if package.cipher_suite == SUITE)
        seats.append(Seat(person.identity, group_id, person.signature_private_key, address, own, rows))
    return Founded(universe_id, roster, tuple(seats), profiles)


def _profile(universe: Universe, packages: tuple[KeyPackage, ...], address: str, now: int) -> Record:
    """The row of somebody who knows these KeyPackages and this address of the member."""
    ctx = Context(now, bytes)
    store = ProfileStore(universe.universe_id)
    signed = PeerAddress.sign(
        universe.identity, universe_id=universe.universe_id, serial=now, addresses=(address,)
    )
    store.learn_key_packages(ctx, universe.me, universe.incarnation, packages)
    store.learn_address(ctx, universe.me, universe.identity.peer_id, signed.encode())
    return _rows(ctx)[-1]


def _rows(ctx: Context) -> tuple[Record, ...]:
    return tuple((w.table, w.key, w.value) for w in ctx.step(None, None).writes if isinstance(w, Put))


def _person(index: int, seed: object) -> _Person:
    draw = random.Random(f"{seed} person {index}").randbytes
    identity = Identity.generate(f"member {index}", draw)
    private_key, public_key = cipher_suite(SUITE).signature_generate(draw)
    return _Person(identity, private_key, public_key, draw)


def _roster(people: list[_Person], now: int) -> tuple[bytes, Roster]:
    """Founding, one invite of many uses, and an admission of each, one after another."""
    founder = people[0]
    universe_id, roster = found(
        founder.identity,
        universe_name="simulated",
        signature_key=founder.signature_key,
        cipher_suite=SUITE,
        incarnation=0,
        random=founder.draw,
    )
    secret = TicketSecret.generate(founder.draw, founder.identity.identity_public_key)
    latest = roster.make_invite(
        founder.identity,
        ticket_key=secret.public_key,
        mac_key=secret.mac_key,
        uses=max(1, len(people) - 1),
        expires_at=now + policy.DAY,
    )
    roster.add(latest)
    version = decode_entry(latest).version
    for number, person in enumerate(people[1:], 1):
        identity = person.identity.identity_public_key
        member = DmlsMember.sign(
            person.identity,
            universe_id=universe_id,
            send_group_id=new_send_group_id(universe_id, identity, person.draw),
            incarnation=0,
            serial=0,
            signature_key=person.signature_key,
        )
        init_key = person.draw(32)
        proof = prove(
            secret,
            universe_id=universe_id,
            identity=identity,
            signature_key=person.signature_key,
            init_key=init_key,
        )
        body = admission_by(
            member,
            name=person.identity.name,
            role=MEMBER,
            signature_key=person.signature_key,
            cipher_suite=SUITE,
            invite_id=secret.invite_id,
            spend=Spend(secret.public_key, init_key, proof.signature),
        )
        latest = sign_entry(
            founder.identity,
            universe_id=universe_id,
            subject=identity,
            kind=Kind.MEMBER,
            version=version + number,
            predecessors=(entry_id(latest),),
            body=body,
        )
        roster.add(latest)
    return universe_id, roster
