"""What a person decides about who is a member: inviting, removing, and whom this node keeps out of its own group."""

from __future__ import annotations

from collections.abc import Iterator

from starling.protocol.distributed import policy
from starling.protocol.distributed.roster_body import Heard
from starling.protocol.distributed.roster_rights import ADMIN, MEMBER, READER, ROLES, Policy, Right
from starling.protocol.distributed.ticket import MAX_MEMBERS as MAX_TICKET_MEMBERS
from starling.protocol.distributed.ticket import Ticket, TicketMember, TicketSecret
from starling.protocol.engine import direct, membership, topics
from starling.protocol.engine.context import Context
from starling.protocol.engine.inputs import CreateInvite
from starling.protocol.engine.universe import Universe
from starling.protocol.errors import UsageError

MAX_TICKET_LIFETIME = 366 * 24 * 3600 * 1000


def create_invite(ctx: Context, universe: Universe, command: CreateInvite) -> dict[str, object]:
    """A ticket and its roster entry; raises `UsageError` for one without the right."""
    _check_role(command.role)
    require(universe, Right.INVITE, _may_not(universe, "invite", command.role), command.role)
    if not 0 < command.expires_in <= MAX_TICKET_LIFETIME:
        raise UsageError("a ticket lives between a moment and a year")
    if len(universe.roster.members) >= policy.MAX_MEMBERS:
        raise UsageError(
            f"the universe has {policy.MAX_MEMBERS} members already, and more it cannot have", "universe.full"
        )
    address = universe.own_address
    if address is None or not address.texts:
        raise UsageError("this node does not listen anywhere, so nobody could join by a ticket")
    secret = TicketSecret.generate(ctx.random, universe.me)
    expires_at = ctx.now + command.expires_in
    entry = universe.roster.make_invite(
        universe.identity,
        ticket_key=secret.public_key,
        mac_key=secret.mac_key,
        uses=command.uses,
        expires_at=expires_at,
        role=command.role,
    )
    members = (TicketMember(universe.identity.peer_id, address.texts[:4]), *_further_sponsors(ctx, universe))
    ticket = Ticket.issue(
        universe.identity,
        secret,
        universe_id=universe.universe_id,
        universe_name=universe.roster.universe_name or "",
        expires_at=expires_at,
        members=members,
    )
    membership.add_entries(ctx, universe, [entry])
    return {
        "ticket": ticket.text(),
        "invite_id": secret.invite_id,
        "expires_at": expires_at,
        "uses": command.uses,
        "role": command.role,
        "sponsors": len(members),
    }


def _check_role(role: str) -> None:
    if role not in ROLES:
        raise UsageError(f"a role is {', '.join(ROLES[:-1])} or {ROLES[-1]}", "role.unknown")


def _further_sponsors(ctx: Context, universe: Universe) -> Iterator[TicketMember]:
    """Whom a joiner may dial too, while this node is away: who may admit and was heard of lately, those first that are
    connected now."""
    heard = universe.standing.heard
    found = [
        (info.peer_id not in universe.links, -heard.get(info.identity, 0), info)
        for info in universe.others()
        if universe.roster.may(info.identity, Right.SPONSOR)
        and ctx.now - heard.get(info.identity, 0) < policy.LATELY
        and universe.profiles.addresses(info.identity)
    ]
    for _, _, info in sorted(found, key=lambda item: item[:2])[: MAX_TICKET_MEMBERS - 1]:
        yield TicketMember(info.peer_id, universe.profiles.addresses(info.identity)[:2])


def revoke_invite(ctx: Context, universe: Universe, invite_id: bytes) -> None:
    invite = universe.roster.invites.get(invite_id)
    if invite is None:
        raise UsageError("no such invite in this universe", "invite.unknown")
    if invite.author != universe.me:
        require(universe, Right.REVOKE, "only admins take back the tickets of others")
    if invite.revoked:
        return
    membership.add_entries(ctx, universe, [universe.roster.make_revoke(universe.identity, invite_id)])


