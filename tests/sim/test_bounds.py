"""Nothing that a peer can fill grows without bound, and nothing that settles stays (I6, I7)."""

from __future__ import annotations

import pytest
from tests.sim.hostile import HostilePeer
from tests.sim.sizes import memory_size
from tests.sim.universes import saved_universe
from tests.sim.world import World

from starling.protocol.engine.engine import Engine
from starling.protocol.engine.inputs import PeerConnected, PeerDisconnected

MOST_MEMORY = 4 * 1024 * 1024
"""What a flood may make an engine of four members hold more: one MiB a forwarder of frames of unknown groups,
one MiB for each of three groups, and some change."""

MOST_LATER = 64 * 1024
"""What the second half of a flood may add."""


def flooded(peer: str) -> tuple[World, HostilePeer]:
    world = World(Engine, f"flood by {peer}", saved=saved_universe(Engine, 4))
    world.start_all()
    world.settle()
    for app in world.apps:
        world.send(app)
    world.settle()
    for app in world.apps:
        app.alarms = frozenset()
    frames = [frame for node in world.nodes for frame in node.store.frames.values()]
    assert world.founder.universe_id is not None
    peer_id = world.nodes[3].peer_id if peer == "a member" else bytes.fromhex("002408011220") + bytes(32)
    return world, HostilePeer(peer, world.founder.universe_id, peer_id, frames)


@pytest.mark.parametrize("peer", ["a member", "a stranger"])
def test_a_flood_fills_only_bounded_places(peer: str) -> None:
    world, hostile = flooded(peer)
    victim = world.founder.node
    if peer == "a member":
        world.nodes[3].crash(None)
        world.run(100)
    victim.deliver(PeerConnected(hostile.peer_id))
    sizes, stored = [], []
    for _ in range(6):
        for _ in range(8):
            hostile.flood(victim, 50)
            world.run(50)
        sizes.append(memory_size(victim.engine))
        stored.append(sum(victim.store.size().values()))
    assert max(sizes) - sizes[0] < MOST_MEMORY
    assert sizes[-1] - sizes[3] < MOST_LATER, sizes
    assert stored[-1] - stored[3] < MOST_LATER, stored
    # And the universe goes on: the flood ends, everybody talks.
    victim.deliver(PeerDisconnected(hostile.peer_id))
    world.finish()


def test_strangers_who_come_and_go_leave_nothing() -> None:
    world, hostile = flooded("a stranger")
    victim = world.founder.node
    sizes = []
    for number in range(600):
        hostile.peer_id = bytes.fromhex("002408011220") + number.to_bytes(32, "big")
        victim.deliver(PeerConnected(hostile.peer_id))
        hostile.flood(victim, 3)
        victim.deliver(PeerDisconnected(hostile.peer_id))
        if number % 200 == 199:
            sizes.append(memory_size(victim.engine))
    assert sizes[-1] - sizes[0] < MOST_LATER, sizes
    world.finish()


def test_a_long_conversation_leaves_only_its_ids() -> None:
    """Epochs, frames and PSKs go when everybody has them; only the ids of messages are remembered."""
    world = World(Engine, "soak", saved=saved_universe(Engine, 3))
    world.start_all()
    stored = []
    for _ in range(4):
        for _ in range(20):
            for app in world.apps:
                world.send(app)
            world.run(1_500)
            world.update(world.rng.choice(world.apps))
            world.run(1_500)
        world.settle()
        world.run(120_000)
        world.settle()
        sizes = [node.store.size() for node in world.nodes]
        for size in sizes:
            size.pop("delivered")
            size.pop("sent")
        stored.append(max(sum(size.values()) for size in sizes))
    assert stored[-1] < stored[0] * 1.3, stored
    world.finish()


def test_a_settled_epoch_leaves_no_secret() -> None:
    """I6: after convergence a node retains the head of every group, and nothing superseded."""
    world = World(Engine, "settled", saved=saved_universe(Engine, 4))
    world.start_all()
    for app in world.apps:
        world.send(app)
        world.update(app)
    world.finish()
    world.run(180_000)
    world.settle()
    world.run(60_000)
    for node in world.nodes:
        epochs = [key for table, key in node.store.rows if table == "epoch"]
        assert len(epochs) == len(world.nodes), (node.name, len(epochs))
