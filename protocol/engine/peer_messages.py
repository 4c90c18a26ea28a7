"""Messages of connected peers: who may say what, and who answers it (PROTOCOL sections 6 and 7)."""

from __future__ import annotations

from starling.protocol.engine import (
    absence,
    admitting,
    archiving,
    asking,
    denying,
    exchanging,
    joining,
    membership,
    profile_exchange,
    sponsoring,
)
from starling.protocol.engine.context import Context
from starling.protocol.engine.readding import take_gone
from starling.protocol.engine.receiving import receive
from starling.protocol.engine.universe import Universe
from starling.protocol.exchange.archiver_messages import ListPulse
from starling.protocol.exchange.joining_messages import (
    JoinAnswer,
    JoinHello,
    JoinProof,
    JoinRefused,
    JoinRequest,
)
from starling.protocol.exchange.member_messages import (
    Excluded,
    Frames,
    Gone,
    Hello,
    Profiles,
    Pulse,
    RosterEntries,
    Summary,
    Want,
    WantProfiles,
    WantRoster,
)
from starling.protocol.exchange.message import Message
from starling.protocol.exchange.readmission_messages import Denied, ReadmitRequest, Sighted


def handle_message(
    ctx: Context, universe: Universe, peer_id: bytes, message: Message, frames: tuple[bytes, ...]
) -> bool:
    """Take one message; False where a frame in it was not decodable."""
    if universe.joining is not None:
        _as_joiner(ctx, universe, peer_id, message, frames)
        return True
    if isinstance(message, JoinHello):
        admitting.answer_hello(ctx, universe, peer_id, message)
        return True
    if isinstance(message, JoinRequest):
        admitting.answer_request(ctx, universe, peer_id, message)
        return True
    if isinstance(message, Hello):
        _hello(ctx, universe, peer_id, message)
        return True
    if universe.roster.archiver_of_peer(peer_id) is not None:
        return archiving.handle(ctx, universe, peer_id, message, frames)
    # Everything else is for members; a peer becomes one by the roster entries of its hello.
    member = universe.member_of_peer(peer_id)
    if member is None:
        if isinstance(message, Pulse):
            _tell_former_member(ctx, universe, peer_id)
        elif isinstance(message, ListPulse):
            archiving.tell_former(ctx, universe, peer_id)
        elif isinstance(message, RosterEntries) and universe.roster.awaits(peer_id):
            membership.add_entries(ctx, universe, message.entries, source=peer_id)
        return True
    if isinstance(message, ReadmitRequest):
        sponsoring.take_readmit_request(ctx, universe, member, message)
        return True
    return _as_member(ctx, universe, peer_id, message, frames)


def _as_joiner(
    ctx: Context, universe: Universe, peer_id: bytes, message: Message, frames: tuple[bytes, ...]
) -> None:
    if isinstance(message, JoinProof):
        joining.take_proof(ctx, universe, peer_id, message)
    elif isinstance(message, JoinAnswer):
        joining.take_answer(ctx, universe, peer_id, message, frames)
    elif isinstance(message, JoinRefused):
        joining.take_refusal(ctx, universe, peer_id, message)


def _hello(ctx: Context, universe: Universe, peer_id: bytes, message: Hello) -> None:
    known = universe.member_of_peer(peer_id) is not None
    # What a stranger says is looked at only where its last entry is the word of who may admit that it is none.
    if not known and not universe.roster.admits(message.entries, peer_id):
        _tell_former_member(ctx, universe, peer_id)
        disowned = universe.roster.disowns(message.entries, peer_id)
        if disowned is not None:
            ctx.send(peer_id, RosterEntries(universe.universe_id, disowned.entries))
        return
    membership.add_entries(ctx, universe, message.entries, source=peer_id)
    if universe.member_of_peer(peer_id) is None:
        _tell_former_member(ctx, universe, peer_id)
        return
    if peer_id not in universe.links and peer_id in universe.connected:
        exchanging.greet(ctx, universe, peer_id)
    denying.tell_again(ctx, universe, peer_id)
    lacking = [
        info.identity
        for info in universe.others()
        if not universe.profiles.key_package(info.identity, universe.cipher_suite)
        or not universe.profiles.addresses(info.identity)
    ]
    if lacking:
        ctx.send(peer_id, WantProfiles.some(universe.universe_id, lacking))


def _tell_former_member(ctx: Context, universe: Universe, peer_id: bytes) -> None:
    """Who is no member any more is told when it speaks as one, by the entries alone that say so: others hold secrets
    that it is not to know."""
    for identity, info in universe.roster.former.items():
        if info.peer_id == peer_id and identity not in universe.roster.members:
            departure = universe.roster.departure(identity)
            if departure is not None:
                ctx.send(peer_id, RosterEntries(universe.universe_id, departure.entries))


def _as_member(
    ctx: Context, universe: Universe, peer_id: bytes, message: Message, frames: tuple[bytes, ...]
) -> bool:
    decodable = True
    match message:
        case Pulse():
            exchanging.take_pulse(ctx, universe, peer_id, message)
            if message.roster_digest != universe.roster.digest:
                exchanging.ask_for_roster(ctx, universe, peer_id)
        case Summary():
            exchanging.take_summary(ctx, universe, peer_id, message)
            absence.tell_excluded(ctx, universe, peer_id, {row[0] for row in message.positions})
            if message.roster_digest != universe.roster.digest:
                universe.boot.waits_for_roster = True
                exchanging.ask_for_roster(ctx, universe, peer_id)
        case Want():
            exchanging.answer_want(ctx, universe, peer_id, message)
        case Frames():
            for frame in frames:
                decodable = receive(ctx, universe, peer_id, frame) and decodable
            asking.take_answer(ctx, universe, peer_id)
            universe.boot.waits_for_proof = False
        case Gone():
            take_gone(ctx, universe, peer_id, message)
        case Excluded():
            absence.take_excluded(ctx, universe, peer_id, message)
        case RosterEntries():
            membership.add_entries(ctx, universe, message.entries, source=peer_id)
            universe.boot.waits_for_roster = False
        case WantRoster():
            exchanging.send_entries(ctx, universe, peer_id, universe.roster.missing_from(message.held))
        case Profiles():
            profile_exchange.take_profiles(ctx, universe, message)
        case WantProfiles():
            profile_exchange.answer_profiles(ctx, universe, peer_id, message.identities)
        case Sighted():
            denying.take_sighting(ctx, universe, peer_id, message)
        case Denied():
            denying.take_denial(ctx, universe, peer_id, message)
        case _:
            pass
    return decodable
