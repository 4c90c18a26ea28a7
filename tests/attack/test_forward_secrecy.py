"""What a thief does not read of the past, however much traffic was recorded (PROTOCOL 5.4, K-14, K-15)."""

from __future__ import annotations

from tests.attack.loot import Loot
from tests.attack.scene import Scene
from tests.engine.small_network import DAY, HOUR, MINUTE, SECOND


def steal_all(scene: Scene) -> Loot:
    """Every node of the universe at once."""
    loot = Loot()
    for name in scene.members:
        loot |= scene.steal(name)
    return loot


def holds_state(scene: Scene, name: str, owner: str, dmls_epoch: bytes) -> bool:
    return dmls_epoch in set(scene[name].group(scene.universe_id, scene[owner]).retained())


def head_of(scene: Scene, owner: str) -> bytes:
    return scene[owner].group(scene.universe_id, scene[owner]).graph.head


def test_of_a_settled_epoch_nothing_is_read_even_from_all_nodes_together() -> None:
    scene = Scene("v", "x", "y")
    epoch = head_of(scene, "v")
    early = scene.steal("x")
    scene.say("v", "settled")
    late = steal_all(scene)
    scene.commit("v")
    scene.wait(10 * SECOND)
    assert not any(holds_state(scene, name, "v", epoch) for name in scene.members)
    scene.check_reads({"settled"}, early)
    scene.check_reads(set(), late, steal_all(scene))


def test_an_epoch_stays_readable_only_for_whom_it_has_not_settled_by_lack_of_messages() -> None:
    scene = Scene("v", "x", "y")
    epoch = head_of(scene, "v")
    scene.say("v", "heard by all")
    scene.withhold("y", "v", "withheld from y")
    scene.commit("v")
    scene.wait(5 * SECOND)
    assert holds_state(scene, "y", "v", epoch) and holds_state(scene, "x", "v", epoch)
    scene.check_reads({"withheld from y"}, scene.steal("y"))
    scene.check_reads(set(), scene.steal("v"), scene.steal("x"))
    scene.deliver_again()
    scene.wait(20 * SECOND)
    assert "withheld from y" in scene["y"].texts()
    assert not holds_state(scene, "y", "v", epoch) and not holds_state(scene, "x", "v", epoch)
    scene.check_reads(set(), steal_all(scene))


def test_a_consumed_message_of_a_live_epoch_is_not_read_and_a_later_one_is() -> None:
    scene = Scene("v", "x", "y")
    scene.commit("v")
    scene.say("v", "consumed")
    assert scene["x"].texts() == scene["y"].texts() == ["consumed"]
    stolen = {name: scene.steal(name) for name in scene.members}
    scene.say("v", "said after the theft")
    for name in scene.members:
        scene.check_reads({"said after the theft"}, stolen[name])
    scene.check_reads({"said after the theft"}, *stolen.values())


def test_a_retained_parent_does_not_lead_to_its_child_again() -> None:
    """While somebody is away the parent of the head is kept, with the leaf keys that opened the way from it."""
    scene = Scene("v", "x", "y")
    parent = head_of(scene, "v")
    early = scene.steal("x")
    scene.network.stop(scene["y"])
    scene.update("v")
    scene.say("v", "consumed in the child")
    assert holds_state(scene, "x", "v", parent) and scene["x"].texts() == ["consumed in the child"]
    # The leaf key to which the path was sealed is still there: only the puncture closes the way.
    scene.check_reads({"consumed in the child"}, early)
    scene.check_reads(set(), scene.steal("x"))


def test_a_message_that_was_given_up_is_not_read_once_its_epoch_has_gone() -> None:
    scene = Scene("v", "x", "y")
    epoch = head_of(scene, "v")
    scene.withhold("y", "v", "never arrives")
    scene.commit("v")
    scene.wait(5 * SECOND)
    before = scene.steal("y")
    scene.network.leap(DAY + 2 * HOUR)
    scene.wait(MINUTE)
    assert not holds_state(scene, "y", "v", epoch)
    scene.check_reads({"never arrives"}, before)
    scene.check_reads(set(), scene.steal("y"))
    assert scene["y"].heard("messages.unavailable") and not scene["y"].texts()


def test_a_silent_member_holds_up_forward_secrecy_for_a_week_and_no_longer() -> None:
    scene = Scene("v", "x", "y", "z")
    scene.network.stop(scene["z"])
    scene.withhold("y", "v", "never arrives")
    scene.commit("v")
    scene.network.leap(2 * DAY)
    scene.check_reads({"never arrives"}, scene.steal("y"))
    for _ in range(2):
        scene.network.leap(3 * DAY)
    scene.check_reads(set(), scene.steal("y"))
    assert scene["y"].heard("messages.unavailable") and not scene["y"].texts()
