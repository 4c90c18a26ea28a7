"""Members that are silent for a month: suspended by each owner, and back with one command."""

from __future__ import annotations

import pytest
from tests.engine.small_network import DAY, HOUR, MINUTE, Network, Node, quiet
from tests.engine.test_engine_catching_up import in_groups
from tests.engine.test_engine_long_absence import days_pass, of
from tests.engine.test_engine_readding import all_read_all

from starling.protocol.distributed import policy
from starling.protocol.engine.context import Context
from starling.protocol.engine.inputs import JoinUniverse, Rejoin
from starling.protocol.engine.standing import Standing
from starling.protocol.engine.step import Put
from starling.protocol.errors import UsageError
from starling.protocol.exchange.member_messages import Excluded


def suspended(node: Node, universe: bytes) -> set[bytes]:
    return {row["identity"] for row in node.engine.members(universe) if row["suspended"]}


def excluding(node: Node, universe: bytes) -> set[bytes]:
    return {row["identity"] for row in node.engine.members(universe) if row["excludes_us"]}


@pytest.fixture
def shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    """A week instead of a month, in which nothing is different but for what time it takes to simulate."""
    monkeypatch.setattr(policy, "SUSPENDED_AFTER", 7 * DAY)
    monkeypatch.setattr(policy, "LATELY", 4 * DAY)


def a_while_without(
    *absent: str, days: int, step: int
) -> tuple[Network, bytes, list[Node], list[Node], list[str]]:
    """Days in which these are away: the network, the universe, all nodes, those who are there, what the first of
    them said."""
    network, universe, nodes = quiet("alice", "bob", "carol", "dave")
    here = [node for node in nodes if node.name not in absent]
    for node in nodes:
        if node not in here:
            network.stop(node)
    said = days_pass(network, universe, here, days, step)
    return network, universe, nodes, here, said


def a_month_without(*absent: str) -> tuple[Network, bytes, list[Node], list[Node], list[str]]:
    return a_while_without(*absent, days=36, step=4)


def test_who_is_silent_for_a_month_is_suspended_and_holds_nothing_back() -> None:
    network, universe, (*_, dave), here, _ = a_month_without("dave")
    for node in here:
        assert suspended(node, universe) == {dave.me}
        assert [body["identity"] for body in node.heard("member.suspended")] == [dave.me]
        assert not node.heard("member.removed")
        assert in_groups(node, universe, dave) == (1, 4)
        assert node.say(universe, f"{node.name} after a month")["recipients"] == 2
    network.run(MINUTE)
    network.leap(2 * HOUR)
    for node in here:
        assert node.engine.converged(universe), node.name
        for owner in here:
            assert len(list(node.group(universe, owner).retained())) <= 1 + (owner is not node)
    for node in here:
        network.stop(node)
        network.restart(node)
    network.run(MINUTE)
    assert all(suspended(node, universe) == {dave.me} for node in here)


def test_one_command_brings_a_suspended_member_back() -> None:
    network, universe, (alice, bob, carol, dave), here, said = a_month_without("dave")
    assert alice.say(universe, "for bob alone", to=bob)["state"] == "sent"
    assert alice.say(universe, "for dave alone", to=dave)["state"] == "queued"
    network.run(2 * MINUTE)
    assert alice.engine.converged(universe)
    network.restart(dave)
    network.run(2 * MINUTE)
    assert excluding(dave, universe) == {node.me for node in here}
    assert {body["absent"] for body in dave.heard("member.excluded")} == {True}
    assert not dave.engine.converged(universe)
    assert all(suspended(node, universe) == {dave.me} for node in here)
    dave.say(universe, "I am here")
    network.run(MINUTE)
    assert all(of(node, dave) == ["I am here"] for node in here)
    assert dave.do(Rejoin(universe)) == {"groups": 3}
    network.run(5 * MINUTE)
    *heard, last = of(dave, alice)
    assert last == "for dave alone"
    assert heard == said[: len(heard)]
    lost = {body["owner"]: body["count"] for body in dave.heard("messages.unavailable")}
    assert lost[alice.me] == len(said) - len(heard) > 0
    for node in here:
        assert not suspended(node, universe)
        assert [body["identity"] for body in node.heard("member.returned")] == [dave.me]
        assert in_groups(node, universe, dave) == (4, 4)
    assert not excluding(dave, universe)
    all_read_all(network, universe, [alice, bob, carol, dave])
    network.leap(2 * HOUR)
    for node in (alice, bob, carol, dave):
        assert node.engine.converged(universe), node.name
        assert not node.universe(universe).outbox.lost and not node.universe(universe).stuck.groups
    with pytest.raises(UsageError, match="nobody has removed"):
        dave.do(Rejoin(universe))


