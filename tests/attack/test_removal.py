"""A removed member that deletes nothing and hears everything (PROTOCOL X-15, K-20)."""

from __future__ import annotations

from tests.attack.scene import Scene
from tests.engine.small_network import MINUTE, SECOND, Node

from starling.protocol.engine.inputs import JoinUniverse, Recover, RemoveMember
from starling.protocol.engine.step import Send, SendToPeer
from starling.protocol.exchange.member_messages import Hello, RosterEntries
from starling.protocol.exchange.messages import attach, decode_message


def test_after_each_owners_removal_the_removed_member_reads_nothing_of_it() -> None:
    scene = Scene("v", "x", "y", "d")
    state = scene.steal("d")
    for name in ("v", "x", "y"):
        scene.say(name, f"{name} with d")
    scene.network.cut(scene["y"], scene["v"], scene["x"], scene["d"])
    scene["v"].do(RemoveMember(scene.universe_id, scene["d"].me))
    scene.wait(5 * SECOND)
    known = {f"{name} with d" for name in ("v", "x", "y")}
    for name in ("v", "x"):
        scene.say(name, f"{name} without d")
    scene.say("y", "y has not heard of it")
    known |= {"y has not heard of it"}
    scene.check_reads(known, state)
    scene.network.heal()
    scene.wait(10 * SECOND)
    for name in ("v", "x", "y"):
        scene.say(name, f"all of them without d, {name}")
    scene.commit("x")
    scene.update("y")
    scene.say("x", "later")
    assert scene["v"].texts()[-2:] == ["all of them without d, y", "later"]
    scene.check_reads(known, state)


def test_a_removed_member_keeps_nothing_for_a_later_thief() -> None:
    scene = Scene("v", "x", "d")
    scene.withhold("d", "v", "never reached d")
    kept = scene.steal("d")
    scene["v"].do(RemoveMember(scene.universe_id, scene["d"].me))
    scene.wait(5 * SECOND)
    assert scene["d"].heard("member.removed")
    scene.check_reads({"never reached d"}, kept)
    scene.check_reads(set(), scene.steal("d"))


def test_a_removed_member_does_not_come_back_by_itself() -> None:
    """Its program does not listen to the removal and goes on as a member: speaking, committing, asking to start anew,
    joining by its old ticket. Only an admin's new ticket lets it read again."""
    scene = Scene("v", "x", "d")
    network, removed = scene.network, scene["d"]
    ticket = network.invite(scene["v"], scene.universe_id, uses=5)
    kept = dict(removed.rows), dict(removed.scopes)
    network.stop(removed)
    scene["v"].do(RemoveMember(scene.universe_id, removed.me))
    scene.wait(5 * SECOND)

    def roster_is_not_heard(source: Node, target: Node, send: Send) -> bool:
        return target is removed and _tells_roster(send)

    network.drop = roster_is_not_heard
    removed.rows, removed.scopes = kept
    network.restart(removed)
    scene.wait(10 * SECOND)
    scene.say("d", "I am still here")
    scene.update("d")
    for name in ("v", "x"):
        scene.update(name)
        scene.say(name, f"{name} without d")
    scene.wait(2 * MINUTE)
    removed.do(Recover(scene.universe_id))
    scene.wait(20 * SECOND)
    assert not removed.heard("member.removed") and not scene["v"].heard("member.asks_again")
    state = scene.steal("d")
    scene.check_reads(set(), state)
    for name in ("v", "x"):
        assert "I am still here" not in scene[name].texts()
        assert removed.me not in scene[name].group(scene.universe_id, scene[name]).members()

    network.drop = lambda source, target, send: False
    scene.wait(10 * SECOND)
    assert removed.heard("member.removed")
    removed.do(JoinUniverse(ticket))
    scene.wait(MINUTE)
    scene.say("v", "not for an old ticket")
    scene.check_reads(set(), state, scene.steal("d"))

    removed.do(JoinUniverse(network.invite(scene["v"], scene.universe_id)))
    scene.wait(20 * SECOND)
    state = scene.steal("d")
    scene.say("v", "d was let in again")
    scene.check_reads({"d was let in again"}, state)


def _tells_roster(send: Send) -> bool:
    if not isinstance(send, SendToPeer):
        return False
    return isinstance(decode_message(attach(send.data, []))[0], RosterEntries | Hello)
