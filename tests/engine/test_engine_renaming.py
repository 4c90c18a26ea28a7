"""What people call themselves, as it changes, and keys that are not what one may expect."""

from __future__ import annotations

from typing import Any

import pytest
from tests.engine.small_network import MINUTE, SECOND, Network, Node, quiet

from starling.protocol.distributed.application import MESSAGE_ID_SIZE, PROFILE, ApplicationData
from starling.protocol.engine import own_group
from starling.protocol.engine.context import Context
from starling.protocol.engine.inputs import (
    CreateUniverse,
    JoinUniverse,
    MarkVerified,
    NameMember,
    ReadmitMember,
    Recover,
    RemoveMember,
    Rename,
    Wake,
)
from starling.protocol.engine.name_claims import NameClaim
from starling.protocol.errors import UsageError
from starling.protocol.packed import pack


def names(node: Node, universe: bytes) -> dict[bytes, str]:
    return {member["identity"]: member["name"] for member in node.engine.members(universe)}


def rename(network: Network, node: Node, name: str) -> None:
    node.do(Rename(name))
    network.run(SECOND)


def changes(node: Node) -> list[dict[str, Any]]:
    """The notices: who, why, and other than whom."""
    return [
        {
            "identity": body["identity"],
            "reason": body["reason"],
            "others": [o["identity"] for o in body["others"]],
        }
        for body in node.heard("member.key_changed")
    ]


def test_a_new_name_reaches_all_and_stays() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    network.stop(carol)
    rename(network, bob, "Robert")
    for node in (alice, bob):
        assert names(node, universe)[bob.me] == "Robert"
        assert node.heard("member.renamed") == [{"identity": bob.me, "name": "Robert", "old_name": "bob"}]
    bob.say(universe, "it is me")
    network.run(SECOND)
    assert alice.heard("message.received")[-1]["sender_name"] == "Robert"
    network.restart(carol)
    network.run(MINUTE)
    assert names(carol, universe)[bob.me] == "Robert" and carol.texts() == ["it is me"]
    for node in (alice, bob, carol):
        network.restart(node)
        assert names(node, universe)[bob.me] == "Robert"
    assert bob.engine.status()["name"] == "Robert"
    network.run(MINUTE)
    assert [len(node.heard("member.renamed")) for node in (alice, bob, carol)] == [1, 1, 1], "once"


def test_who_comes_later_hears_of_it_too() -> None:
    network, universe, (alice, bob) = quiet("alice", "bob")
    rename(network, bob, "Robert")
    rename(network, alice, "Alicia")
    carol = network.add("carol")
    carol.do(JoinUniverse(network.invite(alice, universe)))
    network.run(10 * SECOND)
    for node in (alice, bob, carol):
        assert names(node, universe) == {alice.me: "Alicia", bob.me: "Robert", carol.me: "carol"}


def test_new_universes_get_the_new_name_at_once() -> None:
    network, _, (alice, bob) = quiet("alice", "bob")
    rename(network, alice, "Alicia")
    rename(network, bob, "Robert")
    second = alice.do(CreateUniverse("second"))
    bob.do(JoinUniverse(network.invite(alice, second)))
    network.run(10 * SECOND)
    assert names(bob, second) == {alice.me: "Alicia", bob.me: "Robert"}
    assert alice.universe(second).roster.members[bob.me].name == "Robert"
    assert not alice.universe(second).claims.get(bob.me).name, "nothing was to be said"


def test_back_to_the_name_of_the_admission() -> None:
    network, universe, (alice, bob) = quiet("alice", "bob")
    rename(network, bob, "Robert")
    rename(network, bob, "bob")
    assert names(alice, universe)[bob.me] == "bob"
    rename(network, bob, "bob")
    assert [body["name"] for body in alice.heard("member.renamed")] == ["Robert", "bob"]


