"""Random histories: members that meet an archiver, each other, or nobody, and crash; in the end all have heard all."""

from __future__ import annotations

import random

import pytest
from tests.archiver.archiver_network import with_archiver
from tests.engine.small_network import MINUTE, SECOND

from starling.protocol.engine.inputs import UpdateKeys

NAMES = ("Alice", "Bob", "Carol")
STEPS = 40


def history(seed: int) -> None:
    rng = random.Random(seed)
    network, universe_id, vault, members = with_archiver(*NAMES)
    nodes = [vault, *members]
    said: dict[str, list[str]] = {name: [] for name in NAMES}
    for step in range(STEPS):
        node = rng.choice(members)
        match rng.randrange(8):
            case 0 | 1 | 2:
                text = f"{node.name} {step}" + " long" * rng.choice((0, 0, 0, 20_000))
                said[node.name].append(text)
                node.say(universe_id, text)
            case 3:
                if node.universe(universe_id).boot.done:
                    node.do(UpdateKeys(universe_id))
            case 4:
                network.cut(*rng.sample(nodes, 2))
            case 5:
                network.cut(node, *(other for other in members if other is not node))
            case 6:
                network.heal_between(*rng.sample(nodes, 2))
            case 7:
                crashed = rng.choice(nodes)
                network.stop(crashed)
                network.run(rng.choice((0, SECOND)))
                network.restart(crashed)
        network.run(rng.choice((0, 100, 3 * SECOND, 30 * SECOND, 5 * MINUTE)))
    # From here on nobody meets another member.
    for node in members:
        network.cut(node, *(other for other in nodes if other is not node))
    for _ in range(5):
        for node in members:
            network.heal_between(node, vault)
            network.run(40 * SECOND)
            network.cut(node, vault)
    for node in members:
        for name, texts in said.items():
            if name != node.name:
                heard = [text for text in node.texts() if text.split()[0] == name]
                assert heard == texts, (seed, node.name, name)
        assert not node.heard("messages.unavailable"), seed
        assert not node.disconnects, seed
    assert not vault.archive(universe_id).refused, seed


@pytest.mark.parametrize("seed", range(4))
def test_a_random_history(seed: int) -> None:
    history(seed)
