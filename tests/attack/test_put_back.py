"""A node that is put back to a copy of its disk, while a thief has that copy too (PROTOCOL 5.6 B2, K-23)."""

from __future__ import annotations

from tests.attack.key_use import check_used_once, watched_keys
from tests.attack.scene import Scene
from tests.engine.small_network import MINUTE, SECOND

Disk = tuple[dict[tuple[str, bytes], bytes], dict[tuple[str, bytes], bytes]]


def copy_disk(scene: Scene, name: str) -> Disk:
    return dict(scene[name].rows), dict(scene[name].scopes)


def put_back(scene: Scene, name: str, disk: Disk) -> None:
    """Stop the node, and start it from a copy, out of reach of the others."""
    node = scene[name]
    scene.network.cut(node, *(other for other in scene.members.values() if other is not node))
    scene.network.stop(node)
    node.rows, node.scopes = dict(disk[0]), dict(disk[1])
    scene.network.restart(node)


def test_a_node_that_is_put_back_says_nothing_that_the_copy_opens() -> None:
    """Its first word waits for the boot commit, whose path heals like any update."""
    scene = Scene("v", "x", "y")
    disk, stolen = copy_disk(scene, "v"), scene.steal("v")
    scene.say("v", "before it is put back")
    put_back(scene, "v", disk)
    scene.say("v", "after it was put back")
    scene.wait(10 * SECOND)
    assert [body["body"] for body in scene["v"].heard("message.sent")][-1] == b"after it was put back"
    scene.network.heal()
    scene.wait(10 * SECOND)
    scene.check_reads({"before it is put back"}, stolen)


def test_a_node_that_is_put_back_uses_no_key_again() -> None:
    """Neither for a message nor for the commit on the parent that it has committed on before."""
    scene = Scene("v", "x", "y")
    disk = copy_disk(scene, "v")
    with watched_keys() as used:
        scene.say("v", "once")
        scene.update("v")
        scene.say("v", "in the first branch")
        for turn in range(3):
            put_back(scene, "v", disk)
            scene.say("v", f"in branch {turn}")
            scene.wait(10 * SECOND)
            scene.say("v", f"again in branch {turn}")
    assert sum(used.values()) > 10
    check_used_once(used)


def test_of_a_closed_branch_nothing_is_read_once_all_have_gone_on() -> None:
    """Y was away, so the others still hold the parent: both branches are followed, and the dead one is closed."""
    scene = Scene("v", "x", "y")
    disk, early = copy_disk(scene, "v"), scene.steal("y")
    scene.network.stop(scene["y"])
    scene.commit("v")
    scene.say("v", "on the branch that died")
    put_back(scene, "v", disk)
    scene.network.heal()
    scene.wait(20 * SECOND)
    scene.network.restart(scene["y"])
    scene.wait(MINUTE)
    for name in ("x", "y"):
        assert scene[name].heard("fork.resolved") and scene[name].texts() == ["on the branch that died"]
    scene.check_reads({"on the branch that died"}, early)
    scene.check_reads(set(), *(scene.steal(name) for name in scene.members))
