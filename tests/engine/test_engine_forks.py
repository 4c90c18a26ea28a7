"""Two commits on one parent are a fork; the same commit twice is none (PROTOCOL R4, 5.2)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.engine.frames import is_commit, with_welcome
from tests.engine.small_network import DAY, MINUTE, SECOND, Network, Node

from starling.protocol.distributed.dependency import Dependency
from starling.protocol.distributed.head_statement import HeadStatement
from starling.protocol.engine import forks, own_group, readmission
from starling.protocol.engine.context import Context
from starling.protocol.engine.group_state import MAX_FORKS
from starling.protocol.engine.inputs import FrameReceived, JoinUniverse, UpdateKeys
from starling.protocol.engine.readding import can_never_have
from starling.protocol.exchange.frame import CommitFrame, decode_frame, frame_id


def test_a_commit_that_comes_again_after_its_frame_was_dropped_is_no_fork() -> None:
    network = Network()
    universe, alice, bob, carol = network.found("alice", "bob", "carol")
    alice.do(UpdateKeys(universe))
    (frame,) = [frame for frame in network.published(alice)[-1:] if is_commit(frame)]
    network.run(MINUTE)
    alice.do(UpdateKeys(universe))
    network.run(MINUTE)
    assert frame not in bob.frames(universe, alice)

    bob.do(FrameReceived(carol.id, frame))

    assert not bob.heard("fork.detected")
    assert not bob.group(universe, alice).forked


def test_an_owner_that_forks_for_ever_is_remembered_within_a_bound() -> None:
    network = Network()
    universe, alice, bob, _ = network.found("alice", "bob", "carol")
    held, group = bob.universe(universe), bob.group(universe, alice)
    for number in range(MAX_FORKS + 3):
        first, second = (
            HeadStatement.sign(
                alice.universe(universe).signature_private_key,
                universe_id=universe,
                group_id=group.group_id,
                epoch=number,
                parent_dmls_epoch=bytes([number]) * 32,
                commit=commit,
            )
            for commit in (b"one", b"two")
        )
        ctx = Context(network.now, bytes)
        forks.note_fork(ctx, held, group, first, second, is_lost=True)
        forks.watch_lost_branches(ctx, held, group)
    assert len(group.forks) == MAX_FORKS and group.said_at.keys() == group.forks.keys()


def test_a_commit_with_a_welcome_put_beside_it_is_no_fork() -> None:
    network = Network()
    universe, alice, bob, carol = network.found("alice", "bob", "carol")
    alice.do(UpdateKeys(universe))
    frame = network.published(alice)[-1]
    network.run(SECOND)

    bob.do(FrameReceived(carol.id, with_welcome(frame, b"something else")))

    assert not bob.heard("fork.detected")


def owner_adds_again() -> tuple[Network, bytes, Node, Node, bytes]:
    """Mallory, put back to before bob came, adds him a second time: (network, universe, bob, mallory, frame)."""
    network = Network()
    universe, alice, mallory = network.found("alice", "mallory")
    rows, scopes = dict(mallory.rows), dict(mallory.scopes)
    bob = network.add("bob")
    bob.do(JoinUniverse(network.invite(alice, universe)))
    network.run(10 * SECOND)
    for _ in range(4):
        mallory.do(UpdateKeys(universe))
    network.run(10 * SECOND)
    network.stop(mallory)
    mallory.rows, mallory.scopes = rows, scopes
    network.gossip = False
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(readmission, "begin", lambda *_: False)  # it does not want anybody's word
        network.restart(mallory)
        network.run(10 * SECOND)
    frames = [
        frame for frame in mallory.frames(universe, mallory) if bob.me in adds(mallory, universe, frame)
    ]
    return network, universe, bob, mallory, frames[-1]


def adds(node: Node, universe: bytes, frame: bytes) -> tuple[bytes, ...]:
    return node.group(universe, node).log.ids[frame_id(frame)].adds


def test_a_second_welcome_to_a_group_is_evidence_against_its_owner() -> None:
    """X-14: it leads to an epoch that bob has gone by, on a branch without a common parent."""
    network, universe, bob, mallory, frame = owner_adds_again()
    head = bob.group(universe, mallory).graph.head
    bob.events.clear()
    bob.universe(universe).groups[mallory.universe(universe).group_id].forks.clear()
    for _ in range(3):
        bob.do(FrameReceived(mallory.id, frame))
    (told,) = bob.heard("fork.detected")
    assert told["owner"] == mallory.me and bob.group(universe, mallory).forked
    assert bob.group(universe, mallory).graph.head == head, "the first stays"
    added = mallory.group(universe, mallory).log.ids[frame_id(frame)].child
    assert added in bob.group(universe, mallory).graph.closed, "nobody is asked for it"
    own = bob.universe(universe)
    left_out = Dependency(
        mallory.universe(universe).group_id, mallory.group(universe, mallory).graph[added].number, added
    )
    assert can_never_have(own, own.own, left_out), "who imports from it has to add him again"
    network.stop(bob)
    network.restart(bob)
    assert bob.group(universe, mallory).forked


def test_a_second_welcome_without_a_word_of_its_owner_counts_as_a_clone_after_a_day() -> None:
    """R4: as any fork that is not resolved; imports do not pause for ever."""
    network, universe, bob, mallory, frame = owner_adds_again()
    network.gossip = True
    bob.universe(universe).groups[mallory.universe(universe).group_id].forks.clear()
    bob.events.clear()
    bob.do(FrameReceived(mallory.id, frame))
    state = bob.group(universe, mallory)

    def look(later: int) -> list[str]:
        ctx = Context(network.now + later, bob.random_source())
        forks.watch_unresolved(ctx, bob.universe(universe), state)
        return [event.kind for event in ctx.step(None, None).events]

    assert look(0) == [] and state.forked
    assert look(2 * DAY) == [], "it has not been heard of since"
    state.graph.head_info.entered_at = network.now + DAY
    assert look(DAY) == [], "it may have come back just now"
    assert look(DAY + 10 * MINUTE) == ["clone.detected"]
    assert bob.universe(universe).is_frozen(state)


def test_a_second_welcome_to_a_branch_from_before_a_resolve_pauses_nothing() -> None:
    network, universe, bob, mallory, frame = owner_adds_again()
    state = bob.group(universe, mallory)
    state.forks.clear()
    bob.events.clear()
    state.graph.close(b"dead" * 8, state.graph.head, network.now)
    bob.do(FrameReceived(mallory.id, frame))
    assert bob.heard("fork.detected") and not state.forked


def test_the_first_welcome_again_is_none() -> None:
    """While the key that it was sealed to is still there: it has just joined."""
    network = Network()
    universe, alice = network.found("alice")
    bob = network.add("bob")
    bob.do(JoinUniverse(network.invite(alice, universe)))
    network.run(200)
    for _ in range(3):
        alice.do(UpdateKeys(universe))
        network.run(10)
    state = bob.group(universe, alice)
    assert state.graph.head_info.number > state.pinned_epoch
    logged = state.log.adding(bob.me)
    assert logged is not None
    state.log.remove(logged)
    bob.do(FrameReceived(alice.id, bob.rows["frame", logged.frame_id]))
    assert not bob.heard("fork.detected") and not bob.universe(universe).refused


def test_a_welcome_that_the_owner_did_not_sign_is_no_evidence() -> None:
    _, universe, bob, mallory, frame = owner_adds_again()
    bob.events.clear()
    bob.universe(universe).groups[mallory.universe(universe).group_id].forks.clear()
    decoded = decode_frame(frame)
    assert isinstance(decoded, CommitFrame)
    statement = HeadStatement.decode(decoded.head_statement)
    broken = replace(statement, signature=bytes(64)).encode()
    bob.do(FrameReceived(mallory.id, replace(decoded, head_statement=broken).encode()))
    assert not bob.heard("fork.detected") and not bob.group(universe, mallory).forked


def test_who_is_removed_and_added_in_one_commit_goes_on_at_the_later_epoch() -> None:
    network = Network()
    universe, alice, bob = network.found("alice", "bob")
    before = bob.group(universe, alice).pinned_epoch
    alice_universe = alice.universe(universe)
    package = alice_universe.profiles.key_package(bob.me, 1)
    assert package is not None
    ctx = Context(network.now, alice.random_source())
    own_group.commit(
        ctx,
        alice_universe,
        path=True,
        removes=[alice.group(universe, alice).members()[bob.me]],
        adds=[package],
    )
    alice.finish(ctx.step(None, None))
    network.run(5 * SECOND)
    assert bob.group(universe, alice).pinned_epoch > before
    alice.say(universe, "again")
    network.run(5 * SECOND)
    assert bob.texts() == ["again"] and not bob.heard("fork.detected")
