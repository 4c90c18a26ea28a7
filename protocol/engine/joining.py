"""Joining a universe by a ticket: the joiner's side (PROTOCOL section 6, Joining; P-4).

Who asks is sealed to the sponsor, and its answer to the joiner, so that nobody between them learns who it is.
"""

from __future__ import annotations

from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.crypto.hpke import HPKECiphertext
from starling.protocol.decentralized.dmls_message import wrap
from starling.protocol.distributed import component_ids, labels, policy
from starling.protocol.distributed.identity import Identity
from starling.protocol.distributed.joiner import Joiner
from starling.protocol.distributed.member import UNIVERSE_SUITES
from starling.protocol.distributed.send_group_id import new_send_group_id
from starling.protocol.distributed.ticket import Ticket, TicketError, verify_sponsor_mac
from starling.protocol.distributed.vouched_info import VouchedInfo
from starling.protocol.engine import aligning, catching_up, membership, own_group, profile_exchange
from starling.protocol.engine.context import Context
from starling.protocol.engine.exchanging import greet
from starling.protocol.engine.key_changes import note_names_of_all
from starling.protocol.engine.profile_exchange import profiles_of
from starling.protocol.engine.receiving import receive
from starling.protocol.engine.under_way import Joining, Proven
from starling.protocol.engine.universe import Universe
from starling.protocol.errors import Pending, ProtocolError, Unsupported, UsageError
from starling.protocol.exchange.joining_messages import (
    Admitted,
    JoinAnswer,
    JoinHello,
    JoinProof,
    JoinRefused,
    JoinRequest,
)
from starling.protocol.extensions.private_external import seal_private_external
from starling.protocol.mls.external_proposal import propose_own_add
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.safe_aad import SafeAAD

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
    """The universe to be: its keys are made and stored before anything is said.

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
        group_id=new_send_group_id(ticket.universe_id, identity.identity_public_key, ctx.random),
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
    return universe


def make_key_packages(ctx: Context, universe: Universe) -> None:
    """What the joiner asks to be added by, one a suite: the sponsor's decides which. They hold its addresses as they
    are now."""
    assert universe.joining is not None
    address = universe.own_address
    joiner = Joiner.padded(
        universe.identity.name, universe.cipher_suite, address.encode() if address is not None else b""
    )
    own_group.make_bundles(ctx, universe, universe.joining.ticket.keys, joiner)


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
        joining.hurried = 0
        for member in joining.ticket.members:
            if member.peer_id in universe.connected:
                knock(ctx, universe, member.peer_id)
    return True


def take_proof(ctx: Context, universe: Universe, peer_id: bytes, message: JoinProof) -> None:
    """The sponsor knows the ticket, and vouches for the key of its group: ask it to admit us, one at a time."""
    joining = universe.joining
    if joining is None or joining.nonces.get(peer_id) != message.nonce:
        return
    try:
        verify_sponsor_mac(
            joining.ticket.keys.mac_key,
            message.mac,
            universe_id=universe.universe_id,
            sponsor_peer_id=peer_id,
            joiner_peer_id=universe.identity.peer_id,
            nonce=message.nonce,
            vouched=message.vouched,
        )
        vouched = VouchedInfo.decode(message.vouched)
        suite = vouched.verify(universe.universe_id, peer_id)
    except (ProtocolError, Unsupported):
        universe.refuse("sponsor_proof")
        return
    if joining.waits_for_another(peer_id, universe.connected, ctx.now):
        return
    private_key, public_key = suite.hpke_generate(ctx.random)
    joining.asked, joining.asked_at = peer_id, ctx.now
    joining.proven[peer_id] = Proven(vouched, private_key)
    bundle = vouched.bundle
    package = next(held for held in universe.bundles.newest() if held.cipher_suite == suite.id)
    proposal = propose_own_add(
        bundle.group_id,
        bundle.epoch,
        package,
        universe.signature_private_key,
        SafeAAD.of({component_ids.ANSWER_KEY: public_key}).encode(),
    )
    sealed = seal_private_external(MLSMessage.decode(proposal), bundle, random=ctx.random)
    ctx.send(peer_id, JoinRequest(universe.universe_id, wrap(sealed, bundle.dmls_epoch)))


def take_answer(
    ctx: Context, universe: Universe, peer_id: bytes, message: JoinAnswer, frames: tuple[bytes, ...]
) -> None:
    """Admitted: take over the roster, found the own send group with everybody in it, and enter the sponsor's."""
    joining = universe.joining
    proven = joining.proven.get(peer_id) if joining is not None else None
    if joining is None or proven is None:
        return
    try:
        admitted = _open_answer(universe, proven, message)
    except ProtocolError:
        universe.refuse("join_answer")
        return
    for entry in admitted.entries:
        try:
            universe.roster.add(entry)
        except (ProtocolError, Unsupported, Pending) as refusal:
            universe.refuse(type(refusal).__name__)
    own = universe.roster.members.get(universe.me)
    sponsor = universe.member_of_peer(peer_id)
    if own is None or sponsor is None or own.send_group_id != universe.group_id:
        return
    if (sponsor.identity, sponsor.send_group_id) != (proven.vouched.identity, proven.vouched.bundle.group_id):
        universe.refuse("sponsor_identity")
        return
    universe.joining = None
    universe.removed = False
    ctx.delete("joining", universe.universe_id)
    own_group.found_group(ctx, universe)
    universe.timers.first_path = ctx.now + policy.FIRST_PATH_COMMIT
    universe.save(ctx)
    membership.store_roster(ctx, universe)
    for packages, address in admitted.profiles:
        try:
            profile_exchange.learn_profile(ctx, universe, packages, address)
        except (ProtocolError, Unsupported, Pending) as refusal:
            universe.refuse(type(refusal).__name__)
    aligning.align(ctx, universe)
    for frame in frames:
        receive(ctx, universe, peer_id, frame)
    ctx.event(
        "universe.joined",
        universe.universe_id,
        {"name": universe.roster.universe_name or "", "members": len(universe.roster.members)},
    )
    note_names_of_all(ctx, universe)
    catching_up.note(universe, universe.me)
    # The sponsor has one KeyPackage, of its own suite: others may use another.
    ctx.send(peer_id, profiles_of(universe, [universe.me]))
    for info in universe.others():
        if info.peer_id in universe.connected:
            greet(ctx, universe, info.peer_id)


def _open_answer(universe: Universe, proven: Proven, message: JoinAnswer) -> Admitted:
    """Raises `DecodeError`, `VerificationFailed`."""
    suite = cipher_suite(proven.vouched.bundle.info.cipher_suite)
    sealed = HPKECiphertext.decode(message.sealed)
    opened = suite.decrypt_with_label(proven.answer_key, labels.JOIN_ANSWER, universe.universe_id, sealed)
    return Admitted.decode(opened)


def take_refusal(ctx: Context, universe: Universe, peer_id: bytes, message: JoinRefused) -> bool:
    """Not admitted; True where that ends the join. Where the sponsor's group has gone on meanwhile it is asked again at
    once, a few times."""
    joining = universe.joining
    if joining is None or peer_id not in joining.nonces:
        return False
    del joining.nonces[peer_id]
    if joining.asked == peer_id:
        joining.asked = b""
    # Only who has proven to know the ticket can end the join.
    if joining.proven.pop(peer_id, None) is None:
        return False
    if message.final:
        fail(ctx, universe, message.reason)
        return True
    if message.reason == "request.stale" and joining.hurried < policy.JOIN_HURRIED:
        joining.hurried += 1
        knock(ctx, universe, peer_id)
    return False


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
