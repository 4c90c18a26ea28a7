"""Joining by a ticket: all that join talk, whatever crashes or overtakes on the way (PROTOCOL 6)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.engine.small_network import MINUTE, SECOND, Network, Node

from starling.protocol.distributed.roster_rights import READER
from starling.protocol.distributed.ticket import Ticket
from starling.protocol.engine import admitting
from starling.protocol.engine.inputs import CreateUniverse, JoinUniverse
from starling.protocol.engine.step import Send, SendToPeer, Step
from starling.protocol.errors import UsageError
from starling.protocol.exchange.joining_messages import (
    JoinAnswer,
    JoinHello,
    JoinProof,
    JoinRefused,
    JoinRequest,
)
from starling.protocol.exchange.member_messages import RosterEntries, WantProfiles, WantRoster
from starling.protocol.exchange.messages import attach, decode_message


def kind_of(send: Send) -> type | None:
    return type(decode_message(attach(send.data, []))[0]) if isinstance(send, SendToPeer) else None


def test_eight_nodes_that_join_at_once_all_talk() -> None:
    network = Network()
    universe, *nodes = network.found(*(f"node{number}" for number in range(8)), settle=20 * SECOND)
    for node in nodes:
        assert node.say(universe, node.name)["recipients"] == 7
    network.run(5 * SECOND)
    for node in nodes:
        assert sorted(node.texts()) == sorted(other.name for other in nodes if other is not node)


def test_owners_with_different_suites_talk() -> None:
    network = Network()
    universe, alice, bob, carol = network.found("alice", "bob", "carol", suites=(3, 1, 3))
    for node in (alice, bob, carol):
        node.say(universe, node.name)
    network.run(2 * MINUTE)
    for node in (alice, bob, carol):
        node.say(universe, node.name + " after imports")
    network.run(5 * SECOND)
    assert sorted(bob.texts()) == ["alice", "alice after imports", "carol", "carol after imports"]
    assert {owner.group(universe, owner).head.cipher_suite.id for owner in (alice, bob)} == {1, 3}
    assert bob.universe(universe).ledger.last_imports


def test_two_universes_with_the_same_members_stay_apart() -> None:
    network = Network()
    home, alice, bob = network.found("alice", "bob")
    work = bob.do(CreateUniverse("work"))
    alice.do(JoinUniverse(network.invite(bob, work)))
    network.run(6 * SECOND)
    alice.say(home, "at home")
    bob.say(work, "at work")
    alice.say(work, "here too")
    network.run(2 * SECOND)
    assert [
        (event.universe_id, event.body["body"]) for event in bob.events if event.kind == "message.received"
    ] == [
        (home, b"at home"),
        (work, b"here too"),
    ]
    assert alice.texts() == ["at work"]
    assert alice.engine.converged(home) and bob.engine.converged(work)
    assert not alice.universe(home).refused and not bob.universe(work).refused


def test_joining_twice_is_one_join() -> None:
    network = Network()
    universe, alice = network.found("alice")
    bob = network.add("bob")
    ticket = network.invite(alice, universe, uses=2)
    assert bob.do(JoinUniverse(ticket)) == bob.do(JoinUniverse(ticket)) == universe
    network.run(6 * SECOND)
    with pytest.raises(UsageError, match="already"):
        bob.do(JoinUniverse(ticket))
    (invite,) = alice.engine.invites(universe)
    assert invite["spent"] == 1


@pytest.mark.parametrize("lost", [JoinHello, JoinProof, JoinRequest, JoinAnswer])
@pytest.mark.parametrize("who", ["joiner", "sponsor"])
def test_a_join_goes_on_after_a_crash_at_each_step(lost: type, who: str) -> None:
    """A word of the join is lost because one of the two dies; after its restart the join is done, once."""
    network = Network()
    universe, alice, carol = network.found("alice", "carol")
    bob = network.add("bob")
    ticket = network.invite(alice, universe)
    dead: list[Node] = []

    def crash(source: Node, target: Node, send: Send) -> bool:
        if kind_of(send) is not lost or dead:
            return bool(dead)
        dead.append(bob if who == "joiner" else alice)
        network.at(0, lambda: network.stop(dead[0]))
        return True

    network.drop = crash
    bob.do(JoinUniverse(ticket))
    network.run(SECOND)
    assert dead, f"{lost.__name__} was never said"
    network.drop = lambda source, target, send: False
    network.restart(dead[0])
    network.run(30 * SECOND)
    assert [dict(body) for body in bob.heard("universe.joined")] == [{"name": "lab", "members": 3}]
    assert alice.engine.invites(universe)[0]["spent"] == 1 or alice.engine.invites(universe)[-1]["spent"] == 1
    bob.say(universe, "hello")
    carol.say(universe, "welcome")
    network.run(5 * SECOND)
    assert carol.texts() == ["hello"] and bob.texts() == ["welcome"]
    assert all(node.engine.converged(universe) for node in (alice, bob, carol))


def test_a_crash_between_saved_and_sent_admits_once() -> None:
    """The sponsor saved the admission and died before its answer left."""
    network = Network()
    universe, alice, carol = network.found("alice", "carol")
    bob = network.add("bob")
    bob.do(JoinUniverse(network.invite(alice, universe)))
    finish = alice.finish

    def save_and_die(step: Step) -> Any:
        if any(kind_of(send) is JoinAnswer for send in step.sends):
            alice.save(step)
            network.stop(alice)
            return None
        return finish(step)

    alice.finish = save_and_die
    network.run(2 * SECOND)
    assert alice.id not in network.nodes
    alice.finish = finish
    network.restart(alice)
    network.run(30 * SECOND)
    assert len(bob.heard("universe.joined")) == 1
    assert all(node.engine.converged(universe) for node in (alice, bob, carol))


def test_a_reader_does_not_sponsor() -> None:
    """A ticket that names one to dial is of no use there, and the joiner goes on to wait."""
    network = Network()
    universe, alice, bob = network.found("alice", "bob")
    roster = alice.universe(universe).roster
    bob.hear(alice, RosterEntries(universe, (roster.make_role(alice.identity, bob.me, READER),)))
    dave = network.add("dave")
    ticket = Ticket.parse(network.invite(alice, universe))
    dave.do(JoinUniverse(ticket.text()))
    network.cut(alice, dave)
    network.run(SECOND)
    joining = dave.universe(universe).joining
    assert joining is not None
    dave.connected.add(bob.id)
    bob.connected.add(dave.id)
    bob.hear(dave, JoinHello(universe, ticket.keys.invite_id, b"n" * 32))
    network.run(SECOND)
    answers = {message for peer, message, _ in dave.told if peer == bob.id}
    assert answers == {JoinRefused(universe, "sponsor.not-ready", False)}


def test_an_answer_of_somebody_who_was_not_asked_is_passed_over() -> None:
    network = Network()
    universe, alice = network.found("alice")
    mallory, bob = network.add("mallory"), network.add("bob")
    answers: list[Send] = []

    def hold_back(source: Node, target: Node, send: Send) -> bool:
        if kind_of(send) is JoinAnswer:
            answers.append(send)
        return kind_of(send) is JoinAnswer

    network.drop = hold_back
    bob.do(JoinUniverse(network.invite(alice, universe)))
    network.run(SECOND)
    (answer,) = answers[:1]
    assert isinstance(answer, SendToPeer)
    message, _ = decode_message(attach(answer.data, []))
    assert isinstance(message, JoinAnswer)
    bob.hear(mallory, message)
    assert bob.universe(universe).joining is not None and not bob.heard("universe.joined")
    bob.hear(alice, replace(message, sealed=message.sealed[:-1] + b"x"))
    assert bob.universe(universe).refused["join_answer"]
    assert bob.universe(universe).joining is not None and not bob.heard("universe.joined")


def test_a_joiner_talks_before_it_is_in_all_groups() -> None:
    """Section 6, 4: it may send now; who has not entered its group yet gets it with the frame that adds it."""
    network = Network()
    universe, alice, bob = network.found("alice", "bob")
    carol = network.add("carol")
    network.cut(bob, carol)
    network.stop(bob)
    carol.do(JoinUniverse(network.invite(alice, universe)))
    network.run(SECOND)
    assert carol.heard("universe.joined")
    assert carol.say(universe, "early")["recipients"] == 2
    network.run(MINUTE)
    network.restart(bob)
    network.heal()
    network.run(20 * SECOND)
    assert bob.texts() == ["early"]


def test_a_joiner_makes_its_first_path_commit_when_all_welcomes_are_in() -> None:
    network = Network()
    universe, alice, _ = network.found("alice", "bob")
    carol = network.add("carol")
    carol.do(JoinUniverse(network.invite(alice, universe)))
    network.run(6 * SECOND)
    kinds = [
        "update" if event.body.get("imports") else event.kind
        for event in carol.events
        if event.kind == "group.entered" or (event.body.get("owner") == carol.me and event.body["path"])
    ]
    assert kinds == ["epoch.started", "group.entered", "group.entered", "update"]


def test_a_joiner_makes_its_first_path_commit_after_a_minute_without_all_welcomes() -> None:
    network = Network()
    universe, alice, bob = network.found("alice", "bob")
    network.stop(bob)
    carol = network.add("carol")
    carol.do(JoinUniverse(network.invite(alice, universe)))
    network.run(30 * SECOND)
    before = sum(commit["path"] for commit in carol.commits())
    network.run(40 * SECOND)
    assert sum(commit["path"] for commit in carol.commits()) == before + 1


def test_a_roster_too_long_for_one_answer_comes_in_several(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admitting, "ANSWER_BYTES", 2048)
    network = Network()
    universe, alice, bob, carol = network.found("alice", "bob", "carol")
    answers = [peer for peer, message in network.messages(alice) if isinstance(message, JoinAnswer)]
    assert answers.count(carol.id) > 1
    assert {len(node.heard("universe.joined")) for node in (bob, carol)} == {1}
    assert carol.say(universe, "here")["recipients"] == 2
    network.run(5 * SECOND)
    assert alice.texts() == bob.texts() == ["here"]


def test_of_more_members_than_a_message_names_some_are_asked_for() -> None:
    """A member can admit more identities than that: nobody is to be hung up on for asking about them."""
    identities = [number.to_bytes(32, "big") for number in range(2_000)]
    message, _ = decode_message(attach(WantProfiles.some(bytes(32), identities).encode(), []))
    assert isinstance(message, WantProfiles) and set(message.identities) < set(identities)


def test_of_a_roster_too_long_to_name_what_fits_is_named() -> None:
    ids = [number.to_bytes(32, "big") for number in range(10_000)]
    message, _ = decode_message(attach(WantRoster.beside(bytes(32), ids).encode(), []))
    assert isinstance(message, WantRoster) and set(message.held) < set(ids)
