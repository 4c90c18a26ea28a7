"""Tickets that are of no use any more, and who comes back by which (PROTOCOL 6)."""

from __future__ import annotations

import pytest
from tests.engine.small_network import DAY, HOUR, MINUTE, SECOND, Network, Node

from starling.protocol.engine.inputs import CreateInvite, JoinUniverse, RemoveMember, RevokeInvite
from starling.protocol.errors import UsageError


def test_a_revoked_ticket_ends_the_join_once() -> None:
    network = Network()
    universe, alice = network.found("alice")
    bob = network.add("bob")
    invite = alice.do(CreateInvite(universe))
    alice.do(RevokeInvite(universe, invite["invite_id"]))
    bob.do(JoinUniverse(invite["ticket"]))
    network.run(MINUTE)
    assert bob.heard("join.failed") == [{"reason": "ticket.revoked"}]
    assert bob.engine.universes() == []
    assert bob.rows == {}
    assert len(alice.engine.members(universe)) == 1


def test_a_ticket_that_expires_under_way_ends_the_join() -> None:
    network = Network()
    universe, alice = network.found("alice")
    bob = network.add("bob")
    ticket = network.invite(alice, universe, expires_in=MINUTE)
    network.cut(alice, bob)
    bob.do(JoinUniverse(ticket))
    network.run(2 * MINUTE)
    assert bob.heard("join.failed") == [{"reason": "ticket.expired"}]
    assert bob.engine.universes() == [] and bob.rows == {}
    with pytest.raises(UsageError, match="expired"):
        bob.do(JoinUniverse(ticket))


def test_a_sponsor_looks_at_its_own_clock() -> None:
    """The joiner's clock is wrong: it believes in a ticket that has expired."""
    network = Network()
    universe, alice = network.found("alice")
    ticket = network.invite(alice, universe, expires_in=MINUTE)
    bob = network.add("bob")
    network.cut(alice, bob)
    bob.do(JoinUniverse(ticket))
    alice.clock_error = HOUR
    network.heal()
    network.run(10 * SECOND)
    assert bob.heard("join.failed") == [{"reason": "ticket.expired"}]
    assert len(alice.engine.members(universe)) == 1


def test_a_ticket_admits_as_many_as_it_says() -> None:
    network = Network()
    universe, alice, bob = network.found("alice", "bob")
    ticket = network.invite(alice, universe, uses=1)
    carol, dave = network.add_all("carol", "dave")
    carol.do(JoinUniverse(ticket))
    network.run(6 * SECOND)
    dave.do(JoinUniverse(ticket))
    network.run(6 * SECOND)
    assert carol.heard("universe.joined")
    assert dave.heard("join.failed") == [{"reason": "ticket.used"}]
    assert len(bob.engine.members(universe)) == 3


def joined_by_a_ticket() -> tuple[Network, bytes, Node, Node, str]:
    """A universe of alice and bob, and the ticket by which bob came, good for four more."""
    network = Network()
    universe, alice = network.found("alice")
    ticket = network.invite(alice, universe, uses=5)
    bob = network.add("bob")
    bob.do(JoinUniverse(ticket))
    network.run(6 * SECOND)
    return network, universe, alice, bob, ticket


def lose_store(network: Network, node: Node) -> None:
    network.stop(node)
    node.rows.clear()
    network.restart(node)


def test_a_removed_member_does_not_come_back_by_its_ticket() -> None:
    network, universe, alice, bob, ticket = joined_by_a_ticket()
    alice.do(RemoveMember(universe, bob.me))
    network.run(6 * SECOND)
    bob.do(JoinUniverse(ticket))
    network.run(6 * SECOND)
    assert bob.engine.universe(universe)["state"] == "removed"
    lose_store(network, bob)
    bob.do(JoinUniverse(ticket))
    network.run(6 * SECOND)
    assert bob.heard("join.failed") == [{"reason": "ticket.removed"}] * 2


def test_who_lost_all_state_of_a_universe_is_told_that_it_is_a_member_and_comes_back_by_a_new_ticket() -> (
    None
):
    network, universe, alice, bob, ticket = joined_by_a_ticket()
    lose_store(network, bob)
    bob.do(JoinUniverse(ticket))
    network.run(6 * SECOND)
    assert bob.heard("join.failed") == [{"reason": "member.known"}]
    alice.do(RemoveMember(universe, bob.me))
    bob.do(JoinUniverse(network.invite(alice, universe)))
    network.run(10 * SECOND)
    assert all(node.engine.converged(universe) for node in (alice, bob))
    alice.say(universe, "back")
    network.run(SECOND)
    assert bob.texts() == ["back"]


