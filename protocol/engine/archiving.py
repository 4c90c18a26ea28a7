"""The exchange with archivers: nodes that are no members and keep ciphertext for those who are away (PROTOCOL 6, 7).

An archiver only forwards. What it lists is asked for where it is lacking, and what it gives is handled as any peer's
frames. It reads the list of this node's frames in the same way, and is told by signed floors what this node wants no
more.
"""

from __future__ import annotations

from starling.protocol.distributed import policy
from starling.protocol.distributed.archivers import ArchiverInfo
from starling.protocol.distributed.floor import Floors
from starling.protocol.distributed.peer_address import PeerAddress
from starling.protocol.engine import membership, profile_exchange
from starling.protocol.engine.archiver_link import ArchiverLink
from starling.protocol.engine.context import Context
from starling.protocol.engine.exchanging import MAX_HELLO_BYTES, ask_for_roster, send_entries
from starling.protocol.engine.group_state import GroupState
from starling.protocol.engine.profile_exchange import profiles_of
from starling.protocol.engine.receiving import receive
from starling.protocol.engine.universe import Universe
from starling.protocol.exchange.answer import take_in_turn
from starling.protocol.exchange.archiver_messages import Listed, ListPulse, MemberFloors, WantFrames, WantList
from starling.protocol.exchange.feed import Feed, FrameKind, ListedFrame, Verdict, page_of
from starling.protocol.exchange.frame import frame_id
from starling.protocol.exchange.frame_log import LoggedFrame
from starling.protocol.exchange.member_messages import (
    Frames,
    Hello,
    Profiles,
    RosterEntries,
    WantProfiles,
    WantRoster,
)
from starling.protocol.exchange.message import Message
from starling.protocol.packed import Blob, Uint, pack, shape, unpack

_ROW = (Blob(16), Uint())


# what is due


def tick(ctx: Context, universe: Universe) -> None:
    """Meet archivers that are connected, leave those that are not, and do what is due."""
    archivers = {info.peer_id: info for info in universe.roster.archivers.values()}
    for peer_id in universe.archivers.keys() - archivers.keys():
        _forget(ctx, universe, peer_id)
    for peer_id, info in archivers.items():
        link = universe.archivers.get(peer_id)
        if peer_id not in universe.connected:
            if link is not None:
                link.connected = False
            continue
        if link is None:
            link = universe.archivers[peer_id] = ArchiverLink(Feed(universe.universe_id))
        if not link.connected:
            _greet(ctx, universe, link, info)
        _do_what_is_due(ctx, universe, link, peer_id)


def next_wake(universe: Universe) -> int | None:
    times: list[int | None] = []
    for link in universe.archivers.values():
        if link.connected:
            times += [link.pulse_at, link.feed.wake_at]
    return min((time for time in times if time is not None), default=None)


def _greet(ctx: Context, universe: Universe, link: ArchiverLink, info: ArchiverInfo) -> None:
    """Show the entry that names the archiver, by which it knows the universe, and what makes this node a member."""
    link.connected = True
    link.feed.reconnect(ctx.now)
    link.pulse_at = ctx.now
    link.floors_at = ctx.now
    link.told = None
    naming = universe.roster.entry(info.entry_id) or b""
    entries = (naming, *universe.roster.proof(universe.me, MAX_HELLO_BYTES))
    ctx.send(info.peer_id, Hello(universe.universe_id, entries))
    ctx.send(info.peer_id, profiles_of(universe, [universe.me]))
    lacking = [member.identity for member in universe.others() if not universe.profiles.get(member.identity)]
    if lacking:
        ctx.send(info.peer_id, WantProfiles.some(universe.universe_id, lacking))


def _do_what_is_due(ctx: Context, universe: Universe, link: ArchiverLink, peer_id: bytes) -> None:
    if link.pulse_at <= ctx.now:
        link.pulse_at = ctx.now + ctx.jittered(policy.PULSE_INTERVAL)
        _pulse(ctx, universe, peer_id)
        if link.floors_at <= ctx.now:
            _tell_floors(ctx, universe, link, peer_id)
    usable = universe.roster.revision, len(universe.groups)
    if usable != link.usable:
        link.usable = usable
        link.feed.progressed(ctx.now)
    request = link.feed.next_request(ctx.now)
    if request is not None:
        ctx.send(peer_id, request)
    _save(ctx, universe, link, peer_id)


