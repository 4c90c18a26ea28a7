"""A message to one member is sealed to its leaf: who has all that another member has reads it not (T-8, T-10)."""

from __future__ import annotations

from tests.attack.loot import Loot
from tests.attack.scene import Breach, Scene
from tests.engine.small_network import HOUR, MINUTE

from starling.protocol.decentralized.key_schedule import DMLS_EPOCH, PUNCTURED
from starling.protocol.decentralized.settling import LINGER
from starling.protocol.distributed.send_group_rules import SendGroupRules
from starling.protocol.engine.inputs import RemoveMember
from starling.protocol.extensions.targeted_messages import holds_targeted_secrets
from starling.protocol.mls.group import Group

SECRET = "for x alone"


def test_a_third_member_with_all_its_state_reads_what_is_for_all_and_no_more() -> None:
    """Before and after; and the sender itself keeps nothing that opens what it has sent."""
    scene = Scene("v", "x", "y")
    before = [scene.steal(name) for name in ("y", "v", "x")]
    scene.say("v", SECRET, "x")
    scene.say("v", "for all")
    assert scene["x"].texts() == [SECRET, "for all"] and scene["y"].texts() == ["for all"]
    of_y, of_v, of_x = before
    scene.check_reads({"for all"}, of_y, scene.steal("y"))
    scene.check_reads({"for all"}, of_v, of_y)
    scene.check_reads(set(), scene.steal("v"), scene.steal("y"))
    # That the attacker can open it at all:
    scene.check_reads({SECRET, "for all"}, of_x)


def test_it_takes_the_epoch_and_the_leaf_key_of_the_recipient_together() -> None:
    """Every member could have kept the epoch's keys, so against them it rests on the replacement of the leaf."""
    scene = Scene("v", "x", "y")
    of_y = scene.steal("y")
    scene.say("v", SECRET, "x")
    of_x = scene.steal("x")
    scene.check_reads(set(), of_x)
    scene.check_reads(set(), of_y)
    scene.check_reads({SECRET}, of_y, of_x)
    for name in ("x", "v", "y"):
        scene.update(name)
    scene.network.leap(2 * HOUR)
    for name in ("x", "v", "y"):
        scene.update(name)
    scene.network.leap(2 * HOUR)
    scene.check_reads(set(), of_y, scene.steal("x"))


def test_it_stays_closed_to_a_removed_member_and_is_sealed_to_nobody_in_its_place() -> None:
    scene = Scene("v", "x", "y")
    scene["v"].do(RemoveMember(scene.universe_id, scene["y"].me))
    scene.wait(MINUTE)
    of_y = scene.steal("y")
    scene.say("v", SECRET, "x")
    scene.check_reads(set(), of_y, scene.steal("y"))
    assert scene["x"].texts() == [SECRET]


def _opening(scene: Scene, loot: Loot) -> set[bytes]:
    """The epochs of which these have what opens direct messages."""
    rules = SendGroupRules(scene.universe_id)
    groups = [
        Group.load(record, ratchets, rules=rules, key_schedule=PUNCTURED) for record, ratchets in loot.epochs
    ]
    return {group.secrets.extra[DMLS_EPOCH] for group in groups if holds_targeted_secrets(group)}


def test_what_opens_direct_messages_goes_with_the_end_of_its_epoch() -> None:
    """One member is away, so the epochs themselves stay."""
    scene = Scene("v", "x", "y")
    scene.network.stop(scene["y"])
    scene.say("v", SECRET, "x")
    state = scene["x"].group(scene.universe_id, scene["v"])
    ended = state.graph.head
    assert ended in _opening(scene, scene.steal("x"))
    scene.update("v")
    scene.network.run(LINGER)
    assert ended in state.retained() and ended != state.graph.head
    heads = {group.graph.head for group in scene["x"].universe(scene.universe_id).groups.values()}
    if _opening(scene, scene.steal("x")) != heads:
        raise Breach("what opens the direct messages of an ended epoch is still there")
