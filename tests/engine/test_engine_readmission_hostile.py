"""Requests to start anew that are not what they should be, and copies of one node (PROTOCOL 5.6 B7)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.engine.small_network import MINUTE, SECOND, Network, Node, quiet

from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.distributed.identity import Identity
from starling.protocol.distributed.member import UNIVERSE_SUITES, build_key_package
from starling.protocol.distributed.policy import READDS_PER_DAY, READMIT_REQUESTS
from starling.protocol.distributed.readmit_request import ReadmitRequestTBS
from starling.protocol.distributed.send_group_id import new_send_group_id
from starling.protocol.distributed.universe_component import send_group_extensions
from starling.protocol.engine import own_group
from starling.protocol.engine.inputs import JoinUniverse, ReadmitMember, Recover, RemoveMember, UpdateKeys
from starling.protocol.errors import UsageError
from starling.protocol.exchange.readmission_messages import ReadmitRequest
from starling.protocol.mls.extension import REQUIRED_WIRE_FORMATS, with_extension


def asking() -> tuple[Network, bytes, Node, Node, Node, ReadmitRequest]:
    """Bob asks, and what it says does not arrive: (network, universe id, alice, bob, carol, request)."""
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    network.drop = lambda source, target, send: source is bob
    bob.do(Recover(universe))
    network.run(SECOND)
    request = next(message for _, message in network.messages(bob) if isinstance(message, ReadmitRequest))
    network.drop = lambda source, target, send: False
    return network, universe, alice, bob, carol, request


def signed(request: ReadmitRequest, signer: Identity, tbs: ReadmitRequestTBS) -> ReadmitRequest:
    return replace(request, signature=tbs.sign(signer))


def test_the_request_as_it_is_is_taken_once() -> None:
    network, _, alice, bob, _, request = asking()
    for _ in range(3):
        alice.hear(bob, request)
        network.run(6 * SECOND)
    assert len(alice.heard("member.asks_again")) == 1


CHANGES: dict[str, Callable[[ReadmitRequest, Node], ReadmitRequest]] = {
    "signature": lambda request, bob: replace(request, signature=bytes(64)),
    "name": lambda request, bob: replace(request, name="Alice"),
    "no name": lambda request, bob: replace(request, name=" "),
    "suite": lambda request, bob: replace(request, cipher_suite=3),
    "unknown suite": lambda request, bob: replace(request, cipher_suite=2),
    "no KeyPackages": lambda request, bob: replace(request, profile=((), request.profile[1])),
    "one KeyPackage": lambda request, bob: replace(request, profile=(request.profile[0][:1], b"")),
    "a KeyPackage with a byte changed": lambda request, bob: replace(
        request, profile=((request.profile[0][0][:-1] + b"?", request.profile[0][1]), b"")
    ),
    "no KeyPackage at all": lambda request, bob: replace(request, profile=((b"?", b"?"), b"")),
    "address": lambda request, bob: replace(request, profile=(request.profile[0], b"?")),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_request_that_was_changed_is_refused(change: str) -> None:
    network, universe, alice, bob, _, request = asking()
    alice.hear(bob, CHANGES[change](request, bob))
    assert alice.universe(universe).refused and not alice.universe(universe).asks_again
    alice.hear(bob, request)
    assert len(alice.heard("member.asks_again")) == 1, "the true one is taken all the same"
    assert not alice.disconnects or change in ("no KeyPackage at all", "address")
    network.run(SECOND)


def test_nobody_asks_for_another_one() -> None:
    """Whoever passes the request on, or signs it for somebody else, is not the one whom it is about."""
    _, universe, alice, bob, carol, request = asking()
    alice.hear(carol, request)
    tbs = ReadmitRequestTBS(
        universe,
        carol.me,
        bob.universe(universe).group_id,
        bob.universe(universe).incarnation,
        b"bob",
        1,
        request.profile[0],
    )
    alice.hear(bob, signed(request, carol.identity, tbs))
    assert not alice.universe(universe).asks_again
    carol.hear(bob, request)
    assert not carol.universe(universe).asks_again, "only who may admit is asked"


def test_a_stranger_and_a_removed_member_are_not_heard() -> None:
    network, universe, alice, bob, _, request = asking()
    mallory = network.add("mallory")
    alice.hear(mallory, request)
    alice.do(RemoveMember(universe, bob.me))
    alice.hear(bob, request)
    assert not alice.universe(universe).asks_again
    network.run(5 * SECOND)
    assert bob.engine.universe(universe)["state"] == "removed"


def test_a_removal_takes_the_request_back() -> None:
    _, universe, alice, bob, _, request = asking()
    alice.hear(bob, request)
    alice.do(RemoveMember(universe, bob.me))
    with pytest.raises(UsageError, match="not a member"):
        alice.do(ReadmitMember(universe, bob.me, bob.engine.universe(universe)["verification"]))
    assert not alice.universe(universe).asks_again


def made_by(node: Node, universe: bytes, *, group_id: bytes, incarnation: int) -> ReadmitRequest:
    """A request that a node signs, about whatever group and incarnation."""
    random = node.random_source()
    signature_private_key, _ = cipher_suite(1).signature_generate(random)
    packages = tuple(
        build_key_package(
            node.identity,
            cipher_suite=cipher_suite(suite),
            universe_id=universe,
            send_group_id=group_id,
            incarnation=incarnation,
            serial=1,
            signature_private_key=signature_private_key,
            now=node.network.now,
            random=random,
        ).key_package.encode()
        for suite in UNIVERSE_SUITES
    )
    tbs = ReadmitRequestTBS(universe, node.me, group_id, incarnation, b"bob", 1, packages)
    return ReadmitRequest(universe, "bob", 1, (packages, b""), tbs.sign(node.identity))


@pytest.mark.parametrize("wrong", ["", "incarnation", "its own group", "another's group"])
def test_neither_an_old_incarnation_nor_a_known_group(wrong: str) -> None:
    _, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    standing = alice.universe(universe).roster.members[bob.me]
    group_id = {
        "its own group": standing.send_group_id,
        "another's group": carol.universe(universe).group_id,
    }.get(wrong, new_send_group_id(universe, bob.me, bytes))
    incarnation = standing.incarnation + (wrong != "incarnation")
    alice.hear(bob, made_by(bob, universe, group_id=group_id, incarnation=incarnation))
    assert bool(alice.universe(universe).asks_again) == (not wrong)


def another(request: ReadmitRequest, bob: Node, universe: bytes, number: int) -> ReadmitRequest:
    """A request of the same node for another group."""
    group_id = new_send_group_id(universe, bob.me, lambda length: bytes([number]) * length)
    return made_by(bob, universe, group_id=group_id, incarnation=2**31 + number)


def test_other_requests_of_one_member_take_turns() -> None:
    """Each is costly to check, and told: the next one is looked at a while after the last, and the newest few wait."""
    network, universe, alice, bob, _, request = asking()
    alice.hear(bob, request)
    first = alice.universe(universe).asks_again[bob.me]
    alice.hear(bob, another(request, bob, universe, 1))
    assert alice.universe(universe).asks_again == {bob.me: first}
    network.cut(alice, bob)
    for number in range(1, READMIT_REQUESTS + 1):
        assert first[0] in alice.universe(universe).asks_again[bob.me]
        network.run(MINUTE + SECOND)
        alice.hear(bob, another(request, bob, universe, number))
    held = alice.universe(universe).asks_again[bob.me]
    assert len(held) == READMIT_REQUESTS and first[0] not in held
    with pytest.raises(UsageError, match="compare again"):
        alice.do(ReadmitMember(universe, bob.me, first[0].verification))


def test_nobody_has_itself_admitted_for_ever() -> None:
    """Where no person is asked a few times a day are enough; after that one is."""
    network, universe, (alice, bob) = quiet("alice", "bob")
    alice.universe(universe).readmits_automatically = True
    for _ in range(READDS_PER_DAY):
        bob.do(Recover(universe))
        network.run(2 * MINUTE)
        assert bob.engine.universe(universe)["state"] == "active"
    bob.do(Recover(universe))
    network.run(2 * MINUTE)
    assert bob.engine.universe(universe)["state"] == "asking" and len(alice.heard("member.asks_again")) == 1


def test_a_group_supersedes_none_but_its_owners(monkeypatch: pytest.MonkeyPatch) -> None:
    """A joiner says that its group supersedes the founder's."""
    network, universe, (alice, bob) = quiet("alice", "bob")
    mallory = network.add("mallory")
    founding = own_group.found_group
    monkeypatch.setattr(
        own_group,
        "found_group",
        lambda ctx, held: founding(ctx, held, alice.universe(universe).group_id),
    )
    mallory.do(JoinUniverse(network.invite(alice, universe)))
    network.run(10 * SECOND)
    for node in (alice, bob):
        assert node.universe(universe).refused["WELCOME_SUPERSEDES"]
        assert mallory.universe(universe).group_id not in node.universe(universe).groups


