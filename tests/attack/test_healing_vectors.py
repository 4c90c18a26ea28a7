"""What nodes say of healing against the thief itself: over random histories, everything that is claimed and nothing
else holds (PROTOCOL 5.5)."""

from __future__ import annotations

import random

import pytest
from tests.attack.scene import Scene

NAMES = ("v", "x", "y")


def claims(scene: Scene, owner: str, victim: str, stolen_at: int) -> set[bool]:
    """Whether each member says that the owner's newest epoch is healed of a theft from the victim at that time."""
    group_id = scene[owner].group(scene.universe_id, scene[owner]).group_id
    said = set()
    for node in scene.members.values():
        universe = node.universe(scene.universe_id)
        head = universe.groups[group_id].graph.head
        said.add(stolen_at < universe.healing.vector(group_id, head)[scene[victim].me])
    return said


def act(scene: Scene, source: random.Random) -> None:
    name = source.choice(NAMES)
    match source.randrange(5):
        case 0:
            scene.update(name)
        case 1:
            scene.commit(name, path=True)
        case 2:
            scene.commit(name, path=True, replace_leaves=True)
        case 3:
            scene.commit(name)
        case _:
            other = source.choice([other for other in NAMES if other != name])
            ledger = scene[name].universe(scene.universe_id).ledger
            newest = ledger.newest(scene[other].universe(scene.universe_id).group_id)
            last = ledger.last_imports[scene[name].me, scene[other].universe(scene.universe_id).group_id]
            if newest is not None and newest.epoch > last.epoch:
                scene.commit(name, imports=[newest], path=source.random() < 0.3)


@pytest.mark.parametrize("seed", range(4))
def test_a_thief_reads_exactly_where_nobody_says_that_it_is_healed(seed: int) -> None:
    source = random.Random(seed)
    scene = Scene(*NAMES)
    for _ in range(source.randrange(3)):
        act(scene, source)
    victim = source.choice(NAMES)
    stolen, stolen_at = scene.steal(victim), scene.network.now
    scene.wait()
    said: dict[bool, set[str]] = {True: set(), False: set()}
    for step in range(14):
        for name in NAMES:
            (healed,) = claims(scene, name, victim, stolen_at)  # all say the same
            said[healed].add(f"{name} before step {step}")
            scene.say(name, f"{name} before step {step}")
        if step == 5:
            scene.commit(victim, path=True)
        else:
            act(scene, source)
    scene.check_reads(said[False], stolen)
    assert said[True]
