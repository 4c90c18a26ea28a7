"""The network in memory keeps the promises of the interface, on the virtual clock."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing

from starling.p2p.interface import (
    MAX_STRANGER_MESSAGE,
    DialFailed,
    Frame,
    ListenError,
    Message,
    NetworkEvent,
    NetworkOptions,
    PeerConnected,
    PeerDisconnected,
)
from starling.p2p.memory import MemoryHub, MemoryNetwork

LISTEN = ("/ip4/127.0.0.1/tcp/0",)
Start = Callable[[int], Awaitable[tuple[MemoryNetwork, tuple[str, ...], list[NetworkEvent]]]]


async def start(
    nursery: trio.Nursery, hub: MemoryHub, number: int
) -> tuple[MemoryNetwork, tuple[str, ...], list[NetworkEvent]]:
    network = hub.network(NetworkOptions(bytes([number]) * 32, LISTEN))
    seen: list[NetworkEvent] = []

    async def collect() -> None:
        async for event in network.events:
            seen.append(event)

    addresses = await nursery.start(network.run)
    nursery.start_soon(collect)
    return network, addresses, seen


async def universe(
    nursery: trio.Nursery, hub: MemoryHub, size: int
) -> tuple[list[MemoryNetwork], list[list[NetworkEvent]]]:
    started = [await start(nursery, hub, number + 1) for number in range(size)]
    known = {network.peer_id: addresses for network, addresses, _ in started}
    for network, _, _ in started:
        network.set_topics(frozenset({"t"}))
        network.set_known_peers(known, {})
    await trio.sleep(10)
    return [n for n, _, _ in started], [seen for _, _, seen in started]


async def test_frames_reach_every_member_and_messages_keep_their_order(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with trio.open_nursery() as nursery:
        nodes, seen = await universe(nursery, MemoryHub(seed=1), 3)
        nodes[0].publish("t", b"hello")
        for number in range(50):
            assert nodes[0].send(nodes[1].peer_id, b"%d" % number)
        await trio.sleep(5)
        for events in seen[1:]:
            assert [e.frame for e in events if isinstance(e, Frame)] == [b"hello"]
        data = [e.data for e in seen[1] if isinstance(e, Message)]
        assert data == [b"%d" % number for number in range(50)]
        nursery.cancel_scope.cancel()


async def test_thirty_nodes_are_one_graph_of_few_connections(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with trio.open_nursery() as nursery:
        nodes, seen = await universe(nursery, MemoryHub(seed=2), 30)
        nodes[7].publish("t", b"to all")
        await trio.sleep(5)
        heard = [any(isinstance(e, Frame) for e in events) for events in seen]
        assert heard.count(True) == 29
        assert max(len(node.connected()) for node in nodes) < 29
        assert sum(len(node.connected()) for node in nodes) / 30 < 14
        nursery.cancel_scope.cancel()


async def test_a_partition_is_seen_and_heals(autojump_clock: trio.testing.MockClock) -> None:
    async with trio.open_nursery() as nursery:
        hub = MemoryHub(seed=3)
        nodes, seen = await universe(nursery, hub, 4)
        hub.partition([nodes[0].peer_id, nodes[1].peer_id])
        await trio.sleep(1)
        assert PeerDisconnected(nodes[2].peer_id) in seen[0]
        assert not nodes[0].send(nodes[2].peer_id, b"x")
        await trio.sleep(120)
        assert DialFailed(nodes[2].peer_id) in seen[0]
        hub.heal()
        await trio.sleep(45)
        assert {p.peer_id for p in nodes[0].connected()} == {n.peer_id for n in nodes[1:]}
        nursery.cancel_scope.cancel()


async def test_a_restarted_peer_is_found_again_soon(autojump_clock: trio.testing.MockClock) -> None:
    async with trio.open_nursery() as nursery:
        hub = MemoryHub(seed=4)
        nodes, seen = await universe(nursery, hub, 2)
        async with trio.open_nursery() as other:
            third, addresses, _ = await start(other, hub, 9)
            for node in nodes:
                node.set_known_peers({third.peer_id: addresses, **{n.peer_id: () for n in nodes}}, {})
            third.set_known_peers({n.peer_id: () for n in nodes}, {})
            await trio.sleep(5)
            assert PeerConnected(third.peer_id, addresses[0]) in seen[0]
            other.cancel_scope.cancel()
        await trio.sleep(5)
        assert seen[0][-1] == DialFailed(third.peer_id)
        again = hub.network(NetworkOptions(bytes([9]) * 32, addresses))
        await nursery.start(again.run)
        await trio.sleep(5)
        assert third.peer_id in {p.peer_id for p in nodes[0].connected()}
        nursery.cancel_scope.cancel()


async def test_a_stranger_hears_no_gossip_and_sends_only_little(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with trio.open_nursery() as nursery:
        hub = MemoryHub(seed=5)
        member, addresses, seen = await start(nursery, hub, 1)
        stranger, _, heard = await start(nursery, hub, 2)
        for node in (member, stranger):
            node.set_topics(frozenset({"t"}))
        stranger.set_known_peers({member.peer_id: addresses}, {})
        await trio.sleep(2)
        member.publish("t", b"secret")
        stranger.publish("t", b"noise")
        stranger.send(member.peer_id, b"may I join")
        await trio.sleep(2)
        assert not [e for e in heard if isinstance(e, Frame)]
        assert not [e for e in seen if isinstance(e, Frame)]
        assert Message(stranger.peer_id, b"may I join") in seen
        stranger.send(member.peer_id, bytes(MAX_STRANGER_MESSAGE + 1))
        await trio.sleep(0.5)
        assert seen[-1] == PeerDisconnected(stranger.peer_id)
        nursery.cancel_scope.cancel()


async def test_lost_frames_are_lost_by_the_seed(autojump_clock: trio.testing.MockClock) -> None:
    async def heard(seed: int) -> list[bytes]:
        async with trio.open_nursery() as nursery:
            nodes, seen = await universe(nursery, MemoryHub(seed=seed, frame_loss=0.5), 2)
            for number in range(20):
                nodes[0].publish("t", b"%d" % number)
            await trio.sleep(2)
            nursery.cancel_scope.cancel()
        return [e.frame for e in seen[1] if isinstance(e, Frame)]

    first = await heard(6)
    assert 0 < len(first) < 20
    assert first == await heard(6)


async def test_a_port_in_use_is_one_clear_error(autojump_clock: trio.testing.MockClock) -> None:
    async with trio.open_nursery() as nursery:
        hub = MemoryHub()
        _, addresses, _ = await start(nursery, hub, 1)
        other = hub.network(NetworkOptions(b"2" * 32, addresses))
        with pytest.RaisesGroup(ListenError, allow_unwrapped=True, flatten_subgroups=True):
            await nursery.start(other.run)
        nursery.cancel_scope.cancel()


def test_the_interface_and_the_memory_network_do_without_libp2p() -> None:
    code = "import sys, starling.p2p.interface, starling.p2p.memory; sys.exit('libp2p' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
