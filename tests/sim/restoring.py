"""What the stories of restored and cloned nodes have in common: a quiet universe, talk, and what is to hold after."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.sim.app import App, Copy
from tests.sim.universes import saved_universe
from tests.sim.world import World

from starling.protocol.decentralized.dmls_message import read_dmls_message
from starling.protocol.engine.engine import Engine
from starling.protocol.engine.group_state import load_group_row
from starling.protocol.exchange.frame import Announcement, CommitFrame, decode_frame

SETTLING = 180_000
"""How long, in virtual time, a quiet and connected universe takes at most to settle what is superseded."""


@contextmanager
def quiet_world(seed: str, size: int = 4) -> Iterator[World]:
    """Members who have all joined, said nothing new, and have settled; alarms are expected."""
    world = World(Engine, seed, saved=saved_universe(Engine, size))
    with world.ledger.watching():
        world.start_all()
        world.settle()
        world.run(SETTLING)
        for app in world.apps:
            app.alarms = frozenset()
        yield world


def talk(world: World, *speakers: App) -> None:
    """Each says something, twice, with time for the others to import and to answer."""
    for _ in range(2):
        for app in speakers:
            world.send(app)
            world.run(700)
    world.run(5_000)


def say_only(world: World, speaker: App) -> None:
    """Messages, and no commit."""
    for _ in range(3):
        world.send(speaker)
    world.run(3_000)


def update(world: World, *apps: App) -> None:
    """Path commits, one after the other, each with a message: the others import it with theirs."""
    for app in apps:
        world.update(app)
        world.run(1_500)
    world.run(61_000)


def apart(world: World, app: App) -> None:
    """This one alone on its side."""
    world.partition([int(other is app) for other in world.apps])


def check_restored(world: World, app: App, copy: Copy) -> None:
    """B2: in the epochs that it had entered before, a put-back node makes one commit at most, and nothing else. And
    nobody takes it for two."""
    assert not any(other.heard["clone.detected"] for other in world.apps)
    own = {
        key
        for (table, key), (row, _) in copy.store.rows.items()
        if table == "group" and load_group_row(row)[1] == app.identity
    }
    entered = {key for table, key in copy.store.rows if table == "epoch_info" and key[:32] in own}
    made = []
    for encoded in app.node.store.journal or ():
        frame = decode_frame(encoded)
        assert not isinstance(frame, Announcement), "announcements are not stored"
        message = read_dmls_message(frame.dmls_message)
        if message.group_id + message.dmls_epoch in entered:
            made.append(frame)
    assert len(made) <= 1
    assert all(isinstance(frame, CommitFrame) for frame in made)
