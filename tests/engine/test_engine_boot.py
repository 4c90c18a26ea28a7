"""After a start: a boot commit before anything else, and nothing is said twice (PROTOCOL B2, B3, K-23)."""

from __future__ import annotations

import pytest
from tests.engine.frames import is_commit
from tests.engine.small_network import DAY, LATENCY, MINUTE, SECOND, Network, quiet, settled

from starling.protocol.decentralized.dmls_message import read_dmls_message
from starling.protocol.engine.inputs import (
    ClockJumped,
    CreateUniverse,
    RemoveMember,
    RevokeInvite,
    SendMessage,
    UpdateKeys,
)
from starling.protocol.errors import UsageError
from starling.protocol.exchange.frame import CommitFrame, decode_frame


def test_the_first_frame_after_a_start_is_a_commit_with_a_generation_of_its_own() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    group = alice.group(universe, bob).head
    network.stop(bob)
    network.gossip = False
    frames = len(network.published(bob))
    network.restart(bob)
    assert bob.say(universe, "after the start")["state"] == "queued"
    network.run(2 * SECOND)
    sent = network.published(bob)[frames:]
    assert is_commit(sent[0]) and not is_commit(sent[-1])
    decoded = decode_frame(sent[0])
    assert isinstance(decoded, CommitFrame)
    assert bob.commits()[-1]["path"]
    network.gossip = True
    network.run(10 * SECOND)
    assert alice.texts() == carol.texts() == ["after the start"]
    network.stop(bob)
    network.gossip = network.streams = False
    group = alice.group(universe, bob).head
    network.restart(bob)
    network.run(6 * SECOND)
    decoded = decode_frame(
        next(frame for frame in network.published(bob)[len(sent) + frames :] if is_commit(frame))
    )
    assert isinstance(decoded, CommitFrame)
    _, generation = group.peek_generation(read_dmls_message(decoded.dmls_message).message)
    assert 1 <= generation <= 999


def test_the_boot_commit_waits_for_one_answer() -> None:
    network, universe, (_, bob, _) = quiet("alice", "bob", "carol")
    network.stop(bob)
    commits = len(bob.commits())
    network.restart(bob)
    network.run(LATENCY - 1)
    assert len(bob.commits()) == commits
    network.run(4 * LATENCY)
    assert len(bob.commits()) > commits and bob.engine.universe(universe)["ready"]


def test_the_boot_commit_does_not_wait_when_all_dials_have_failed() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    for node in (bob, alice, carol):
        network.stop(node)
    network.restart(bob, dial=False)
    assert not bob.engine.universe(universe)["ready"]
    network.run(100)
    assert bob.engine.universe(universe)["ready"]


def test_the_boot_commit_waits_five_seconds_at_most() -> None:
    network, universe, (_, bob, _) = quiet("alice", "bob", "carol")
    network.stop(bob)
    network.streams = network.gossip = False
    network.restart(bob)
    network.run(5 * SECOND - 1)
    assert not bob.engine.universe(universe)["ready"]
    network.run(1)
    assert bob.engine.universe(universe)["ready"]


def test_who_is_alone_does_not_wait() -> None:
    network = Network()
    alice = network.add("alice")
    universe = alice.do(CreateUniverse("lab"))
    network.stop(alice)
    network.restart(alice)
    assert alice.say(universe, "to nobody")["state"] == "sent"


def test_sending_an_id_again_sends_nothing_over_a_start_too() -> None:
    network, universe, (alice, bob) = quiet("alice", "bob")
    first = alice.say(universe, "once", b"i" * 16)
    assert first["state"] == "sent"
    assert alice.say(universe, "once", b"i" * 16) == first
    network.run(SECOND)
    network.stop(alice)
    network.restart(alice)
    assert alice.say(universe, "once", b"i" * 16) == first
    assert alice.say(universe, "queued", b"j" * 16)["state"] == "queued"
    assert alice.say(universe, "queued", b"j" * 16)["state"] == "queued"
    network.stop(alice)
    network.restart(alice)
    assert alice.say(universe, "queued", b"j" * 16)["state"] == "queued"
    network.run(10 * SECOND)
    assert bob.texts() == ["once", "queued"]
    assert [body["id"] for body in alice.heard("message.sent")] == [b"i" * 16, b"j" * 16]


