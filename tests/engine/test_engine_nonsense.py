"""Members and strangers that say much, or nothing that fits: it costs little, and leaves nothing (PROTOCOL 5)."""

from __future__ import annotations

from dataclasses import replace

from tests.engine.forging import all_is_well
from tests.engine.frames import header_of, is_commit
from tests.engine.small_network import MINUTE, SECOND, Network, quiet

from starling.protocol.engine.inputs import CreateUniverse, FrameReceived, MessageFromPeer, UpdateKeys
from starling.protocol.engine.step import Disconnect, SendToPeer
from starling.protocol.exchange.frame import Announcement, CommitFrame, MessageFrame, decode_frame
from starling.protocol.exchange.member_messages import (
    Frames,
    Hello,
    Profiles,
    Pulse,
    RosterEntries,
    Summary,
    Want,
    WantProfiles,
    WantRoster,
)
from starling.protocol.exchange.message import Message
from starling.protocol.exchange.messages import attach
from starling.protocol.exchange.readmission_messages import Denied, Sighted

# nonsense from a member


def nonsense(universe: bytes, group_id: bytes, known: bytes) -> list[Message]:
    most, far = 2**32 - 1, 2**64 - 1
    places = ((group_id, b"z", 0, 0, True, 0), (group_id, b"z" * 64, far, most, False, far))
    many = tuple((bytes([number % 256]) * 32, known, far, most, True, far) for number in range(1024))
    return [
        Summary(universe, b"r" * 32, many, True),
        Summary(universe, b"r" * 32, places, True),
        Summary(universe, b"r" * 32, ((group_id, known, 0, most, True, 0),) * 1024, False),
        Pulse(universe, b"r" * 32, b"p" * 32),
        Want(universe, tuple((group_id, ((known, most, ()),) * 16) for _ in range(5))),
        Want(universe, ((group_id, ((known, 0, (known,) * 4),) * 16),) * 1024),
        Want(universe, ((b"g", ()),) * 1024),
        Frames(universe),
        RosterEntries(universe, (b"x" * 4096,) * 100),
        WantRoster(universe, (b"i" * 32,) * 1000),
        Profiles(universe, (((b"k" * 100,) * 8, b"a" * 2048),) * 50),
        WantProfiles(universe, (b"i" * 32,) * 1024),
        Hello(universe, (b"x",) * 1000),
        Sighted(universe, b"x" * 2048),
        Denied(universe, b"x" * 8192),
    ]  # fmt: skip


def test_nonsense_from_a_member_costs_little_and_changes_nothing() -> None:
    network, universe, (alice, bob, mallory) = quiet("alice", "bob", "mallory")
    alice.say(universe, "one")
    network.run(SECOND)
    group = alice.universe(universe).group_id
    rows = {key for key in alice.rows if key[0] != "frame"}
    for message in nonsense(universe, group, alice.group(universe, alice).graph.head):
        answers = len(network.sent)
        alice.hear(mallory, message)
        answered = [send for node, send in network.sent[answers:] if node is alice]
        assert len(answered) <= 3, type(message).__name__
    assert {key for key in alice.rows if key[0] != "frame"} == rows
    assert len(alice.universe(universe).behind) <= 3
    all_is_well(network, universe, alice, bob)


def test_a_frame_is_answered_once_however_often_it_is_asked_for() -> None:
    network, universe, (alice, _, mallory) = quiet("alice", "bob", "mallory")
    network.gossip = False
    for number in range(5):
        alice.say(universe, f"{number}")
    state = alice.group(universe, alice)
    want = Want(universe, ((state.group_id, ((state.graph.head, 0, ()),) * 16),) * 300)
    before = len(network.sent)
    alice.hear(mallory, want)
    (answer,) = [
        send
        for node, send in network.sent[before:]
        if node is alice and isinstance(send, SendToPeer) and send.frame_ids
    ]
    assert len(set(answer.frame_ids)) == len(answer.frame_ids)


def test_one_request_for_the_roster_is_enough() -> None:
    """Entries whose predecessors are unknown make one question, not one each."""
    network = Network()
    universe, alice, bob, mallory = network.found("alice", "bob", "mallory")
    network.run(MINUTE)
    network.cut(alice, bob)
    network.cut(alice, mallory)
    for _ in range(20):
        network.invite(alice, universe)
    later = tuple(alice.universe(universe).roster.entries())[-10:]
    before = len(network.messages(bob))
    bob.hear(mallory, RosterEntries(universe, later))
    asked = [message for _, message in network.messages(bob)[before:] if isinstance(message, WantRoster)]
    assert len(asked) <= 1


