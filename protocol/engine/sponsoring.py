"""Admitting members anew that have lost their send group (PROTOCOL 5.6 B7). Joins are in `admitting`."""

from __future__ import annotations

from dataclasses import replace

from starling.protocol.distributed import policy
from starling.protocol.distributed.admission import admission_of
from starling.protocol.distributed.identity import is_name
from starling.protocol.distributed.key_packages import check_key_package
from starling.protocol.distributed.member import UNIVERSE_SUITES, DmlsMember, leaf_identity
from starling.protocol.distributed.peer_address import PeerAddress
from starling.protocol.distributed.readmit_request import ReadmitRequestTBS
from starling.protocol.distributed.roster import MemberInfo
from starling.protocol.distributed.roster_rights import Right
from starling.protocol.distributed.rules import Rule
from starling.protocol.engine import denying, membership, profile_exchange
from starling.protocol.engine.context import Context
from starling.protocol.engine.managing import require
from starling.protocol.engine.profile_exchange import profiles_of
from starling.protocol.engine.under_way import AsksAgain
from starling.protocol.engine.universe import Universe
from starling.protocol.errors import Invalid, UsageError
from starling.protocol.exchange.readmission_messages import ReadmitRequest
from starling.protocol.mls.key_package import KeyPackage


def _check_profile(
    ctx: Context,
    universe: Universe,
    peer_id: bytes,
    profile: tuple[tuple[bytes, ...], bytes],
    cipher_suite: int,
) -> tuple[list[KeyPackage], DmlsMember]:
    """What a peer shows of itself to be admitted by: one KeyPackage a suite, all of one member with this peer, and
    signed addresses. Raises `Invalid`, `DecodeError`, `VerificationFailed`, `Unsupported`."""
    encoded, address = profile
    packages = [KeyPackage.decode(package) for package in encoded]
    if not set(UNIVERSE_SUITES) <= {package.cipher_suite for package in packages}:
        raise Invalid(Rule.KEY_PACKAGE_SUITE)
    first = packages[0].leaf_node
    identity = leaf_identity(first)
    members = []
    for package in packages:
        member = check_key_package(package, universe_id=universe.universe_id, identity=identity, now=ctx.now)
        if member.peer_id != peer_id or package.leaf_node.signature_key != first.signature_key:
            raise Invalid(Rule.MEMBER_IDENTITY)
        members.append(member)
    member = members[0]
    if any(other.send_group_id != member.send_group_id for other in members):
        raise Invalid(Rule.MEMBER_SEND_GROUP)
    if any(other.incarnation != member.incarnation for other in members):
        raise Invalid(Rule.MEMBER_INCARNATION)
    if cipher_suite not in UNIVERSE_SUITES:
        raise Invalid(Rule.KEY_PACKAGE_SUITE)
    if address:
        signed = PeerAddress.decode(address)
        signed.verify(universe.universe_id)
        if signed.peer_id != peer_id:
            raise Invalid(Rule.PEER_ADDRESS_PEER)
    return packages, member


def tell_profile(
    ctx: Context,
    universe: Universe,
    identity: bytes,
    profile: tuple[tuple[bytes, ...], bytes],
    peer_id: bytes,
) -> None:
    """Pass on what others need to add whom this node has admitted; `peer_id` is who gave it."""
    profile_exchange.learn_profile(ctx, universe, *profile)
    for link in universe.links:
        if link != peer_id:
            ctx.send(link, profiles_of(universe, [identity]))


# starting anew


