"""What a node tells of healing, of stale members and of a universe that has come apart; and the digest to compare."""

from __future__ import annotations

from typing import Any

import pytest
from tests.engine.branched import put_back_while_one_is_away
from tests.engine.frames import is_commit
from tests.engine.small_network import DAY, HOUR, MINUTE, SECOND, Network, Node, quiet

from starling.protocol.engine.inputs import JoinUniverse, RemoveMember, UpdateKeys
from starling.protocol.engine.step import Publish, Send
from starling.protocol.engine.watch import Mark
from starling.protocol.engine.watching import lagging_behind
from starling.protocol.errors import UsageError


def digest(node: Node, universe: bytes) -> str:
    return str(node.engine.security(universe)["digest"])


def shown(node: Node, universe: bytes, member: Node) -> dict[str, Any]:
    (found,) = node.engine.security(universe, member.me)["members"]
    return dict(found)


def imports(node: Node, universe: bytes, text: str) -> None:
    node.universe(universe).timers.last_import = 0
    node.say(universe, text)
    node.network.run(SECOND)


# who is healed


def test_a_member_is_healed_when_the_last_group_has_imported_its_update() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    network.run(2 * MINUTE)
    for node in (alice, bob, carol):
        node.events.clear()
    alice.do(UpdateKeys(universe))
    updated = network.now
    network.run(2 * SECOND)
    found = shown(bob, universe, alice)
    assert (found["healed_in"], found["groups"], found["last_update"]) == (1, 3, updated)
    assert {entry["name"] for entry in found["lagging"]} == {"bob", "carol"}
    assert found["imported_in"] == 0 and found["importers"] == 2
    imports(bob, universe, "one")
    network.run(2 * SECOND)
    found = shown(carol, universe, alice)
    assert (found["healed_in"], found["imported_in"]) == (2, 1)
    assert [entry["name"] for entry in found["imported_by"]] == ["bob"]
    assert not carol.heard("member.healed")
    imports(carol, universe, "two")
    network.run(3 * SECOND)
    for node in (alice, bob, carol):
        found = shown(node, universe, alice)
        assert (found["healed_in"], found["healed_everywhere"], found["lagging"]) == (3, updated, [])
        told = [body for body in node.heard("member.healed") if body["identity"] == alice.me]
        assert told == [{"identity": alice.me, "before": updated, "groups": 3}]


def test_what_was_healed_before_a_start_is_not_told_again() -> None:
    network, universe, (alice, bob) = quiet("alice", "bob")
    alice.do(UpdateKeys(universe))
    network.run(SECOND)
    imports(bob, universe, "imported")
    network.run(MINUTE)
    assert alice.heard("member.healed")
    network.stop(bob)
    bob.events.clear()
    network.restart(bob)
    network.run(MINUTE)
    assert all(body["before"] > network.now - 2 * MINUTE for body in bob.heard("member.healed"))


def test_a_group_that_is_not_known_is_not_called_healed() -> None:
    network, universe, (alice, bob) = quiet("alice", "bob")
    network.stop(bob)
    carol = network.add("carol")
    carol.do(JoinUniverse(network.invite(alice, universe)))
    network.run(10 * SECOND)
    found = shown(carol, universe, alice)
    assert found["healed_everywhere"] is None
    assert [entry["owner"] for entry in found["unknown"]] == [bob.me]
    assert found["groups"] == 3 and found["healed_in"] == 2


# who is stale


def test_a_member_that_does_not_renew_its_keys_is_stale_and_told_once() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    network.stop(bob)
    network.leap(2 * DAY)
    assert not alice.heard("member.stale")
    network.leap(2 * DAY)
    (told,) = alice.heard("member.stale")
    assert told["identity"] == bob.me
    assert shown(alice, universe, bob)["stale"] and not shown(alice, universe, carol)["stale"]
    network.restart(bob)
    network.run(MINUTE)
    assert not shown(alice, universe, bob)["stale"]
    network.stop(bob)
    network.leap(4 * DAY)
    assert [body["identity"] for body in alice.heard("member.stale")].count(bob.me) == 2


# who lags


def test_that_all_have_everything_is_told_when_it_comes_about() -> None:
    network, universe, nodes = quiet("alice", "bob", "carol")
    alice, bob, carol = nodes
    network.stop(carol)
    alice.events.clear()
    bob.events.clear()
    alice.say(universe, "carol misses this")
    network.run(MINUTE)
    assert not alice.heard("universe.converged") and not bob.heard("universe.converged")
    network.restart(carol)
    network.run(MINUTE)
    told = [node.heard("universe.converged") for node in nodes]
    assert all(bodies and bodies[-1] == {"members": 3} for bodies in told)
    network.run(10 * MINUTE)
    assert [node.heard("universe.converged") for node in nodes] == told, "it has not changed since"