def test_floods_of_frames_of_unknown_groups_stay_bounded() -> None:
    network, universe, (alice, bob, mallory) = quiet("alice", "bob", "mallory")
    frame = decode_frame(network.published(bob)[-1])
    assert isinstance(frame, MessageFrame)
    group_id = header_of(frame.encode())[0]
    waiting = alice.universe(universe).waiting
    for number in range(3000):
        other = number.to_bytes(32)
        alice.do(
            FrameReceived(mallory.id, MessageFrame(frame.dmls_message.replace(group_id, other)).encode())
        )
    assert 0 < len(waiting) <= 64
    assert max(map(len, vars(waiting).values())) <= 64
    all_is_well(network, universe, alice, bob)
    network.run(6 * MINUTE)
    assert len(waiting) == 0


def test_floods_of_announcements_stay_bounded_and_do_not_keep_others_from_answering() -> None:
    network, universe, (alice, bob, mallory) = quiet("alice", "bob", "mallory")
    group_id = bob.universe(universe).group_id
    network.drop = lambda source, target, send: source is mallory
    for number in range(500):
        places = tuple((number.to_bytes(16) + bytes([n]) * 16, b"e" * 32, 5) for n in range(63))
        alice.do(FrameReceived(mallory.id, Announcement((*places, (group_id, b"e" * 32, 9))).encode()))
    assert len(alice.universe(universe).behind) <= 2
    network.gossip = False
    bob.say(universe, "by the exchange")
    for _ in range(60):
        network.run(SECOND)
        alice.do(FrameReceived(mallory.id, Announcement(((group_id, b"e" * 32, 9),)).encode()))
    assert alice.texts() == ["by the exchange"]


def test_only_what_cannot_be_decoded_counts_and_sixteen_times_are_enough() -> None:
    _, _, (alice, _, mallory) = quiet("alice", "bob", "mallory")
    for _ in range(15):
        assert not [
            send
            for send in alice.handle(FrameReceived(mallory.id, b"\xc1")).sends
            if isinstance(send, Disconnect)
        ]
    (told,) = [
        send
        for send in alice.handle(MessageFromPeer(mallory.id, b"\xc1")).sends
        if isinstance(send, Disconnect)
    ]
    assert told.peer_id == mallory.id


# strangers


def test_a_stranger_is_heard_only_where_it_joins() -> None:
    network, universe, (alice, bob) = quiet("alice", "bob")
    stranger = network.add("stranger")
    stranger.connected.add(alice.id)
    alice.connected.add(stranger.id)
    group = alice.universe(universe).group_id
    alice.say(universe, "secret")
    before = len(network.sent)
    rows = dict(alice.rows)
    for message in nonsense(universe, group, alice.group(universe, alice).graph.head):
        alice.hear(stranger, message)
    for frame in network.published(bob):
        alice.do(FrameReceived(stranger.id, frame))
    assert not [send for node, send in network.sent[before:] if getattr(send, "peer_id", None) == stranger.id]
    assert alice.rows == rows


def test_a_stranger_with_the_roster_of_another_universe_is_no_member() -> None:
    network, universe, (alice, bob) = quiet("alice", "bob")
    stranger = network.add("stranger")
    elsewhere = stranger.do(CreateUniverse("elsewhere"))
    stranger.connected.add(alice.id)
    alice.connected.add(stranger.id)
    digest = alice.universe(universe).roster.digest
    alice.hear(stranger, Hello(universe, stranger.universe(elsewhere).roster.entries()))
    alice.hear(stranger, Hello(universe, alice.universe(universe).roster.entries()))
    assert alice.universe(universe).roster.digest == digest
    assert stranger.id not in alice.universe(universe).links
    before = len(network.sent)
    alice.hear(stranger, WantRoster(universe, ()))
    assert len(network.sent) == before
    assert bob.engine.converged(universe)


def test_a_frame_with_a_wrong_head_statement_is_refused() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    network.gossip = False
    network.streams = False
    carol.do(UpdateKeys(universe))
    frame = decode_frame(network.published(carol)[-1])
    bob.do(UpdateKeys(universe))
    other = decode_frame(network.published(bob)[-1])
    assert isinstance(frame, CommitFrame) and isinstance(other, CommitFrame)
    head = alice.group(universe, carol).graph.head
    for _ in range(20):
        alice.do(FrameReceived(bob.id, replace(frame, head_statement=other.head_statement).encode()))
    assert alice.group(universe, carol).graph.head == head
    assert not alice.disconnects
    network.gossip = network.streams = True
    all_is_well(network, universe, alice, bob, carol)
    assert is_commit(frame.encode())
    assert not alice.heard("fork.detected")


def test_messages_that_cannot_be_attached_to_a_universe_are_passed_over() -> None:
    network, universe, (alice, bob) = quiet("alice", "bob")
    before = len(network.sent)
    alice.do(MessageFromPeer(bob.id, attach(Pulse(b"?" * 32, b"r" * 32, b"p" * 32).encode(), [])))
    assert len(network.sent) == before and universe
