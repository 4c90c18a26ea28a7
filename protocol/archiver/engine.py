"""An archiver without IO: `handle(input, now) -> Step`, as the member's engine has it.

It is no member, so it has no leaf, no send group and no epoch: what it can open is the commits that are sealed to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from starling.protocol.archiver import keeping, talking, views
from starling.protocol.archiver.archive import Archive
from starling.protocol.archiver.kept_frames import DEFAULT_QUOTA
from starling.protocol.archiver.loading import load_archives
from starling.protocol.archiver.offers import Offer
from starling.protocol.distributed.identity import Identity
from starling.protocol.distributed.peer_address import PeerAddress
from starling.protocol.distributed.policy import FrameQuota
from starling.protocol.distributed.roster_body import Archiver, Kind
from starling.protocol.distributed.roster_entry import decode_entry, read_entry
from starling.protocol.engine.bad_inputs import BadInputs
from starling.protocol.engine.context import Context
from starling.protocol.engine.inputs import (
    ClockJumped,
    DialFailed,
    DropArchive,
    FrameReceived,
    Input,
    MessageFromPeer,
    OfferArchiver,
    OwnAddresses,
    PeerConnected,
    PeerDisconnected,
    Wake,
)
from starling.protocol.engine.step import KnownPeers, Step, Topics
from starling.protocol.errors import DecodeError, Pending, ProtocolError, Unsupported, UsageError
from starling.protocol.exchange.member_messages import Hello, Profiles, RosterEntries
from starling.protocol.exchange.message import Message
from starling.protocol.exchange.messages import decode_message

MAX_ARCHIVES = 64
MAX_NAMING = 16
"""Universes of which the roster is being asked for, since somebody knows an offer."""

NAMING_PATIENCE = 10 * 60_000
"""How long a universe may take to show that it names this archiver, in milliseconds."""


class ArchiverEngine:
    """One archiver. `records` are all stored rows but those of the table `frame`; `quota` is for each universe.

    Raises `UsageError` where the rows are a member's.
    """

    def __init__(
        self,
        identity: Identity,
        records: Iterable[tuple[str, bytes, bytes]],
        *,
        now: int,
        random: Callable[[int], bytes],
        quota: FrameQuota = DEFAULT_QUOTA,
    ) -> None:
        self.identity = identity
        self._random = random
        self._quota = quota
        self._offers, self._archives = load_archives(identity, records, quota)
        self._naming: dict[bytes, tuple[Archive, int]] = {}
        """Archives that no roster names yet, with when they are given up: only in memory."""
        self._connected: set[bytes] = set()
        self._bad_inputs = BadInputs()
        self._addresses: tuple[str, ...] = ()
        self._topics: frozenset[str] | None = None
        self._known: KnownPeers | None = None
        self._told: dict[bytes, object] | None = None
        """What the network was told of each archive."""
        self._touched: set[bytes] = set()
        """The universes that the current input is about."""
        self._wakes: dict[bytes, int | None] = {}
        """When each archive wants to be woken; one that is not here was not looked at yet."""
        self._now = now

    def handle(self, item: Input, now: int) -> Step:
        """Take one input; raises `UsageError` for a command that cannot be done, before anything changes."""
        ctx = Context(now, self._random)
        self._now = now
        self._touched = set()
        result = self._dispatch(ctx, item)
        looked_at = self._to_look_at(now)
        for archive in looked_at:
            if self._is_over(archive):
                self._end(ctx, archive, "removed")
                continue
            self._meet(ctx, archive)
            talking.tick(ctx, archive)
            self._wakes[archive.universe_id] = talking.next_wake(archive)
        for universe_id, (_, until) in list(self._naming.items()):
            if until <= now:
                del self._naming[universe_id]
        self._tell_network(ctx, looked_at)
        wakes = (wake for wake in self._wakes.values() if wake is not None)
        return ctx.step(min(wakes, default=None), result)

    def _to_look_at(self, now: int) -> list[Archive]:
        """The archives that the input is about, or in which something is due: what happens in one universe is nothing
        to the others."""

        def is_due(universe_id: bytes) -> bool:
            wake = self._wakes.get(universe_id, now)
            return wake is not None and wake <= now

        return [
            archive
            for universe_id, archive in self._archives.items()
            if universe_id in self._touched or is_due(universe_id)
        ]

    def _dispatch(self, ctx: Context, item: Input) -> Any:
        match item:
            case FrameReceived(peer_id, frame):
                self._frame(ctx, peer_id, frame)
            case MessageFromPeer(peer_id, data):
                self._message(ctx, peer_id, data)
            case PeerConnected(peer_id):
                self._connected.add(peer_id)
                self._touch_shared(peer_id)
            case PeerDisconnected(peer_id):
                self._connected.discard(peer_id)
                self._bad_inputs.forget(peer_id)
                self._touch_shared(peer_id)
                for archive in self._archives.values():
                    archive.links.pop(peer_id, None)
            case OwnAddresses(addresses):
                self._own_addresses(ctx, addresses)
            case OfferArchiver():
                return {"offer": self._offers.make(ctx, self._addresses)}
            case DropArchive(universe_id):
                self._end(ctx, self._archive(universe_id), "dropped")
            case DialFailed() | ClockJumped() | Wake():
                pass
            case _:
                raise _no_member()
        return None

    # universes

    def _archive(self, universe_id: bytes) -> Archive:
        archive = self._archives.get(universe_id)
        if archive is None:
            raise UsageError("no such universe on this node", "universe.unknown")
        return archive

    def _is_over(self, archive: Archive) -> bool:
        """Whether the roster does not name this archiver any more."""
        info = archive.roster.archivers.get(self.identity.identity_public_key)
        return info is None or info.offer != archive.offer.token

    def _end(self, ctx: Context, archive: Archive, reason: str) -> None:
        """Forget a universe with everything of it, the key included."""
        keeping.forget(ctx, archive)
        self._offers.forget(ctx, archive.offer)
        del self._archives[archive.universe_id]
        self._wakes.pop(archive.universe_id, None)
        ctx.event("archive.ended", archive.universe_id, {"reason": reason})

    def _touch_shared(self, peer_id: bytes) -> None:
        """An input is about the universes that a peer is a member of."""
        self._touched.update(key for key, archive in self._archives.items() if archive.is_member(peer_id))

    def _meet(self, ctx: Context, archive: Archive) -> None:
        for _, peer_id in archive.members():
            if peer_id in self._connected and peer_id not in archive.links:
                talking.greet(ctx, archive, peer_id)

    def _begin_naming(self, hello: Hello, now: int) -> Archive | None:
        """Somebody speaks of a universe that is not known here, and shows an entry with an offer of ours."""
        if hello.universe_id in self._naming:
            return self._naming[hello.universe_id][0]
        if len(self._naming) >= MAX_NAMING or len(self._archives) >= MAX_ARCHIVES:
            return None
        for entry in hello.entries:
            offer = self._offer_in(entry, hello.universe_id)
            if offer is not None:
                archive = Archive(hello.universe_id, self.identity.identity_public_key, offer, self._quota)
                self._naming[hello.universe_id] = archive, now + NAMING_PATIENCE
                return archive
        return None

    def _offer_in(self, entry: bytes, universe_id: bytes) -> Offer | None:
        """The unused offer of ours that an entry shows; most entries are not worth a look at their signatures."""
        try:
            decoded = decode_entry(entry)
            if decoded.kind != Kind.ARCHIVER or decoded.subject != self.identity.identity_public_key:
                return None
            body = read_entry(entry, universe_id).body
        except (ProtocolError, Unsupported):
            return None
        if not isinstance(body, Archiver):
            return None
        offer = self._offers.unused(body.offer)
        return offer if offer is not None and offer.public_key == body.public_key else None

    def _finish_naming(self, ctx: Context, archive: Archive) -> None:
        """The roster shows that somebody who may has named this archiver: the offer is taken up."""
        if self._is_over(archive) or self._offers.unused(archive.offer.token) is None:
            return
        del self._naming[archive.universe_id]
        self._offers.take_up(ctx, archive.offer, archive.universe_id)
        archive.offer = self._offers.of_universe(archive.universe_id) or archive.offer
        archive.is_named = True
        archive.save(ctx)
        talking.store_entries(ctx, archive, archive.roster.entries())
        self._archives[archive.universe_id] = archive
        self._sign_address(ctx, archive)
        ctx.event("archive.begun", archive.universe_id, {"name": archive.roster.universe_name or ""})

    # the network

    def _frame(self, ctx: Context, peer_id: bytes, frame: bytes) -> None:
        """A gossiped frame of a member's node, kept where its group is known."""
        decodable = True
        self._touch_shared(peer_id)
        for archive in self._archives.values():
            if archive.is_member(peer_id):
                decodable, _ = keeping.take_frame(ctx, archive, peer_id, frame)
        if not decodable:
            self._bad_inputs.note(ctx, peer_id)

    def _message(self, ctx: Context, peer_id: bytes, data: bytes) -> None:
        try:
            message, frames = decode_message(data)
        except DecodeError:
            self._bad_inputs.note(ctx, peer_id)
            return
        archive = self._archive_for(message, ctx.now)
        if archive is None:
            return
        if archive.is_member(peer_id) or isinstance(message, Hello | RosterEntries):
            self._touched.add(archive.universe_id)
        try:
            decodable = talking.handle(ctx, archive, peer_id, message, frames)
        except (ProtocolError, Unsupported, Pending) as refusal:
            archive.refuse(type(refusal).__name__)
            decodable = not isinstance(refusal, DecodeError)
        if not archive.is_named:
            self._finish_naming(ctx, archive)
        if not decodable:
            self._bad_inputs.note(ctx, peer_id)

    def _archive_for(self, message: Message, now: int) -> Archive | None:
        universe_id = getattr(message, "universe_id", b"")
        archive = self._archives.get(universe_id)
        if archive is None and isinstance(message, Hello):
            return self._begin_naming(message, now)
        if archive is None and universe_id in self._naming:
            return self._naming[universe_id][0]
        return archive

    def _own_addresses(self, ctx: Context, addresses: tuple[str, ...]) -> None:
        self._addresses = addresses[:8]
        for archive in self._archives.values():
            self._sign_address(ctx, archive)

    def _sign_address(self, ctx: Context, archive: Archive) -> None:
        archive.own_address = PeerAddress.sign(
            self.identity, universe_id=archive.universe_id, serial=ctx.now, addresses=self._addresses
        )
        for peer_id in archive.links:
            ctx.send(peer_id, Profiles(archive.universe_id, (((), archive.own_address.encode()),)))

    def _tell_network(self, ctx: Context, looked_at: Iterable[Archive]) -> None:
        """Topics and peers, where they changed."""
        told = self._told
        if (
            told is not None
            and told.keys() == self._archives.keys()
            and all(archive.network_revision == told[archive.universe_id] for archive in looked_at)
        ):
            return
        self._told = {key: archive.network_revision for key, archive in self._archives.items()}
        topics = frozenset(topic for archive in self._archives.values() for topic in archive.roster.topics)
        members: dict[bytes, tuple[str, ...]] = {}
        for archive in self._archives.values():
            for identity, peer_id in archive.members():
                members[peer_id] = members.get(peer_id) or archive.profiles.addresses(identity)
        if topics != self._topics:
            self._topics = topics
            ctx.add_send(Topics(topics))
        known = KnownPeers(members, {})
        if known != self._known:
            self._known = known
            ctx.add_send(known)

    # views

    def universes(self) -> list[Mapping[str, Any]]:
        """The universes that it keeps frames of, in short."""
        return [views.archive_view(archive) for archive in self._archives.values()]

    def universe(self, universe_id: bytes) -> Mapping[str, Any]:
        return views.archive_view(self._archive(universe_id))

    def members(self, universe_id: bytes) -> list[Mapping[str, Any]]:
        return list(views.members_view(self._archive(universe_id)))

    def converged(self, universe_id: bytes) -> bool:
        """An archiver is past nothing, so it never says so."""
        self._archive(universe_id)
        return False

    def trouble(self, universe_id: bytes) -> str:
        """An archiver has no send group that could fork."""
        return ""

    def peers(self) -> list[Mapping[str, Any]]:
        """The connected peers, and the members that they are."""
        return [views.peer_view(peer_id, self._archives.values()) for peer_id in sorted(self._connected)]

    def status(self) -> Mapping[str, Any]:
        """The node in short."""
        return {
            "identity": self.identity.identity_public_key,
            "name": self.identity.name,
            "peer_id": self.identity.peer_id,
            "addresses": list(self._addresses),
            "role": "archiver",
            "universes": len(self._archives),
            "rollback_suspected": [],
            "archives": self.universes(),
            "connected": len(self._connected),
        }

    def former_members(self, universe_id: bytes) -> list[Mapping[str, Any]]:
        """An archiver does not know how far the members are with a removal."""
        self._archive(universe_id)
        return []

    def people(self, universe_id: bytes) -> list[Mapping[str, Any]]:
        raise _no_member()

    def named(self, universe_id: bytes, value: Mapping[str, Any]) -> Mapping[str, Any]:
        """An archiver knows nobody by another name than the roster's."""
        return value

    def invites(self, universe_id: bytes) -> list[Mapping[str, Any]]:
        raise _no_member()

    def security(self, universe_id: bytes, member: bytes | None = None) -> Mapping[str, Any]:
        raise _no_member()

    def forks(self, universe_id: bytes, owner: bytes | None = None) -> list[Mapping[str, Any]]:
        raise _no_member()

    def evidence(self, universe_id: bytes) -> list[Mapping[str, Any]]:
        raise _no_member()

    def archivers(self, universe_id: bytes) -> list[Mapping[str, Any]]:
        raise _no_member()


def _no_member() -> UsageError:
    return UsageError("this node is an archiver; it takes no part in universes", "role")
