"""The window of a joiner's first KeyPackage: open until its first path commit is imported (PROTOCOL 5.4, X-10)."""

from __future__ import annotations

from functools import partial

from tests.attack.loot import Loot, steal
from tests.attack.scene import Scene
from tests.engine.small_network import MINUTE, SECOND, Node

from starling.protocol.engine.inputs import JoinUniverse


def join(scene: Scene, name: str) -> tuple[Node, Loot]:
    """A new member, stolen when it has made its first KeyPackage and nothing else."""
    node = scene.network.add(name)
    scene.members[name] = node
    node.do(JoinUniverse(scene.network.invite(scene["v"], scene.universe_id)))
    return node, steal(node)


def is_let_into(joiner: Node, owner: Node) -> bool:
    return any(entered["owner"] == owner.me for entered in joiner.heard("group.entered"))


def test_the_first_key_package_opens_all_groups_until_the_first_path_commit_is_imported() -> None:
    scene = Scene("v", "x")
    joiner, stolen = join(scene, "j")
    scene.wait_until(lambda: joiner.heard("universe.joined"))
    timers = joiner.universe(scene.universe_id).timers
    assert timers.first_path is not None
    said = set()
    while timers.first_path is not None:
        for name in ("v", "x", "j"):
            said.add(text := f"{name} in the window at {scene.network.now}")
            scene[name].say(scene.universe_id, text)
        scene.wait(5)
    scene.wait(20 * SECOND)
    in_the_window = scene.read_with(stolen)
    assert in_the_window and in_the_window <= said
    for name in ("v", "x", "j"):
        scene.say(name, f"{name} after the window")
    assert set(joiner.texts()) >= {"v after the window", "x after the window"}
    scene.check_reads(in_the_window, stolen)


def test_while_the_first_path_commit_is_kept_back_the_window_stays_open() -> None:
    """The control: all Welcomes are in, and the joiner does not update. Its own group it founded after the theft."""
    scene = Scene("v", "x")
    joiner, stolen = join(scene, "j")
    scene.wait_until(lambda: joiner.heard("universe.joined"))
    joiner.universe(scene.universe_id).timers.first_path = None
    scene.wait(20 * SECOND)
    for name in ("v", "x", "j"):
        scene.say(name, f"{name} in the window")
    scene.check_reads({"v in the window", "x in the window"}, stolen)


def test_the_init_key_goes_with_its_successor_and_what_it_opened_is_closed() -> None:
    """A thief of the init key needs no state: the recorded Welcome gives all of the epoch, consumed messages too."""
    scene = Scene("v", "x")
    joiner, _ = join(scene, "j")
    for name in ("v", "x"):
        scene.wait_until(partial(is_let_into, joiner, scene[name]))
        scene.speak(name, f"{name} welcomes")
    scene.wait_until(lambda: len(joiner.texts()) == 2)
    early = scene.steal("j")
    scene.check_reads({"v welcomes", "x welcomes"}, early)
    for name in ("j", "v", "x"):
        scene.update(name)
    scene.wait(20 * SECOND)
    scene.check_reads(set(), scene.steal("j"))


def test_the_key_package_in_force_of_a_member_opens_what_a_newcomer_said_until_that_member_updates() -> None:
    """A newcomer adds everybody by the KeyPackages that they have given out, and these stay for the next one."""
    scene = Scene("v", "x")
    joiner, _ = join(scene, "j")
    scene.wait_until(lambda: joiner.heard("universe.joined"))
    scene.speak("j", "the first words of j")
    scene.wait(MINUTE)
    assert scene["v"].texts() == scene["x"].texts() == ["the first words of j"]
    scene.check_reads({"the first words of j"}, scene.steal("v"))
    scene.update("v")
    scene.wait(20 * SECOND)
    scene.check_reads(set(), scene.steal("v"))
