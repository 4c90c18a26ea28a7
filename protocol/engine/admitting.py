"""Admitting who has a ticket: the sponsor's side of a join (PROTOCOL section 6, P-4, P-12, X-9, X-14)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.decentralized.dmls_message import EXTERNAL_FORMATS, read_dmls_message
from starling.protocol.distributed import component_ids, labels, policy
from starling.protocol.distributed.admission import admission_of
from starling.protocol.distributed.joiner import read_joiner
from starling.protocol.distributed.key_packages import check_key_package
from starling.protocol.distributed.member import UNIVERSE_SUITES, DmlsMember, leaf_identity
from starling.protocol.distributed.peer_address import PeerAddress
from starling.protocol.distributed.roster_rights import Right
from starling.protocol.distributed.rules import Rule
from starling.protocol.distributed.ticket import sponsor_mac
from starling.protocol.distributed.ticket_proof import verify_ticket_proof
from starling.protocol.engine import aligning, membership
from starling.protocol.engine.context import Context
from starling.protocol.engine.profile_exchange import profiles_of
from starling.protocol.engine.sponsoring import tell_profile
from starling.protocol.engine.universe import Universe
from starling.protocol.errors import Invalid, ProtocolError, Unsupported, UsageError
from starling.protocol.exchange.entries import in_parts
from starling.protocol.exchange.joining_messages import (
    Admitted,
    JoinAnswer,
    JoinHello,
    JoinProof,
    JoinRefused,
    JoinRequest,
)
from starling.protocol.extensions.private_external import open_private_external
from starling.protocol.mls.key_package import KeyPackage
from starling.protocol.mls.proposal import Add
from starling.protocol.mls.rules import Rule as MlsRule
from starling.protocol.mls.safe_aad import read_safe_aad

_REASONS = {
    Rule.INVITE_UNKNOWN: "ticket.unknown",
    Rule.INVITE_REVOKED: "ticket.revoked",
    Rule.INVITE_EXPIRED: "ticket.expired",
    Rule.INVITE_USED: "ticket.used",
    Rule.INVITE_REMOVED: "ticket.removed",
    Rule.MEMBER_ADMITTED: "member.known",
    Rule.UNIVERSE_FULL: "universe.full",
}

ANSWER_BYTES = 1024 * 1024
"""Of roster entries in one answer: beside them there is room for the profiles of all members."""


class _Stale(Exception):  # not an error: the joiner has sealed to an epoch that is over, and asks again
    pass


@dataclass(frozen=True, slots=True)
class _Request:
    """What a joiner asks: to be added by this KeyPackage, and to be answered by this HPKE key."""

    package: KeyPackage
    answer_key: bytes


def answer_hello(ctx: Context, universe: Universe, peer_id: bytes, message: JoinHello) -> None:
    """Prove that we know the ticket, with the key to be asked by; or say why it is of no use."""
    invite = universe.roster.invites.get(message.invite_id)
    if invite is None:
        _refuse(ctx, universe, peer_id, "ticket.unknown", final=False)
        return
    if not _may_sponsor(universe):
        _refuse(ctx, universe, peer_id, "sponsor.not-ready", final=False)
        return
    door = universe.door
    door.turn_to(universe.identity, universe.own, ctx.now)
    if not door.may_greet(peer_id):
        _refuse(ctx, universe, peer_id, "sponsor.busy", final=False)
        return
    mac = sponsor_mac(
        invite.mac_key,
        universe_id=universe.universe_id,
        sponsor_peer_id=universe.identity.peer_id,
        joiner_peer_id=peer_id,
        nonce=message.nonce,
        vouched=door.vouched,
    )
    ctx.send(peer_id, JoinProof(universe.universe_id, message.nonce, door.vouched, mac))


def answer_request(ctx: Context, universe: Universe, peer_id: bytes, message: JoinRequest) -> None:
    """Open the request, check ticket and KeyPackage, admit, and answer with all that the joiner needs."""
    if not _may_sponsor(universe):
        _refuse(ctx, universe, peer_id, "sponsor.not-ready", final=False)
        return
    door = universe.door
    door.turn_to(universe.identity, universe.own, ctx.now)
    digest = hashlib.sha256(message.message).digest()
    if peer_id not in door.told:
        _refuse(ctx, universe, peer_id, "request.stale", final=False)
        return
    if door.is_repeated(digest):
        _refuse(ctx, universe, peer_id, "request.repeated", final=False)
        return
    if not door.may_open(peer_id):
        _refuse(ctx, universe, peer_id, "sponsor.busy", final=False)
        return
    door.remember(digest)
    try:
        request = _open(universe, message.message)
        identity = _admit(ctx, universe, peer_id, request.package)
    except _Stale:
        _refuse(ctx, universe, peer_id, "request.stale", final=False)
        return
    except Invalid as refusal:
        universe.refuse(refusal.rule.name)
        reason = _REASONS.get(refusal.rule) if isinstance(refusal.rule, Rule) else None
        _refuse(ctx, universe, peer_id, reason or "request.invalid", final=True)
        return
    except (ProtocolError, Unsupported, UsageError) as refusal:
        universe.refuse(type(refusal).__name__)
        _refuse(ctx, universe, peer_id, "request.invalid", final=True)
        return
    aligning.align(ctx, universe)
    adding = universe.own.log.adding(identity)
    everybody = [member for member in universe.roster.members if member != identity]
    *parts, last = in_parts(universe.roster.entries(), ANSWER_BYTES)
    for part in parts:
        _answer(ctx, universe, peer_id, request, Admitted(part, ()))
    admitted = Admitted(last, profiles_of(universe, everybody).profiles)
    _answer(ctx, universe, peer_id, request, admitted, (adding.frame_id,) if adding is not None else ())


def _answer(
    ctx: Context,
    universe: Universe,
    peer_id: bytes,
    request: _Request,
    admitted: Admitted,
    frame_ids: tuple[bytes, ...] = (),
) -> None:
    sealed = cipher_suite(universe.cipher_suite).encrypt_with_label(
        request.answer_key, labels.JOIN_ANSWER, universe.universe_id, admitted.encode(), ctx.random
    )
    ctx.send(peer_id, JoinAnswer(universe.universe_id, sealed.encode()), frame_ids)


def _may_sponsor(universe: Universe) -> bool:
    return universe.roster.may(universe.me, Right.SPONSOR) and universe.boot.done


def _open(universe: Universe, data: bytes) -> _Request:
    """The external Add proposal in a request to the newest epoch of our own group, its signature verified (X-9)."""
    message = read_dmls_message(data, EXTERNAL_FORMATS)
    own = universe.own
    if message.group_id != own.group_id:
        raise Invalid(MlsRule.WRONG_GROUP)
    if message.dmls_epoch != own.graph.head:
        raise _Stale
    group = own.head
    content = group.open_handshake(open_private_external(group, message.message)).content
    answer_key = read_safe_aad(content.authenticated_data).get(component_ids.ANSWER_KEY)
    if not isinstance(content.proposal, Add) or answer_key is None:
        raise Invalid(Rule.ANSWER_KEY)
    group.cipher_suite.hpke.check_public_key(answer_key)
    return _Request(content.proposal.key_package, answer_key)


def _admit(ctx: Context, universe: Universe, peer_id: bytes, package: KeyPackage) -> bytes:
    """Enter the joiner in the roster, once whatever it repeats; its identity is given back.

    Only the sponsor counts the members (X-19): rosters that others made merge whatever their size.
    """
    proof = verify_ticket_proof(package, universe.universe_id)
    invite_id = proof.invite_id
    invite = universe.roster.invites.get(invite_id)
    if invite is None or invite.ticket_key != proof.ticket_key:
        raise Invalid(Rule.INVITE_UNKNOWN)
    identity = leaf_identity(package.leaf_node)
    member = check_key_package(package, universe_id=universe.universe_id, now=ctx.now)
    if package.cipher_suite != universe.cipher_suite:
        raise Invalid(Rule.KEY_PACKAGE_SUITE)
    if member.peer_id != peer_id:
        raise Invalid(Rule.MEMBER_IDENTITY)
    joiner = read_joiner(package)
    name = joiner.check()
    if joiner.cipher_suite not in UNIVERSE_SUITES:
        raise Invalid(Rule.KEY_PACKAGE_SUITE)
    if joiner.address:
        signed = PeerAddress.decode(joiner.address)
        signed.verify(universe.universe_id)
        if signed.peer_id != peer_id:
            raise Invalid(Rule.PEER_ADDRESS_PEER)
    known = universe.roster.check_spend(invite_id, identity, ctx.now)
    if known is not None:
        if known.send_group_id != member.send_group_id:
            raise Invalid(Rule.MEMBER_ADMITTED)
        return identity
    if len(universe.roster.members) >= policy.MAX_MEMBERS:
        raise Invalid(Rule.UNIVERSE_FULL)
    former = universe.roster.former.get(identity)
    if former is not None and member.incarnation <= former.incarnation:
        raise Invalid(Rule.MEMBER_INCARNATION)
    _check_group_id(universe, member)
    admission = admission_of(
        package,
        name=name,
        role=invite.role,
        cipher_suite=joiner.cipher_suite,
        invite_id=invite_id,
        spends=True,
    )
    entry = universe.roster.make_member(universe.identity, identity, admission)
    membership.add_entries(ctx, universe, [entry], source=peer_id)
    tell_profile(ctx, universe, identity, ((package.encode(),), joiner.address), peer_id)
    return identity


def _check_group_id(universe: Universe, member: DmlsMember) -> None:
    """X-14: the group that a joiner is going to found is nobody's yet, neither by the roster nor by a Welcome."""
    group_id = member.send_group_id
    if group_id in universe.roster.send_groups or group_id in universe.groups:
        raise Invalid(Rule.MEMBER_SEND_GROUP)


def _refuse(ctx: Context, universe: Universe, peer_id: bytes, reason: str, *, final: bool) -> None:
    ctx.send(peer_id, JoinRefused(universe.universe_id, reason, final))
