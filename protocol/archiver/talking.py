"""The exchange of an archiver with members: the roster, the two lists, frames, floors (PROTOCOL 6, 7)."""

from __future__ import annotations

from collections.abc import Iterable

from starling.protocol.archiver import keeping
from starling.protocol.archiver.archive import Archive, MemberLink
from starling.protocol.distributed import policy
from starling.protocol.distributed.floor import Floors
from starling.protocol.distributed.peer_address import PeerAddress
from starling.protocol.distributed.roster_entry import entry_id
from starling.protocol.engine.context import Context
from starling.protocol.errors import Pending, ProtocolError, Unsupported
from starling.protocol.exchange.answer import take_in_turn
from starling.protocol.exchange.archiver_messages import Listed, ListPulse, MemberFloors, WantFrames, WantList
from starling.protocol.exchange.entries import in_messages
from starling.protocol.exchange.feed import Feed, ListedFrame, page_of
from starling.protocol.exchange.frame import frame_id
from starling.protocol.exchange.member_messages import (
    Frames,
    Hello,
    Profiles,
    RosterEntries,
    WantProfiles,
    WantRoster,
)
from starling.protocol.exchange.message import Message
from starling.protocol.exchange.profiles import in_one_message
from starling.protocol.mls.key_package import KeyPackage


def greet(ctx: Context, archive: Archive, peer_id: bytes) -> None:
    """A member is connected: tell it how far the list goes, and ask for what only members can tell."""
    archive.links[peer_id] = MemberLink(pulse_at=ctx.now)
    feed = archive.feeds.setdefault(peer_id, Feed(archive.universe_id))
    feed.reconnect(ctx.now)
    if archive.own_address is not None:
        ctx.send(peer_id, Profiles(archive.universe_id, (((), archive.own_address.encode()),)))
    here = archive.roster.peers[peer_id].identity
    wanted = [identity for identity, _ in archive.members() if archive.profiles.get(identity) is None]
    ctx.send(peer_id, WantProfiles.some(archive.universe_id, (here, *wanted)))


def tick(ctx: Context, archive: Archive) -> None:
    """Do what is due: pulses, and what is asked of members."""
    for peer_id, link in archive.links.items():
        if link.pulse_at <= ctx.now:
            link.pulse_at = ctx.now + ctx.jittered(policy.PULSE_INTERVAL)
            link.told = archive.feeds[peer_id].safe_place
            ctx.send(peer_id, _pulse(archive, peer_id))
        feed = archive.feeds[peer_id]
        request = feed.next_request(ctx.now)
        if request is not None:
            ctx.send(peer_id, request)
        elif feed.is_current and feed.safe_place != link.told:
            # Who waits for it to have everything, to go, need not wait long.
            link.pulse_at = min(link.pulse_at, ctx.now + policy.SECOND)
    if archive.sweep_at is None or archive.sweep_at <= ctx.now:
        keeping.sweep(ctx, archive)


def next_wake(archive: Archive) -> int | None:
    """When something is due next."""
    times = [archive.sweep_at]
    times += [link.pulse_at for link in archive.links.values()]
    times += [archive.feeds[peer_id].wake_at for peer_id in archive.links]
    return min((time for time in times if time is not None), default=None)


def _pulse(archive: Archive, peer_id: bytes) -> ListPulse:
    frames, feed = archive.frames, archive.feeds[peer_id]
    return ListPulse(
        archive.universe_id,
        archive.roster.digest,
        archive.list_id,
        frames.listing.last,
        feed.list_id,
        feed.safe_place,
        peer_id in frames.crowded,
    )


def handle(
    ctx: Context, archive: Archive, peer_id: bytes, message: Message, frames: tuple[bytes, ...]
) -> bool:
    """Take one message of a peer; False where a frame in it was not decodable."""
    if isinstance(message, Hello):
        _take_hello(ctx, archive, peer_id, message)
        return True
    if isinstance(message, RosterEntries) and (archive.is_member(peer_id) or _awaits(archive, peer_id)):
        add_entries(ctx, archive, message.entries, peer_id)
        return True
    if not archive.is_member(peer_id) or peer_id not in archive.links:
        return True
    return _of_member(ctx, archive, peer_id, message, frames)


def _of_member(
    ctx: Context, archive: Archive, peer_id: bytes, message: Message, frames: tuple[bytes, ...]
) -> bool:
    feed = archive.feeds[peer_id]
    match message:
        case ListPulse():
            feed.hear(message.list_id, message.last, ctx.now)
            if message.roster_digest != archive.roster.digest:
                ask_for_roster(ctx, archive, peer_id)
        case Listed():
            feed.take_page(message, lambda listed: keeping.judge(archive, peer_id, listed), ctx.now)
        case Frames():
            return _take_frames(ctx, archive, peer_id, frames)
        case WantList():
            answer_list(ctx, archive, peer_id, message)
        case WantFrames():
            _answer_frames(ctx, archive, peer_id, message)
        case MemberFloors():
            _take_floors(ctx, archive, peer_id, message)
        case WantRoster():
            send_entries(ctx, archive, peer_id, archive.roster.missing_from(message.held))
        case Profiles():
            _take_profiles(ctx, archive, message)
        case WantProfiles():
            _answer_profiles(ctx, archive, peer_id, message)
        case _:
            pass
    return True


