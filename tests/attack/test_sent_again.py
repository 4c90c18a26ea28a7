"""Messages that one member gets again are sealed to its leaf: an epoch's keys do not open them (PROTOCOL B10)."""

from __future__ import annotations

from tests.attack.scene import Scene
from tests.engine.small_network import HOUR, MINUTE
from tests.engine.test_engine_readding import sealed_badly_for


def test_what_is_sent_again_is_read_by_the_epoch_and_the_leaf_key_of_its_receiver_together() -> None:
    scene = Scene("v", "x", "y")
    v, x, y = (scene[name] for name in ("v", "x", "y"))
    scene.network.cut(x, v, y)
    with sealed_badly_for(v, scene.universe_id, x):
        scene.update("v")
    scene.say("v", "said past x")
    of_y = scene.steal("y")
    scene.network.heal()
    scene.wait_until(lambda: x.heard("member.stuck"))
    of_x = scene.steal("x")
    scene.wait(MINUTE)
    assert x.texts() == y.texts() == ["said past x"]
    scene.say("v", "said to all")
    scene.check_reads({"said to all"}, of_y)
    scene.check_reads({"said past x", "said to all"}, of_x)
    # The init key by which x was added again opens all of that; its leaf key alone opens nothing that was consumed.
    scene.check_reads({"said past x", "said to all"}, scene.steal("x"))
    scene.update("x")
    scene.wait(MINUTE)
    later = scene.steal("x")
    scene.check_reads(set(), later)
    scene.check_reads({"said past x", "said to all"}, of_y, later)
    for name in ("v", "y"):
        scene.update(name)
    scene.network.leap(2 * HOUR)
    scene.check_reads({"said to all"}, of_y, scene.steal("x"))
