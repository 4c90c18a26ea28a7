"""A network that splits, without servers: what is sent reaches one's own island, in any order, and the others when
islands meet again. Nobody agrees on anything; only so many children of one epoch are made as are held."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.decentralized.forked_members import NOW, ForkMember, gather, opened, welcomed
from tests.mls.group_members import Client

from starling.protocol.decentralized.fork_choice import MAX_SIBLINGS
from starling.protocol.decentralized.fork_results import ForkCommit, UnknownEpoch
from starling.protocol.mls import Add, KeyPackageBundle, Proposal, Remove

Choose = Callable[[int], int]
"""A number below another."""


@dataclass(eq=False)
class Packet:
    """A DMLSMessage, or a Welcome, for one client."""

    data: bytes
    is_welcome: bool = False
    waits: bool = False


@dataclass
class Place:
    """One client: `member` is None until its Welcome has come."""

    client: Client
    island: int
    member: ForkMember | None = None
    bundle: KeyPackageBundle | None = None
    inbox: list[Packet] = field(default_factory=list)
    away: list[tuple[int, Packet]] = field(default_factory=list)
    """What was sent on other islands, with the number of the sender's place."""


class SplitNetwork:
    """`expected` are the readers of every message; `added` and `removed` all that any commit on any fork did."""

    def __init__(self, count: int, choose: Choose) -> None:
        self.choose = choose
        self.places = [Place(member.client, 0, member, member.bundle) for member in gather(count)]
        for member in self.joined():
            member.restarts = False
        self.expected: dict[bytes, set[bytes]] = {}
        self.founders = {place.client.signature_key for place in self.places}
        self.added: set[bytes] = set()
        self.removed: set[bytes] = set()
        self._children: Counter[bytes] = Counter()
        self._islands = 1

    # what happens

    def any_member(self) -> ForkMember | None:
        """One that may send."""
        able = [member for member in self.joined() if not member.forked.is_removed]
        return able[self.choose(len(able))] if able else None

    def joined(self) -> list[ForkMember]:
        return [place.member for place in self.places if place.member is not None]

    def place_of(self, name: bytes) -> Place:
        return next(place for place in self.places if place.client.signature_key == name)

    def split(self) -> None:
        """Some of one island part from the rest of it."""
        island = self.places[self.choose(len(self.places))].island
        for place in [place for place in self.places if place.island == island]:
            if self.choose(2):
                place.island = self._islands
        self._islands += 1

    def meet(self) -> None:
        """Two islands become one; what was sent meanwhile is under way."""
        first = self.places[self.choose(len(self.places))].island
        second = self.places[self.choose(len(self.places))].island
        for place in self.places:
            if place.island == second:
                place.island = first
        self._forward()

    def heal(self) -> None:
        for place in self.places:
            place.island = 0
            place.inbox.extend(packet for _, packet in place.away)
            place.away.clear()

    def _forward(self) -> None:
        for place in self.places:
            near = [item for item in place.away if self.places[item[0]].island == place.island]
            place.inbox.extend(packet for _, packet in near)
            place.away = [item for item in place.away if item not in near]

    def send(
        self, sender: bytes, packet: bytes, to: set[bytes] | None = None, *, welcome: bool = False
    ) -> None:
        number = next(i for i, place in enumerate(self.places) if place.client.signature_key == sender)
        for place in self.places:
            if place.client.signature_key == sender or (
                to is not None and place.client.signature_key not in to
            ):
                continue
            if place.island == self.places[number].island:
                place.inbox.append(Packet(packet, welcome))
            else:
                place.away.append((number, Packet(packet, welcome)))

    def commit(self, member: ForkMember, proposals: list[Proposal]) -> bool:
        parent = member.forked.head
        if self._children[parent] >= MAX_SIBLINGS:
            return False
        self._children[parent] += 1
        released = member.commit(proposals)
        self.send(member.name, released.message)
        packages = [proposal.key_package for proposal in proposals if isinstance(proposal, Add)]
        if packages:
            assert released.welcome is not None
            names = {package.leaf_node.signature_key for package in packages}
            self.send(member.name, released.welcome, names, welcome=True)
        return True

    def add(self, by: ForkMember) -> None:
        client = Client(f"newcomer {len(self.places)}")
        bundle = client.bundle()
        place = Place(client, self.place_of(by.name).island, bundle=bundle)
        self.places.append(place)
        if self.commit(by, [Add(bundle.key_package)]):
            self.added.add(client.signature_key)
        else:
            self.places.remove(place)

    def remove(self, by: ForkMember) -> None:
        """Anybody but the first, who remains to bring the others together."""
        keep = {by.name, self.places[0].client.signature_key}
        others = sorted(by.members() - keep)
        if others:
            name = others[self.choose(len(others))]
            (leaf,) = [index for index, node in by.forked.group.tree.leaves() if node.signature_key == name]
            if self.commit(by, [Remove(leaf)]):
                self.removed.add(name)

    def talk(self, member: ForkMember) -> None:
        text = b"message %d" % len(self.expected)
        self.expected[text] = member.members() - {member.name}
        self.send(member.name, member.say(text))

    def restart(self) -> None:
        for member in self.joined():
            member.restart()

    # how it arrives

    def deliver_one(self) -> bool:
        """One packet of one inbox, any."""
        ready = [place for place in self.places if any(not packet.waits for packet in place.inbox)]
        if not ready:
            return False
        place = ready[self.choose(len(ready))]
        packets = [packet for packet in place.inbox if not packet.waits]
        self._receive(place, packets[self.choose(len(packets))])
        return True

    def deliver_all(self) -> None:
        while self.deliver_one():
            pass

    def _receive(self, place: Place, packet: Packet) -> None:
        entered = packet.is_welcome
        if packet.is_welcome:
            self._welcome(place, packet.data)
        else:
            try:
                received = place.member.get(packet.data) if place.member is not None else None
            except UnknownEpoch:
                received = None
            packet.waits = received is None
            entered = isinstance(received, ForkCommit)
        if not packet.waits:
            place.inbox.remove(packet)
        if entered:
            for waiting in place.inbox:
                waiting.waits = False

    def _welcome(self, place: Place, welcome: bytes) -> None:
        assert place.bundle is not None
        if place.member is None:
            place.member = welcomed(place.client, place.bundle, welcome)
            place.member.restarts = False
        else:
            private_key = place.client.signature_private_key
            place.member.forked.rejoin(opened(welcome), place.bundle, private_key, now=NOW)
