"""Joined universes, built once a process and then cloned: most histories start as a restart from disks."""

from __future__ import annotations

from tests.sim.node import EngineFactory
from tests.sim.world import SavedUniverse, World

_saved: dict[tuple[EngineFactory, int, tuple[int, ...]], SavedUniverse] = {}


def fresh_universe(factory: EngineFactory, seed: object, suites: tuple[int, ...] = (1,)) -> World:
    """A founder alone."""
    world = World(factory, seed, suites=suites)
    with world.ledger.watching():
        world.found()
    return world


def saved_universe(factory: EngineFactory, size: int, suites: tuple[int, ...] = (1,)) -> SavedUniverse:
    """The disks of `size` members who all joined, talked and converged."""
    key = (factory, size, suites)
    if key not in _saved:
        world = fresh_universe(factory, f"universe of {size} {suites}", suites)
        with world.ledger.watching():
            for _ in range(size - 1):
                world.invite()
                world.run(2_000)
            world.finish()
            world.run(120_000)
            world.finish()
        _saved[key] = world.save()
    return _saved[key]
