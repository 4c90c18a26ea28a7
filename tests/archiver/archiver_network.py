"""Members and archivers in memory: real engines, virtual time."""

from __future__ import annotations

from dataclasses import replace

from tests.engine.small_network import SECOND, Network, Node

from starling.protocol.archiver.archive import Archive
from starling.protocol.archiver.engine import ArchiverEngine
from starling.protocol.archiver.kept_frames import DEFAULT_QUOTA
from starling.protocol.distributed.policy import FrameQuota
from starling.protocol.engine.inputs import Input, NameArchiver, OfferArchiver, OwnAddresses
from starling.protocol.engine.step import SendToPeer, Step
from starling.protocol.exchange.frame import MessageFrame, decode_frame
from starling.protocol.exchange.message import Message
from starling.protocol.exchange.messages import attach, decode_message


class ArchiverNode(Node):
    """A node that runs an archiver."""

    quota: FrameQuota = DEFAULT_QUOTA

    def start(self) -> None:
        rows = [(table, key, value) for (table, key), value in self.rows.items() if table != "frame"]
        self.archiver = ArchiverEngine(
            self.identity, rows, now=self.network.now, random=self.random_source(), quota=self.quota
        )
        self.connected = set()
        self.do(OwnAddresses((f"/memory/{self.name}",)))

    def handle(self, item: Input) -> Step:
        return self.archiver.handle(item, self.network.now)

    def archive(self, universe_id: bytes) -> Archive:
        """The engine's own state: only for looking."""
        return self.archiver._archives[universe_id]

    def offer(self) -> str:
        text: str = self.do(OfferArchiver())["offer"]
        return text


def add_archiver(network: Network, name: str = "Vault", quota: FrameQuota = DEFAULT_QUOTA) -> ArchiverNode:
    """A node without any universe that runs an archiver."""
    kind = type("ArchiverNode", (ArchiverNode,), {"quota": quota})
    node: ArchiverNode = kind(name, network)
    network.nodes[node.id] = node
    return node


def with_archiver(
    *names: str, quota: FrameQuota = DEFAULT_QUOTA, network: Network | None = None
) -> tuple[Network, bytes, ArchiverNode, list[Node]]:
    """A quiet universe of these members that has named an archiver."""
    network = network or Network()
    universe_id, *members = network.found(*names)
    vault = add_archiver(network, quota=quota)
    members[0].do(NameArchiver(universe_id, vault.offer()))
    network.run(30 * SECOND)
    assert vault.archiver.universes(), "the archiver was not told"
    return network, universe_id, vault, members


def go(network: Network, *nodes: Node) -> None:
    """These nodes crash, and stay away."""
    for node in nodes:
        network.stop(node)


def alone(network: Network, node: Node, duration: int = 30 * SECOND) -> None:
    """A node is here for a while, and goes again."""
    network.restart(node)
    network.run(duration)
    network.stop(node)


def junk(network: Network, source: Node, number: int = 0, size: int = 20_000) -> bytes:
    """A frame that looks like a message of a member."""
    frames = [f for f in network.published(source) if isinstance(decode_frame(f), MessageFrame)]
    frame = decode_frame(frames[-1])
    assert isinstance(frame, MessageFrame)
    head = len(frame.dmls_message) - 33
    return replace(frame, dmls_message=frame.dmls_message[:head] + b"\x20" + number.to_bytes(32)).encode()


def answers(network: Network, vault: Node, before: int) -> list[Message]:
    return [
        decode_message(attach(send.data, []))[0]
        for source, send in network.sent[before:]
        if source is vault and isinstance(send, SendToPeer)
    ]


def consistent(vault: ArchiverNode, universe_id: bytes) -> None:
    """What is counted is what is stored."""
    frames = vault.archive(universe_id).frames
    stored = vault.table("frame")
    assert set(vault.table("archived")) == set(stored) == {frame.frame_id for frame in frames}
    assert frames.size == sum(map(len, stored.values())) == sum(frame.size for frame in frames)
    assert len(frames.listing) == len(frames)