def test_a_group_without_the_required_wire_formats(monkeypatch: pytest.MonkeyPatch) -> None:
    """C-2: a joiner founds a group in which nothing semi-private could ever be sent."""
    network, universe, (alice, bob) = quiet("alice", "bob")
    mallory = network.add("mallory")
    monkeypatch.setattr(
        own_group,
        "send_group_extensions",
        lambda about, *rest: with_extension(send_group_extensions(about, *rest), REQUIRED_WIRE_FORMATS, None),
    )
    mallory.do(JoinUniverse(network.invite(alice, universe)))
    network.run(10 * SECOND)
    for node in (alice, bob):
        assert node.universe(universe).refused["REQUIRED_WIRE_FORMATS"]
        assert mallory.universe(universe).group_id not in node.universe(universe).groups


# copies of one node


def copied(network: Network, node: Node) -> Node:
    """The same person's node a second time, with what it has stored now; it is not connected."""
    other = network.add(node.name + "-copy")
    del network.nodes[other.id]
    other.identity, other.rows, other.scopes = node.identity, dict(node.rows), dict(node.scopes)
    return other


def test_of_two_copies_the_one_that_is_chosen_stays() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    copy = copied(network, bob)
    bob.do(UpdateKeys(universe))
    network.run(5 * SECOND)
    bob.do(Recover(universe))
    network.run(SECOND)
    alice.do(ReadmitMember(universe, bob.me, alice.heard("member.asks_again")[0]["verification"]))
    network.run(20 * SECOND)
    bob.say(universe, "the one")
    network.run(2 * SECOND)
    network.stop(bob)
    network.restart(copy)
    network.run(20 * SECOND)
    assert copy.engine.universe(universe)["state"] == copy.engine.trouble(universe) == "superseded"
    assert len(copy.heard("universe.superseded")) == 1 and not copy.heard("member.removed")
    assert copy.say(universe, "the other")["state"] == "queued"
    network.run(MINUTE)
    assert carol.texts() == ["the one"] and not alice.heard("member.asks_again")[1:]
    with pytest.raises(UsageError, match="not admitted"):
        copy.do(UpdateKeys(universe))


