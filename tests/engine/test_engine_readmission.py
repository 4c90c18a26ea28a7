"""Members that start anew with a send group that supersedes their old one (PROTOCOL 5.6 B4, B7)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.engine.small_network import HOUR, MINUTE, SECOND, Network, Node, quiet, settled

from starling.protocol.distributed.universe_component import read_universe
from starling.protocol.engine import exchanging, resolving
from starling.protocol.engine.inputs import JoinUniverse, ReadmitMember, Recover, UpdateKeys
from starling.protocol.errors import UsageError


def confirm(admin: Node, universe: bytes, member: Node) -> None:
    """A person says that the number is right."""
    digits = admin.heard("member.asks_again")[-1]["verification"]
    assert digits == member.engine.universe(universe)["verification"]
    admin.do(ReadmitMember(universe, member.me, digits))


def assert_all_talk(network: Network, universe: bytes, nodes: list[Node], word: str) -> None:
    for node in nodes:
        assert node.say(universe, f"{node.name} {word}")["recipients"] == len(nodes) - 1
    network.run(5 * SECOND)
    for node in nodes:
        others = [f"{other.name} {word}" for other in nodes if other is not node]
        assert sorted(text for text in node.texts() if text.endswith(word)) == sorted(others)


def assert_gone(network: Network, universe: bytes, nodes: list[Node], group_id: bytes) -> None:
    """All have passed the old group, and nothing of it is stored."""
    for node in nodes:
        assert node.engine.converged(universe), node.name
        assert group_id not in node.universe(universe).groups
        assert not [key for key in node.rows if key[1].startswith(group_id)]


def test_a_member_starts_anew_with_one_confirmation() -> None:
    network, universe, nodes = quiet("alice", "bob", "carol")
    alice, bob, carol = nodes
    old = bob.universe(universe).group_id
    incarnation = bob.universe(universe).incarnation
    bob.say(universe, "before")
    network.run(2 * SECOND)
    asked = bob.do(Recover(universe))
    network.run(5 * SECOND)
    assert asked == {"state": "asking", "verification": alice.heard("member.asks_again")[0]["verification"]}
    assert not carol.heard("member.asks_again")
    assert bob.say(universe, "queued")["state"] == "queued"
    alice.say(universe, "meanwhile")
    network.run(MINUTE)
    assert bob.texts() == ["meanwhile"] and len(alice.heard("member.asks_again")) == 1
    confirm(alice, universe, bob)
    network.run(20 * SECOND)
    again = bob.universe(universe)
    assert again.group_id != old and again.incarnation > incarnation
    assert read_universe(again.own.head.context.extensions).supersedes == old
    assert [kind for kind in ("recovering", "recovered") if bob.heard(f"universe.{kind}")] == [
        "recovering",
        "recovered",
    ]
    assert carol.texts() == ["before", "meanwhile", "queued"]
    assert carol.heard("member.readmitted") == [{"identity": bob.me, "name": "bob", "sponsor": alice.me}]
    assert not carol.heard("member.removed") and not bob.heard("member.excluded")
    assert_all_talk(network, universe, nodes, "on")
    network.run(2 * MINUTE)
    assert_gone(network, universe, nodes, old)
    assert alice.texts().count("queued") == 1


def test_the_founder_admits_itself() -> None:
    network, universe, nodes = quiet("alice", "bob", "carol")
    alice, bob, carol = nodes
    old = alice.universe(universe).group_id
    network.cut(alice, bob, carol)
    assert alice.do(Recover(universe))["state"] == "active"
    assert alice.say(universe, "alone")["state"] == "queued"
    network.run(MINUTE)
    network.heal()
    network.run(20 * SECOND)
    assert bob.texts() == carol.texts() == ["alone"]
    assert_all_talk(network, universe, nodes, "on")
    network.run(2 * MINUTE)
    assert_gone(network, universe, nodes, old)


def test_who_started_anew_leads_newcomers_to_everybody() -> None:
    network, universe, nodes = quiet("alice", "bob", "carol")
    alice = nodes[0]
    alice.do(Recover(universe))
    network.run(2 * MINUTE)
    dave = network.add("dave")
    dave.do(JoinUniverse(network.invite(alice, universe)))
    network.run(20 * SECOND)
    assert_all_talk(network, universe, [*nodes, dave], "on")


@pytest.mark.parametrize("when", ["asking", "admitted"])
def test_it_goes_on_after_a_restart(when: str) -> None:
    network, universe, nodes = quiet("alice", "bob", "carol")
    alice, bob, carol = nodes
    bob.do(Recover(universe))
    bob.say(universe, "queued")
    network.run(SECOND)
    if when == "admitted":
        network.drop = lambda source, target, send: source is not alice and target is bob
        network.cut(bob, carol)
        confirm(alice, universe, bob)
        network.run(8)
        assert bob.universe(universe).is_admitted and bob.universe(universe).silenced
        network.drop = lambda source, target, send: False
    network.stop(bob)
    network.run(SECOND)
    network.restart(bob)
    network.heal()
    network.run(20 * SECOND)
    if when == "asking":
        assert bob.engine.universe(universe)["state"] == "asking"
        confirm(alice, universe, bob)
        network.run(20 * SECOND)
    assert bob.engine.universe(universe)["state"] == "active"
    assert alice.texts() == carol.texts() == ["queued"]
    assert_all_talk(network, universe, nodes, "on")


def test_an_admin_that_was_restarted_is_asked_again() -> None:
    network, universe, (alice, bob) = quiet("alice", "bob")
    bob.do(Recover(universe))
    network.run(SECOND)
    network.stop(alice)
    network.restart(alice)
    network.run(MINUTE)
    assert len(alice.heard("member.asks_again")) == 2
    confirm(alice, universe, bob)
    network.run(20 * SECOND)
    assert_all_talk(network, universe, [alice, bob], "on")


def test_a_wrong_word_changes_nothing() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    with pytest.raises(UsageError, match="does not ask"):
        alice.do(ReadmitMember(universe, bob.me, "1" * 12))
    asked = bob.do(Recover(universe))
    assert bob.do(Recover(universe)) == asked
    network.run(2 * SECOND)
    digest = alice.universe(universe).roster.digest
    with pytest.raises(UsageError, match="not the number"):
        alice.do(ReadmitMember(universe, bob.me, "1" * 12))
    with pytest.raises(UsageError, match="not a member"):
        alice.do(ReadmitMember(universe, b"?" * 32, asked["verification"]))
    with pytest.raises(UsageError, match="only admins"):
        carol.do(ReadmitMember(universe, bob.me, asked["verification"]))
    with pytest.raises(UsageError, match="no such universe"):
        bob.do(Recover(b"?" * 32))
    network.run(2 * SECOND)
    assert alice.universe(universe).roster.digest == digest
    confirm(alice, universe, bob)
    network.run(20 * SECOND)
    assert bob.engine.universe(universe)["state"] == "active"


def test_where_nobody_is_to_be_asked_the_request_is_enough() -> None:
    network, universe, nodes = quiet("alice", "bob", "carol")
    alice, bob, _ = nodes
    alice.universe(universe).readmits_automatically = True
    bob.do(Recover(universe))
    bob.say(universe, "queued")
    network.run(10 * SECOND)
    assert bob.engine.universe(universe)["state"] == "active" and not alice.heard("member.asks_again")
    assert alice.texts() == ["queued"]
    assert_all_talk(network, universe, nodes, "on")


def put_back(network: Network, node: Node, meanwhile: Callable[[], None]) -> None:
    """The node's disk is as it was before what happened meanwhile; it is stopped then."""
    rows, scopes = dict(node.rows), dict(node.scopes)
    meanwhile()
    network.stop(node)
    node.rows, node.scopes = rows, scopes
    node.events.clear()


