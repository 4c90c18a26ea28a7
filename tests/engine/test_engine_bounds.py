"""What is kept for others has a quota, and what it costs does not grow with it (PROTOCOL K-14, 5.3, 5.4)."""

from __future__ import annotations

import pytest
from tests.engine.small_network import DAY, MINUTE, SECOND, settled

from starling.protocol.distributed import policy
from starling.protocol.distributed.policy import MIB, FrameQuota
from starling.protocol.engine.inputs import UpdateKeys

# kept frames


def test_what_is_kept_for_a_silent_member_has_a_quota(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "FRAMES_OF_OWNER", FrameQuota(40, MIB))
    network, universe, (alice, bob, carol) = settled("alice", "bob", "carol")
    network.stop(carol)
    for number in range(200):
        alice.say(universe, f"{number}")
        network.run(100)
        assert len(bob.group(universe, alice).log) <= 40
    network.run(MINUTE)
    assert len(bob.table("frame")) == len(bob.table("log"))
    dropped = bob.heard("frames.dropped")
    assert {(body["owner"], body["reason"]) for body in dropped} == {(alice.me, "quota")}
    kept = len(bob.group(universe, alice).log)
    assert sum(body["frames"] for body in dropped) + kept > 200 > len(dropped) * 5
    commits = [logged.child for logged in bob.group(universe, alice).log.commits()]
    assert commits == [logged.child for logged in alice.group(universe, alice).log.commits()], "they go last"
    # The owner has them all.
    network.restart(carol)
    network.run(20 * SECOND)
    assert carol.texts() == [f"{number}" for number in range(200)]
    network.run(MINUTE)
    assert len(alice.group(universe, alice).log) <= 4
    assert not alice.heard("frames.dropped")


def test_a_quota_is_of_bytes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "FRAMES_OF_OWNER", FrameQuota(1000, 100_000))
    network, universe, (alice, bob, carol) = settled("alice", "bob", "carol")
    network.stop(carol)
    for number in range(30):
        alice.say(universe, bytes([number]) * 10_000)
        network.run(SECOND)
        assert bob.group(universe, alice).log.size <= 100_000
    assert sum(body["bytes"] for body in bob.heard("frames.dropped")) > 200_000


def test_own_frames_have_a_larger_quota(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "OWN_FRAMES", FrameQuota(80, MIB))
    network, universe, (alice, _, carol) = settled("alice", "bob", "carol")
    network.stop(carol)
    for number in range(200):
        alice.say(universe, f"{number}")
        assert len(alice.group(universe, alice).log) <= 80
    assert {body["owner"] for body in alice.heard("frames.dropped")} == {alice.me}


def test_the_quota_of_a_universe_is_met_by_those_who_say_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "FRAMES_OF_UNIVERSE", FrameQuota(150, MIB))
    network, universe, (alice, bob, carol, dave) = settled("alice", "bob", "carol", "dave")
    network.stop(dave)
    for number in range(20):
        bob.say(universe, f"{number}")
        carol.say(universe, f"{number}")
    for number in range(300):
        alice.say(universe, f"{number}")
        network.run(20)
    network.run(10 * SECOND)
    for node in (bob, carol):
        assert node.universe(universe).kept.frames <= 150
        assert {body["owner"] for body in node.heard("frames.dropped")} == {alice.me}
        for owner in (bob, carol):
            assert len(node.group(universe, owner).log) >= 20
    assert alice.me not in {body["owner"] for body in alice.heard("frames.dropped")}, "own messages come last"


def test_own_frames_leave_room_for_the_others() -> None:
    assert policy.FRAMES_OF_UNIVERSE.frames >= 2 * policy.OWN_FRAMES.frames
    assert policy.FRAMES_OF_UNIVERSE.size >= 2 * policy.OWN_FRAMES.size


def test_of_a_flood_of_commits_the_oldest_go_with_their_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "FRAMES_OF_OWNER", FrameQuota(20, MIB))
    network, universe, (alice, bob, carol) = settled("alice", "bob", "carol")
    network.stop(carol)
    for _ in range(60):
        alice.do(UpdateKeys(universe))
        network.run(200)
    network.run(10 * SECOND)
    state = bob.group(universe, alice)
    assert len(state.log) <= 20
    assert len(state.chain.epochs) <= 24
    assert len([key for key in bob.table("epoch_info") if key.startswith(state.group_id)]) <= 24


def test_frames_and_records_go_after_thirty_days_whatever_a_member_reports() -> None:
    network, universe, (alice, bob, carol) = settled("alice", "bob", "carol")
    network.stop(carol)
    alice.say(universe, "a word for carol")
    network.run(MINUTE)
    for _ in range(45):
        network.leap(DAY)
    for node in (alice, bob):
        for owner in (alice, bob):
            state = node.group(universe, owner)
            assert 25 <= len(state.chain.epochs) <= 2 * 33, "one update and one import a day"
            assert all(network.now - logged.stored_at < 31 * DAY for logged in state.log.ids.values())
        assert {body["reason"] for body in node.heard("frames.dropped")} == {"age"}
