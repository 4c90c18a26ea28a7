"""Joining a universe by a ticket: the joiner's side (PROTOCOL section 6, Joining)."""

from __future__ import annotations

from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.distributed import policy
from starling.protocol.distributed.identity import Identity
from starling.protocol.distributed.member import UNIVERSE_SUITES
from starling.protocol.distributed.ticket import Ticket, TicketError, verify_sponsor_mac
from starling.protocol.engine import catching_up, membership, own_group
from starling.protocol.engine.context import Context
from starling.protocol.engine.exchanging import greet, profiles_of
from starling.protocol.engine.receiving import receive
from starling.protocol.engine.universe import Joining, Universe
from starling.protocol.errors import Pending, ProtocolError, Unsupported, UsageError, VerificationFailed
from starling.protocol.exchange.messages import JoinAnswer, JoinHello, JoinProof, JoinRefused, JoinRequest

NONCE_SIZE = 32


def read_ticket(text: str, now: int) -> Ticket:
    """A ticket that may be used now; raises `UsageError` with a sentence for people."""
    try:
        ticket = Ticket.parse(text)
    except TicketError as error:
        raise UsageError(str(error), "ticket.bad") from None
    if ticket.expires_at <= now:
        raise UsageError("the ticket has expired; ask for a new one", "ticket.expired")
    if not ticket.members:
        raise UsageError("the ticket names nobody to dial; ask for a new one", "ticket.bad")
    return ticket