# frames


def _take_frames(ctx: Context, archive: Archive, peer_id: bytes, frames: tuple[bytes, ...]) -> bool:
    """Only what was asked for is looked at."""
    decodable = True
    feed = archive.feeds[peer_id]
    for frame in frames:
        name = frame_id(frame)
        if feed.expects(name):
            was_decodable, used = keeping.take_frame(ctx, archive, peer_id, frame)
            feed.take_frame(name, used=used)
            decodable = decodable and was_decodable
    feed.end_answer(ctx.now)
    return decodable


def answer_list(ctx: Context, archive: Archive, peer_id: bytes, message: WantList) -> None:
    """A page of the list; nothing for another list than there is: the next pulse names this one."""
    if message.list_id != archive.list_id:
        return

    def describe(name: bytes) -> ListedFrame | None:
        held = archive.frames.get(name)
        return held.listed() if held is not None else None

    ctx.send(
        peer_id,
        page_of(archive.universe_id, archive.list_id, archive.frames.listing, message.after, describe),
    )


def _answer_frames(ctx: Context, archive: Archive, peer_id: bytes, message: WantFrames) -> None:
    held = (archive.frames.get(name) for name in dict.fromkeys(message.frame_ids))
    chosen = take_in_turn([(frame for frame in held if frame is not None)])
    ctx.send(peer_id, Frames(archive.universe_id), chosen)


def _take_floors(ctx: Context, archive: Archive, peer_id: bytes, message: MemberFloors) -> None:
    floors = Floors.decode(message.floors)
    if floors.member != archive.roster.peers[peer_id].identity:
        return
    floors.verify(archive.universe_id)
    if archive.take_floors(ctx, floors):
        archive.sweep_at = min(archive.sweep_at or ctx.now, ctx.now + policy.SWEEP_DELAY)


# the roster


def ask_for_roster(ctx: Context, archive: Archive, peer_id: bytes) -> None:
    ctx.send(peer_id, WantRoster.beside(archive.universe_id, archive.roster.ids))


def send_entries(ctx: Context, archive: Archive, peer_id: bytes, entries: Iterable[bytes]) -> None:
    for message in in_messages(archive.universe_id, entries):
        ctx.send(peer_id, message)


def _take_hello(ctx: Context, archive: Archive, peer_id: bytes, message: Hello) -> None:
    """A peer shows by which entries it is a member. While the roster does not name this archiver yet, whoever knows
    the offer may show them."""
    known = not archive.is_named or archive.is_member(peer_id)
    if not known and not archive.roster.admits(message.entries, peer_id):
        return
    add_entries(ctx, archive, message.entries, peer_id)


def _awaits(archive: Archive, peer_id: bytes) -> bool:
    return not archive.is_named or archive.roster.awaits(peer_id)


def add_entries(ctx: Context, archive: Archive, entries: Iterable[bytes], source: bytes) -> None:
    """Merge roster entries; what is new is stored and passed on. What they follow is asked for."""
    new: list[bytes] = []
    incomplete = False
    for entry in entries:
        try:
            new.extend(archive.roster.add(entry))
        except Pending:
            incomplete = True
        except (ProtocolError, Unsupported) as refusal:
            archive.refuse(type(refusal).__name__)
    if incomplete and (archive.is_member(source) or _awaits(archive, source)):
        ask_for_roster(ctx, archive, source)
    if not new:
        return
    if archive.is_named:
        store_entries(ctx, archive, new)
    archive.forget_former(ctx)
    for peer_id in archive.links:
        if peer_id != source:
            send_entries(ctx, archive, peer_id, new)
    archive.sweep_at = min(archive.sweep_at or ctx.now, ctx.now + policy.SWEEP_DELAY)
    for feed in archive.feeds.values():
        feed.progressed(ctx.now)


def store_entries(ctx: Context, archive: Archive, entries: Iterable[bytes]) -> None:
    for entry in entries:
        ctx.put("roster", archive.universe_id + entry_id(entry), entry)


# profiles


def _take_profiles(ctx: Context, archive: Archive, message: Profiles) -> None:
    for packages, address in message.profiles:
        try:
            _learn(ctx, archive, packages, address)
        except (ProtocolError, Unsupported) as refusal:
            archive.refuse(type(refusal).__name__)


def _learn(ctx: Context, archive: Archive, packages: tuple[bytes, ...], address: bytes) -> None:
    """Keep a member's newest KeyPackages and addresses, to pass them on: all are signed by the member."""
    keeping.learn_key_packages(ctx, archive, tuple(map(KeyPackage.decode, packages)))
    if address:
        peer_id = PeerAddress.decode(address).peer_id
        info = archive.roster.peers.get(peer_id)
        if info is not None:
            archive.profiles.learn_address(ctx, info.identity, peer_id, address)


def _answer_profiles(ctx: Context, archive: Archive, peer_id: bytes, message: WantProfiles) -> None:
    held = (archive.profiles.get(identity) for identity in dict.fromkeys(message.identities))
    wires = (profile.wire() for profile in held if profile is not None)
    ctx.send(peer_id, in_one_message(archive.universe_id, wires))
