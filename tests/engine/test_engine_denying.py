"""Two nodes with one member's keys, of which one starts anew before it has signed anything: the other denies to be it
(PROTOCOL 5.6 B6)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.engine.branched import Saved
from tests.engine.small_network import HOUR, MINUTE, SECOND, Network, Node, quiet, settled

from starling.protocol.distributed.denial import MAX_SHOWN, Denial, Sighting
from starling.protocol.distributed.evidence import MAX_DENIALS, Evidence
from starling.protocol.distributed.identity import Identity
from starling.protocol.distributed.policy import READMIT_WAIT, SIGHTING_MIN_GAP
from starling.protocol.distributed.send_group_id import new_send_group_id
from starling.protocol.engine.context import Context
from starling.protocol.engine.denying import tell_sighting
from starling.protocol.engine.inputs import (
    BlockMember,
    ClockJumped,
    ReadmitMember,
    Recover,
    RemoveMember,
    UpdateKeys,
)
from starling.protocol.exchange.member_messages import Summary
from starling.protocol.exchange.readmission_messages import Denied, Sighted


def another_group(node: Node, universe: bytes) -> bytes:
    return new_send_group_id(universe, node.me, node.random_source())


def sighting(node: Node, universe: bytes, *heads: bytes, signer: Identity | None = None) -> Sighting:
    """As another node with the same keys makes it, which was shown the newest head, or these."""
    own = node.universe(universe)
    made = Sighting.sign(
        node.identity,
        universe_id=universe,
        former_group_id=own.group_id,
        send_group_id=another_group(node, universe),
        heads=heads or (own.own.graph.head,),
    )
    return replace(made, signature=signer.sign("other", made.encode())) if signer is not None else made


def asks(node: Node, universe: bytes, former_group_id: bytes, head: bytes) -> Sighting:
    """Its own, when it has started anew."""
    return Sighting.sign(
        node.identity,
        universe_id=universe,
        former_group_id=former_group_id,
        send_group_id=node.universe(universe).group_id,
        heads=(head,),
    )


def sighted(node: Node, universe: bytes, *heads: bytes) -> Sighted:
    return Sighted(universe, sighting(node, universe, *heads).encode())


def clones(*nodes: Node) -> list[int]:
    return [len(node.heard("clone.detected")) for node in nodes]


def denied_universe() -> tuple[Network, bytes, Node, Node, Node]:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    bob.do(UpdateKeys(universe))
    network.run(5 * SECOND)
    return network, universe, alice, bob, carol


def test_who_made_what_the_other_was_shown_denies_to_be_it() -> None:
    network, universe, alice, bob, carol = denied_universe()
    group_id = bob.universe(universe).group_id
    message = sighted(bob, universe)
    alice.hear(bob, message)
    network.run(2 * SECOND)
    for node in (alice, bob, carol):
        (told,) = node.heard("clone.detected")
        assert told["owner"] == bob.me
        evidence = Evidence.parse(told["evidence"])
        assert evidence.identity == bob.me and not evidence.faults() and not evidence.statements
        assert [found.sighting.encode() for found in evidence.denials] == [message.sighting]
        assert node.universe(universe).is_frozen(node.universe(universe).groups[group_id])
        twice = [found["name"] for found in node.engine.members(universe) if found["runs_twice"]]
        assert twice == ["bob"]
        assert [found["name"] for found in node.engine.forks(universe) if found["frozen"]] == ["bob"]
    assert bob.engine.trouble(universe) == "twice" and not alice.engine.trouble(universe)
    carol.hear(bob, sighted(bob, universe))
    network.stop(carol)
    network.restart(carol)
    network.run(MINUTE)
    assert clones(alice, bob, carol) == [1, 1, 1]
    assert carol.universe(universe).is_frozen(carol.universe(universe).groups[group_id])


def test_who_was_away_hears_of_it_later() -> None:
    network, universe, alice, bob, carol = denied_universe()
    network.cut(carol, alice, bob)
    alice.hear(bob, sighted(bob, universe))
    network.run(SECOND)
    assert clones(alice, bob) == [0, 0], "the connection to bob's peer id was the other one's"
    network.disconnect(alice, bob)
    network.dial(bob, alice.id)
    network.run(SECOND)
    assert clones(alice, bob, carol) == [1, 1, 0]
    network.stop(bob)
    network.heal()
    network.run(SECOND)
    assert clones(carol) == [1]


@pytest.mark.parametrize("ended", ["restart", "clock"])
def test_what_an_earlier_run_made_nobody_denies(ended: str) -> None:
    """So does a node that was put back, and then put forward again: it is one process after all."""
    network, universe, alice, bob, carol = denied_universe()
    head = bob.universe(universe).own.graph.head
    if ended == "restart":
        network.stop(bob)
        network.restart(bob)
    else:
        bob.do(ClockJumped())
    network.run(10 * SECOND)
    assert bob.universe(universe).own.graph.head != head
    for node in (alice, carol):
        node.hear(bob, sighted(bob, universe, head))
    network.run(MINUTE)
    assert clones(alice, bob, carol) == [0, 0, 0]
    assert alice.universe(universe).sightings
    carol.hear(bob, sighted(bob, universe))
    network.run(MINUTE)
    assert clones(alice, bob, carol) == [1, 1, 1]


def test_nobody_denies_what_it_asked_for_itself() -> None:
    network, universe, alice, bob, carol = denied_universe()
    head = bob.universe(universe).own.graph.head
    bob.do(Recover(universe))
    network.run(MINUTE)
    assert not [message for _, message in network.messages(bob) if isinstance(message, Sighted)]
    # It does not know any more, after a restart, that the head was its own.
    network.stop(bob)
    network.restart(bob)
    network.run(MINUTE)
    shown = [message for _, message in network.messages(bob) if isinstance(message, Sighted)]
    assert shown and {Sighting.decode(message.sighting).heads for message in shown} == {(head,)}
    assert clones(alice, bob, carol) == [0, 0, 0]


def test_what_a_member_invents_does_not_hide_what_the_others_show() -> None:
    network, universe, alice, bob, carol = denied_universe()
    former, head = bob.universe(universe).group_id, bob.universe(universe).own.graph.head
    bob.do(Recover(universe))
    network.stop(bob)
    network.restart(bob)
    network.run(SECOND)
    digest = bob.universe(universe).roster.digest
    bob.hear(carol, Summary(universe, digest, ((former, b"", 2**32, 0, True, 0),), False))
    assert b"" not in bob.universe(universe).shown_heads.values()
    network.run(MINUTE)
    told = [Sighting.decode(m.sighting) for _, m in network.messages(bob) if isinstance(m, Sighted)]
    assert told and all(sighting.heads == (head,) for sighting in told)
    shown = bob.universe(universe).shown_heads
    assert shown == {alice.me: head, carol.me: head}
    shown |= {bytes([liar]) * 32: bytes([liar]) * 32 for liar in range(MAX_SHOWN)}
    ctx = Context(network.now, bytes)
    tell_sighting(ctx, bob.universe(universe))
    bob.finish(ctx.step(bob.wake, None))
    told = [Sighting.decode(m.sighting) for _, m in network.messages(bob) if isinstance(m, Sighted)]
    assert head in told[-1].heads and len(told[-1].heads) == MAX_SHOWN
    told[-1].verify()


def test_the_one_that_asks_is_told_too() -> None:
    network, universe, alice, bob, carol = denied_universe()
    own = bob.universe(universe)
    former, key, head = own.group_id, own.signature_private_key, own.own.graph.head
    leaf = own.own.head.tree.leaf(0)
    assert leaf is not None
    bob.do(Recover(universe))
    network.run(SECOND)
    asked = asks(bob, universe, former, head)
    evidence = Evidence.of(leaf, [], [Denial.sign(key, asked)])
    alice.hear(carol, Denied(universe, evidence.encode()))
    network.run(2 * MINUTE)
    assert clones(alice, bob, carol) == [1, 1, 1]
    assert bob.engine.trouble(universe) == "asking"
    (own_group,) = [found for found in bob.engine.forks(universe) if found["is_own"]]
    assert own_group["frozen"] and not own_group["joined"]
    digits = alice.heard("member.asks_again")[-1]["verification"]
    alice.do(ReadmitMember(universe, bob.me, digits))
    network.run(30 * SECOND)
    for node in (alice, carol):
        assert not any(map(node.universe(universe).is_frozen, node.universe(universe).groups.values()))
    # What is decided is decided.
    alice.hear(carol, Denied(universe, evidence.encode()))
    network.run(SECOND)
    assert clones(alice, bob, carol) == [1, 1, 1] and bob.say(universe, "on")["recipients"] == 2


def test_what_nobody_signed_is_neither_believed_nor_passed_on() -> None:
    network, universe, alice, bob, carol = denied_universe()
    own = bob.universe(universe)
    leaf = own.own.head.tree.leaf(0)
    assert leaf is not None
    good = sighting(bob, universe)
    made = len(network.sent)
    for shown in (
        sighting(bob, universe, signer=carol.identity),
        replace(good, heads=()),
        replace(good, identity=b"i" * 32),
        replace(good, former_group_id=b"g" * 32),
        replace(good, universe_id=b"u" * 32),
    ):
        alice.hear(carol, Sighted(universe, shown.encode()))
        bob.hear(carol, Sighted(universe, shown.encode()))
    denials = [Denial.sign(carol.universe(universe).signature_private_key, good)]
    for evidence in (
        Evidence.of(leaf, [], denials),
        replace(Evidence.of(leaf, [], denials), identity=carol.me),
        replace(Evidence.of(leaf, [], [Denial.sign(own.signature_private_key, good)]), identity=carol.me),
    ):
        alice.hear(carol, Denied(universe, evidence.encode()))
    network.run(SECOND)
    passed = [send for node, send in network.sent[made:] if node is alice]
    assert not [m for _, m in network.messages(alice) if isinstance(m, Sighted | Denied)], passed
    assert clones(alice, bob, carol) == [0, 0, 0] and not alice.universe(universe).evidence.kept
    for data in (b"no sighting", b"\0" * 100):
        alice.hear(carol, Sighted(universe, data))
        alice.hear(carol, Denied(universe, data))
    assert alice.universe(universe).refused["DecodeError"] == 4


def test_what_is_denied_of_one_member_says_nothing_of_another() -> None:
    network, universe, alice, bob, carol = denied_universe()
    denied = sighted(bob, universe)
    alice.hear(bob, denied)
    network.run(2 * SECOND)
    assert clones(alice, bob, carol) == [1, 1, 1]
    named = Sighting.decode(denied.sighting).send_group_id
    group_id = carol.universe(universe).group_id
    unsigned = replace(
        sighting(carol, universe, b"h" * 32), send_group_id=named, former_group_id=group_id, signature=b""
    )
    made = len(network.sent)
    alice.hear(carol, Sighted(universe, unsigned.encode()))
    assert not [m for _, m in network.messages(alice) if isinstance(m, Denied)][made:]
    assert alice.universe(universe).refused and carol.me not in alice.universe(universe).sightings


def test_of_one_member_little_is_passed_on() -> None:
    network, universe, alice, bob, carol = denied_universe()
    own = bob.universe(universe)
    leaf = own.own.head.tree.leaf(0)
    assert leaf is not None
    network.cut(bob, alice, carol)
    for number in range(20):
        alice.hear(carol, sighted(bob, universe, bytes([number]) * 32))
        network.run(SIGHTING_MIN_GAP // 10)
    assert len([m for _, m in network.messages(alice) if isinstance(m, Sighted)]) <= 2 * 3
    for number in range(2 * MAX_DENIALS):
        found = Denial.sign(own.signature_private_key, sighting(bob, universe, bytes([number]) * 32))
        alice.hear(carol, Denied(universe, Evidence.of(leaf, [], [found]).encode()))
        network.run(100)
    assert len(alice.universe(universe).evidence.denials(own.group_id)) == MAX_DENIALS
    assert clones(alice) == [1]


def test_of_who_is_removed_nothing_is_told() -> None:
    network, universe, alice, bob, carol = denied_universe()
    own = bob.universe(universe)
    leaf = own.own.head.tree.leaf(0)
    assert leaf is not None
    shown = sighting(bob, universe)
    evidence = Evidence.of(leaf, [], [Denial.sign(own.signature_private_key, shown)])
    network.cut(bob, alice, carol)
    alice.hear(carol, Sighted(universe, shown.encode()))
    alice.do(RemoveMember(universe, bob.me))
    network.run(SECOND)
    alice.hear(carol, Sighted(universe, shown.encode()))
    alice.hear(carol, Denied(universe, evidence.encode()))
    assert clones(alice, carol) == [0, 0]


# where nobody is to be asked


def test_a_denied_one_is_not_admitted_without_a_persons_word() -> None:
    network, universe, alice, bob, carol = denied_universe()
    alice.universe(universe).readmits_automatically = True
    head = bob.universe(universe).own.graph.head
    own = bob.universe(universe)
    leaf, key = own.own.head.tree.leaf(0), own.signature_private_key
    assert leaf is not None
    bob.do(Recover(universe))
    asked = asks(bob, universe, alice.group(universe, bob).group_id, head)
    alice.hear(bob, Sighted(universe, asked.encode()))
    network.run(READMIT_WAIT - SECOND)
    assert bob.engine.universe(universe)["state"] == "asking" and not alice.heard("member.asks_again")
    alice.hear(carol, Denied(universe, Evidence.of(leaf, [], [Denial.sign(key, asked)]).encode()))
    network.run(MINUTE)
    assert bob.engine.universe(universe)["state"] == "asking"
    (told,) = alice.heard("member.asks_again")
    alice.do(ReadmitMember(universe, bob.me, told["verification"]))
    network.run(30 * SECOND)
    assert bob.engine.universe(universe)["state"] == "active"


def test_a_denied_one_is_not_admitted_by_who_is_not_in_its_group_either() -> None:
    network, universe, alice, bob, carol = denied_universe()
    alice.universe(universe).readmits_automatically = True
    head = bob.universe(universe).own.graph.head
    own = bob.universe(universe)
    former, leaf, key = own.group_id, own.own.head.tree.leaf(0), own.signature_private_key
    assert leaf is not None
    bob.do(BlockMember(universe, alice.me))
    network.run(10 * SECOND)
    assert former not in alice.universe(universe).groups
    bob.do(Recover(universe))
    asked = asks(bob, universe, former, head)
    alice.hear(bob, Sighted(universe, asked.encode()))
    alice.hear(carol, Denied(universe, Evidence.of(leaf, [], [Denial.sign(key, asked)]).encode()))
    network.run(2 * MINUTE)
    assert bob.engine.universe(universe)["state"] == "asking"
    assert len(alice.heard("member.asks_again")) == 1


def test_where_nobody_denies_it_the_request_is_enough_after_a_while() -> None:
    network, universe, alice, bob, _ = denied_universe()
    alice.universe(universe).readmits_automatically = True
    head = bob.universe(universe).own.graph.head
    former = bob.universe(universe).group_id
    bob.do(Recover(universe))
    asked = asks(bob, universe, former, head)
    alice.hear(bob, Sighted(universe, asked.encode()))
    network.run(READMIT_WAIT - SECOND)
    assert bob.engine.universe(universe)["state"] == "asking"
    network.run(30 * SECOND)
    assert bob.engine.universe(universe)["state"] == "active" and not alice.heard("member.asks_again")


def test_a_founder_that_is_denied_does_not_admit_itself() -> None:
    network, universe, nodes = settled("alice", "bob", "carol")
    alice, bob, carol = nodes
    saved = Saved(alice)
    for _ in range(2):
        for node in nodes:
            node.do(UpdateKeys(universe))
            network.run(MINUTE)
        network.leap(2 * HOUR)
    own = alice.universe(universe)
    former, key, head = own.group_id, own.signature_private_key, own.own.graph.head
    leaf = own.own.head.tree.leaf(0)
    assert leaf is not None
    network.stop(alice)
    saved.put_back(alice)
    network.restart(alice)
    network.run(10 * SECOND)
    assert alice.engine.universe(universe)["state"] == "asking"
    asked = asks(alice, universe, former, head)
    bob.hear(carol, Denied(universe, Evidence.of(leaf, [], [Denial.sign(key, asked)]).encode()))
    network.run(2 * MINUTE)
    assert alice.engine.universe(universe)["state"] == "asking" and clones(alice, bob) == [1, 1]
    assert alice.do(Recover(universe))["state"] == "active"
    network.run(30 * SECOND)
    assert alice.say(universe, "on")["recipients"] == 2
