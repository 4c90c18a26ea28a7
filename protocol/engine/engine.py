"""The whole node without IO: `handle(input, now) -> Step` (DESIGN, One way in, one way out).

The engine owns all state. It never blocks, reads a clock, or sends: the loop gives it what happened, saves what
comes out, and only then sends it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.distributed.identity import Identity
from starling.protocol.distributed.peer_address import PeerAddress
from starling.protocol.distributed.roster import found
from starling.protocol.engine import (
    absence,
    archiving,
    boot,
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
    timers,
    views,
)
from starling.protocol.engine.contacts import ContactBook
from starling.protocol.engine.context import Context
from starling.protocol.engine.exchanging import greet, profiles_of
from starling.protocol.engine.fork_view import forks_view
from starling.protocol.engine.inputs import (
    BlockMember,
    ClockJumped,
    CreateInvite,
    CreateUniverse,
    DialFailed,
    DropArchive,
    FrameReceived,
    Input,
    JoinUniverse,
    LeaveUniverse,
    MarkVerified,
    MessageFromPeer,
    NameArchiver,
    NameMember,
    OfferArchiver,
    OwnAddresses,
    PeerConnected,
    PeerDisconnected,
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
    Wake,
)
from starling.protocol.engine.loading import load_universes, read_tables
from starling.protocol.engine.peer_messages import handle_message
from starling.protocol.engine.people import named, people_view
from starling.protocol.engine.receiving import group_of_frame, receive
from starling.protocol.engine.security_view import security_view
from starling.protocol.engine.step import Disconnect, Event, KnownPeers, Step, Topics
from starling.protocol.engine.universe import Universe
from starling.protocol.errors import (
    DecodeError,
    InternalError,
    Pending,
    ProtocolError,
    Unsupported,
    UsageError,
)
from starling.protocol.exchange.messages import decode_message

MAX_UNIVERSES = 256
MAX_BAD_INPUTS = 16

MOST_BACKWARDS = 10_000
"""How far time may go back, in milliseconds, before that counts as a new run (B2)."""

TRY_AGAIN = 1000
"""After how long what failed by itself is tried again, in milliseconds."""


class Engine:
    """One node. `records` are all stored rows `(table, key, value)` but those of the table `frame`.

    With `readmits_automatically` a member that asks to start anew is admitted without a person's word.
    """

    def __init__(
        self,
        identity: Identity,
        records: Iterable[tuple[str, bytes, bytes]],
        *,
        now: int,
        random: Callable[[int], bytes],
        readmits_automatically: bool = False,
    ) -> None:
        self.identity = identity
        self._random = random
        self._now = now
        tables = read_tables(records)
        for _, name in tables["name"]:
            self.identity = replace(self.identity, name=name.decode())
        self._universes = load_universes(self.identity, tables, now)
        self._contacts = ContactBook(tables["contact"])
        self._connected: set[bytes] = set()
        self._bad_inputs: dict[bytes, int] = {}
        self._addresses: tuple[str, ...] = ()
        self._topics: frozenset[str] | None = None
        self._told: dict[bytes, tuple[object, ...]] | None = None
        """What the network was last told by: of each universe its revision."""
        self._wakes: dict[bytes, int | None] = {}
        """When each universe wants to be woken; one that is not here was not looked at yet."""
        self._touched: set[bytes] = set()
        """The universes that the input of this moment is about."""
        self._known: KnownPeers | None = None
        self._readmits_automatically = readmits_automatically
        for universe in self._universes.values():
            self._share(universe)

    # the one way in

    def handle(self, item: Input, now: int) -> Step:
        """Take one input; raises `UsageError` for a command that cannot be done, before anything changes."""
        ctx = Context(now, self._random)
        self._touched = set()
        if now < self._now - MOST_BACKWARDS:
            self._new_run(ctx)
            self._touch_all()
        self._now = now
        try:
            result = self._dispatch(ctx, item)
        except UsageError as error:
            if ctx.has_changes:
                raise InternalError("a command was refused after it had begun") from error
            raise
        try:
            for universe in self._to_tick(item, now):
                self._touched.add(universe.universe_id)
                self._wakes[universe.universe_id] = self._tick(ctx, universe)
        except UsageError as error:
            raise InternalError("what was due could not be done") from error
        self._tell_network(ctx)
        ctx.name_people(self._named_event)
        for universe_id in self._wakes.keys() - self._universes.keys():
            del self._wakes[universe_id]
        wake_at = min((wake for wake in self._wakes.values() if wake is not None), default=None)
        return ctx.step(wake_at, result)

    def _to_tick(self, item: Input, now: int) -> list[Universe]:
        """The universes that the input is about, or in which something is due: what happens in one is nothing to the
        others, or a node would do in each what comes from all."""
        found = [
            universe
            for universe_id, universe in self._universes.items()
            if universe_id in self._touched or _is_due(self._wakes.get(universe_id, now), now)
        ]
        if isinstance(item, Wake) and not found:
            # It came at another moment than was asked for, so each is looked at.
            found = [u for u in self._universes.values() if _is_due(timers.next_wake(u), now)]
        return found

    def _touch_all(self) -> None:
        self._touched.update(self._universes)

    def _tick(self, ctx: Context, universe: Universe) -> int | None:
        """Do what is due in one universe; when it wants to be woken is given back."""
        try:
            if not timers.tick(ctx, universe):
                del self._universes[universe.universe_id]
                return None
        except (ProtocolError, Unsupported) as refusal:
            # What was done before stays done, in memory and on disk alike; the rest is tried again.
            universe.refuse(type(refusal).__name__)
            return max(timers.next_wake(universe) or 0, ctx.now + TRY_AGAIN)
        return timers.next_wake(universe)

    def _dispatch(self, ctx: Context, item: Input) -> Any:
        match item:
            case FrameReceived(peer_id, frame):
                self._frame(ctx, peer_id, frame)
            case MessageFromPeer(peer_id, data):
                self._message(ctx, peer_id, data)
            case PeerConnected(peer_id):
                self._connected_peer(ctx, peer_id)
            case PeerDisconnected(peer_id):
                self._disconnected_peer(peer_id)
            case DialFailed(peer_id):
                for universe in self._universes.values():
                    if not universe.boot.done:
                        universe.boot.failed.add(peer_id)
                        self._touched.add(universe.universe_id)
            case OwnAddresses(addresses):
                self._own_addresses(ctx, addresses)
            case ClockJumped():
                self._new_run(ctx)
                self._touch_all()
            case Wake():
                pass
            case _:
                return self._command(ctx, item)
        return None

    def _new_run(self, ctx: Context) -> None:
        """B2: a machine that was put back runs on as if nothing had been, with keys that were used since."""
        for universe in self._universes.values():
            boot.new_run(ctx, universe)

    # commands

    def _command(self, ctx: Context, item: Input) -> Any:
        match item:
            case CreateUniverse(name, suite_id):
                return self._create(ctx, name, suite_id)
            case JoinUniverse(ticket, suite_id):
                return self._join(ctx, ticket, suite_id)
            case SendMessage(universe_id):
                return sending.send(ctx, self._active(universe_id), item)
            case CreateInvite(universe_id):
                return managing.create_invite(ctx, self._active(universe_id), item)
            case RevokeInvite(universe_id, invite_id):
                return managing.revoke_invite(ctx, self._active(universe_id), invite_id)
            case RemoveMember(universe_id, identity):
                return managing.remove_member(ctx, self._active(universe_id), identity)
            case NameArchiver(universe_id, offer):
                return naming.name_archiver(ctx, self._active(universe_id), offer)
            case RemoveArchiver(universe_id, identity):
                return naming.remove_archiver(ctx, self._active(universe_id), identity)
            case OfferArchiver() | DropArchive():
                raise UsageError(
                    "this node is a member; 'starling daemon --role archiver' runs an archiver", "role"
                )
            case Recover(universe_id):
                return readmission.recover(ctx, self._active(universe_id))
            case ReadmitMember(universe_id, identity, verification):
                return sponsoring.readmit_member(ctx, self._active(universe_id), identity, verification)
            case LeaveUniverse(universe_id, force):
                return departing.leave(ctx, self._active(universe_id), force=force)
            case SetRole(universe_id, identity, role):
                return managing.set_role(ctx, self._active(universe_id), identity, role)
            case SetPolicy(universe_id, invite, remove):
                return managing.set_policy(ctx, self._active(universe_id), invite, remove)
            case BlockMember(universe_id, identity):
                return managing.block_member(ctx, self._active(universe_id), identity)
            case UnblockMember(universe_id, identity):
                return managing.unblock_member(ctx, self._active(universe_id), identity)
            case Rejoin(universe_id):
                return absence.rejoin(ctx, self._active(universe_id))
            case UpdateKeys(universe_id):
                return self._update(ctx, self._active(universe_id))
            case Rename(name):
                return self._rename(ctx, name)
            case NameMember(universe_id, identity, petname):
                self._known_person(universe_id, identity)
                return self._contacts.set_petname(ctx, identity, petname)
            case MarkVerified(universe_id, identity, verified):
                known = self._known_person(universe_id, identity)
                called = known.name_of(identity) if verified else None
                return self._contacts.set_verified(ctx, identity, called)
        raise UsageError(f"{type(item).__name__} is no input of the engine")

    def _create(self, ctx: Context, name: str, suite_id: int) -> bytes:
        self._check_room()
        joining.check_suite(suite_id)
        suite = cipher_suite(suite_id)
        signature_private_key, signature_key = suite.signature_generate(ctx.random)
        universe_id, roster = found(
            self.identity,
            universe_name=name,
            signature_key=signature_key,
            cipher_suite=suite_id,
            incarnation=0,
            random=ctx.random,
        )
        universe = Universe(
            self.identity,
            universe_id,
            group_id=roster.members[self.identity.identity_public_key].send_group_id,
            cipher_suite=suite_id,
            incarnation=0,
            signature_private_key=signature_private_key,
            now=ctx.now,
        )
        universe.roster = roster
        self._adopt(ctx, universe)
        universe.save(ctx)
        membership.store_roster(ctx, universe)
        own_group.make_bundles(ctx, universe)
        own_group.found_group(ctx, universe)
        ctx.event("universe.created", universe_id, {"name": name})
        return universe_id

    def _join(self, ctx: Context, text: str, suite_id: int) -> bytes:
        ticket = joining.read_ticket(text, ctx.now)
        held = self._universes.get(ticket.universe_id)
        if held is not None and held.joining is not None:
            return ticket.universe_id
        if held is not None and not held.removed:
            raise UsageError("this node is a member of that universe already", "universe.joined")
        if held is None:
            self._check_room()
        universe = joining.begin(ctx, self.identity, ticket, suite_id, held)
        self._adopt(ctx, universe)
        joining.make_key_packages(ctx, universe)
        for member in ticket.members:
            if member.peer_id in self._connected:
                joining.knock(ctx, universe, member.peer_id)
        return ticket.universe_id

    def _update(self, ctx: Context, universe: Universe) -> int:
        if universe.silenced:
            raise UsageError("this node is not admitted with its keys; see 'starling recover'", "busy")
        if not universe.boot.done:
            raise UsageError("this node has just started; its keys are renewed in a moment anyway", "busy")
        imports.import_now(ctx, universe, with_path=True)
        return universe.own.graph.head_info.number

    def _check_room(self) -> None:
        # Of one that was left or that removed this node only the name stays.
        if sum(not universe.removed for universe in self._universes.values()) >= MAX_UNIVERSES:
            raise UsageError(
                f"this node is in {MAX_UNIVERSES} universes already, and cannot be in more; leave one first",
                "universe.limit",
            )

    def _share(self, universe: Universe) -> None:
        """What is the node's, given to one of its universes."""
        universe.connected = self._connected
        universe.contacts = self._contacts
        universe.readmits_automatically = self._readmits_automatically

    def _adopt(self, ctx: Context, universe: Universe) -> None:
        self._touched.add(universe.universe_id)
        self._share(universe)
        self._universes[universe.universe_id] = universe
        self._sign_address(ctx, universe)

    def _active(self, universe_id: bytes) -> Universe:
        universe = self._universe(universe_id)
        if universe.joining is not None:
            raise UsageError("the join is still under way", "universe.joining")
        if universe.removed:
            how = "has left" if universe.leaving is not None else "was removed from"
            raise UsageError(f"this node {how} the universe", "universe.removed")
        return universe

    def _universe(self, universe_id: bytes) -> Universe:
        universe = self._universes.get(universe_id)
        if universe is None:
            raise UsageError("no such universe on this node", "universe.unknown")
        self._touched.add(universe_id)
        return universe

    def _rename(self, ctx: Context, name: str) -> None:
        old_name = self.identity.name
        if name == old_name:
            return
        self.identity = replace(self.identity, name=name)
        ctx.put("name", b"", name.encode())
        self._touch_all()
        for universe in self._universes.values():
            universe.identity = self.identity
            universe.name_due = True
            if universe.is_active:
                body = {"identity": universe.me, "name": name, "old_name": old_name}
                ctx.event("member.renamed", universe.universe_id, body)

    def _known_person(self, universe_id: bytes, identity: bytes) -> Universe:
        """A universe, where somebody other than this node's user is known there, or a contact."""
        universe = self._universe(universe_id)
        if identity == universe.me:
            raise UsageError("this is you; choose somebody else", "member.self")
        roster = universe.roster
        if not any(identity in known for known in (roster.members, roster.former, self._contacts.contacts)):
            raise UsageError("not a member of this universe", "member.unknown")
        return universe

    def _named_event(self, event: Event) -> Event:
        universe = self._universes.get(event.universe_id)
        return event if universe is None else replace(event, body=named(universe, event.body))

    # the network

    def _connected_peer(self, ctx: Context, peer_id: bytes) -> None:
        self._connected.add(peer_id)
        self._touch_all()
        for universe in self._universes.values():
            universe.boot.failed.discard(peer_id)
            if universe.joining is not None:
                joining.knock(ctx, universe, peer_id)
            elif universe.leaves_word:
                departing.say(ctx, universe, peer_id)
            elif universe.is_active and universe.member_of_peer(peer_id) is not None:
                greet(ctx, universe, peer_id)

    def _disconnected_peer(self, peer_id: bytes) -> None:
        self._connected.discard(peer_id)
        self._bad_inputs.pop(peer_id, None)
        self._touch_all()
        for universe in self._universes.values():
            universe.links.pop(peer_id, None)
            if universe.joining is not None:
                universe.joining.nonces.pop(peer_id, None)

    def _frame(self, ctx: Context, peer_id: bytes, frame: bytes) -> None:
        """A gossiped frame belongs to the universe that knows its group, else to one that its forwarder is in."""
        shared = [
            universe
            for universe in self._universes.values()
            if universe.is_active and universe.may_forward(peer_id)
        ]
        if len(shared) > 1:
            group_id = group_of_frame(frame)
            shared.sort(key=lambda universe: group_id is None or not universe.knows_group(group_id))
        if shared:
            self._touched.add(shared[0].universe_id)
            if not receive(ctx, shared[0], peer_id, frame):
                self._bad_input(ctx, peer_id)

    def _message(self, ctx: Context, peer_id: bytes, data: bytes) -> None:
        try:
            message, frames = decode_message(data)
        except DecodeError:
            self._bad_input(ctx, peer_id)
            return
        universe = self._universes.get(getattr(message, "universe_id", b""))
        if universe is None:
            return
        self._touched.add(universe.universe_id)
        if universe.removed and universe.joining is None:
            departing.take_message(ctx, universe, peer_id, message)
            return
        try:
            decodable = handle_message(ctx, universe, peer_id, message, frames)
        except (ProtocolError, Unsupported, Pending) as refusal:
            universe.refuse(type(refusal).__name__)
            decodable = not isinstance(refusal, DecodeError)
        if not decodable:
            self._bad_input(ctx, peer_id)
        gone = universe.joining is None and not universe.removed and not universe.groups
        if gone and universe.universe_id in self._universes:
            del self._universes[universe.universe_id]

    def _bad_input(self, ctx: Context, peer_id: bytes) -> None:
        """Only what does not decode counts against its forwarder (I7)."""
        count = self._bad_inputs.get(peer_id, 0) + 1
        if len(self._bad_inputs) < 4096 or peer_id in self._bad_inputs:
            self._bad_inputs[peer_id] = count
        if count >= MAX_BAD_INPUTS:
            self._bad_inputs.pop(peer_id, None)
            ctx.add_send(Disconnect(peer_id, "undecodable"))

    def _own_addresses(self, ctx: Context, addresses: tuple[str, ...]) -> None:
        self._addresses = addresses[:8]
        self._touch_all()
        for universe in self._universes.values():
            self._sign_address(ctx, universe)
            for peer_id in universe.links:
                ctx.send(peer_id, profiles_of(universe, [universe.me]))

    def _sign_address(self, ctx: Context, universe: Universe) -> None:
        held = universe.own_address
        serial = max(ctx.now, held.serial + 1 if held is not None else 0)
        universe.own_address = PeerAddress.sign(
            self.identity, universe_id=universe.universe_id, serial=serial, addresses=self._addresses
        )

    def _tell_network(self, ctx: Context) -> None:
        """Topics and peers, where they changed."""
        told, touched = self._told, self._touched & self._universes.keys()
        if (
            told is not None
            and told.keys() == self._universes.keys()
            and all(told[key] == self._universes[key].network_revision for key in touched)
        ):
            return
        self._told = {key: universe.network_revision for key, universe in self._universes.items()}
        topics: set[str] = set()
        members: dict[bytes, tuple[str, ...]] = {}
        guests: dict[bytes, tuple[str, ...]] = {}
        for universe in self._universes.values():
            if universe.joining is not None:
                for member in universe.joining.ticket.members:
                    guests[member.peer_id] = tuple(member.addresses)
            elif universe.leaves_word and universe.leaving is not None:
                guests.update(universe.leaving.peers)
            elif universe.is_active:
                topics.update(universe.roster.topics)
                for info in universe.others():
                    held = members.get(info.peer_id, ())
                    members[info.peer_id] = held or universe.profiles.addresses(info.identity)
                for archiver in universe.roster.archivers.values():
                    members.setdefault(archiver.peer_id, archiving.addresses(universe, archiver))
        heard = frozenset(topics)
        if heard != self._topics:
            self._topics = heard
            ctx.add_send(Topics(heard))
        known = KnownPeers(members, {peer: found for peer, found in guests.items() if peer not in members})
        if known != self._known:
            self._known = known
            ctx.add_send(known)

    # views

    def universes(self) -> list[Mapping[str, Any]]:
        """All universes of this node, in short."""
        return [views.universe_view(universe) for universe in self._universes.values()]

    def universe(self, universe_id: bytes) -> Mapping[str, Any]:
        return views.universe_view(self._universe(universe_id))

    def members(self, universe_id: bytes) -> list[Mapping[str, Any]]:
        universe = self._universe(universe_id)
        return list(named(universe, views.members_view(universe)))

    def people(self, universe_id: bytes) -> list[Mapping[str, Any]]:
        """Who can be named in a universe: members, former ones, and those of whom something is noted."""
        return list(people_view(self._universe(universe_id)))

    def former_members(self, universe_id: bytes) -> list[Mapping[str, Any]]:
        """Who was a member, and by how many owners each is removed already."""
        universe = self._universe(universe_id)
        return list(named(universe, views.former_view(universe)))

    def named(self, universe_id: bytes, value: Mapping[str, Any]) -> Mapping[str, Any]:
        """What names somebody of a universe, with `petname` and `display_name`."""
        universe = self._universes.get(universe_id)
        shown: Mapping[str, Any] = value if universe is None else named(universe, value)
        return shown

    def archivers(self, universe_id: bytes) -> list[Mapping[str, Any]]:
        return list(naming.archivers_view(self._universe(universe_id)))

    def invites(self, universe_id: bytes) -> list[Mapping[str, Any]]:
        return list(views.invites_view(self._universe(universe_id), self._now))

    def security(self, universe_id: bytes, member: bytes | None = None) -> Mapping[str, Any]:
        """Who is healed of what, who is stale, and a digest to compare; of one member with every send group.

        Raises `UsageError` for somebody who is no member.
        """
        universe = self._universe(universe_id)
        if member is not None and member not in universe.roster.members:
            raise UsageError("this is no member's identity", "member.unknown")
        shown: Mapping[str, Any] = named(universe, security_view(universe, self._now, member))
        return shown

    def forks(self, universe_id: bytes, owner: bytes | None = None) -> list[Mapping[str, Any]]:
        """The epochs of every send group: heads, who is where, what is kept; or of one, with everybody named.

        Raises `UsageError` for somebody who is no member.
        """
        universe = self._universe(universe_id)
        if owner is not None and owner not in universe.roster.members:
            raise UsageError("this is no member's identity", "member.unknown")
        return list(named(universe, forks_view(universe, owner)))

    def evidence(self, universe_id: bytes) -> list[Mapping[str, Any]]:
        """The evidence held against owners that committed twice."""
        universe = self._universe(universe_id)
        return list(named(universe, views.evidence_view(universe)))

    def converged(self, universe_id: bytes) -> bool:
        """Whether all members of a universe report the same heads and roster, and nothing is missing."""
        return bool(views.universe_view(self._universe(universe_id))["converged"])

    def rollback_suspected(self, universe_id: bytes) -> bool:
        """Whether a member named an epoch of the own group that this node does not know (PROTOCOL 5.3).

        Such a node was perhaps put back to an old state: what it sends may be readable by nobody.
        """
        universe = self._universes.get(universe_id)
        return universe is not None and universe.rollback_suspected

    def peers(self) -> list[Mapping[str, Any]]:
        """The connected peers, and the members or archivers that they are."""
        rows: list[Mapping[str, Any]] = []
        for peer_id in sorted(self._connected):
            names = [
                (universe.universe_id, info.identity, universe.name_of(info.identity))
                for universe in self._universes.values()
                if (info := universe.member_of_peer(peer_id)) is not None
            ]
            archivers = [
                (universe.universe_id, archiver.identity, archiver.name)
                for universe in self._universes.values()
                if (archiver := universe.roster.archiver_of_peer(peer_id)) is not None
            ]
            rows.append({"peer_id": peer_id, "members": names, "archivers": archivers})
        return rows

    def status(self) -> Mapping[str, Any]:
        """The node in short."""
        return {
            "identity": self.identity.identity_public_key,
            "name": self.identity.name,
            "peer_id": self.identity.peer_id,
            "addresses": list(self._addresses),
            "role": "member",
            "universes": len(self._universes),
            "rollback_suspected": [key for key in self._universes if self.rollback_suspected(key)],
            "connected": len(self._connected),
        }


def _is_due(time: int | None, now: int) -> bool:
    return time is not None and time <= now
