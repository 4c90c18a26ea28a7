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
    added = v.group(scene.universe_id, v).graph.head_info.number + 1
    scene.wait_until(lambda: v.group(scene.universe_id, v).graph.head_info.number == added)
    # In the epoch that adds x again, which who stole y's leaf key reads: what is imported next heals it.
    scene.speak("v", "said to all")
    scene.wait(MINUTE)
    assert x.texts() == y.texts() == ["said past x", "said to all"]
    scene.check_reads({"said to all"}, of_y)
    # The init key by which x is added again opens all of that. It goes with the path commit that x makes at once; its
    # leaf key alone opens nothing that was consumed.
    scene.check_reads({"said past x", "said to all"}, of_x)
    later = scene.steal("x")
    scene.check_reads(set(), later)
    scene.check_reads({"said past x", "said to all"}, of_y, later)
    for name in ("v", "y"):
        scene.update(name)
    scene.network.leap(2 * HOUR)
    scene.check_reads({"said to all"}, of_y, scene.steal("x"))
