"""Healing after V's whole state was stolen, as PROTOCOL 5.5 states it: what heals, and what does not."""

from __future__ import annotations

from tests.attack.loot import Loot
from tests.attack.scene import Scene
from tests.engine.small_network import MINUTE, SECOND


def test_the_own_group_is_healed_by_a_path_commit_and_by_nothing_less() -> None:
    scene = Scene("v", "x", "y")
    stolen = scene.steal("v")
    scene.say("v", "at the theft")
    scene.commit("v")
    scene.say("v", "after a commit without a path")
    unhealed = {"at the theft", "after a commit without a path"}
    scene.check_reads(unhealed, stolen)
    scene.update("v")
    scene.say("v", "after the update")
    scene.commit("v")
    scene.say("v", "in a descendant")
    scene.check_reads(unhealed, stolen)


def test_another_group_is_healed_when_it_imports_the_update_without_a_path_too() -> None:
    """By itself: the update, and what others do before they speak."""
    scene = Scene("v", "x", "y")
    stolen = scene.steal("v")
    scene.update("v")
    scene.say("x", "x before the import")
    scene.wait(2 * MINUTE)
    for name in ("x", "y"):
        scene[name].say(scene.universe_id, f"{name} after the import")
    scene.wait()
    scene.check_reads({"x before the import"}, stolen)
    assert not any(scene[name].commits()[-1]["path"] for name in ("x", "y"))


def test_without_an_update_of_the_victim_nothing_that_others_do_heals() -> None:
    scene = Scene("v", "x", "y")
    stolen = scene.steal("v")
    for _ in range(2):
        for name in ("x", "y"):
            scene.update(name)
    scene.commit("v")
    said = {f"{name} is read" for name in scene.members}
    for name in scene.members:
        scene.say(name, f"{name} is read")
    scene.check_reads(said, stolen)


def test_a_path_commit_of_another_owner_heals_only_if_it_replaces_the_leaf_of_the_victim() -> None:
    scene = Scene("v", "x", "y")
    stolen = scene.steal("v")
    # The victim's newest KeyPackage is from before the theft.
    scene.commit("x", path=True, replace_leaves=True)
    scene.say("x", "x after a leaf from before the theft")
    scene.update("v")
    scene.commit("x", path=True)
    scene.say("x", "x after a path alone")
    unhealed = {"x after a leaf from before the theft", "x after a path alone"}
    scene.check_reads(unhealed, stolen)
    scene.commit("x", path=True, replace_leaves=True)
    scene.say("x", "x after a leaf from after the theft")
    scene.check_reads(unhealed, stolen)


def test_healing_passes_on_by_imports_without_a_path() -> None:
    """Y never imports from the victim: X does, and Y from X."""
    scene = Scene("v", "x", "y")
    stolen = scene.steal("v")
    scene.commit("x", path=True)
    scene.commit("y", imports=[scene.newest_psk("y", "x")])
    scene.say("y", "y after an import of an epoch that is not healed")
    scene.update("v")
    scene.commit("x", imports=[scene.newest_psk("x", "v")])
    scene.commit("x", path=True)
    scene.commit("y", imports=[scene.newest_psk("y", "x")])
    scene.say("x", "x is healed")
    scene.say("y", "y is healed")
    scene.check_reads({"y after an import of an epoch that is not healed"}, stolen)


def test_who_is_given_the_psk_of_the_update_reads_on_in_the_groups_that_imported_it() -> None:
    scene = Scene("v", "x", "y")
    stolen = scene.steal("v")
    scene.update("v")
    psk = scene.newest_psk("x", "v")
    scene.commit("x", imports=[psk])
    scene.say("x", "x after the import")
    scene.say("v", "v after the update")
    scene.check_reads(set(), stolen)
    given = Loot(psks={(psk.group_id, psk.dmls_epoch): psk.psk})
    scene.check_reads({"x after the import"}, stolen, given)


def test_a_group_that_is_put_back_to_before_the_import_is_not_healed_any_more() -> None:
    scene = Scene("v", "x", "y")
    stolen = scene.steal("v")
    x = scene["x"]
    kept = dict(x.rows), dict(x.scopes)
    scene.update("v")
    scene.commit("x", imports=[scene.newest_psk("x", "v")])
    scene.say("x", "x after the import")
    scene.check_reads(set(), stolen)
    scene.network.stop(x)
    x.rows, x.scopes = kept
    scene.network.cut(x, scene["v"], scene["y"])
    scene.network.restart(x)
    scene.wait(10 * SECOND)
    scene.say("x", "x as it was before")
    scene.network.heal()
    scene.wait(5 * SECOND)
    scene.check_reads({"x as it was before"}, stolen)