def test_a_removed_member_does_not_come_back_as_somebody_else_by_its_ticket() -> None:
    network = Network()
    universe, alice, bob = network.found("alice", "bob")
    ticket = network.invite(alice, universe, uses=5)
    carol, dave, erin = network.add_all("carol", "dave", "erin")
    for node in (carol, dave):
        node.do(JoinUniverse(ticket))
        network.run(6 * SECOND)
    alice.do(RemoveMember(universe, carol.me))
    network.run(6 * SECOND)
    erin.do(JoinUniverse(ticket))  # Carol's new identity, on a new node
    network.run(6 * SECOND)
    assert erin.heard("join.failed") == [{"reason": "ticket.revoked"}]
    assert set(alice.universe(universe).roster.members) == {alice.me, bob.me, dave.me}
    erin.do(JoinUniverse(network.invite(alice, universe)))
    network.run(6 * SECOND)
    assert erin.heard("universe.joined")


@pytest.mark.parametrize("meanwhile", ["", "restarted", "store lost"])
def test_a_removed_member_comes_back_by_a_new_ticket(meanwhile: str) -> None:
    network = Network()
    universe, alice, bob, carol = network.found("alice", "bob", "carol")
    network.run(10 * SECOND)
    old = bob.universe(universe)
    alice.do(RemoveMember(universe, bob.me))
    network.run(6 * SECOND)
    if meanwhile == "restarted":
        network.stop(bob)
        network.restart(bob)
    elif meanwhile == "store lost":
        lose_store(network, bob)
    bob.do(JoinUniverse(network.invite(alice, universe)))
    network.run(20 * SECOND)
    again = bob.universe(universe)
    assert bob.engine.universe(universe)["state"] == "active"
    assert again.group_id != old.group_id and again.incarnation > old.incarnation
    for node in (alice, bob, carol):
        assert node.engine.converged(universe)
        assert node.say(universe, f"{node.name} again")["recipients"] == 2
    network.run(2 * MINUTE)
    for node in (alice, bob, carol):
        others = {f"{other.name} again" for other in (alice, bob, carol) if other is not node}
        assert set(node.texts()) == others
        assert not node.heard("fork.detected") and not node.heard("rollback.suspected")
        assert old.group_id not in node.universe(universe).groups
        assert not [key for _, key in node.rows if key.startswith(old.group_id)]


def test_who_was_away_meanwhile_follows_one_who_went_and_came_back() -> None:
    """The removal and the new entry arrive together."""
    network = Network()
    universe, alice, bob, carol = network.found("alice", "bob", "carol")
    network.run(10 * SECOND)
    network.stop(carol)
    alice.do(RemoveMember(universe, bob.me))
    network.run(6 * SECOND)
    bob.do(JoinUniverse(network.invite(alice, universe)))
    network.run(20 * SECOND)
    bob.say(universe, "back")
    network.run(2 * MINUTE)
    network.restart(carol)
    network.run(MINUTE)
    carol.say(universe, "back too")
    network.run(20 * SECOND)
    assert carol.texts() == ["back"] and bob.texts() == ["back too"] == alice.texts()[-1:]
    assert all(node.engine.converged(universe) for node in (alice, bob, carol))
    assert len(carol.universe(universe).groups) == 3


def test_a_join_that_fails_leaves_a_removed_member_removed() -> None:
    network = Network()
    universe, alice, bob = network.found("alice", "bob")
    alice.do(RemoveMember(universe, bob.me))
    network.run(6 * SECOND)
    invite = alice.do(CreateInvite(universe))
    alice.do(RevokeInvite(universe, invite["invite_id"]))
    kept = set(bob.rows)
    bob.do(JoinUniverse(invite["ticket"]))
    network.run(6 * SECOND)
    assert bob.heard("join.failed") == [{"reason": "ticket.revoked"}]
    assert bob.engine.universe(universe)["state"] == "removed" and bob.rows.keys() == kept
    bob.do(JoinUniverse(network.invite(alice, universe)))
    network.run(6 * SECOND)
    assert bob.engine.universe(universe)["state"] == "active"


def test_members_neither_remove_nor_revoke() -> None:
    network = Network()
    universe, alice, bob, carol = network.found("alice", "bob", "carol")
    (invite,) = alice.engine.invites(universe)
    before = dict(bob.rows)
    for command in (
        RevokeInvite(universe, invite["invite_id"]),
        RemoveMember(universe, carol.me),
        RemoveMember(universe, alice.me),
    ):
        with pytest.raises(UsageError) as caught:
            bob.do(command)
        assert caught.value.code == "forbidden"
    with pytest.raises(UsageError, match="cannot remove oneself"):
        alice.do(RemoveMember(universe, alice.me))
    assert bob.rows == before


def test_a_ticket_lives_at_most_a_year() -> None:
    network = Network()
    universe, alice = network.found("alice")
    for lifetime in (0, 400 * DAY):
        with pytest.raises(UsageError, match="a year"):
            alice.do(CreateInvite(universe, expires_in=lifetime))