def take_readmit_request(
    ctx: Context, universe: Universe, member: MemberInfo, message: ReadmitRequest
) -> None:
    """A member asks to start anew: check it, and tell people, or admit it where nobody is to be asked.

    A member has a few requests at a time, which do not follow each other at once, as each is costly to check. Raises
    what the checks raise.
    """
    if not universe.roster.may(universe.me, Right.READMIT):
        return
    held = universe.asks_again.get(member.identity, ())
    known = next((other for other in held if other.profile[0] == message.profile[0]), None)
    if known is not None:
        _look_again(ctx, universe, member, known)
        return
    if any(0 <= ctx.now - other.asked_at < policy.READMIT_MIN_GAP for other in held):
        return
    packages, shown = _check_profile(ctx, universe, member.peer_id, message.profile, message.cipher_suite)
    if leaf_identity(packages[0].leaf_node) != member.identity or not is_name(message.name):
        raise Invalid(Rule.MEMBER_IDENTITY)
    request = ReadmitRequestTBS(
        universe.universe_id,
        member.identity,
        shown.send_group_id,
        shown.incarnation,
        message.name.encode(),
        message.cipher_suite,
        message.profile[0],
    )
    request.verify(message.signature)
    if shown.send_group_id == member.send_group_id:
        return
    if shown.incarnation <= member.incarnation:
        raise Invalid(Rule.MEMBER_INCARNATION)
    if shown.send_group_id in universe.roster.send_groups:
        raise Invalid(Rule.MEMBER_SEND_GROUP)
    automatically = universe.readmits_automatically
    asked = AsksAgain(request, request.verification(), message.profile, ctx.now, not automatically)
    universe.asks_again[member.identity] = (*held, asked)[-policy.READMIT_REQUESTS :]
    if not automatically:
        _tell_request(ctx, universe, asked)
    elif not denying.was_shown_heads(universe, member.identity, shown.send_group_id):
        _admit_or_tell(ctx, universe, member, asked)


def _look_again(ctx: Context, universe: Universe, member: MemberInfo, asked: AsksAgain) -> None:
    """A request that came before comes again: another node with the keys of this member had time to deny it."""
    if not asked.is_told and not 0 <= ctx.now - asked.asked_at < policy.READMIT_WAIT:
        _admit_or_tell(ctx, universe, member, asked)


def _admit_or_tell(ctx: Context, universe: Universe, member: MemberInfo, asked: AsksAgain) -> None:
    """Admit where nobody is to be asked; a person is where the member runs twice, or did this too often."""
    if not denying.runs_twice(universe, member) and _is_seldom(ctx, universe, member.identity):
        _readmit(ctx, universe, asked, member.peer_id)
        return
    universe.asks_again[member.identity] = tuple(
        replace(other, is_told=True) if other is asked else other
        for other in universe.asks_again[member.identity]
    )
    _tell_request(ctx, universe, asked)


def _tell_request(ctx: Context, universe: Universe, asked: AsksAgain) -> None:
    identity = asked.request.identity
    body = {
        "identity": identity,
        "name": universe.name_of(identity),
        "verification": asked.verification,
    }
    ctx.event("member.asks_again", universe.universe_id, body)


def _is_seldom(ctx: Context, universe: Universe, identity: bytes) -> bool:
    """Whether a member may start anew once more today without a person: all owners have to add it again each time."""
    today = [time for time in universe.readmitted.get(identity, ()) if 0 <= ctx.now - time < policy.DAY]
    if len(today) >= policy.READDS_PER_DAY:
        return False
    universe.readmitted[identity] = (*today, ctx.now)
    return True


def readmit_member(ctx: Context, universe: Universe, identity: bytes, verification: str) -> None:
    """Admit a member anew that has asked for it; raises `UsageError` where it is not the request that is meant."""
    require(universe, Right.READMIT, "only admins admit members anew")
    member = universe.roster.members.get(identity)
    if member is None:
        raise UsageError("not a member of this universe", "member.unknown")
    held = universe.asks_again.get(identity)
    if held is None:
        raise UsageError("this member does not ask to start anew", "readmit.unknown")
    meant = [asked for asked in held if asked.verification == verification]
    if not meant:
        raise UsageError(
            "this is not the number of the member's request; compare again with the person",
            "readmit.verification",
        )
    _readmit(ctx, universe, meant[0], member.peer_id)


def readmit_self(ctx: Context, universe: Universe, asked: AsksAgain) -> None:
    """Who admits others asks nobody (5.6 B7)."""
    membership.add_entries(ctx, universe, [_readmission(universe, asked)])


def _readmit(ctx: Context, universe: Universe, asked: AsksAgain, peer_id: bytes) -> None:
    identity = asked.request.identity
    membership.add_entries(ctx, universe, [_readmission(universe, asked)])
    tell_profile(ctx, universe, identity, asked.profile, peer_id)


def _readmission(universe: Universe, asked: AsksAgain) -> bytes:
    """The roster entry; all owners remove the old leaf and add the new one by it."""
    request = asked.request
    standing = universe.roster.members[request.identity]
    admission = admission_of(
        KeyPackage.decode(asked.profile[0][0]),
        name=request.name.decode(),
        role=standing.role,
        cipher_suite=request.cipher_suite,
        invite_id=standing.invite_id,
        spends=False,
    )
    return universe.roster.make_member(universe.identity, request.identity, admission)
