"""Links between simulated members: ordered streams, and gossip that is forwarded where the origin does not reach.

`tests/sim/network.py` tries what goes wrong among a few who dial all others; this one counts what goes right
among many, whose dialler keeps some links each. Both run on the same virtual clock. Processing takes no time here.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial

from tests.sim.event_queue import EventQueue

from bench.simulated.member import Member
from bench.simulated.topology import Link, dialled, diameter
from bench.simulated.traffic import AGAIN, REPORT, Traffic
from starling.protocol.engine.inputs import FrameReceived, MessageFromPeer, PeerConnected, PeerDisconnected
from starling.protocol.exchange.frame import frame_id
from starling.protocol.exchange.messages import attach

DELAY = (1, 80)
"""Milliseconds on a link, drawn anew for each piece."""

DIAL = (20, 400)
"""Milliseconds until two members that can reach each other are connected."""


class Network:
    """The members by peer id, their links, and what crosses them. `frames` are all frames by id, with their kind."""

    def __init__(self, queue: EventQueue, seed: object) -> None:
        self.queue = queue
        self.members: dict[bytes, Member] = {}
        self.frames: dict[bytes, tuple[bytes, str]] = {}
        self.traffic = Traffic()
        self.moved: Counter[bytes] = Counter()
        """Bytes that each member, by peer id, has sent and received."""
        self._rng = random.Random(f"{seed} network")
        self._links: dict[Link, dict[bytes, int]] = {}
        """With the time of the newest arrival at each end."""
        self._heard: dict[bytes, set[bytes]] = {}
        self._sides: list[set[bytes]] = []

    def add(self, member: Member) -> None:
        self.members[member.peer_id] = member

    # who is connected

    def connect(self) -> None:
        """Bring about the links that the diallers want while everybody reaches everybody."""
        self.part([list(self.members.values())])

    def part(self, sides: Sequence[Iterable[Member]]) -> None:
        """Part the members; links across are cut, and each side makes those that it then wants."""
        self._sides = [{member.peer_id for member in side} for side in sides]
        for link in list(self._links):
            if not self._reachable(link):
                self._cut(link)
        wanted = {link for side in self._sides for link in dialled(side)}
        for link in sorted(wanted - self._links.keys(), key=sorted):
            self.queue.after(self._rng.randint(*DIAL), partial(self._link, link))

    def meet(self, a: Member, b: Member) -> None:
        """One link more, as a joiner makes it by its ticket."""
        self._sides.append({a.peer_id, b.peer_id})
        self.queue.after(self._rng.randint(*DIAL), partial(self._link, frozenset((a.peer_id, b.peer_id))))

    def diameter(self) -> int:
        """Of the graph of links as they are."""
        return diameter({peer_id: member.links for peer_id, member in self.members.items()})

    def _reachable(self, link: Link) -> bool:
        return any(link <= side for side in self._sides)

    def _link(self, link: Link) -> None:
        if link in self._links or not self._reachable(link):
            return
        a, b = (self.members[peer_id] for peer_id in sorted(link))
        self._links[link] = {}
        a.links[b.peer_id], b.links[a.peer_id] = b, a
        a.handle(PeerConnected(b.peer_id))
        b.handle(PeerConnected(a.peer_id))

    def _cut(self, link: Link) -> None:
        del self._links[link]
        a, b = (self.members[peer_id] for peer_id in sorted(link))
        del a.links[b.peer_id], b.links[a.peer_id]
        a.handle(PeerDisconnected(b.peer_id))
        b.handle(PeerDisconnected(a.peer_id))

    # streams

    def send(self, sender: Member, receiver: bytes, data: bytes, frame_ids: tuple[bytes, ...]) -> None:
        """One message, in order within a link, with the frames of these ids."""
        link = frozenset((sender.peer_id, receiver))
        arrivals = self._links.get(link)
        if arrivals is None:
            return
        due = max(self.queue.now + self._rng.randint(*DELAY), arrivals.get(receiver, 0))
        arrivals[receiver] = due
        whole = attach(data, [self.frames[key][0] for key in frame_ids])
        self.moved[sender.peer_id] += len(whole)
        self.queue.at(due, partial(self._arrive, link, arrivals, sender, receiver, whole, frame_ids))

    def _arrive(
        self,
        link: Link,
        arrivals: dict[bytes, int],
        sender: Member,
        receiver: bytes,
        whole: bytes,
        frame_ids: tuple[bytes, ...],
    ) -> None:
        if self._links.get(link) is not arrivals:
            return
        for key in frame_ids:
            self._count_frame(receiver, key)
        self.moved[receiver] += len(whole)
        self.traffic.stream(whole, sum(len(self.frames[key][0]) for key in frame_ids))
        self.members[receiver].handle(MessageFromPeer(sender.peer_id, whole))

    def _count_frame(self, receiver: bytes, key: bytes) -> bool:
        """Count one frame; whether it is new to the receiver."""
        frame, kind = self.frames[key]
        heard = self._heard.setdefault(key, set())
        new = receiver not in heard
        heard.add(receiver)
        self.traffic.arrived(kind if new else AGAIN, len(frame))
        return new

    # gossip

    def publish(self, origin: Member, topic: str, frame: bytes) -> None:
        key = frame_id(frame)
        # What is not stored is an announcement, of what is too large for gossip: reports, but for the set-up.
        self.frames.setdefault(key, (frame, REPORT))
        self._heard.setdefault(key, set()).add(origin.peer_id)
        self._forward(origin, origin, topic, key)

    def _forward(self, origin: Member, node: Member, topic: str, key: bytes, source: bytes = b"") -> None:
        for peer_id, other in node.links.items():
            if peer_id != source:
                due = self.queue.now + self._rng.randint(*DELAY)
                self.moved[node.peer_id] += len(self.frames[key][0])
                self.queue.at(due, partial(self._hear, origin, node, other, topic, key))

    def _hear(self, origin: Member, forwarder: Member, node: Member, topic: str, key: bytes) -> None:
        if topic not in node.topics or forwarder.peer_id not in node.links:
            return
        self.moved[node.peer_id] += len(self.frames[key][0])
        if not self._count_frame(node.peer_id, key):
            return
        node.handle(FrameReceived(forwarder.peer_id, self.frames[key][0]))
        # Who has the same peers as the origin knows that all of them have it (`starling.p2p.reach`).
        if {*node.links, node.peer_id} != {*origin.links, origin.peer_id}:
            self._forward(origin, node, topic, key, forwarder.peer_id)