def remove_member(
    ctx: Context, universe: Universe, identity: bytes, *, disowning: bool
) -> dict[str, list[bytes]]:
    """Remove a member: the roster now, then at once a topic that it does not know and the own group."""
    _require_other(universe, identity, "remove")
    role = universe.roster.members[identity].role
    require(universe, Right.REMOVE, _may_not(universe, "remove", role), role)
    before = universe.roster.members
    if disowning and before[identity].seniority <= before[universe.me].seniority:
        raise UsageError("only who is more senior than a member undoes what that did", "forbidden")
    entry = universe.roster.make_remove(universe.identity, identity, disowning=disowning)
    membership.add_entries(ctx, universe, [entry])
    topics.renew(ctx, universe)
    others = sorted(before.keys() - universe.roster.members.keys() - {identity})
    return {"gone": [identity, *others]}


def _may_not(universe: Universe, deed: str, role: str) -> str:
    info = universe.roster.members.get(universe.me)
    own = "no member" if info is None else _A[info.role]
    return f"this node is {own}, and may not {deed} {_A[role]}; 'starling policy' shows who may"


_A = {ADMIN: "an admin", MEMBER: "a member", READER: "a reader"}


def require(universe: Universe, right: Right, sentence: str, role: str = READER) -> None:
    """Raises `UsageError` where this node has not the right; `role` is that of whom it concerns."""
    if not universe.roster.may(universe.me, right, role):
        raise UsageError(sentence, "forbidden")


def set_role(ctx: Context, universe: Universe, identity: bytes, role: str) -> None:
    """Give a member another role. Raises `UsageError` without the right, and for the last admin that would be none."""
    _check_role(role)
    member = universe.roster.members.get(identity)
    if member is None:
        raise UsageError("not a member of this universe", "member.unknown")
    require(universe, Right.ROLE, "only admins give roles")
    if member.role == role:
        raise UsageError(f"this member's role is {role} already", "role.same")
    if identity == universe.me and is_last_admin(universe):
        raise UsageError("this node is the last admin; make another member one first", "admin.last")
    state = universe.groups.get(member.send_group_id)
    head = state.graph.head_info if state is not None else None
    heard = (
        Heard(member.send_group_id, head.number, head.dmls_epoch, head.contiguous)
        if head is not None
        else None
    )
    entry = universe.roster.make_role(universe.identity, identity, role, heard=heard)
    membership.add_entries(ctx, universe, [entry])


def is_last_admin(universe: Universe) -> bool:
    """Whether nobody else can do what only admins can."""
    admins = [identity for identity, info in universe.roster.members.items() if info.role == ADMIN]
    return admins == [universe.me]


def set_policy(ctx: Context, universe: Universe, invite: str | None, remove: str | None) -> dict[str, object]:
    """Say who may invite and who may remove; what is None stays. Raises `UsageError` without the right."""
    require(universe, Right.POLICY, "only admins set the policy")
    held = universe.roster.policy
    for wanted in (invite, remove):
        if wanted not in (None, MEMBER, ADMIN):
            raise UsageError("a policy names the role member or admin", "policy.unknown")
    changed = Policy(invite or held.invite, remove or held.remove)
    if changed != held:
        membership.add_entries(ctx, universe, [universe.roster.make_policy(universe.identity, changed)])
    return {"invite": changed.invite, "remove": changed.remove}


def block_member(ctx: Context, universe: Universe, identity: bytes) -> None:
    """Keep a member out of this node's own group, and show nothing that it says; the roster stays as it is (X-15)."""
    _require_other(universe, identity, "block")
    if identity in universe.standing.blocked:
        return
    universe.standing.block(ctx, identity)
    universe.outbox.forget_member(ctx, identity)
    direct.drop_queued(ctx, universe, identity, "blocked")
    universe.agreed.clear()
    universe.timers.align = ctx.now


def unblock_member(ctx: Context, universe: Universe, identity: bytes) -> None:
    """Take a blocked one back into the own group, where it is still a member."""
    if identity not in universe.standing.blocked:
        raise UsageError("this member is not blocked", "member.unknown")
    universe.standing.unblock(ctx, identity)
    universe.agreed.clear()
    universe.timers.align = ctx.now


def _require_other(universe: Universe, identity: bytes, what: str) -> None:
    """Raises `UsageError` where it is not another member."""
    if identity == universe.me:
        raise UsageError(f"one cannot {what} oneself", "member.oneself")
    if identity not in universe.roster.members:
        raise UsageError("not a member of this universe", "member.unknown")
