"""Any member that the ticket names can admit, also while the inviter is away; two of them admit once (PROTOCOL 6)."""

from __future__ import annotations

import pytest
from tests.engine.joining_by_hand import Guest
from tests.engine.small_network import MINUTE, SECOND, Network, Node, quiet

from starling.protocol.distributed.ticket import Ticket
from starling.protocol.engine.inputs import JoinUniverse
from starling.protocol.engine.step import Send, SendToPeer
from starling.protocol.exchange.joining_messages import JoinAnswer, JoinRequest
from starling.protocol.exchange.messages import attach, decode_message


def all_agree(network: Network, universe: bytes, nodes: list[Node]) -> None:
    network.run(MINUTE)
    for node in nodes:
        assert node.engine.converged(universe), node.name
        node.say(universe, f"{node.name} is here")
    network.run(2 * MINUTE)
    for node in nodes:
        assert {f"{other.name} is here" for other in nodes if other is not node} <= set(node.texts())


def message_of(send: Send) -> object:
    return decode_message(attach(send.data, []))[0] if isinstance(send, SendToPeer) else None


@pytest.mark.parametrize("inviter", ["alice", "bob"])
def test_another_member_admits_while_the_inviter_is_away(inviter: str) -> None:
    """The founder's ticket, and a member's."""
    network, universe, nodes = quiet("alice", "bob", "carol")
    away = next(node for node in nodes if node.name == inviter)
    ticket = network.invite(away, universe)
    network.run(10 * SECOND)
    network.stop(away)
    dave = network.add("dave")
    dave.do(JoinUniverse(ticket))
    network.run(10 * SECOND)
    assert dave.heard("universe.joined")
    assert dave.say(universe, "so soon")["recipients"] == 3
    network.restart(away)
    all_agree(network, universe, [*nodes, dave])
    assert "so soon" in away.texts()


def test_a_ticket_admits_once_by_two_sponsors_that_do_not_see_each_other() -> None:
    """The first one admits and is cut off before its answer leaves; the second knows nothing of it."""
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    ticket = network.invite(alice, universe, uses=1)
    network.run(10 * SECOND)
    dave = network.add("dave")
    cut: list[Node] = []

    def lose(source: Node, target: Node, send: Send) -> bool:
        if isinstance(message_of(send), JoinAnswer) and not cut:
            cut.append(source)
            others = [node for node in (alice, bob, carol, dave) if node is not source]
            network.at(0, lambda: network.cut(source, *others))
        return source in cut or target in cut

    network.drop = lose
    dave.do(JoinUniverse(ticket))
    network.run(30 * SECOND)
    assert cut and dave.heard("universe.joined")
    (first,) = cut
    assert dave.me in first.universe(universe).roster.members
    second = next(node for node in (alice, bob, carol) if node is not first)
    assert dave.me in second.universe(universe).roster.members
    network.drop = lambda source, target, send: False
    network.heal()
    all_agree(network, universe, [alice, bob, carol, dave])
    invite_id = Ticket.parse(ticket).keys.invite_id
    for node in (alice, bob, carol):
        (invite,) = [each for each in node.engine.invites(universe) if each["invite_id"] == invite_id]
        assert invite["spent"] == 1
        member = node.universe(universe).roster.members[dave.me]
        assert member.send_group_id == dave.universe(universe).group_id


def test_a_joiner_that_sees_many_sponsors_asks_one() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    ticket = network.invite(alice, universe)
    assert len(Ticket.parse(ticket).members) == 3
    network.run(10 * SECOND)
    dave = network.add("dave")
    dave.do(JoinUniverse(ticket))
    network.run(10 * SECOND)
    requests = [message for _, message in network.messages(dave) if isinstance(message, JoinRequest)]
    assert len(requests) == 1 and dave.heard("universe.joined")
    all_agree(network, universe, [alice, bob, carol, dave])


def test_a_sponsor_that_goes_silent_is_left_for_another() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    ticket = network.invite(alice, universe)
    network.run(10 * SECOND)
    dave = network.add("dave")
    silent: list[Node] = []

    def swallow(source: Node, target: Node, send: Send) -> bool:
        if isinstance(message_of(send), JoinRequest) and not silent:
            silent.append(target)
        return bool(silent) and target is silent[0] and source is dave

    network.drop = swallow
    dave.do(JoinUniverse(ticket))
    network.run(MINUTE)
    assert silent and dave.heard("universe.joined")
    network.drop = lambda source, target, send: False
    all_agree(network, universe, [alice, bob, carol, dave])


def test_what_the_second_sponsor_says_too_changes_nothing() -> None:
    """A guest that asks two at once: both admit, and the roster has it once."""
    network, universe, (alice, bob, _) = quiet("alice", "bob", "carol")
    guest = Guest(network, "guest", network.invite(alice, universe))
    network.run(10 * SECOND)
    network.cut(alice, bob)
    package = guest.package()
    assert isinstance(guest.ask(alice, package), JoinAnswer)
    assert isinstance(guest.ask(bob, package), JoinAnswer)
    network.heal()
    network.run(MINUTE)
    for node in (alice, bob):
        assert node.universe(universe).roster.members[guest.me].send_group_id == guest.group_id
        (invite,) = [
            each for each in node.engine.invites(universe) if each["invite_id"] == guest.ticket.keys.invite_id
        ]
        assert invite["spent"] == 1
