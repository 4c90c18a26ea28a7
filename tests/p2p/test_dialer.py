"""Whom the dialer wants, and how often it tries, on the virtual clock."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
import trio
import trio.testing

from starling.p2p import dialer as settings
from starling.p2p.dialer import Dialer


class World:
    """Answers dials: `up` are the peers that can be reached."""

    def __init__(self, own: bytes = b"\x80") -> None:
        self.up: set[bytes] = set()
        self.connected: set[bytes] = set()
        self.dials: list[tuple[float, bytes]] = []
        self.failed: list[bytes] = []
        self.dialer = Dialer(own, self.dial, self.connected.__contains__, self.failed.append, Random(1))

    async def dial(self, peer_id: bytes, addresses: tuple[str, ...]) -> bool:
        self.dials.append((trio.current_time(), peer_id))
        await trio.sleep(0.05)
        if peer_id in self.up:
            self.connected.add(peer_id)
        return peer_id in self.up

    async def run(self, seconds: float) -> None:
        with trio.move_on_after(seconds):
            await self.dialer.run()


def known(*numbers: int) -> dict[bytes, tuple[str, ...]]:
    return {bytes([number]): ("/ip4/192.0.2.1/tcp/1",) for number in numbers}


async def test_a_dead_peer_is_tried_ever_less_often(autojump_clock: trio.testing.MockClock) -> None:
    world = World()
    world.dialer.set_known_peers(known(0x90), {})
    await world.run(300)
    times = [at for at, _ in world.dials]
    pauses = [after - before for before, after in pairwise(times)]
    assert all(1.4 < pause < 2.7 for pause in pauses[: settings.PATIENCE - 1])
    assert all(20 < pause < 40 for pause in pauses[-3:])
    assert len(world.failed) == len(times)
    assert len(set(pauses)) > 5


async def test_a_new_address_is_tried_at_once(autojump_clock: trio.testing.MockClock) -> None:
    world = World()
    world.dialer.set_known_peers(known(0x90), {})
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.run, 310)
        await trio.sleep(300)
        world.up = {b"\x90"}
        world.dialer.set_known_peers({b"\x90": ("/ip4/192.0.2.2/tcp/1",)}, {})
        await trio.sleep(0.2)
        assert world.connected == {b"\x90"}


async def test_the_greater_peer_id_lets_the_other_begin(autojump_clock: trio.testing.MockClock) -> None:
    world = World()
    before = trio.current_time()
    world.dialer.set_known_peers(known(0x10, 0x90), {})
    await world.run(1)
    first = {peer_id: at - before for at, peer_id in reversed(world.dials)}
    assert first[b"\x90"] == 0
    assert first[b"\x10"] == pytest.approx(settings.COURTESY, abs=0.01)


async def test_among_many_the_successors_and_a_few_others_are_wanted(
    autojump_clock: trio.testing.MockClock,
) -> None:
    world = World()
    members = known(*range(0x40, 0xC0))
    world.up = set(members)
    world.dialer.set_known_peers(members, {})
    await world.run(30)
    assert {b"\x81", b"\x82"} <= world.connected
    assert len(world.connected) == settings.TARGET
    # Full of connections as it may be, a node still dials the member after it.
    world.connected.clear()
    world.connected.update(bytes([number]) for number in range(0x90, 0xA0))
    assert set(world.dialer.wanted()) == {b"\x81", b"\x82"}


async def test_a_dead_successor_does_not_stand_for_one(autojump_clock: trio.testing.MockClock) -> None:
    world = World()
    members = known(*range(0x70, 0xA0))
    world.up = set(members) - {b"\x81", b"\x82", b"\x83"}
    world.dialer.set_known_peers(members, {})
    await world.run(60)
    assert {b"\x84", b"\x85"} <= world.connected


async def test_guests_are_dialled_and_forgotten(autojump_clock: trio.testing.MockClock) -> None:
    world = World()
    world.dialer.set_known_peers({}, known(0x10))
    await world.run(1)
    assert [peer_id for _, peer_id in world.dials] == [b"\x10"]
    world.dialer.set_known_peers({}, {})
    await world.run(60)
    assert len(world.dials) == 1
