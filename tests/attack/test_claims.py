"""What a node says of healing is what a thief finds: no message that it calls closed is read, and others are.

In random histories of updates, imports and other commits members are stolen one by one. At the end everybody speaks,
and each claim of each node, that a theft before some time is healed in some group, is tried by the thief who knows it
best.
"""

from __future__ import annotations

import random
from collections import Counter

import pytest
from tests.attack.loot import Loot
from tests.attack.scene import Breach, Scene

from starling.protocol.engine import own_group
from starling.protocol.engine.security_view import healed

STEPS = 14


def act(scene: Scene, chance: random.Random) -> None:
    """Somebody commits, in one of all the ways."""
    name = chance.choice(list(scene.members))
    universe = scene[name].universe(scene.universe_id)
    match chance.choice(("update", "pathless", "path", "leaves", "import", "import", "import one")):
        case "update":
            scene.update(name)
        case "pathless":
            scene.commit(name)
        case "path":
            scene.commit(name, path=True)
        case "leaves":
            scene.commit(name, path=True, replace_leaves=True)
        case "import":
            scene.commit(name, imports=own_group.importable(universe, scene.network.now))
        case "import one":
            fresh = own_group.importable(universe, scene.network.now)
            scene.commit(name, imports=[chance.choice(fresh)] if fresh else [])


@pytest.mark.parametrize("seed", range(4))
def test_a_theft_that_is_said_to_be_healed_reads_nothing_and_any_other_reads(seed: int) -> None:
    chance = random.Random(seed)
    scene = Scene("v", "x", "y", "z")
    thefts: list[tuple[str, int, Loot]] = []
    for step in range(STEPS):
        if step % 3 == 0:
            victim = chance.choice(list(scene.members))
            thefts.append((victim, scene.network.now, scene.steal(victim)))
            scene.wait()
        act(scene, chance)
    for name in scene.members:
        scene.say(name, f"{name} at the end")
    found: Counter[bool] = Counter()
    for victim, at, loot in thefts:
        read = scene.read_with(loot)
        for observer in scene.members.values():
            claims = healed(observer.universe(scene.universe_id), scene[victim].me).groups
            for owner in scene.members.values():
                is_read, is_healed = f"{owner.name} at the end" in read, claims[owner.me] > at
                if is_read and is_healed:
                    raise Breach(
                        f"{observer.name} says that {owner.name}'s group is healed of {victim} at {at}"
                    )
                assert is_read != is_healed, (observer.name, owner.name, victim)
                found[is_read] += 1
    assert found[True] and found[False]
