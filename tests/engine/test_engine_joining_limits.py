"""Requests to join that are stale, repeated or too many (P-8, P-12)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.engine.asked_to_join import (
    SUITE,
    asked,
    kind_of,
    refusal,
    shown_to_joiner,
    two,
)
from tests.engine.joining_by_hand import Guest
from tests.engine.small_network import MINUTE, SECOND, Node, quiet

from starling.protocol.distributed import policy
from starling.protocol.distributed.ticket import Ticket
from starling.protocol.engine import admitting
from starling.protocol.engine.inputs import JoinUniverse, UpdateKeys
from starling.protocol.engine.step import Send
from starling.protocol.exchange.joining_messages import JoinAnswer, JoinHello, JoinProof, JoinRequest
from starling.protocol.exchange.messages import decode_message
from starling.protocol.extensions.private_external import open_private_external
from starling.protocol.extensions.private_external_rules import new_root_key
from starling.protocol.mls.group import Group

# stale, repeated, too many


def test_a_request_to_an_epoch_that_is_over_is_asked_again_at_once() -> None:
    network, universe, (alice, _) = quiet("alice", "bob")
    joiner = network.add("joiner")

    def go_on(source: Node, target: Node, send: Send) -> bool:
        if kind_of(send) is JoinProof and len(asked(network, joiner)) < 1:
            network.at(1, lambda: alice.do(UpdateKeys(universe)))
        return False

    network.drop = go_on
    joiner.do(JoinUniverse(network.invite(alice, universe)))
    network.run(300)
    told = [message for _, message, _ in joiner.told]
    assert refusal("request.stale", universe, final=False) in told
    assert joiner.heard("universe.joined") and len(asked(network, joiner)) == 2


def test_a_sponsor_that_always_says_stale_is_not_asked_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """It forgets whom it has told."""
    network, universe, (alice, _) = quiet("alice", "bob")
    joiner = network.add("joiner")
    joiner.do(JoinUniverse(network.invite(alice, universe)))
    answer = alice.engine.handle

    def stale(item: Any, now: int) -> Any:
        if isinstance(getattr(item, "data", None), bytes):
            message = decode_message(item.data)[0]
            if isinstance(message, JoinRequest):
                alice.universe(universe).door.told.clear()
        return answer(item, now)

    monkeypatch.setattr(alice.engine, "handle", stale)
    network.run(policy.JOIN_AGAIN // 2)
    assert len(asked(network, joiner)) == 1 + policy.JOIN_HURRIED
    network.run(MINUTE)
    assert len(asked(network, joiner)) < MINUTE // policy.JOIN_AGAIN * 2 * (1 + policy.JOIN_HURRIED)


def counting_openings(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    opened: list[object] = []

    def count(group: Group, message: Any) -> Any:
        opened.append(message)
        return open_private_external(group, message)

    monkeypatch.setattr(admitting, "open_private_external", count)
    return opened


def test_the_same_request_is_opened_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """P-12."""
    _, universe, alice, _, guest = two()
    opened = counting_openings(monkeypatch)
    request = guest.request(guest.greet(alice), guest.package(ticket=None))
    assert guest.say(alice, request) == [refusal("request.invalid", universe)]
    for _ in range(10):
        assert guest.say(alice, request) == [refusal("request.repeated", universe, final=False)]
    assert len(opened) == 1


def test_a_request_after_its_answer_is_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    _, universe, alice, _, guest = two()
    request = guest.request(guest.greet(alice))
    assert isinstance(guest.say(alice, request)[0], JoinAnswer)
    opened = counting_openings(monkeypatch)
    assert guest.say(alice, request) == [refusal("request.stale", universe, final=False)]
    guest.greet(alice)
    assert guest.say(alice, request) == [refusal("request.stale", universe, final=False)]
    assert opened == []


def test_an_answer_that_was_lost_is_given_again_and_counts_once() -> None:
    network, universe, alice, _, guest = two(uses=1)
    package = guest.package()
    for _ in range(3):
        assert isinstance(guest.ask(alice, package), JoinAnswer)
        network.run(SECOND)
    spent = {invite["invite_id"]: invite["spent"] for invite in alice.engine.invites(universe)}
    assert spent[guest.ticket.keys.invite_id] == 1
    assert alice.universe(universe).roster.members[guest.me].send_group_id == guest.group_id


def test_one_peer_has_few_requests_opened_in_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    network, universe, alice, _, guest = two()
    opened = counting_openings(monkeypatch)
    busy = refusal("sponsor.busy", universe, final=False)
    bundle = guest.greet(alice)
    for count in range(20):
        answers = guest.say(alice, guest.request(bundle, guest.package(ticket=None)))
        assert (answers == [busy]) == (count >= policy.JOIN_OPENED_OF_PEER)
    assert len(opened) == policy.JOIN_OPENED_OF_PEER
    other = Guest(network, "other", network.invite(alice, universe))
    assert isinstance(other.ask(alice), JoinAnswer)  # another one is not held up
    network.run(MINUTE)
    assert isinstance(guest.ask(alice), JoinAnswer)


def test_many_peers_have_no_more_opened_than_is_bearable(monkeypatch: pytest.MonkeyPatch) -> None:
    network, universe, (alice, _) = quiet("alice", "bob")
    network.run(MINUTE)
    ticket = network.invite(alice, universe)
    opened = counting_openings(monkeypatch)
    hello = JoinHello(universe, Ticket.parse(ticket).keys.invite_id, b"n" * 32)
    proven = 0
    for number in range(200):
        guest = Guest(network, f"guest {number}", ticket)
        (answer,) = guest.say(alice, hello)
        proven += isinstance(answer, JoinProof)
        for _ in range(3):
            guest.say(alice, JoinRequest(universe, guest.random(900)))
    assert proven == policy.JOIN_PEERS
    assert len(opened) <= policy.JOIN_OPENED
    door = alice.universe(universe).door
    assert sum(door.opened.values()) <= policy.JOIN_OPENED
    assert len(door.told) == policy.JOIN_PEERS and len(door.seen) <= policy.JOIN_REMEMBERED
    network.run(MINUTE)
    assert isinstance(Guest(network, "late", ticket).ask(alice), JoinAnswer)


def test_one_peer_is_greeted_a_few_times_a_minute() -> None:
    network, universe, alice, _, guest = two()
    hello = JoinHello(universe, guest.ticket.keys.invite_id, b"n" * 32)
    answers = [guest.say(alice, hello)[0] for _ in range(100)]
    assert sum(isinstance(answer, JoinProof) for answer in answers) == policy.JOIN_HELLOS_OF_PEER
    network.run(MINUTE)
    guest.greet(alice)


def test_the_door_forgets_what_it_has_seen_in_order() -> None:
    _, universe, alice, _, guest = two()
    guest.greet(alice)
    door = alice.universe(universe).door
    for number in range(policy.JOIN_REMEMBERED + 1):
        door.remember(number.to_bytes(32))
    assert len(door.seen) == policy.JOIN_REMEMBERED
    assert not door.is_repeated(bytes(32)) and door.is_repeated((1).to_bytes(32))


def test_a_joiner_asks_one_sponsor_at_a_time() -> None:
    network, _, alice, joiner, shown = shown_to_joiner()
    joining = next(iter(joiner.engine._node.universes.values())).joining
    assert joining is not None
    joiner.hear(alice, shown.message)
    joiner.connected.add(alice.id)
    now = network.now
    connected = {alice.id}
    assert not joining.waits_for_another(alice.id, connected, now)
    assert joining.waits_for_another(b"other", connected, now)
    assert not joining.waits_for_another(b"other", connected, now + policy.JOIN_ELSEWHERE)
    assert not joining.waits_for_another(b"other", set(), now)


def test_a_root_key_is_made_for_each_group() -> None:
    assert new_root_key(SUITE, lambda length: b"a" * length) != new_root_key(
        SUITE, lambda length: b"b" * length
    )