def _pulse(ctx: Context, universe: Universe, peer_id: bytes) -> None:
    if not universe.list_id:
        universe.list_id = ctx.random(16)
    feed = universe.archivers[peer_id].feed
    ctx.send(
        peer_id,
        ListPulse(
            universe.universe_id,
            universe.roster.digest,
            universe.list_id,
            universe.kept.listing.last,
            feed.list_id,
            feed.safe_place,
            full=False,
        ),
    )


def _tell_floors(ctx: Context, universe: Universe, link: ArchiverLink, peer_id: bytes) -> None:
    floors = {group_id: floor(state) for group_id, state in universe.groups.items()}
    told = link.feed.list_id, link.feed.safe_place, floors
    if told == link.told:
        return
    link.told = told
    link.floors_at = ctx.now + policy.FLOORS_INTERVAL
    universe.floors_serial = max(ctx.now, universe.floors_serial + 1)
    signed = Floors.sign(
        universe.identity,
        universe_id=universe.universe_id,
        serial=universe.floors_serial,
        floors=floors,
        list_id=link.feed.list_id,
        list_place=link.feed.safe_place,
    )
    ctx.send(peer_id, MemberFloors(universe.universe_id, signed.encode()))


def floor(state: GroupState) -> int:
    """The number of the oldest epoch of which this node may still want what was sent in it.

    That is one that is not whole, or one of which it could enter another child.
    """
    graph = state.graph
    if state.awaited:
        return graph.oldest_number
    numbers = [info.number for info in graph.incomplete()]
    numbers += [graph[dmls_epoch].number for dmls_epoch in state.retained()]
    return min(numbers, default=graph.head_info.number)


# what an archiver says


def handle(
    ctx: Context, universe: Universe, peer_id: bytes, message: Message, frames: tuple[bytes, ...]
) -> bool:
    """Take one message of an archiver; False where a frame in it was not decodable."""
    link = universe.archivers.get(peer_id)
    if link is None or not link.connected:
        return True
    match message:
        case ListPulse():
            link.full = message.full
            link.read = message.read if message.read_id == universe.list_id else 0
            link.feed.hear(message.list_id, message.last, ctx.now)
            if message.roster_digest != universe.roster.digest:
                ask_for_roster(ctx, universe, peer_id)
        case Listed():
            link.feed.take_page(message, lambda listed: judge(universe, listed), ctx.now)
        case Frames():
            return _take_frames(ctx, universe, peer_id, link, frames)
        case WantList():
            _answer_list(ctx, universe, peer_id, message)
        case WantFrames():
            _answer_frames(ctx, universe, peer_id, message)
        case RosterEntries():
            membership.add_entries(ctx, universe, message.entries, source=peer_id)
        case WantRoster():
            send_entries(ctx, universe, peer_id, universe.roster.missing_from(message.held))
        case Profiles():
            _learn_address(universe, peer_id, link, message)
            profile_exchange.take_profiles(ctx, universe, message)
        case WantProfiles():
            profile_exchange.answer_profiles(ctx, universe, peer_id, message.identities)
        case _:
            pass
    return True


def tell_former(ctx: Context, universe: Universe, peer_id: bytes) -> None:
    """An archiver that was removed is told when it speaks as one, so that it lets go of what it keeps."""
    if ctx.now - universe.farewells.get(peer_id, 0) < policy.MINUTE:
        return
    entries = universe.roster.archiver_farewell(peer_id)
    if entries:
        universe.farewells[peer_id] = ctx.now
        send_entries(ctx, universe, peer_id, entries)


def _learn_address(universe: Universe, peer_id: bytes, link: ArchiverLink, message: Profiles) -> None:
    """Where the archiver itself is now; it has no KeyPackages."""
    for packages, encoded in message.profiles:
        if packages or not encoded:
            continue
        address = PeerAddress.decode(encoded)
        if address.peer_id == peer_id and (link.address is None or link.address.serial < address.serial):
            address.verify(universe.universe_id)
            link.address = address
            universe.archivers_revision += 1


def addresses(universe: Universe, info: ArchiverInfo) -> tuple[str, ...]:
    """Where to dial an archiver: what it said last, else what the entry that names it says."""
    link = universe.archivers.get(info.peer_id)
    if link is not None and link.address is not None and link.address.addresses:
        return tuple(dict.fromkeys((*link.address.texts, *info.addresses)))
    return info.addresses