def begin(
    ctx: Context, identity: Identity, ticket: Ticket, suite_id: int, former: Universe | None = None
) -> Universe:
    """The universe to be: keys and KeyPackages are made and stored before anything is said.

    `former` is the universe as it was left by a node that was removed from it: it comes back as somebody new, with
    a send group of its own and a higher incarnation. That is the time in seconds, so it rises for a node too that
    has lost its store.
    """
    check_suite(suite_id)
    suite = cipher_suite(suite_id)
    signature_private_key, _ = suite.signature_generate(ctx.random)
    universe = Universe(
        identity,
        ticket.universe_id,
        group_id=ctx.random(32),
        cipher_suite=suite_id,
        incarnation=max(ctx.now // 1000, former.incarnation + 1 if former is not None else 0),
        signature_private_key=signature_private_key,
        now=ctx.now,
    )
    if former is not None:
        universe.removed = True  # until it is admitted
        universe.roster = former.roster
        universe.evidence = former.evidence
        universe.standing.blocked = former.standing.blocked
        ctx.delete("leaving", ticket.universe_id)
    universe.joining = Joining(ticket, ctx.now)
    universe.save(ctx)
    ctx.put("joining", universe.universe_id, ticket.text().encode())
    own_group.make_bundles(ctx, universe, ticket.keys)
    return universe


def check_suite(suite_id: int) -> None:
    """Raises `UsageError` for a suite that send groups do not use."""
    if suite_id not in UNIVERSE_SUITES:
        listed = " or ".join(map(str, UNIVERSE_SUITES))
        raise UsageError(f"send groups use cipher suite {listed}", "suite")


def resume(universe: Universe, text: bytes, now: int) -> None:
    """After a restart: go on with a stored join."""
    universe.joining = Joining(Ticket.parse(text.decode()), now)


def knock(ctx: Context, universe: Universe, peer_id: bytes) -> None:
    """Say the first word to a connected member of the ticket."""
    joining = universe.joining
    if joining is None or peer_id not in {member.peer_id for member in joining.ticket.members}:
        return
    nonce = ctx.random(NONCE_SIZE)
    joining.nonces[peer_id] = nonce
    ctx.send(peer_id, JoinHello(universe.universe_id, joining.ticket.keys.invite_id, nonce))


def knock_again(ctx: Context, universe: Universe) -> bool:
    """On the timer; False where the ticket has expired and nothing is left of the universe."""
    joining = universe.joining
    assert joining is not None
    if joining.ticket.expires_at <= ctx.now:
        fail(ctx, universe, "ticket.expired")
        return universe.removed
    if joining.next_try <= ctx.now:
        joining.next_try = ctx.now + ctx.jittered(policy.JOIN_AGAIN)
        for member in joining.ticket.members:
            if member.peer_id in universe.connected:
                knock(ctx, universe, member.peer_id)
    return True


def take_proof(ctx: Context, universe: Universe, peer_id: bytes, message: JoinProof) -> None:
    """The sponsor knows the ticket: ask it to admit us."""
    joining = universe.joining
    if joining is None or joining.nonces.get(peer_id) != message.nonce:
        return
    keys = joining.ticket.keys
    try:
        verify_sponsor_mac(
            keys.mac_key,
            message.mac,
            universe_id=universe.universe_id,
            sponsor_peer_id=peer_id,
            joiner_peer_id=universe.identity.peer_id,
            nonce=message.nonce,
        )
    except VerificationFailed:
        universe.refuse("sponsor_mac")
        return
    joining.proven.add(peer_id)
    (profile,) = profiles_of(universe, [universe.me]).profiles
    request = JoinRequest(
        universe.universe_id, keys.invite_id, universe.identity.name, universe.cipher_suite, profile
    )
    ctx.send(peer_id, request)


def take_answer(
    ctx: Context, universe: Universe, peer_id: bytes, message: JoinAnswer, frames: tuple[bytes, ...]
) -> None:
    """Admitted: take over the roster, found the own send group with everybody in it, and enter the sponsor's."""
    joining = universe.joining
    if joining is None or peer_id not in joining.proven:
        return
    for entry in message.entries:
        try:
            universe.roster.add(entry)
        except (ProtocolError, Unsupported, Pending) as refusal:
            universe.refuse(type(refusal).__name__)
    own = universe.roster.members.get(universe.me)
    sponsor = universe.member_of_peer(peer_id)
    if own is None or sponsor is None or own.send_group_id != universe.group_id:
        return
    universe.joining = None
    universe.removed = False
    ctx.delete("joining", universe.universe_id)
    own_group.found_group(ctx, universe)
    universe.timers.first_path = ctx.now + policy.FIRST_PATH_COMMIT
    universe.save(ctx)
    membership.store_roster(ctx, universe)
    for packages, address in message.profiles:
        try:
            membership.learn_profile(ctx, universe, packages, address)
        except (ProtocolError, Unsupported, Pending) as refusal:
            universe.refuse(type(refusal).__name__)
    membership.align(ctx, universe)
    for frame in frames:
        receive(ctx, universe, peer_id, frame)
    ctx.event(
        "universe.joined",
        universe.universe_id,
        {"name": universe.roster.universe_name or "", "members": len(universe.roster.members)},
    )
    catching_up.note(universe, universe.me)
    for info in universe.others():
        if info.peer_id in universe.connected:
            greet(ctx, universe, info.peer_id)


def take_refusal(ctx: Context, universe: Universe, peer_id: bytes, message: JoinRefused) -> bool:
    """Not admitted; True where that ends the join."""
    joining = universe.joining
    if joining is None or peer_id not in joining.nonces:
        return False
    del joining.nonces[peer_id]
    # Only who has proven to know the ticket can end the join.
    final = message.final and peer_id in joining.proven
    if final:
        fail(ctx, universe, message.reason)
    return final


def fail(ctx: Context, universe: Universe, reason: str) -> None:
    """The join is over; nothing of it stays but that this node was removed before, if it was."""
    universe.joining = None
    ctx.event("join.failed", universe.universe_id, {"reason": reason})
    ctx.delete("joining", universe.universe_id)
    if universe.removed:
        universe.signature_private_key = b""
        universe.save(ctx)
    else:
        ctx.delete("universe", universe.universe_id)
    universe.bundles.forget_all(ctx)