def test_two_copies_that_ask_have_a_number_each() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    copy = copied(network, bob)
    bob.do(Recover(universe))
    network.run(5 * SECOND)
    network.stop(bob)
    network.restart(copy)
    asked = copy.do(Recover(universe))
    network.run(2 * MINUTE)
    (member,) = [member for member in alice.engine.members(universe) if member["identity"] == bob.me]
    assert member["asks_again"] == [body["verification"] for body in alice.heard("member.asks_again")]
    assert len(member["asks_again"]) == 2 and member["asks_again"][1] == asked["verification"]
    alice.do(ReadmitMember(universe, bob.me, asked["verification"]))
    network.run(20 * SECOND)
    assert copy.say(universe, "the one")["recipients"] == 2
    network.stop(copy)
    network.restart(bob)
    network.run(20 * SECOND)
    assert bob.engine.universe(universe)["state"] == "superseded"
    assert len(bob.heard("universe.superseded")) == 1
    assert carol.texts() == ["the one"] and not alice.universe(universe).asks_again


def test_a_copy_that_was_superseded_can_be_chosen_after_all() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    copy = copied(network, bob)
    bob.do(Recover(universe))
    network.run(SECOND)
    alice.do(ReadmitMember(universe, bob.me, alice.heard("member.asks_again")[0]["verification"]))
    network.run(20 * SECOND)
    network.stop(bob)
    network.restart(copy)
    network.run(10 * SECOND)
    copy.say(universe, "the other")
    assert copy.do(Recover(universe))["state"] == "asking"
    network.run(SECOND)
    alice.do(ReadmitMember(universe, bob.me, alice.heard("member.asks_again")[1]["verification"]))
    network.run(30 * SECOND)
    assert copy.engine.universe(universe)["state"] == "active"
    assert alice.texts() == carol.texts() == ["the other"]
    carol.say(universe, "welcome")
    network.run(5 * SECOND)
    assert copy.texts() == ["welcome"]