def judge(universe: Universe, listed: ListedFrame) -> Verdict:
    """Whether a frame that an archiver has is of use here: an epoch that is whole and left behind needs nothing."""
    state = universe.groups.get(listed.group_id)
    if state is None:
        if listed.group_id in universe.roster.send_groups and universe.owner_of(listed.group_id) is None:
            return Verdict.LEAVE
        is_welcome = listed.kind == FrameKind.WELCOME and universe.owner_of(listed.group_id) is not None
        return Verdict.TAKE if is_welcome else Verdict.LATER
    if listed.frame_id in state.log:
        return Verdict.LEAVE
    if listed.frame_id in universe.waiting:
        return Verdict.LATER
    is_commit = listed.kind != FrameKind.MESSAGE
    if state.is_own and not is_commit:
        return Verdict.LEAVE
    info = state.graph.get(listed.dmls_epoch)
    if info is None:
        if listed.kind == FrameKind.WELCOME and listed.group_id in universe.stuck:
            return Verdict.TAKE
        return Verdict.LEAVE if listed.number < state.graph.oldest_number else Verdict.TAKE
    if is_commit:
        return Verdict.TAKE
    return Verdict.LEAVE if info.is_past else Verdict.TAKE


def _take_frames(
    ctx: Context, universe: Universe, peer_id: bytes, link: ArchiverLink, frames: tuple[bytes, ...]
) -> bool:
    """Only what was asked for is looked at. What cannot be used yet is looked at again later."""
    decodable = True
    for frame in frames:
        name = frame_id(frame)
        if not link.feed.expects(name):
            continue
        turned_away = universe.turned_away
        decodable = receive(ctx, universe, peer_id, frame) and decodable
        waits = name in universe.waiting or universe.turned_away > turned_away
        link.feed.take_frame(name, used=not waits)
    link.feed.end_answer(ctx.now)
    universe.timers.report_soon(ctx.now)
    return decodable


# what an archiver asks


def _answer_list(ctx: Context, universe: Universe, peer_id: bytes, message: WantList) -> None:
    if message.list_id == universe.list_id:
        page = page_of(
            universe.universe_id,
            universe.list_id,
            universe.kept.listing,
            message.after,
            lambda name: _describe(universe, name),
        )
        ctx.send(peer_id, page)


def _logged(universe: Universe, name: bytes) -> tuple[GroupState, LoggedFrame] | None:
    for state in universe.groups.values():
        logged = state.log.ids.get(name)
        if logged is not None:
            return state, logged
    return None


def _describe(universe: Universe, name: bytes) -> ListedFrame | None:
    found = _logged(universe, name)
    if found is None:
        return None
    state, logged = found
    info, child = state.graph.get(logged.dmls_epoch), state.graph.get(logged.child)
    if info is None and child is None:
        return None
    number = info.number if info is not None else (child.number - 1 if child is not None else 0)
    kind = FrameKind.MESSAGE
    if logged.generation is None:
        kind = FrameKind.WELCOME if logged.adds else FrameKind.COMMIT
    return ListedFrame(name, logged.group_id, number, logged.dmls_epoch, kind)


def _answer_frames(ctx: Context, universe: Universe, peer_id: bytes, message: WantFrames) -> None:
    found = (_logged(universe, name) for name in dict.fromkeys(message.frame_ids))
    frame_ids = take_in_turn([iter([held[1] for held in found if held is not None])])
    ctx.send(peer_id, Frames(universe.universe_id), frame_ids)


# rows


def _save(ctx: Context, universe: Universe, link: ArchiverLink, peer_id: bytes) -> None:
    """Where to go on after a restart."""
    place = link.feed.list_id, link.feed.safe_place
    if place != link.saved:
        link.saved = place
        ctx.put("feed", universe.universe_id + peer_id, pack(list(place)))


def load(universe: Universe, key: bytes, row: bytes) -> None:
    list_id, place = shape(unpack(row, max_bytes=256), _ROW)
    feed = Feed(universe.universe_id, list_id=list_id, place=place)
    universe.archivers[key[32:]] = ArchiverLink(feed, saved=(list_id, place))


def _forget(ctx: Context, universe: Universe, peer_id: bytes) -> None:
    del universe.archivers[peer_id]
    ctx.delete("feed", universe.universe_id + peer_id)
