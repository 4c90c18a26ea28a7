"""Members who are never online together talk through an archiver."""

from __future__ import annotations

from tests.archiver.archiver_network import ArchiverNode, alone, go, with_archiver
from tests.engine.small_network import DAY, MINUTE, SECOND, Network, Node

from starling.protocol.engine.inputs import JoinUniverse, RemoveMember, UpdateKeys
from starling.protocol.engine.step import SendToPeer
from starling.protocol.exchange.archiver_messages import Listed
from starling.protocol.exchange.member_messages import Frames
from starling.protocol.exchange.messages import attach, decode_message


def apart(*names: str) -> tuple[Network, bytes, ArchiverNode, list[Node]]:
    """Members that run and reach nobody."""
    network, universe_id, vault, members = with_archiver(*names)
    for node in members:
        network.cut(node, vault, *(other for other in members if other is not node))
    network.run(SECOND)
    return network, universe_id, vault, members


def visit(network: Network, vault: Node, node: Node, duration: int = 20 * SECOND) -> None:
    """A member reaches the archiver for a while."""
    network.heal_between(node, vault)
    network.run(duration)
    network.cut(node, vault)


def test_two_who_are_never_online_together_talk_and_converge() -> None:
    network, universe_id, vault, (alice, bob) = apart("Alice", "Bob")
    alice.say(universe_id, "are you there?")
    visit(network, vault, alice)
    visit(network, vault, bob)
    assert bob.texts() == ["are you there?"]
    bob.say(universe_id, "now I am")
    bob.do(UpdateKeys(universe_id))
    visit(network, vault, bob)
    visit(network, vault, alice)
    assert alice.texts() == ["now I am"]
    for _ in range(4):
        visit(network, vault, bob)
        visit(network, vault, alice)
    assert alice.engine.converged(universe_id)
    assert bob.engine.converged(universe_id)
    for node in (alice, bob):
        assert not node.heard("messages.unavailable")
        assert not node.heard("rollback.suspected")
    healed = alice.group(universe_id, bob).graph.head_info
    assert healed.number == bob.group(universe_id, bob).graph.head_info.number


def test_they_may_restart_at_every_visit() -> None:
    network, universe_id, _, (alice, bob) = with_archiver("Alice", "Bob")
    go(network, alice, bob)
    said = []
    for number in range(3):
        for node, other in ((alice, bob), (bob, alice)):
            network.restart(node)
            node.say(universe_id, f"{node.name} {number}")
            said.append((other, f"{node.name} {number}"))
            network.run(20 * SECOND)
            go(network, node)
    alone(network, alice)
    alone(network, bob)
    for node, text in said:
        assert text in node.texts()
    assert alice.texts() == [text for node, text in said if node is alice]


def test_a_removal_passes_through() -> None:
    network, universe_id, vault, (alice, bob, carol) = apart("Alice", "Bob", "Carol")
    alice.do(RemoveMember(universe_id, carol.me))
    alice.say(universe_id, "without Carol")
    visit(network, vault, alice)
    visit(network, vault, bob)
    assert bob.texts() == ["without Carol"]
    assert carol.me not in bob.universe(universe_id).roster.members
    bob.say(universe_id, "right")
    visit(network, vault, bob)
    visit(network, vault, carol)
    assert carol.texts() == []
    visit(network, vault, alice)
    assert alice.texts() == ["right"]
    for state in bob.universe(universe_id).groups.values():
        assert state.owner == carol.me or carol.me not in state.graph.head_info.members
    assert carol.id not in vault.archive(universe_id).links


def test_who_was_away_for_days_gets_all() -> None:
    network, universe_id, vault, (alice, bob, carol) = apart("Alice", "Bob", "Carol")
    said = []
    for day in range(6):
        for node in (alice, bob):
            said.append(f"{node.name} on day {day}")
            node.say(universe_id, said[-1])
            visit(network, vault, node, 10 * SECOND)
        network.run(DAY)
    visit(network, vault, carol, 60 * SECOND)
    assert sorted(carol.texts()) == sorted(said)
    assert len(carol.heard("epoch.started")) > 6


def test_each_frame_crosses_once() -> None:
    network, universe_id, vault, (alice, bob) = apart("Alice", "Bob")
    for number in range(40):
        alice.say(universe_id, f"message {number}")
    visit(network, vault, alice)
    before = len(network.sent)
    network.heal_between(bob, vault)
    network.run(10 * SECOND)
    network.run(5 * MINUTE)
    frames = [
        frame_id
        for source, send in network.sent[before:]
        if source is vault and isinstance(send, SendToPeer)
        if isinstance(decode_message(attach(send.data, []))[0], Frames)
        for frame_id in send.frame_ids
    ]
    assert len(bob.texts()) == 40
    assert len(frames) == len(set(frames)) >= 40
    told = [message for _, message, _ in bob.told if isinstance(message, Listed)]
    ids = [frame_id for page in told for *_, listed in page.rows for frame_id, *_ in listed]
    assert len(ids) < 3 * len(set(ids))


def test_it_gets_what_was_said_while_it_was_away() -> None:
    network, universe_id, vault, (alice, bob) = with_archiver("Alice", "Bob")
    go(network, vault)
    network.cut(alice, bob)
    alice.say(universe_id, "x" * 100_000)
    alice.say(universe_id, "nobody hears this")
    network.run(10 * SECOND)
    network.restart(vault)
    network.run(20 * SECOND)
    go(network, alice)
    network.run(20 * SECOND)
    assert bob.texts() == ["x" * 100_000, "nobody hears this"]


def test_who_joins_while_others_are_away_is_added_through_it() -> None:
    network, universe_id, vault, (alice, bob) = apart("Alice", "Bob")
    carol = network.add("Carol")
    network.heal_between(alice, vault)
    carol.do(JoinUniverse(network.invite(alice, universe_id)))
    network.run(30 * SECOND)
    assert carol.heard("universe.joined")
    network.cut(carol, bob)
    carol.say(universe_id, "I am new")
    network.run(20 * SECOND)
    network.cut(carol, alice, vault)
    network.cut(alice, vault)
    visit(network, vault, bob, 60 * SECOND)
    assert bob.texts() == ["I am new"]
    bob.say(universe_id, "welcome")
    visit(network, vault, bob, 30 * SECOND)
    for _ in range(2):
        visit(network, vault, carol, 60 * SECOND)
        visit(network, vault, bob, 60 * SECOND)
    assert carol.texts() == ["welcome"]
    assert carol.me in bob.universe(universe_id).own.graph.head_info.members
    assert bob.me in carol.universe(universe_id).own.graph.head_info.members


def test_a_node_that_was_put_back_learns_of_it_from_the_archiver() -> None:
    network, universe_id, _vault, (alice, bob) = with_archiver("Alice", "Bob")
    network.cut(alice, bob)
    before = dict(alice.rows), dict(alice.scopes)
    alice.do(UpdateKeys(universe_id))
    alice.say(universe_id, "after the copy was made")
    network.run(20 * SECOND)
    network.stop(alice)
    alice.rows, alice.scopes = dict(before[0]), dict(before[1])
    network.restart(alice)
    network.run(60 * SECOND)
    assert alice.heard("rollback.detected")
