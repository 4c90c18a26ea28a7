"""What actors ask of the node: each command, and the function that does it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.distributed.roster import found
from starling.protocol.engine import (
    absence,
    departing,
    imports,
    joining,
    managing,
    membership,
    naming,
    own_group,
    readmission,
    sending,
    sponsoring,
)
from starling.protocol.engine.context import Context
from starling.protocol.engine.inputs import (
    BlockMember,
    CreateInvite,
    CreateUniverse,
    DropArchive,
    Input,
    JoinUniverse,
    LeaveUniverse,
    MarkVerified,
    NameArchiver,
    NameMember,
    OfferArchiver,
    ReadmitMember,
    Recover,
    Rejoin,
    RemoveArchiver,
    RemoveMember,
    Rename,
    RevokeInvite,
    SendMessage,
    SetPolicy,
    SetRole,
    UnblockMember,
    UpdateKeys,
)
from starling.protocol.engine.node import Node
from starling.protocol.engine.universe import Universe
from starling.protocol.errors import (
    UsageError,
)


def run(ctx: Context, node: Node, item: Input) -> Any:
    """Do what an actor asks; the result is given back. Raises `UsageError`, before anything changes."""
    match item:
        case CreateUniverse(name, suite_id):
            return _create(ctx, node, name, suite_id)
        case JoinUniverse(ticket, suite_id):
            return _join(ctx, node, ticket, suite_id)
        case SendMessage(universe_id):
            return sending.send(ctx, node.active(universe_id), item)
        case CreateInvite(universe_id):
            return managing.create_invite(ctx, node.active(universe_id), item)
        case RevokeInvite(universe_id, invite_id):
            return managing.revoke_invite(ctx, node.active(universe_id), invite_id)
        case RemoveMember(universe_id, identity, disowning):
            return managing.remove_member(ctx, node.active(universe_id), identity, disowning=disowning)
        case NameArchiver(universe_id, offer):
            return naming.name_archiver(ctx, node.active(universe_id), offer)
        case RemoveArchiver(universe_id, identity):
            return naming.remove_archiver(ctx, node.active(universe_id), identity)
        case OfferArchiver() | DropArchive():
            raise UsageError(
                "this node is a member; 'starling daemon --role archiver' runs an archiver", "role"
            )
        case Recover(universe_id):
            return readmission.recover(ctx, node.active(universe_id))
        case ReadmitMember(universe_id, identity, verification):
            return sponsoring.readmit_member(ctx, node.active(universe_id), identity, verification)
        case LeaveUniverse(universe_id, force):
            return departing.leave(ctx, node.active(universe_id), force=force)
        case SetRole(universe_id, identity, role):
            return managing.set_role(ctx, node.active(universe_id), identity, role)
        case SetPolicy(universe_id, invite, remove):
            return managing.set_policy(ctx, node.active(universe_id), invite, remove)
        case BlockMember(universe_id, identity):
            return managing.block_member(ctx, node.active(universe_id), identity)
        case UnblockMember(universe_id, identity):
            return managing.unblock_member(ctx, node.active(universe_id), identity)
        case Rejoin(universe_id):
            return absence.rejoin(ctx, node.active(universe_id))
        case UpdateKeys(universe_id):
            return _update(ctx, node.active(universe_id))
        case Rename(name):
            return _rename(ctx, node, name)
        case NameMember(universe_id, identity, petname):
            _known_person(node, universe_id, identity)
            return node.contacts.set_petname(ctx, identity, petname)
        case MarkVerified(universe_id, identity, verified):
            known = _known_person(node, universe_id, identity)
            called = known.name_of(identity) if verified else None
            return node.contacts.set_verified(ctx, identity, called)
    raise UsageError(f"{type(item).__name__} is no input of the engine")


def _create(ctx: Context, node: Node, name: str, suite_id: int) -> bytes:
    node.check_room()
    joining.check_suite(suite_id)
    suite = cipher_suite(suite_id)
    signature_private_key, signature_key = suite.signature_generate(ctx.random)
    universe_id, roster = found(
        node.identity,
        universe_name=name,
        signature_key=signature_key,
        cipher_suite=suite_id,
        incarnation=0,
        random=ctx.random,
    )
    universe = Universe(
        node.identity,
        universe_id,
        group_id=roster.members[node.identity.identity_public_key].send_group_id,
        cipher_suite=suite_id,
        incarnation=0,
        signature_private_key=signature_private_key,
        now=ctx.now,
    )
    universe.roster = roster
    node.adopt(ctx, universe)
    universe.save(ctx)
    membership.store_roster(ctx, universe)
    own_group.make_bundles(ctx, universe)
    own_group.found_group(ctx, universe)
    ctx.event("universe.created", universe_id, {"name": name})
    return universe_id


def _join(ctx: Context, node: Node, text: str, suite_id: int) -> bytes:
    ticket = joining.read_ticket(text, ctx.now)
    held = node.universes.get(ticket.universe_id)
    if held is not None and held.joining is not None:
        return ticket.universe_id
    if held is not None and not held.removed:
        raise UsageError("this node is a member of that universe already", "universe.joined")
    if held is None:
        node.check_room()
    universe = joining.begin(ctx, node.identity, ticket, suite_id, held)
    node.adopt(ctx, universe)
    joining.make_key_packages(ctx, universe)
    for member in ticket.members:
        if member.peer_id in node.connected:
            joining.knock(ctx, universe, member.peer_id)
    return ticket.universe_id


def _update(ctx: Context, universe: Universe) -> int:
    if universe.silenced:
        raise UsageError("this node is not admitted with its keys; see 'starling recover'", "busy")
    if not universe.boot.done:
        raise UsageError("this node has just started; its keys are renewed in a moment anyway", "busy")
    imports.import_now(ctx, universe, with_path=True)
    return universe.own.graph.head_info.number


def _rename(ctx: Context, node: Node, name: str) -> None:
    old_name = node.identity.name
    if name == old_name:
        return
    node.identity = replace(node.identity, name=name)
    ctx.put("name", b"", name.encode())
    node.touch_all()
    for universe in node.universes.values():
        universe.identity = node.identity
        universe.name_due = True
        if universe.is_active:
            body = {"identity": universe.me, "name": name, "old_name": old_name}
            ctx.event("member.renamed", universe.universe_id, body)


def _known_person(node: Node, universe_id: bytes, identity: bytes) -> Universe:
    """A universe, where somebody other than this node's user is known there, or a contact."""
    universe = node.universe(universe_id)
    node.touched.add(universe_id)
    if identity == universe.me:
        raise UsageError("this is you; choose somebody else", "member.self")
    roster = universe.roster
    if not any(identity in known for known in (roster.members, roster.former, node.contacts.contacts)):
        raise UsageError("not a member of this universe", "member.unknown")
    return universe
