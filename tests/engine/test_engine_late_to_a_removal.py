"""Members that were away while somebody came, spoke and was removed (PROTOCOL X-13, X-15, section 6)."""

from __future__ import annotations

import pytest
from tests.engine.small_network import MINUTE, SECOND, Network, Node, quiet

from starling.protocol.engine.inputs import JoinUniverse, RemoveMember, SendMessage, SetRole
from starling.protocol.errors import UsageError


def somebody_came_and_went(away: str) -> tuple[Network, bytes, dict[str, Node]]:
    """One is away while dave joins, alice and the other import from his group, and he is removed."""
    network, universe, nodes = quiet("alice", "bob", "carol")
    named = {node.name: node for node in nodes}
    alice = named["alice"]
    network.stop(named[away])
    dave = network.add("dave")
    dave.do(JoinUniverse(network.invite(alice, universe)))
    network.run(2 * MINUTE)
    present = [node for node in nodes if node.name != away]
    for node in present:
        node.say(universe, f"{node.name} with dave")
    network.run(10 * SECOND)
    for node in present:
        imported = node.universe(universe).ledger.last_imports
        assert (node.me, dave.universe(universe).group_id) in imported
    dave.say(universe, "dave was here")
    network.run(10 * SECOND)
    network.stop(dave)
    alice.do(RemoveMember(universe, dave.me))
    network.run(MINUTE)
    named["dave"] = dave
    return network, universe, named


def test_who_was_away_meanwhile_follows_what_the_others_imported() -> None:
    network, universe, nodes = somebody_came_and_went("bob")
    alice, bob, carol, dave = (nodes[name] for name in ("alice", "bob", "carol", "dave"))
    network.restart(bob)
    network.run(MINUTE)
    for node in (alice, carol):
        node.say(universe, f"{node.name} without dave")
    network.run(20 * SECOND)
    heard = {"alice with dave", "carol with dave", "alice without dave", "carol without dave"}
    assert set(bob.texts()) - {"dave was here"} == heard
    assert all(node.engine.converged(universe) for node in (alice, bob, carol))
    assert all(dave.me not in node.group(universe, bob).members() for node in (alice, bob, carol))


def test_the_name_of_a_former_member_is_still_told() -> None:
    network, _, nodes = somebody_came_and_went("bob")
    bob = nodes["bob"]
    network.restart(bob)
    network.run(MINUTE)
    (told,) = [body for body in bob.heard("message.received") if body["body"] == b"dave was here"]
    assert told["sender_name"] == "dave"


def test_the_group_of_the_former_member_goes_when_the_last_is_past_the_removal() -> None:
    network, universe, nodes = somebody_came_and_went("carol")
    alice, bob, carol, dave = (nodes[name] for name in ("alice", "bob", "carol", "dave"))
    group_id = dave.universe(universe).group_id
    network.run(10 * MINUTE)
    assert group_id in bob.universe(universe).groups, "carol still has to follow what imports from it"
    network.restart(carol)
    network.run(3 * MINUTE)
    for node in (alice, bob, carol):
        assert group_id not in node.universe(universe).groups
        assert not [key for _, key in node.rows if key.startswith(group_id)]
        assert not node.universe(universe).behind and not len(node.universe(universe).waiting)


def test_who_is_removed_while_it_lacks_other_entries_learns_of_it() -> None:
    """The removal follows entries that it never got, and must not get: they hold the others' secrets."""
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    network.stop(carol)
    dave = network.add("dave")
    dave.do(JoinUniverse(network.invite(alice, universe)))
    network.run(10 * SECOND)
    alice.do(RemoveMember(universe, carol.me))
    network.run(10 * SECOND)
    network.restart(carol)
    network.run(MINUTE)
    assert carol.engine.universe(universe)["state"] == "removed"
    (told,) = carol.heard("member.removed")
    assert (told["identity"], told["reason"], told["by"]) == (carol.me, "removed", alice.me)
    assert dave.me not in carol.universe(universe).roster.members
    assert not {table for table, _ in carol.rows} & {"epoch", "ratchet", "psk", "bundle"}
    network.stop(carol)
    network.restart(carol)
    assert carol.engine.universe(universe)["state"] == "removed"
    bob.do(SendMessage(universe, b"i" * 16, b"on"))
    network.run(10 * SECOND)
    assert not carol.texts() and alice.texts() == ["on"]


def test_who_fell_with_its_sponsor_learns_of_it_and_so_do_the_others() -> None:
    """It is removed nowhere: only who admitted it was, unknown to it, by who knew nothing of it."""
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    network.cut(alice, bob)
    network.cut(alice, carol)
    dave = network.add("dave")
    network.cut(alice, dave)
    dave.do(JoinUniverse(network.invite(bob, universe)))
    network.run(MINUTE)
    assert dave.me in carol.universe(universe).roster.members
    network.stop(dave)
    erin = network.add("erin")
    network.cut(erin, bob, carol, dave)
    erin.do(JoinUniverse(network.invite(alice, universe)))
    network.run(MINUTE)
    alice.do(RemoveMember(universe, bob.me))
    network.run(10 * SECOND)
    network.stop(bob)
    network.stop(carol)
    network.heal()
    network.restart(dave)
    network.run(MINUTE)
    assert dave.engine.universe(universe)["state"] == "removed", (
        "alice alone knows why, and it not all of that"
    )
    (told,) = dave.heard("member.removed")
    assert told == {"identity": dave.me, "reason": "admission", "by": bob.me}
    assert erin.me not in dave.universe(universe).roster.members
    network.restart(carol)
    network.run(MINUTE)
    bodies = {body["identity"]: (body["reason"], body["by"]) for body in carol.heard("member.removed")}
    assert bodies == {bob.me: ("removed", alice.me), dave.me: ("admission", bob.me)}
    former = {row["identity"]: row for row in carol.engine.former_members(universe)}
    assert (former[dave.me]["reason"], former[dave.me]["by_name"]) == ("admission", "bob")
    assert (former[bob.me]["reason"], former[bob.me]["by_name"]) == ("removed", "alice")


def test_who_is_disowned_goes_with_all_who_came_by_it() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    dave, erin = network.add("dave"), network.add("erin")
    for node, sponsor in ((dave, bob), (erin, carol)):
        node.do(JoinUniverse(network.invite(sponsor, universe)))
        network.run(30 * SECOND)
    alice.do(SetRole(universe, carol.me, "admin"))
    network.run(SECOND)
    with pytest.raises(UsageError, match="more senior"):
        carol.do(RemoveMember(universe, alice.me, disowning=True))
    assert alice.do(RemoveMember(universe, bob.me, disowning=True)) == {"gone": [bob.me, dave.me]}
    network.run(MINUTE)
    for node in (alice, carol, erin):
        assert set(node.universe(universe).roster.members) == {alice.me, carol.me, erin.me}
        assert not {bob.me, dave.me} & node.group(universe, node).members().keys()
        assert node.engine.converged(universe)
    for node, reason in ((bob, "removed"), (dave, "admission")):
        assert node.engine.universe(universe)["state"] == "removed"
        told = {body["identity"]: body["reason"] for body in node.heard("member.removed")}
        assert told[node.me] == reason and None not in told.values()
