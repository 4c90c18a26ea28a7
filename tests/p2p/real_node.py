"""A real node with its events collected, for tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import trio

from starling.p2p.interface import (
    Frame,
    Message,
    NetworkEvent,
    NetworkOptions,
    PeerConnected,
    PeerDisconnected,
)
from starling.p2p.network import Libp2pNetwork

if TYPE_CHECKING:
    # The stubs that libp2p brings along hide trio's own annotations from type checkers.
    from trio_typing import TaskStatus

LOOPBACK = ("/ip4/127.0.0.1/tcp/0",)


@dataclass
class Node:
    network: Libp2pNetwork
    addresses: tuple[str, ...] = ()
    seen: list[NetworkEvent] = field(default_factory=list)
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)

    @property
    def peer_id(self) -> bytes:
        return self.network.peer_id

    @property
    def frames(self) -> list[bytes]:
        return [e.frame for e in self.seen if isinstance(e, Frame)]

    @property
    def messages(self) -> list[bytes]:
        return [e.data for e in self.seen if isinstance(e, Message)]

    def is_connected(self, other: Node | bytes) -> bool:
        peer_id = other if isinstance(other, bytes) else other.peer_id
        changes = [e for e in self.seen if isinstance(e, PeerConnected | PeerDisconnected)]
        mine = [e for e in changes if e.peer_id == peer_id]
        return bool(mine) and isinstance(mine[-1], PeerConnected)

    def gossips_with(self, other: Node) -> bool:
        """Whether the other is in this node's mesh: what is published now reaches it."""
        mesh = self.network._gossip.gossip_router.mesh.get("t", set())
        return other.peer_id in {peer.to_bytes() for peer in mesh}


async def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait for something to become true."""
    with trio.fail_after(seconds):
        while not condition():
            await trio.sleep(0.01)


async def start(
    nursery: trio.Nursery,
    number: int,
    members: Mapping[bytes, tuple[str, ...]] | None = None,
    listen: tuple[str, ...] = LOOPBACK,
    *,
    mdns: bool = False,
) -> Node:
    """Run a node subscribed to the topic `t`; it stops with the nursery or by its scope."""
    node = Node(Libp2pNetwork(NetworkOptions(bytes([number]) * 32, listen, mdns)))
    node.network.set_topics(frozenset({"t"}))
    node.network.set_known_peers(members or {}, {})

    async def collect() -> None:
        async for event in node.network.events:
            node.seen.append(event)

    async def run(task_status: TaskStatus[tuple[str, ...]] = trio.TASK_STATUS_IGNORED) -> None:
        with node.scope:
            await node.network.run(task_status=task_status)

    node.addresses = await nursery.start(run)
    nursery.start_soon(collect)
    return node


def introduce(*nodes: Node, dialling: bool = True) -> None:
    """Make nodes members to each other."""
    for node in nodes:
        others = {n.peer_id: n.addresses if dialling else () for n in nodes if n is not node}
        node.network.set_known_peers(others, {})


async def meshed(*nodes: Node) -> None:
    """Wait until all gossip with all."""
    await until(lambda: all(a.gossips_with(b) for a in nodes for b in nodes if a is not b))
