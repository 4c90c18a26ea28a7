"""Two commits on one parent are a fork; the same commit twice is none (PROTOCOL R4, 5.2)."""

from __future__ import annotations

from tests.engine.small_network import MINUTE, SECOND, Network, is_commit, with_welcome

from starling.protocol.engine.inputs import FrameReceived, UpdateKeys


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


def test_a_commit_with_a_welcome_put_beside_it_is_no_fork() -> None:
    network = Network()
    universe, alice, bob, carol = network.found("alice", "bob", "carol")
    alice.do(UpdateKeys(universe))
    frame = network.published(alice)[-1]
    network.run(SECOND)

    bob.do(FrameReceived(carol.id, with_welcome(frame, b"something else")))

    assert not bob.heard("fork.detected")
