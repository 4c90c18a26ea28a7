"""One universe as an archiver holds it: its roster, the frames, what members want no more, whom it talks to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from starling.protocol.archiver.kept_frames import DEFAULT_QUOTA, KeptFrames
from starling.protocol.archiver.offers import Offer
from starling.protocol.distributed.floor import Floors
from starling.protocol.distributed.peer_address import PeerAddress
from starling.protocol.distributed.policy import FrameQuota
from starling.protocol.distributed.roster import Roster
from starling.protocol.distributed.roster_entry import entry_id
from starling.protocol.engine.context import Context
from starling.protocol.engine.profiles import ProfileStore
from starling.protocol.exchange.feed import Feed
from starling.protocol.packed import pack


@dataclass(slots=True)
class MemberLink:
    """The exchange with one connected member: when to pulse next, and what the last one said of the member's list."""

    pulse_at: int
    told: int = -1


class Archive:
    """Plain state, and the rows that keep it. `identity` is the archiver's key, `offer` what it was named by;
    `is_named` once the roster says so."""

    def __init__(
        self, universe_id: bytes, identity: bytes, offer: Offer, quota: FrameQuota = DEFAULT_QUOTA
    ) -> None:
        self.universe_id = universe_id
        self.identity = identity
        self.offer = offer
        self.is_named = False
        self.roster = Roster(universe_id)
        self.frames = KeptFrames(universe_id, quota)
        self.list_id = offer.token[:16]
        """Names the list of the frames; members alone see it, and they know the token."""
        self.floors: dict[bytes, Floors] = {}
        """By identity key, the newest statement of each member."""
        self._places: dict[bytes, Mapping[bytes, int]] = {}
        """By identity key, the floors that it states by group."""
        self._lowest: dict[bytes, int | None] = {}
        self._lowest_of = -1
        """What `floor` has found with the roster of this revision: a page of a list asks for it for each frame."""
        self.profiles = ProfileStore(universe_id)
        self.own_address: PeerAddress | None = None
        self.links: dict[bytes, MemberLink] = {}
        self.feeds: dict[bytes, Feed] = {}
        """By peer id, of current members: what was read of their lists in this run."""
        self.refused: dict[str, int] = {}
        self.told_bad: set[bytes] = set()
        """The owners of whom it was told in this run that a commit does not open here."""
        self.sweep_at: int | None = None

    def __repr__(self) -> str:
        return f"<Archive {self.universe_id.hex()[:8]}>"

    @property
    def network_revision(self) -> tuple[object, ...]:
        """What differs whenever the topics or peers of the universe do."""
        return self.is_named, self.roster.revision, self.profiles.revision

    def is_member(self, peer_id: bytes) -> bool:
        """Whether a libp2p peer is a current member's."""
        return peer_id in self.roster.peers

    def members(self) -> Iterator[tuple[bytes, bytes]]:
        """The current members: identity keys and peer ids."""
        return ((info.identity, info.peer_id) for info in self.roster.members.values())

    def refuse(self, word: str) -> None:
        """Count what was refused by the rule it broke."""
        if word in self.refused or len(self.refused) < 64:
            self.refused[word] = self.refused.get(word, 0) + 1

    def pulse_soon(self, now: int) -> None:
        """Something that members are to know has changed."""
        for link in self.links.values():
            link.pulse_at = now

    # floors

    def floor(self, group_id: bytes) -> int | None:
        """The number below which no current member wants an epoch of a group; None where nobody wants any.

        Who has said nothing may want all. A group that a member does not name is one that it may enter yet, or, where
        it is no current member's, one that it has left behind.
        """
        if self._lowest_of != self.roster.revision:
            self._lowest.clear()
            self._lowest_of = self.roster.revision
        if group_id not in self._lowest:
            unnamed = 0 if self._is_current(group_id) else None
            stated = (self._places.get(identity) for identity in self.roster.members)
            floors = (0 if places is None else places.get(group_id, unnamed) for places in stated)
            self._lowest[group_id] = min((floor for floor in floors if floor is not None), default=None)
        return self._lowest[group_id]

    @property
    def read(self) -> int:
        """The place in the list of frames up to which no current member wants any."""
        stated = (self.floors.get(identity) for identity in self.roster.members)
        return min(
            (
                floors.list_place if floors is not None and floors.list_id == self.list_id else 0
                for floors in stated
            ),
            default=0,
        )

    def _is_current(self, group_id: bytes) -> bool:
        info = self.roster.send_groups.get(group_id)
        member = self.roster.members.get(info.identity) if info is not None else None
        return member is not None and member.send_group_id == group_id

    def take_floors(self, ctx: Context, floors: Floors) -> bool:
        """Keep a member's statement, already verified; False where a newer one is here."""
        held = self.floors.get(floors.member)
        if held is not None and held.serial >= floors.serial:
            return False
        self.note_floors(floors)
        ctx.put("floor", self.universe_id + floors.member, floors.encode())
        return True

    def note_floors(self, floors: Floors) -> None:
        """Take in a statement that is stored."""
        self.floors[floors.member] = floors
        self._places[floors.member] = {place.group_id: place.epoch for place in floors.places}
        self._lowest.clear()

    def forget_former(self, ctx: Context) -> None:
        """What is kept of who is no member any more, but frames: others may still want those."""
        for identity in self.floors.keys() - self.roster.members.keys():
            del self.floors[identity], self._places[identity]
            ctx.delete("floor", self.universe_id + identity)
        for identity in self.profiles.profiles.keys() - self.roster.members.keys():
            self.profiles.forget(ctx, identity)
        peers = self.roster.peers
        for peer_id in [peer_id for peer_id in self.links if peer_id not in peers]:
            del self.links[peer_id]
        for peer_id in [peer_id for peer_id in self.feeds if peer_id not in peers]:
            del self.feeds[peer_id]
        self.frames.crowded.intersection_update(peers)

    # rows

    def save(self, ctx: Context) -> None:
        ctx.put("archive", self.universe_id, pack([self.offer.token]))

    def forget(self, ctx: Context) -> None:
        """Take all rows away but those of the frames."""
        for entry in self.roster.entries():
            ctx.delete("roster", self.universe_id + entry_id(entry))
        for identity in self.floors:
            ctx.delete("floor", self.universe_id + identity)
        for identity in list(self.profiles.profiles):
            self.profiles.forget(ctx, identity)
        ctx.delete("archive", self.universe_id)
