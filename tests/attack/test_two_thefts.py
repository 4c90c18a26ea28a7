"""V is stolen and heals; later Y is stolen too (PROTOCOL 5.5): what Y still has must not open V's update.

V's update was sealed to a leaf key of Y, and Y kept the PSK of it: the first goes by leaf replacement (X-10), the
second by the wiping of the ledger (X-18), and both by their limits where somebody is silent.
"""

from __future__ import annotations

import pytest
from tests.attack.loot import Loot
from tests.attack.scene import Scene
from tests.engine.small_network import DAY, HOUR, SECOND

from starling.protocol.engine import own_group, retention

SECRETS = {"of v, after its update", "of x, after its import"}


def first_theft(scene: Scene) -> Loot:
    """V is stolen, updates, and X imports that: both speak, and the thief reads neither."""
    stolen = scene.steal("v")
    scene.update("v")
    scene.commit("x", imports=[scene.newest_psk("x", "v")])
    scene.say("v", "of v, after its update")
    scene.say("x", "of x, after its import")
    scene.check_reads(set(), stolen)
    return stolen


def go_on(scene: Scene) -> None:
    """All update, import, and settle."""
    for _ in range(2):
        for name in scene.members:
            scene.update(name)
        scene.network.leap(2 * HOUR)


def test_a_second_theft_long_after_the_first_opens_nothing() -> None:
    scene = Scene("v", "x", "y")
    stolen = first_theft(scene)
    at_once = scene.steal("y")
    go_on(scene)
    scene.check_reads(SECRETS, stolen, at_once)
    scene.check_reads(set(), stolen, scene.steal("y"))
    scene.check_reads(set(), stolen, scene.steal("y"), scene.steal("x"))


def test_without_leaf_replacement_the_second_theft_opens_the_update(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_group, "_newer_leaves", lambda *arguments: [])
    scene = Scene("v", "x", "y")
    stolen = first_theft(scene)
    go_on(scene)
    scene.check_reads(SECRETS, stolen, scene.steal("y"))


def test_without_wiping_of_the_ledger_the_second_theft_opens_what_imported_the_update(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retention, "_drop_psks", lambda *arguments: None)
    scene = Scene("v", "x", "y")
    stolen = first_theft(scene)
    go_on(scene)
    scene.check_reads({"of x, after its import"}, stolen, scene.steal("y"))


def test_the_head_of_an_update_does_not_give_its_psk_again() -> None:
    """V is silent after an update that X imported: the ledger's copy goes, and nothing else of the epoch gives it.

    The first update of V, to which the second is sealed anew, is closed by the leaf replacement.
    """
    scene = Scene("v", "x", "y")
    stolen = scene.steal("v")
    for name in ("v", "y", "x", "v"):
        scene.commit(name, path=True, replace_leaves=name == "v")
    given = scene.newest_psk("y", "v")
    for name in ("x", "y"):
        scene.commit(name, imports=[scene.newest_psk(name, "v")])
    scene.say("x", "of x, after its import")
    for name in ("x", "y"):
        scene.commit(name)
    scene.wait(20 * SECOND)
    group = scene["y"].group(scene.universe_id, scene["v"])
    assert group.graph.head == given.dmls_epoch
    assert scene["y"].universe(scene.universe_id).ledger.newest(given.group_id) is None
    scene.check_reads(set(), stolen, scene.steal("y"))
    control = Loot(psks={(given.group_id, given.dmls_epoch): given.psk})
    scene.check_reads({"of x, after its import"}, stolen, scene.steal("y"), control)


def test_a_silent_member_holds_up_the_wiping_for_a_week_and_no_longer() -> None:
    """Z has gone before Y made the leaf to which V's update is sealed."""
    scene = Scene("v", "x", "y", "z")
    scene.network.stop(scene["z"])
    for name in ("y", "v"):
        scene.update(name)
    stolen = first_theft(scene)
    scene.network.leap(DAY)
    early = scene.steal("y")
    for _ in range(3):
        scene.network.leap(3 * DAY)
    scene.check_reads(SECRETS, stolen, early)
    scene.check_reads(set(), stolen, scene.steal("y"))


def test_the_leaf_key_that_a_silent_owner_knows_is_in_use_until_that_owner_updates() -> None:
    """The limit of leaf replacement: a member has one leaf key at a time for all groups, and keeps it as long as the
    newest epoch of one of them has it."""
    scene = Scene("v", "x", "y", "z")
    scene.network.stop(scene["z"])
    stolen = first_theft(scene)
    for _ in range(3):
        scene.network.leap(3 * DAY)
    scene.check_reads(SECRETS, stolen, scene.steal("y"))
    scene.network.restart(scene["z"])
    scene.wait(10 * SECOND)
    go_on(scene)
    scene.check_reads(set(), stolen, scene.steal("y"))
