"""What people are called: petnames, names that look alike, and what is noted of whom."""

from __future__ import annotations

import pytest
from tests.engine.small_network import Network, Node, quiet

from starling.protocol.engine.inputs import (
    CreateUniverse,
    JoinUniverse,
    MarkVerified,
    NameMember,
    RemoveMember,
)
from starling.protocol.engine.people import fingerprint
from starling.protocol.errors import UsageError


def shown(node: Node, universe: bytes) -> dict[bytes, str]:
    return {member["identity"]: member["display_name"] for member in node.engine.members(universe)}


def test_a_petname_wins_everywhere_and_stays_here() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    alice.do(NameMember(universe, bob.me, "Robert"))
    bob.say(universe, "hello")
    network.run(1000)
    (heard,) = alice.told_apps("message.received")
    assert (heard["sender_name"], heard["petname"], heard["display_name"]) == ("bob", "Robert", "Robert")
    (elsewhere,) = carol.told_apps("message.received")
    assert (elsewhere["petname"], elsewhere["display_name"]) == (None, "bob")
    assert shown(alice, universe) == {alice.me: "alice", bob.me: "Robert", carol.me: "carol"}
    assert shown(bob, universe)[bob.me] == "bob"
    (viewed,) = alice.engine.security(universe, bob.me)["members"]
    assert (viewed["name"], viewed["petname"], viewed["display_name"]) == ("bob", "Robert", "Robert")
    (forks,) = alice.engine.forks(universe, bob.me)
    assert forks["display_name"] == "Robert"
    network.restart(alice)
    assert shown(alice, universe)[bob.me] == "Robert"
    alice.do(NameMember(universe, bob.me, ""))
    assert shown(alice, universe)[bob.me] == "bob"
    assert not alice.table("contact"), "nothing is left of it"
    for node in (bob, carol):
        assert not any(b"Robert" in value for value in node.rows.values())


def test_of_names_that_look_alike_each_has_its_fingerprint() -> None:
    network = Network()
    universe, alice, bob, rob = network.found("alice", "Bob", "B0b")
    names = shown(alice, universe)
    assert names[bob.me] == f"Bob ({bob.me.hex()[:8]})"
    assert names[rob.me] == f"B0b ({rob.me.hex()[:8]})"
    assert shown(bob, universe)[bob.me] == "Bob", "who I am I know"
    alice.do(NameMember(universe, bob.me, "Bob"))
    names = shown(alice, universe)
    assert names[bob.me] == "Bob" and names[rob.me] == f"B0b ({rob.me.hex()[:8]})"


def test_a_fingerprint_is_as_long_as_it_must_be() -> None:
    one, other = b"\1" * 32, b"\1" * 5 + b"\2" * 27
    assert fingerprint(one) == "01010101"
    assert fingerprint(one, [other]) == "010101010101"
    assert fingerprint(one, [one]) == one.hex()


def test_a_petname_given_in_one_universe_holds_in_all() -> None:
    network, universe, (alice, bob) = quiet("alice", "bob")
    second = alice.do(CreateUniverse("second"))
    bob.do(JoinUniverse(network.invite(alice, second)))
    network.run(10_000)
    alice.do(NameMember(universe, bob.me, "Robert"))
    assert shown(alice, second)[bob.me] == "Robert"
    mallory = network.add("Robert")
    mallory.do(JoinUniverse(network.invite(alice, second)))
    network.run(10_000)
    assert shown(alice, second)[mallory.me] == f"Robert ({mallory.me.hex()[:8]})"


def test_petnames_that_look_alike_are_refused() -> None:
    _, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    alice.do(NameMember(universe, bob.me, "Robert"))
    before = dict(alice.rows)
    for petname in ("Robert", "robert", "R0bert"):
        with pytest.raises(UsageError) as refused:
            alice.do(NameMember(universe, carol.me, petname))
        assert refused.value.code == "petname.used"
    assert alice.rows == before
    alice.do(NameMember(universe, bob.me, "Robert"))


@pytest.mark.parametrize("petname", [" Bob", "B\nb", "x" * 65, "\x1b"])
def test_what_is_no_name_is_no_petname(petname: str) -> None:
    _, universe, (alice, bob) = quiet("alice", "bob")
    with pytest.raises(UsageError):
        alice.do(NameMember(universe, bob.me, petname))
    assert not alice.table("contact")


def test_only_others_who_are_known_are_named_or_verified() -> None:
    _, universe, (alice, _) = quiet("alice", "bob")
    for command in (NameMember(universe, alice.me, "Me"), MarkVerified(universe, alice.me, True)):
        with pytest.raises(UsageError) as refused:
            alice.do(command)
        assert refused.value.code == "member.self"
    for command in (NameMember(universe, b"\7" * 32, "Zoe"), MarkVerified(universe, b"\7" * 32, True)):
        with pytest.raises(UsageError) as refused:
            alice.do(command)
        assert refused.value.code == "member.unknown"
    with pytest.raises(UsageError):
        alice.do(NameMember(b"\7" * 32, b"\7" * 32, "Zoe"))


def test_verified_stays_with_the_identity_until_it_is_taken_back() -> None:
    network, universe, (alice, bob) = quiet("alice", "bob")

    def verified_at() -> int | None:
        (member,) = [one for one in alice.engine.members(universe) if one["identity"] == bob.me]
        at: int | None = member["verified_at"]
        return at

    assert verified_at() is None
    alice.do(MarkVerified(universe, bob.me, True))
    assert verified_at() == network.now
    network.restart(alice)
    assert verified_at() is not None
    alice.do(MarkVerified(universe, bob.me, False))
    assert verified_at() is None and not alice.table("contact")


def test_who_is_gone_can_still_be_named() -> None:
    network, universe, (alice, bob) = quiet("alice", "bob")
    alice.do(NameMember(universe, bob.me, "Robert"))
    alice.do(RemoveMember(universe, bob.me))
    network.run(1000)
    (person,) = [one for one in alice.engine.people(universe) if one["identity"] == bob.me]
    assert (person["name"], person["petname"], person["is_member"]) == ("bob", "Robert", False)
    alice.do(NameMember(universe, bob.me, ""))