def go_on(network: Network, universe: bytes, nodes: list[Node]) -> None:
    """All renew their keys, and everybody has it: what was before is settled."""
    for _ in range(2):
        for node in nodes:
            node.do(UpdateKeys(universe))
            network.run(MINUTE)
        network.leap(2 * HOUR)


def test_the_others_are_added_by_keys_that_they_still_have() -> None:
    """What was put back knows KeyPackages of which the others have deleted the private keys (X-10)."""
    network, universe, nodes = settled("alice", "bob", "carol")
    alice, bob, carol = nodes
    known = bob.universe(universe).profiles.key_package(carol.me, 1)
    assert known is not None

    put_back(network, bob, lambda: go_on(network, universe, nodes))
    assert known not in [bundle.key_package for bundle in carol.universe(universe).bundles.all()]
    network.restart(bob, dial=False)
    bob.do(Recover(universe))
    network.dial_all()
    network.run(2 * SECOND)
    confirm(alice, universe, bob)
    network.run(20 * SECOND)
    assert bob.say(universe, "back")["recipients"] == 2
    network.run(5 * SECOND)
    assert alice.texts() == carol.texts() == ["back"]


def test_it_is_added_again_where_it_lacks_its_own_lost_secrets() -> None:
    """The others imported from epochs that it has forgotten, and every frame is still there (B9)."""
    network, universe, nodes = quiet("alice", "bob", "carol", "dave")
    alice, bob, carol, dave = nodes
    network.stop(dave)  # so that the others keep the frames

    def meanwhile() -> None:
        bob.do(UpdateKeys(universe))
        network.run(HOUR + HOUR // 4)
        assert any(last["imports"] for last in carol.commits()[-2:])
        carol.say(universe, "with bob's secret")
        network.run(2 * SECOND)

    put_back(network, bob, meanwhile)
    network.restart(bob, dial=False)
    bob.do(Recover(universe))
    network.dial_all()
    network.run(5 * SECOND)
    confirm(alice, universe, bob)
    network.restart(dave)
    network.run(MINUTE)
    assert_all_talk(network, universe, nodes, "on")


def quiet_without_carol() -> tuple[Network, bytes, list[Node]]:
    """A quiet universe, the last of whose members is stopped."""
    network, universe, nodes = quiet("alice", "bob", "carol")
    network.stop(nodes[-1])
    return network, universe, nodes


def test_what_nobody_had_yet_is_sent_again_in_the_new_group() -> None:
    """It was encrypted in the old group, and reached only some (B10): each gets it once, in order."""
    network, universe, nodes = quiet_without_carol()
    alice, bob, carol = nodes
    bob.say(universe, "for alice at first")
    network.run(2 * SECOND)
    network.cut(bob, alice)
    bob.say(universe, "for nobody at first")
    network.run(2 * SECOND)
    bob.do(Recover(universe))
    bob.say(universe, "queued")
    network.heal()
    network.run(2 * SECOND)
    confirm(alice, universe, bob)
    network.run(20 * SECOND)
    network.restart(carol)
    network.run(20 * SECOND)
    for node in (alice, carol):
        assert node.texts() == ["for alice at first", "for nobody at first", "queued"]
    assert_all_talk(network, universe, nodes, "on")


def test_what_it_has_lost_is_sent_to_it_again_by_who_still_holds_it() -> None:
    """It had acknowledged it before it was put back; another member has not yet."""
    network, universe, nodes = quiet_without_carol()
    alice, bob, carol = nodes

    def meanwhile() -> None:
        bob.do(UpdateKeys(universe))
        network.run(HOUR + HOUR // 4)
        assert alice.commits()[-1]["imports"]  # what follows it cannot read once it has forgotten that secret
        for number in range(3):
            alice.say(universe, f"message {number}")
            network.run(MINUTE)
        assert len(bob.texts()) == 3

    put_back(network, bob, meanwhile)
    network.restart(bob, dial=False)
    bob.do(Recover(universe))
    network.dial_all()
    network.run(5 * SECOND)
    confirm(alice, universe, bob)
    network.run(MINUTE)
    assert len(bob.texts()) == 3
    alice.say(universe, "and on")
    network.restart(carol)
    network.run(MINUTE)
    assert bob.texts() == carol.texts() and bob.texts()[3:] == ["and on"]


def test_it_notices_by_itself_that_it_was_put_back_too_far() -> None:
    """The others have settled the epoch that it would go on from, so nobody could follow it (B4)."""
    network, universe, nodes = settled("alice", "bob", "carol")
    alice, bob, carol = nodes
    old = bob.universe(universe).group_id

    put_back(network, bob, lambda: go_on(network, universe, nodes))
    network.restart(bob)
    bob.say(universe, "back")
    network.run(10 * SECOND)
    assert bob.heard("universe.recovering")[0]["reason"] == "rollback"
    assert not bob.commits() and bob.universe(universe).outbox.queued == 1
    confirm(alice, universe, bob)
    network.run(20 * SECOND)
    assert alice.texts() == carol.texts() == ["back"]
    assert not bob.engine.trouble(universe)
    assert_all_talk(network, universe, nodes, "on")
    network.run(10 * MINUTE)
    assert_gone(network, universe, nodes, old)


def test_it_notices_by_itself_that_nobody_follows_its_branch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others could have when they told how far back they can go; now they cannot. What it does on its branch to be
    added again nobody reads."""
    network, universe, nodes = settled("alice", "bob", "carol")
    alice, bob, _ = nodes
    monkeypatch.setattr(exchanging, "_floor", lambda state, head: 0)
    put_back(network, bob, lambda: go_on(network, universe, nodes))
    network.restart(bob)
    network.run(10 * SECOND)
    assert bob.heard("fork.resolved") and not bob.heard("universe.recovering")
    network.run(MINUTE)
    assert [body["reason"] for body in bob.heard("universe.recovering")] == ["rollback"]
    confirm(alice, universe, bob)
    network.run(20 * SECOND)
    assert_all_talk(network, universe, nodes, "on")


def test_a_founder_that_was_put_back_too_far_needs_nobody() -> None:
    network, universe, nodes = settled("alice", "bob", "carol")
    alice, bob, carol = nodes

    put_back(network, alice, lambda: go_on(network, universe, nodes))
    network.restart(alice)
    alice.say(universe, "back")
    network.run(MINUTE)
    assert bob.texts() == carol.texts() == ["back"]
    assert_all_talk(network, universe, nodes, "on")


def test_who_can_be_followed_does_not_start_anew_when_that_is_settled() -> None:
    """In the same run: the epoch from which its branch began goes at the others, who have gone on from it."""
    network, universe, nodes = quiet_without_carol()
    alice, bob, carol = nodes

    def meanwhile() -> None:
        bob.do(UpdateKeys(universe))
        network.run(5 * SECOND)

    put_back(network, bob, meanwhile)
    network.restart(bob)
    network.run(5 * SECOND)
    assert bob.heard("rollback.detected")
    network.restart(carol)
    network.run(10 * SECOND)
    for _ in range(6):
        bob.do(UpdateKeys(universe))
        network.run(MINUTE)
    network.cut(bob, alice, carol)
    network.run(SECOND)
    network.heal()
    network.run(10 * SECOND)
    assert resolving.branched_at(bob.universe(universe)) < min(
        alice.group(universe, bob).graph[dmls_epoch].number
        for dmls_epoch in alice.group(universe, bob).retained()
    )
    assert not bob.heard("universe.recovering")
    assert_all_talk(network, universe, nodes, "on")


def test_what_is_said_before_it_can_be_added_anew_reaches_it() -> None:
    """Bob learns that alice started anew before he has KeyPackages of hers, and cannot ask her."""
    network, universe, (alice, bob) = quiet("alice", "bob")
    alice.do(Recover(universe))
    network.run(7)
    assert bob.heard("member.readmitted")
    network.cut(alice, bob)
    bob.say(universe, "in between")
    network.run(2 * MINUTE)
    network.heal()
    network.run(20 * SECOND)
    bob.say(universe, "after it")
    network.run(5 * SECOND)
    assert alice.texts() == ["in between", "after it"]
    assert len(bob.group(universe, bob).members()) == 2