def test_a_node_that_has_no_other_name_says_nothing() -> None:
    network, universe, (alice, bob) = quiet("alice", "bob")
    count = len(alice.frames(universe, bob))
    bob.do(Rename("bob"))
    network.run(SECOND)
    assert len(alice.frames(universe, bob)) == count
    assert not bob.table("name") and not bob.heard("member.renamed")


@pytest.mark.parametrize("name", ["", " bob", "b\nb", "x" * 65, "\x1b"])
def test_what_is_no_name_is_refused_and_changes_nothing(name: str) -> None:
    _, _, (alice, _) = quiet("alice", "bob")
    before = dict(alice.rows)
    with pytest.raises(UsageError):
        alice.do(Rename(name))
    assert alice.rows == before and alice.engine.status()["name"] == "alice"


@pytest.mark.parametrize(
    "body",
    [b"", b"\xc1", pack("Robert"), pack([]), pack([""]), pack(["a\nb"]), pack([" a"]), pack(["x" * 65]), pack([b"a"]),
     pack(["a", "b"]), pack(["x" * 600])],
)  # fmt: skip
def test_a_hostile_member_claims_what_is_no_name(body: bytes) -> None:
    network, universe, (alice, bob) = quiet("alice", "bob")
    ctx = Context(network.now, bob.random_source())
    own_group.protect(ctx, bob.universe(universe), ApplicationData(PROFILE, bytes(MESSAGE_ID_SIZE), (), body))
    bob.finish(ctx.step(bob.wake, None))
    network.run(SECOND)
    assert alice.universe(universe).refused["profile"] == 1
    assert names(alice, universe)[bob.me] == "bob" and not alice.heard("member.renamed")
    bob.say(universe, "still heard")
    network.run(SECOND)
    assert alice.texts() == ["still heard"]


def test_names_do_not_cross_universes() -> None:
    """A claim is made in each: what one hears in a universe is not told in another."""
    network, universe, (alice, bob) = quiet("alice", "bob")
    second = alice.do(CreateUniverse("second"))
    bob.do(JoinUniverse(network.invite(alice, second)))
    network.run(10 * SECOND)
    alice.universe(second).claims.set(
        Context(network.now, alice.random_source()), bob.me, _claim(alice, second, bob)
    )
    assert names(alice, second)[bob.me] == "Robert" and names(alice, universe)[bob.me] == "bob"


def _claim(alice: Node, universe: bytes, bob: Node) -> NameClaim:
    return NameClaim(alice.universe(universe).roster.members[bob.me].send_group_id, "Robert")


# keys that changed


def test_a_newcomer_with_the_name_of_another_is_told_once() -> None:
    network, universe, (alice, bob) = quiet("alice", "bob")
    alice.do(MarkVerified(universe, bob.me, True))
    mallory = network.add("B0b")
    mallory.do(JoinUniverse(network.invite(alice, universe)))
    network.run(10 * SECOND)
    assert changes(alice) == [{"identity": mallory.me, "reason": "name", "others": [bob.me]}]
    (told,) = alice.told_apps("member.key_changed")
    assert told["verified_at"] is None and told["others"][0]["verified_at"] is not None
    assert told["display_name"] == f"B0b ({mallory.me.hex()[:8]})"
    assert told["others"][0]["display_name"] == f"bob ({bob.me.hex()[:8]})"
    verified = {member["identity"]: member["verified_at"] for member in alice.engine.members(universe)}
    assert verified[bob.me] is not None and verified[mallory.me] is None, "it stays with the key"
    network.restart(alice)
    network.run(MINUTE)
    rename(network, mallory, "Eve")
    rename(network, mallory, "BOB")
    assert len(changes(alice)) == 1, "once"
    alice.say(universe, "sending goes on")
    network.run(SECOND)
    assert mallory.texts() == ["sending goes on"] and bob.texts() == ["sending goes on"]


