"""Who is a member when several decide about it: tickets of any member, roles, the policy, and partitions."""

from __future__ import annotations

import pytest
from tests.engine.small_network import MINUTE, SECOND, Network, Node, quiet

from starling.protocol.distributed.ticket import Ticket
from starling.protocol.engine.inputs import (
    CreateInvite,
    JoinUniverse,
    RemoveMember,
    RevokeInvite,
    SetPolicy,
    SetRole,
    UpdateKeys,
)
from starling.protocol.errors import UsageError


def names(node: Node, universe: bytes) -> list[str]:
    return sorted(row["name"] for row in node.engine.members(universe))


def role(node: Node, universe: bytes, member: Node) -> str:
    return next(str(row["role"]) for row in node.engine.members(universe) if row["identity"] == member.me)


def agree(universe: bytes, *nodes: Node) -> None:
    """All have the same members and roster."""
    assert len({tuple(names(node, universe)) for node in nodes}) == 1
    assert len({node.universe(universe).roster.digest for node in nodes}) == 1
    assert all(node.engine.converged(universe) for node in nodes)


def joins(network: Network, name: str, ticket: str) -> Node:
    node = network.add(name)
    node.do(JoinUniverse(ticket))
    network.run(20 * SECOND)
    return node


# tickets


def obey_nobody(node: Node, universe: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """The node believes that it may do anything."""
    monkeypatch.setattr(node.universe(universe).roster, "may", lambda *_: True)


def test_a_member_invites_and_another_one_admits_while_it_is_away() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    network.run(2 * MINUTE)
    made = bob.do(CreateInvite(universe))
    assert made["sponsors"] == 3 == len(Ticket.parse(made["ticket"]).members)
    network.run(6 * SECOND)
    network.stop(bob)
    network.stop(alice)
    dave = joins(network, "dave", made["ticket"])
    assert dave.heard("universe.joined")
    assert carol.heard("member.joined")[-1]["sponsor"] == carol.me
    dave.say(universe, "hello")
    network.restart(alice)
    network.restart(bob)
    network.run(MINUTE)
    assert alice.texts() == bob.texts() == carol.texts() == ["hello"]
    agree(universe, alice, bob, carol, dave)
    (invite,) = [row for row in alice.engine.invites(universe) if row["invite_id"] == made["invite_id"]]
    assert invite["inviter"]["identity"] == bob.me and invite["state"] == "used"
    assert [row["identity"] for row in invite["spent_by"]] == [dave.me]


def test_a_ticket_that_one_takes_back_is_refused_by_all() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    network.run(2 * MINUTE)
    made = bob.do(CreateInvite(universe, uses=3))
    network.run(6 * SECOND)
    with pytest.raises(UsageError, match="of others"):
        carol.do(RevokeInvite(universe, made["invite_id"]))
    alice.do(RevokeInvite(universe, made["invite_id"]))
    roster = alice.universe(universe).roster.digest
    alice.do(RevokeInvite(universe, made["invite_id"]))
    assert alice.universe(universe).roster.digest == roster
    network.run(6 * SECOND)
    network.stop(alice)
    network.stop(bob)
    dave = joins(network, "dave", made["ticket"])
    assert dave.heard("join.failed") == [{"reason": "ticket.revoked"}]
    assert names(carol, universe) == ["alice", "bob", "carol"]
    (held,) = [row for row in carol.engine.invites(universe) if row["invite_id"] == made["invite_id"]]
    assert held["state"] == "revoked"


def test_a_ticket_spent_twice_in_a_partition_is_shown_so() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    network.run(2 * MINUTE)
    made = alice.do(CreateInvite(universe))
    network.run(6 * SECOND)
    network.cut(bob, alice, carol)
    dave, eve = network.add_all("dave", "eve")
    network.cut(dave, alice, carol, eve)
    network.cut(eve, bob)
    dave.do(JoinUniverse(made["ticket"]))
    eve.do(JoinUniverse(made["ticket"]))
    network.run(20 * SECOND)
    assert dave.heard("universe.joined") and eve.heard("universe.joined")
    network.heal()
    network.run(MINUTE)
    nodes = (alice, bob, carol, dave, eve)
    agree(universe, *nodes)
    assert names(alice, universe) == ["alice", "bob", "carol", "dave", "eve"]
    for node in nodes:
        (invite,) = [row for row in node.engine.invites(universe) if row["invite_id"] == made["invite_id"]]
        assert (invite["state"], invite["spent"], invite["uses"]) == ("overspent", 2, 1)


# roles and policy


def test_admins_give_roles_and_a_reader_only_reads() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    with pytest.raises(UsageError, match="only admins"):
        bob.do(SetRole(universe, carol.me, "reader"))
    alice.do(SetRole(universe, bob.me, "admin"))
    network.run(6 * SECOND)
    bob.do(SetRole(universe, carol.me, "reader"))
    network.run(6 * SECOND)
    for node in (alice, bob, carol):
        assert [role(node, universe, member) for member in (alice, bob, carol)] == [
            "admin",
            "admin",
            "reader",
        ]
        told = [(body["identity"], body["role"]) for body in node.heard("member.role")]
        assert told == [(bob.me, "admin"), (carol.me, "reader")]
    with pytest.raises(UsageError, match="reader"):
        carol.say(universe, "may I?")
    alice.say(universe, "read this")
    network.run(6 * SECOND)
    assert carol.texts() == ["read this"]
    agree(universe, alice, bob, carol)


def test_what_was_written_before_its_writer_became_a_reader_is_shown_whenever_it_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where who made it one had it; what comes after that is not, though it is of the same epoch."""
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    network.stop(carol)
    bob.say(universe, "first")
    bob.do(UpdateKeys(universe))
    bob.say(universe, "before")
    network.run(SECOND)
    network.cut(alice, bob)
    alice.do(SetRole(universe, bob.me, "reader"))
    epoch = bob.group(universe, bob).graph.head
    bob.say(universe, "beside")
    network.run(SECOND)
    network.restart(carol)
    network.cut(bob, carol)
    network.run(MINUTE)
    assert role(carol, universe, bob) == "reader"
    assert carol.texts() == alice.texts() == ["first", "before"]
    obey_nobody(bob, universe, monkeypatch)
    bob.say(universe, "after")
    network.heal()
    network.run(MINUTE)
    (said,) = [body for body in bob.heard("message.sent") if body["body"] == b"beside"]
    assert said["dmls_epoch"] == epoch
    assert carol.texts() == alice.texts() == ["first", "before"]


def test_what_a_reader_says_all_the_same_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    network, universe, (alice, bob) = quiet("alice", "bob")
    alice.do(SetRole(universe, bob.me, "reader"))
    network.run(6 * SECOND)
    obey_nobody(bob, universe, monkeypatch)
    bob.say(universe, "listen!")
    network.run(6 * SECOND)
    assert not alice.texts() and alice.universe(universe).refused == {"reader": 1}
    alice.do(SetRole(universe, bob.me, "member"))
    network.run(6 * SECOND)
    bob.say(universe, "thank you")
    network.run(6 * SECOND)
    assert alice.texts() == ["thank you"]
    agree(universe, alice, bob)


def test_the_policy_says_who_invites_and_removes() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    with pytest.raises(UsageError, match="only admins"):
        bob.do(SetPolicy(universe, remove="member"))
    assert alice.do(SetPolicy(universe, invite="admin", remove="member")) == {
        "invite": "admin",
        "remove": "member",
    }
    network.run(6 * SECOND)
    assert bob.heard("policy.changed") == [{"invite": "admin", "remove": "member"}]
    assert bob.engine.universe(universe)["policy"] == {"invite": "admin", "remove": "member"}
    with pytest.raises(UsageError, match="may not invite"):
        bob.do(CreateInvite(universe))
    bob.do(RemoveMember(universe, carol.me))
    network.run(20 * SECOND)
    agree(universe, alice, bob)
    assert names(alice, universe) == ["alice", "bob"]


@pytest.mark.parametrize("given", ["reader", "admin"])
def test_a_ticket_gives_its_role(given: str) -> None:
    network, universe, (alice, bob) = quiet("alice", "bob")
    dave = joins(network, "dave", alice.do(CreateInvite(universe, role=given))["ticket"])
    assert role(bob, universe, dave) == role(dave, universe, dave) == given
    with pytest.raises(UsageError):
        bob.do(CreateInvite(universe, role="admin"))


def test_bad_roles_and_policies_change_nothing() -> None:
    network, universe, (alice, bob) = quiet("alice", "bob")
    stranger = network.add("stranger")
    before = dict(alice.rows)
    for command in (
        SetRole(universe, bob.me, "king"),
        SetRole(universe, bob.me, "member"),
        SetRole(universe, stranger.me, "admin"),
        SetRole(universe, alice.me, "member"),
        SetPolicy(universe, invite="everybody"),
        CreateInvite(universe, role="king"),
        RemoveMember(universe, alice.me),
        RemoveMember(universe, stranger.me),
    ):
        with pytest.raises(UsageError):
            alice.do(command)
    assert alice.rows == before


# partitions


def test_who_is_invited_by_one_who_is_removed_meanwhile_does_not_stay() -> None:
    """The removal did not know the invite, so it does not honour what came of it."""
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    network.cut(bob, alice, carol)
    dave = network.add("dave")
    network.cut(dave, alice, carol)
    ticket = bob.do(CreateInvite(universe))["ticket"]
    alice.do(RemoveMember(universe, bob.me))
    dave.do(JoinUniverse(ticket))
    network.run(20 * SECOND)
    assert dave.heard("universe.joined")
    network.heal()
    network.run(MINUTE)
    agree(universe, alice, carol)
    assert names(alice, universe) == ["alice", "carol"]
    assert bob.engine.universe(universe)["state"] == dave.engine.universe(universe)["state"] == "removed"


def test_two_admins_who_remove_each_other_end_the_same_everywhere() -> None:
    network, universe, (alice, bob, carol, dave) = quiet("alice", "bob", "carol", "dave")
    alice.do(SetRole(universe, bob.me, "admin"))
    network.run(6 * SECOND)
    network.cut(alice, bob, dave)
    network.cut(carol, bob, dave)
    alice.do(RemoveMember(universe, bob.me))
    bob.do(RemoveMember(universe, alice.me))
    network.run(20 * SECOND)
    assert names(carol, universe) == ["alice", "carol", "dave"] and names(dave, universe) == [
        "bob",
        "carol",
        "dave",
    ]
    network.heal()
    network.run(2 * MINUTE)
    assert names(carol, universe) == names(dave, universe) == ["alice", "carol", "dave"]
    assert bob.engine.universe(universe)["state"] == "removed"
    agree(universe, alice, carol, dave)
    alice.say(universe, "still here")
    network.run(6 * SECOND)
    assert carol.texts()[-1:] == dave.texts()[-1:] == ["still here"] and "still here" not in bob.texts()


def test_who_is_removed_while_away_is_told_once_and_keeps_its_history() -> None:
    network, universe, (alice, bob, _) = quiet("alice", "bob", "carol")
    alice.say(universe, "before")
    network.run(6 * SECOND)
    network.stop(bob)
    alice.do(RemoveMember(universe, bob.me))
    network.run(MINUTE)
    alice.say(universe, "after")
    network.run(6 * SECOND)
    for _ in range(2):
        network.restart(bob)
        network.run(MINUTE)
        network.stop(bob)
    assert [body["identity"] for body in bob.heard("member.removed")] == [bob.me]
    assert bob.texts() == ["before"]
    assert {table for table, _ in bob.rows} == {"universe", "roster"}


# the topic


@pytest.mark.parametrize("how", ["by another admin", "left"])
def test_the_topic_is_another_after_somebody_went(how: str) -> None:
    from starling.protocol.engine.inputs import LeaveUniverse

    network, universe, (alice, bob, carol, dave) = quiet("alice", "bob", "carol", "dave")
    alice.do(SetRole(universe, bob.me, "admin"))
    network.run(6 * SECOND)
    known = set(dave.topics)
    if how == "left":
        dave.do(LeaveUniverse(universe))
    else:
        network.stop(alice)
        bob.do(RemoveMember(universe, dave.me))
    network.run(MINUTE)
    here = [node for node in (alice, bob, carol) if node.id in network.nodes]
    newest = {node.universe(universe).roster.topics[0] for node in here}
    assert len(newest) == 1 and not newest & known
    made = [len(node.universe(universe).roster.topics) for node in here]
    assert set(made) == {2}, "one made it, not each"