@pytest.mark.usefixtures("shorter")
def test_two_halves_that_were_apart_for_long_come_together_by_one_command_each() -> None:
    network, universe, nodes = quiet("alice", "bob", "carol", "dave")
    alice, bob, carol, dave = nodes
    for one in (alice, bob):
        network.cut(one, carol, dave)
    for _ in range(5):
        network.leap(2 * DAY)
        for node in nodes:
            node.say(universe, f"{node.name} at {network.now}")
    assert suspended(alice, universe) == suspended(bob, universe) == {carol.me, dave.me}
    assert suspended(carol, universe) == suspended(dave, universe) == {alice.me, bob.me}
    network.heal()
    network.run(5 * MINUTE)
    assert excluding(alice, universe) == {carol.me, dave.me}
    for node in nodes:
        node.do(Rejoin(universe))
    network.run(10 * MINUTE)
    assert not any(suspended(node, universe) or excluding(node, universe) for node in nodes)
    all_read_all(network, universe, nodes)


@pytest.mark.usefixtures("shorter")
def test_who_was_away_itself_suspends_nobody() -> None:
    network, universe, nodes = quiet("alice", "bob", "carol")
    for node in nodes:
        network.stop(node)
    network.run(10 * DAY)
    for node in nodes:
        network.restart(node)
    network.run(2 * HOUR)
    assert not any(node.heard("member.suspended") for node in nodes)
    all_read_all(network, universe, nodes)


@pytest.mark.usefixtures("shorter")
def test_who_hears_nobody_suspends_nobody() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    for node in (bob, carol):
        network.stop(node)
    network.run(10 * DAY)
    assert not suspended(alice, universe)
    network.restart(bob)
    network.run(MINUTE)
    days_pass(network, universe, [alice, bob], 10, 2)
    assert suspended(alice, universe) == {carol.me}


@pytest.mark.usefixtures("shorter")
def test_a_joiner_gets_on_with_a_member_that_is_suspended_by_the_others() -> None:
    network, universe, (alice, bob, carol, dave), *_ = a_while_without("dave", days=10, step=2)
    eve = network.add("eve")
    eve.do(JoinUniverse(network.invite(alice, universe)))
    network.run(MINUTE)
    assert in_groups(alice, universe, eve) == (4, 5)
    network.restart(dave)
    network.run(2 * MINUTE)
    dave.do(Rejoin(universe))
    network.run(10 * MINUTE)
    all_read_all(network, universe, [alice, bob, carol, dave, eve])
    assert in_groups(alice, universe, dave) == in_groups(dave, universe, dave) == (5, 5)


def test_who_claims_to_have_removed_this_node_can_only_lose_it_for_its_own_group() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    alice.hear(carol, Excluded(universe, absent=True))
    assert excluding(alice, universe) == {carol.me}
    assert {state.owner for state in alice.universe(universe).groups.values()} == {alice.me, bob.me}
    bob.say(universe, "still heard")
    network.run(MINUTE)
    assert alice.texts() == ["still heard"]
    assert not excluding(alice, universe), "it was let in again by the frame that had added it"
    all_read_all(network, universe, [alice, bob, carol])
    stranger = network.add("stranger")
    alice.hear(stranger, Excluded(universe, absent=True))
    assert not excluding(alice, universe)


def test_when_more_were_heard_than_a_row_holds_the_row_is_read_all_the_same() -> None:
    """Members can admit any number of identities; a node is to start again all the same."""
    standing, ctx = Standing(bytes(32), 0), Context(100 * DAY, bytes)
    standing.heard = {number.to_bytes(32, "big"): DAY for number in range(5_000)}
    standing.save_heard(ctx, frozenset(standing.heard))
    (write,) = ctx.step(None, None).writes
    loaded = Standing(bytes(32), 0)
    assert isinstance(write, Put)
    loaded.load("heard", write.key, write.value)
    assert loaded.heard.items() < standing.heard.items()