def test_who_renames_to_another_name_is_told() -> None:
    network, _, (alice, bob, carol) = quiet("alice", "bob", "carol")
    rename(network, carol, "Bob")
    assert changes(alice) == [{"identity": carol.me, "reason": "name", "others": [bob.me]}]
    assert changes(bob) == [], "who I am I know"


def test_the_petname_of_somebody_from_elsewhere() -> None:
    network, universe, (alice, bob) = quiet("alice", "bob")
    alice.do(NameMember(universe, bob.me, "Robert"))
    second = alice.do(CreateUniverse("second"))
    mallory = network.add("Robert")
    mallory.do(JoinUniverse(network.invite(alice, second)))
    network.run(10 * SECOND)
    assert changes(alice) == [{"identity": mallory.me, "reason": "name", "others": [bob.me]}]


def test_who_joins_is_told_of_those_that_have_the_names_of_its_contacts() -> None:
    network, universe, (alice, bob) = quiet("alice", "bob")
    alice.do(MarkVerified(universe, bob.me, True))
    mallory, dave, dan = network.add_all("Bob", "dave", "Dave")
    second = mallory.do(CreateUniverse("second"))
    ticket = network.invite(mallory, second, uses=3)
    for node in (dave, dan, alice):
        node.do(JoinUniverse(ticket))
        network.run(10 * SECOND)
    assert changes(alice) == [{"identity": mallory.me, "reason": "name", "others": [bob.me]}]
    assert changes(dave) == [{"identity": dan.me, "reason": "name", "others": [dave.me]}][:0], (
        "that is oneself"
    )
    assert changes(mallory) == [{"identity": dan.me, "reason": "name", "others": [dave.me]}]


def test_who_takes_the_name_of_a_removed_member() -> None:
    network, universe, (alice, bob) = quiet("alice", "bob")
    alice.do(RemoveMember(universe, bob.me))
    network.run(SECOND)
    mallory = network.add("Bob")
    mallory.do(JoinUniverse(network.invite(alice, universe)))
    network.run(10 * SECOND)
    assert changes(alice) == [{"identity": mallory.me, "reason": "name", "others": [bob.me]}]


def test_who_comes_back_has_new_keys_and_is_the_same() -> None:
    network, universe, (alice, bob) = quiet("alice", "bob")
    alice.do(MarkVerified(universe, bob.me, True))
    alice.do(RemoveMember(universe, bob.me))
    network.run(10 * SECOND)
    bob.do(JoinUniverse(network.invite(alice, universe)))
    network.run(10 * SECOND)
    assert changes(alice) == [{"identity": bob.me, "reason": "keys", "others": []}]
    (told,) = alice.told_apps("member.key_changed")
    assert told["verified_at"] is not None, "the identity is the one that was verified"


def test_who_starts_anew_has_new_keys() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    rename(network, bob, "Robert")
    number = bob.do(Recover(universe))["verification"]
    network.run(SECOND)
    alice.do(ReadmitMember(universe, bob.me, number))
    network.run(MINUTE)
    for node in (alice, carol):
        assert changes(node) == [{"identity": bob.me, "reason": "keys", "others": []}]
        assert names(node, universe)[bob.me] == "Robert"
    rename(network, bob, "Rob")
    assert {names(node, universe)[bob.me] for node in (alice, bob, carol)} == {"Rob"}


def test_a_member_that_claims_ever_more_names_fills_nothing() -> None:
    network = Network()
    universe, alice, *others = network.found("alice", *(f"friend-{letter}" for letter in "abcdef"))
    mallory = others[-1]
    for other in others[:-1]:
        rename(network, mallory, alice.universe(universe).name_of(other.me))
        rename(network, mallory, "Mallory")
    assert len(changes(alice)) == 5
    before = len(alice.table("claim"))
    for other in others[:-1]:
        rename(network, mallory, alice.universe(universe).name_of(other.me))
    alice.do(Wake())
    assert len(changes(alice)) == 5 and len(alice.table("claim")) == before
