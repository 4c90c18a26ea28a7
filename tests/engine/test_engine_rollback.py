"""A node put back to an old state, or copied, finds out by what it signed itself (PROTOCOL X-9, 5.3, B3)."""

from __future__ import annotations

from tests.engine.forging import end, forged_commit
from tests.engine.frames import is_commit
from tests.engine.small_network import DAY, MINUTE, SECOND, Network, Node, quiet, settled
from tests.engine.test_engine_readding import all_read_all, sealed_badly_for

from starling.protocol.distributed.head_statement import HeadStatement
from starling.protocol.engine.inputs import FrameReceived, MessageFromPeer, RemoveMember, UpdateKeys
from starling.protocol.engine.step import Send, SendToPeer
from starling.protocol.exchange.member_messages import Hello, RosterEntries, Summary
from starling.protocol.exchange.messages import attach, decode_message


def put_back(network: Network, node: Node, universe_id: bytes, *, commits: int) -> None:
    """The node commits and talks, and then its disk is as it was before that."""
    rows, scopes = dict(node.rows), dict(node.scopes)
    for _ in range(commits):
        node.do(UpdateKeys(universe_id))
    network.run(5 * SECOND)
    network.stop(node)
    node.rows, node.scopes = rows, scopes
    node.events.clear()


def kinds(node: Node) -> list[str]:
    return [event.kind for event in node.events]


def is_signed_by(node: Node, universe_id: bytes, statement: bytes) -> bool:
    leaf = node.group(universe_id, node).head.tree.leaf(0)
    assert leaf is not None
    HeadStatement.decode(statement).verify(leaf.signature_key)
    return True


def test_what_it_signed_and_does_not_know_is_told_before_the_boot_commit() -> None:
    network, universe, (alice, _, carol) = quiet("alice", "bob", "carol")
    network.stop(carol)  # so that the others keep the frames
    head = alice.group(universe, alice).graph.head
    put_back(network, alice, universe, commits=3)
    network.restart(alice)
    network.run(5 * SECOND)
    first = alice.heard("rollback.detected")[0]
    assert first["parent"] == head
    assert all(is_signed_by(alice, universe, statement) for statement in first["evidence"])
    assert kinds(alice).index("rollback.detected") < kinds(alice).index("epoch.started")


def test_a_universe_that_has_settled_can_still_prove_it() -> None:
    """All have acknowledged all: of the own group they keep what led to its head."""
    network, universe, (alice, bob, _) = settled("alice", "bob", "carol")
    put_back(network, alice, universe, commits=3)
    network.run(60 * SECOND)
    assert sum(is_commit(frame) for frame in bob.frames(universe, alice)) == 1
    network.restart(alice)
    network.run(60 * SECOND)
    assert kinds(alice).count("rollback.detected") == 1
    assert kinds(alice).index("rollback.detected") < kinds(alice).index("epoch.started")


def test_the_roster_is_brought_up_to_date_before_the_boot_commit() -> None:
    network, universe, (alice, bob, carol, dave) = quiet("alice", "bob", "carol", "dave")
    network.stop(carol)  # so that alice can still follow
    rows, scopes = dict(bob.rows), dict(bob.scopes)
    bob.do(UpdateKeys(universe))
    network.run(2 * SECOND)
    network.stop(bob)
    alice.do(RemoveMember(universe, dave.me))
    network.run(5 * SECOND)

    late: list[tuple[Node, SendToPeer]] = []

    def keeps_back_the_roster(source: Node, target: Node, send: Send) -> bool:
        if target is not bob or not isinstance(send, SendToPeer):
            return False
        message = decode_message(attach(send.data, []))[0]
        if bob.heard("rollback.detected") and isinstance(message, RosterEntries):
            late.append((source, send))
            return True
        return not bob.heard("rollback.detected") and isinstance(message, Hello | RosterEntries)

    network.drop = keeps_back_the_roster
    bob.rows, bob.scopes = rows, scopes
    bob.events.clear()
    network.restart(bob)
    network.run(3 * SECOND)
    assert late and not bob.commits()
    source, send = late[0]
    bob.do(MessageFromPeer(source.id, attach(send.data, [])))
    network.run(SECOND)
    assert bob.commits()[0]["removed"] == [dave.me]
    assert (
        dave.me not in bob.group(universe, bob).members() and carol.me in bob.group(universe, bob).members()
    )


def test_a_copy_that_runs_elsewhere_is_told_at_once() -> None:
    network, universe, (alice, bob) = quiet("alice", "bob")
    rows, scopes = dict(alice.rows), dict(alice.scopes)
    network.stop(bob)
    alice.do(UpdateKeys(universe))
    elsewhere = [frame for frame in network.published(alice) if is_commit(frame)][-1]
    network.stop(alice)
    alice.rows, alice.scopes = rows, scopes
    network.restart(alice)
    network.run(10 * SECOND)
    assert alice.engine.universe(universe)["ready"] and not alice.heard("rollback.detected")
    for _ in range(3):
        alice.do(FrameReceived(bob.id, elsewhere))
    (told,) = alice.heard("rollback.detected")
    assert len(told["evidence"]) == 2
    assert all(is_signed_by(alice, universe, statement) for statement in told["evidence"])


def test_its_own_frames_that_come_back_are_no_alarm() -> None:
    network, universe, (alice, bob) = quiet("alice", "bob")
    for _ in range(3):
        alice.do(UpdateKeys(universe))
        network.run(60 * SECOND)
    for frame in network.published(alice):
        alice.do(FrameReceived(bob.id, frame))
    assert not alice.heard("rollback.detected")


def test_a_claim_is_not_proof() -> None:
    """A member names an epoch that is not there, and signs a commit of it with its own key."""
    network, universe, (alice, bob) = quiet("alice", "bob")
    group_id = alice.universe(universe).group_id
    number = alice.group(universe, alice).graph.head_info.number
    digest = alice.universe(universe).roster.digest
    alice.hear(bob, Summary(universe, digest, ((group_id, b"?" * 32, number + 1, 0, True, 0),), False))
    forged = forged_commit(bob, universe, alice, [end(alice, universe)], path=False)
    alice.do(FrameReceived(bob.id, forged))
    network.run(60 * SECOND)
    assert alice.heard("rollback.suspected") and not alice.heard("rollback.detected")
    alice.do(UpdateKeys(universe))
    bob.say(universe, "on")
    network.run(5 * SECOND)
    assert alice.texts() == ["on"] and alice.engine.converged(universe)


def test_what_it_asks_because_it_was_put_back_is_counted_against_no_owner() -> None:
    """Else who was put back, and cannot follow the same owner once more, would wait for a day."""
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    put_back(network, bob, universe, commits=1)
    network.restart(bob)
    network.run(20 * SECOND)
    (stuck,) = bob.heard("member.stuck")
    assert stuck["reason"] == "psk" and bob.heard("rollback.detected")
    owner = alice if stuck["owner"] == alice.me else carol
    incarnations = [bob.universe(universe).incarnation]
    with sealed_badly_for(owner, universe, bob):
        for _ in range(3):
            owner.do(UpdateKeys(universe))
            network.run(MINUTE)
            incarnations.append(bob.universe(universe).incarnation)
    assert incarnations[0] < incarnations[1] == incarnations[2] == incarnations[3]
    network.leap(DAY)
    all_read_all(network, universe, [alice, bob, carol])
