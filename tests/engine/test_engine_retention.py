"""Reports, settling, kept frames, and removal (PROTOCOL K-14, R1, X-15)."""

from __future__ import annotations

import pytest
from tests.engine.frames import is_commit
from tests.engine.small_network import DAY, MINUTE, SECOND, Network, Node, quiet, settled

from starling.protocol.decentralized.dmls_message import read_dmls_message, wrap
from starling.protocol.distributed import policy
from starling.protocol.engine import own_group
from starling.protocol.engine.context import Context
from starling.protocol.engine.inputs import FrameReceived, RemoveMember, UpdateKeys
from starling.protocol.exchange.frame import MessageFrame, decode_frame


def reports(network: Network, node: Node) -> int:
    return sum(not is_commit(frame) for frame in network.published(node))


def test_many_messages_make_one_report() -> None:
    network, universe, (alice, _, carol) = settled("alice", "bob", "carol")
    before = reports(network, carol)
    for number in range(50):
        alice.say(universe, f"{number}")
        network.run(20)
    network.run(10 * SECOND)
    assert 1 <= reports(network, carol) - before <= 3
    assert len(carol.texts()) == 50


@pytest.mark.parametrize("apart", [500, 5_000])
def test_under_load_a_report_comes_every_minute(apart: int) -> None:
    """However quick the talk is, after its first two minutes."""
    network, universe, (alice, _, carol) = settled("alice", "bob", "carol")
    _talk(network, alice, universe, 2 * MINUTE, apart)
    before = reports(network, carol)
    assert before <= 12
    _talk(network, alice, universe, 3 * MINUTE, apart)
    assert 2 <= reports(network, carol) - before <= 4


def test_when_talk_ends_all_is_reported_soon() -> None:
    network, universe, (alice, _, carol) = settled("alice", "bob", "carol")
    _talk(network, alice, universe, 2 * MINUTE, SECOND)
    network.run(15 * SECOND)
    assert carol.engine.converged(universe)
    network.run(5 * MINUTE)
    alice.say(universe, "after a quiet time")
    network.run(2 * SECOND)
    assert carol.engine.converged(universe)


def test_who_comes_back_amid_talk_hears_reports_at_once() -> None:
    network, universe, (alice, bob, carol) = settled("alice", "bob", "carol")
    network.cut(bob, alice, carol)
    _talk(network, alice, universe, 2 * MINUTE, SECOND)
    network.heal()
    network.run(8 * SECOND)
    assert all(node.engine.converged(universe) for node in (alice, bob, carol))


def test_who_catches_up_by_asking_reports_it_at_once() -> None:
    """Who hears of a heal from others alone had no new connection that would tell it to report soon."""
    network, universe, (alice, bob, carol) = settled("alice", "bob", "carol")
    network.cut(carol, alice, bob)
    _talk(network, alice, universe, MINUTE + 20 * SECOND, SECOND)
    carol.say(universe, "from afar")
    network.heal_between(carol, bob)
    before = reports(network, alice)
    while "from afar" not in alice.texts():
        network.run(100)
    network.run(3 * SECOND)
    assert reports(network, alice) > before