def test_ordinary_talk_is_no_divergence() -> None:
    network, universe, nodes = quiet("alice", "bob", "carol")
    for turn in range(60):
        nodes[turn % 3].say(universe, f"{turn}")
        network.run(30 * SECOND)
    network.run(HOUR)
    assert not any(node.heard("universe.diverged") for node in nodes)


def test_who_has_gone_while_others_talk_is_told_once_until_it_is_back() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    network.run(5 * MINUTE)
    network.stop(carol)
    alice.say(universe, "carol misses this")
    said = network.now
    network.run(9 * MINUTE)
    assert not alice.heard("universe.diverged")
    for turn in range(20):
        bob.say(universe, f"{turn}")
        network.run(MINUTE)
    for node in (alice, bob):
        (told,) = node.heard("universe.diverged")
        assert told["members"] == [carol.me] and told["since"] <= said + MINUTE
        assert node.engine.security(universe)["diverged_since"] == told["since"]
    network.restart(carol)
    network.run(5 * MINUTE)
    assert alice.engine.security(universe)["diverged_since"] is None
    assert alice.engine.converged(universe)
    network.stop(carol)
    alice.say(universe, "carol misses this too")
    network.run(30 * MINUTE)
    assert len(alice.heard("universe.diverged")) == 2


def test_silence_is_no_divergence() -> None:
    network, _, (alice, bob) = quiet("alice", "bob")
    network.run(5 * MINUTE)
    network.stop(bob)
    network.run(12 * HOUR)
    assert not alice.heard("universe.diverged")


def test_who_lacks_something_itself_says_so() -> None:
    """Of what is kept from carol she hears by bob's report."""
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    network.run(5 * MINUTE)

    def keeps_commits_from_carol(source: Node, target: Node, send: Send) -> bool:
        if target is not carol:
            return False
        if isinstance(send, Publish):
            return is_commit(send.frame)
        kept = [source.rows["frame", key] for key in getattr(send, "frame_ids", ())]
        return any(map(is_commit, kept))

    network.drop = keeps_commits_from_carol
    alice.do(UpdateKeys(universe))
    network.run(5 * MINUTE)
    assert not carol.heard("universe.diverged")
    network.run(10 * MINUTE)
    (told,) = carol.heard("universe.diverged")
    assert carol.me in told["members"]
    assert bob.heard("universe.diverged")[0]["members"] == [carol.me]


def test_what_was_on_a_branch_that_is_closed_is_not_missed() -> None:
    network, universe, alice, bob, _ = put_back_while_one_is_away()
    held = bob.universe(universe)
    state = bob.group(universe, alice)
    mark = Mark(network.now, held.roster.digest, {state.group_id: (state.graph.head, 1)})
    network.restart(alice)
    network.run(5 * SECOND)
    assert mark.heads[state.group_id][0] in state.graph.closed
    assert alice.me not in lagging_behind(held, mark)


# the digest


def test_digests_are_equal_exactly_when_roster_and_heads_are() -> None:
    network, universe, nodes = quiet("alice", "bob", "carol")
    alice, bob, carol = nodes
    before = digest(alice, universe)
    assert len(before) == 12 and before.isdecimal()
    assert {digest(node, universe) for node in nodes} == {before}
    alice.do(UpdateKeys(universe))
    assert digest(alice, universe) != before == digest(bob, universe)
    network.run(10 * SECOND)
    assert len({digest(node, universe) for node in nodes}) == 1
    network.cut(carol, alice, bob)
    alice.do(RemoveMember(universe, carol.me))
    network.run(10 * SECOND)
    assert digest(alice, universe) == digest(bob, universe) != digest(carol, universe)
    network.heal()
    network.run(10 * SECOND)
    assert carol.engine.security(universe)["digest"] is None


def test_messages_do_not_change_the_digest() -> None:
    network, universe, (alice, bob) = quiet("alice", "bob")
    alice.universe(universe).timers.last_import = network.now
    before = digest(alice, universe)
    alice.say(universe, "hello")
    network.run(5 * SECOND)
    assert digest(alice, universe) == digest(bob, universe) == before


def test_of_somebody_who_is_no_member_nothing_is_shown() -> None:
    network = Network()
    universe, alice = network.found("alice")
    with pytest.raises(UsageError):
        alice.engine.security(universe, b"n" * 32)