def test_an_id_stands_for_one_message_queued_or_sent_and_over_a_start() -> None:
    network, universe, (alice, bob) = quiet("alice", "bob")
    first = alice.say(universe, "once", b"i" * 16)
    network.stop(alice)
    network.restart(alice)
    alice.say(universe, "queued", b"j" * 16)
    for message_id in (b"i" * 16, b"j" * 16):
        with pytest.raises(UsageError, match="draw a new one") as refusal:
            alice.say(universe, "something else", message_id)
        assert refusal.value.code == "id_used"
    with pytest.raises(UsageError, match="draw a new one"):
        alice.do(SendMessage(universe, b"i" * 16, b"once", content_type="text/markdown"))
    assert alice.say(universe, "once", b"i" * 16) == first
    network.run(10 * SECOND)
    assert bob.texts() == ["once", "queued"]


def test_a_removal_that_was_missed_is_in_the_boot_commit() -> None:
    """The roster is told on connect, before the boot commit: what was queued is not for the removed one."""
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    network.stop(bob)
    alice.do(RemoveMember(universe, carol.me))
    network.run(10 * SECOND)
    network.restart(bob)
    bob.say(universe, "not for carol")
    network.run(10 * SECOND)
    assert carol.me not in bob.group(universe, bob).members()
    (told,) = bob.heard("message.sent")
    assert told["recipients"] == 1
    assert alice.texts() == ["not for carol"] and not carol.texts()


@pytest.mark.parametrize("how", ["set back", "told"])
def test_a_jump_of_the_clock_begins_a_new_run(how: str) -> None:
    """B2: the machine may have been put back with everything that runs on it."""
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    before = len(alice.commits())
    if how == "set back":
        alice.clock_error = -DAY
    else:
        alice.do(ClockJumped())
    assert alice.say(universe, "after the jump")["state"] == "queued"
    with pytest.raises(UsageError, match="no such invite"):
        alice.do(RevokeInvite(universe, b"?" * 32))
    network.run(100)
    first = alice.commits()[before]
    assert first["path"] and alice.engine.universe(universe)["ready"]
    network.run(10 * SECOND)
    assert bob.texts() == carol.texts() == ["after the jump"]
    alice.say(universe, "on")
    network.run(MINUTE)
    assert bob.texts() == carol.texts() == ["after the jump", "on"]
    assert not bob.heard("fork.detected") and alice.engine.converged(universe)


def test_a_small_step_back_begins_none() -> None:
    _, universe, (alice, _) = quiet("alice", "bob")
    alice.clock_error = -5 * SECOND
    assert alice.say(universe, "at once")["state"] == "sent"


def test_a_crash_before_saving_leaves_the_old_state_and_one_after_it_the_new() -> None:
    network, universe, (alice, bob) = quiet("alice", "bob")
    bob.handle(UpdateKeys(universe))  # neither saved nor sent
    network.stop(bob)
    network.restart(bob)
    network.run(10 * SECOND)
    bob.save(bob.handle(UpdateKeys(universe)))  # saved, not sent
    network.stop(bob)
    network.restart(bob)
    network.run(MINUTE)
    bob.say(universe, "on")
    network.run(5 * SECOND)
    assert alice.texts() == ["on"]
    assert not alice.heard("fork.detected")
    assert alice.engine.converged(universe) and bob.engine.converged(universe)


def test_a_node_put_back_to_an_old_state_shows_that_it_is_suspected() -> None:
    network, universe, (alice, bob, carol) = settled("alice", "bob", "carol")
    network.stop(carol)  # so that bob can still follow
    rows, scopes = dict(alice.rows), dict(alice.scopes)
    for _ in range(3):
        alice.do(UpdateKeys(universe))
    network.run(5 * SECOND)
    assert alice.engine.status()["rollback_suspected"] == []
    network.stop(alice)
    alice.rows, alice.scopes = rows, scopes
    network.restart(alice)
    network.run(5 * SECOND)
    assert alice.heard("rollback.suspected")
    assert alice.engine.trouble(universe) == "rollback"
    assert alice.engine.universe(universe)["rollback_suspected"]
    assert alice.engine.status()["rollback_suspected"] == [universe]
    assert not bob.engine.trouble(universe)
    assert not alice.engine.trouble(b"?" * 32)