def _talk(network: Network, node: Node, universe: bytes, duration: int, apart: int) -> None:
    for _ in range(duration // apart):
        node.say(universe, f"at {network.now}")
        network.run(apart)


def test_reports_make_no_reports() -> None:
    network, universe, nodes = settled("alice", "bob", "carol")
    nodes[0].say(universe, "one")
    network.run(20 * SECOND)
    before = [reports(network, node) for node in nodes]
    network.run(5 * MINUTE)
    assert [reports(network, node) for node in nodes] == before


def test_frames_are_kept_and_served_until_all_have_them() -> None:
    network, universe, (alice, bob, carol) = settled("alice", "bob", "carol")
    network.stop(carol)
    for number in range(20):
        alice.say(universe, f"{number}")
    network.run(MINUTE)
    assert len(bob.group(universe, alice).log) >= 20
    network.stop(alice)
    network.restart(carol)
    network.run(20 * SECOND)
    assert carol.texts() == [f"{number}" for number in range(20)]
    network.restart(alice)
    network.run(MINUTE)
    for node in (alice, bob, carol):
        assert len(node.group(universe, alice).log) <= 4
        assert len(node.table("frame")) == len(node.table("log")) <= 12


def test_superseded_epochs_go_when_all_are_past_them() -> None:
    network, universe, nodes = settled("alice", "bob", "carol")
    for node in nodes:
        node.do(UpdateKeys(universe))
    network.run(MINUTE)
    for node in nodes:
        assert len(node.table("epoch")) == len(node.table("ratchet")) == 3
        for state in node.universe(universe).groups.values():
            assert list(state.retained()) == [state.graph.head]


def test_frames_that_nothing_leads_to_hold_up_nothing_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any member can send what seems to be on another branch."""
    monkeypatch.setattr(policy, "DOUBT_WAIT", 2 * MINUTE)
    network, universe, (alice, bob, mallory) = quiet("alice", "bob", "mallory")
    alice.do(UpdateKeys(universe))
    network.run(SECOND)
    alice.say(universe, "on a branch that nobody knows")
    decoded = decode_frame(network.published(alice)[-1])
    assert isinstance(decoded, MessageFrame)
    message = read_dmls_message(decoded.dmls_message).message.encode()
    kept = []
    for number in range(5):
        frame = MessageFrame(wrap(message, bytes([number]) * 32)).encode()
        bob.do(FrameReceived(mallory.id, frame))
        mallory.say(universe, f"{number}")
        alice.say(universe, f"{number}")
        network.run(MINUTE)
        kept.append(len(list(bob.group(universe, alice).retained())))
    assert kept[0] > 1 and kept[-1] == 1


def test_the_owners_floor_counts_for_a_member_that_does_not_report_here() -> None:
    """Carol has taken alice out of her own group: what carol has, alice learns only from the others."""
    network, universe, (alice, bob, carol) = settled("alice", "bob", "carol")
    ctx = Context(network.now, carol.random_source())
    leaf = carol.group(universe, carol).members()[alice.me]
    own_group.commit(ctx, carol.universe(universe), path=True, removes=[leaf])
    carol.finish(ctx.step(None, None))
    network.run(10 * SECOND)
    assert carol.universe(universe).group_id not in alice.universe(universe).groups
    for text in ("one", "two"):
        bob.do(UpdateKeys(universe))
        bob.say(universe, text)
        network.run(30 * SECOND)
    group = alice.group(universe, bob)
    assert len(list(group.retained())) <= 2, "the head, and what bob's next report lets go"
    # As long as carol has not got there, bob's floor stays.
    network.cut(carol, alice, bob)
    for text in ("three", "four", "five"):
        bob.do(UpdateKeys(universe))
        bob.say(universe, text)
        network.run(30 * SECOND)
    assert len(list(group.retained())) >= 4


def test_a_member_that_is_away_keeps_them_for_a_week_at_most() -> None:
    network, universe, (alice, bob, carol) = settled("alice", "bob", "carol")
    network.stop(carol)
    alice.do(UpdateKeys(universe))
    network.run(MINUTE)
    old = bob.group(universe, alice).graph.head_info.parent
    assert old is not None and old in bob.group(universe, alice).retained()
    assert list(alice.group(universe, alice).retained()) == [alice.group(universe, alice).graph.head]
    network.leap(6 * DAY)
    assert old in bob.group(universe, alice).retained()
    network.leap(2 * DAY)
    assert old not in bob.group(universe, alice).retained()


def test_a_removed_member_reads_nothing_more() -> None:
    network, universe, (alice, bob, carol) = settled("alice", "bob", "carol")
    topics = alice.topics
    sent = len(network.sent)
    alice.do(RemoveMember(universe, carol.me))
    assert carol.me not in alice.group(universe, alice).members(), "its own group at once"
    assert alice.commits()[-1]["removed"] == [carol.me]
    network.run(5 * SECOND)
    assert carol.me not in bob.group(universe, bob).members()
    assert alice.topics == bob.topics != topics
    frames = len(network.published(alice)) + len(network.published(bob))
    assert alice.say(universe, "a secret")["recipients"] == 1
    bob.say(universe, "another")
    network.run(5 * SECOND)
    assert len(network.published(alice)) + len(network.published(bob)) > frames
    told = [send for node, send in network.sent[sent:] if getattr(send, "peer_id", None) == carol.id]
    for frame in (*network.published(alice), *network.published(bob)):
        carol.do(FrameReceived(alice.id, frame))
    assert carol.texts() == [] and alice.texts() == ["another"] and bob.texts() == ["a secret"]
    assert carol.engine.universe(universe)["state"] == "removed"
    assert len(told) < 10
    assert alice.engine.converged(universe) and bob.engine.converged(universe)


def test_a_removed_member_keeps_no_keys() -> None:
    """K-20: what it cannot use any more goes."""
    network, universe, (alice, _, carol) = settled("alice", "bob", "carol")
    carol.say(universe, "something")
    network.run(10 * SECOND)
    signature_private_key = carol.universe(universe).signature_private_key
    topic_secret = carol.universe(universe).roster.topic_secrets[0]
    alice.do(RemoveMember(universe, carol.me))
    network.run(30 * SECOND)
    assert sorted(table for table, _ in carol.rows) == ["roster", "universe"]
    assert not [row for row in carol.rows.values() if signature_private_key in row or topic_secret in row]
    network.stop(carol)
    network.restart(carol)
    assert carol.engine.universe(universe)["state"] == "removed"


def test_the_group_of_a_removed_member_goes_when_all_have_removed_it() -> None:
    network, universe, (alice, bob, carol) = settled("alice", "bob", "carol")
    group_id = carol.universe(universe).group_id
    alice.do(RemoveMember(universe, carol.me))
    network.run(MINUTE)
    for node in (alice, bob):
        assert group_id not in node.universe(universe).groups
        assert not [key for _, key in node.rows if key.startswith(group_id)]
