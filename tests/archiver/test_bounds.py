"""How much an archiver keeps, who may fill it, and what it answers."""

from __future__ import annotations

import os

import pytest
from tests.archiver.archiver_network import consistent, junk, with_archiver
from tests.engine.frames import header_of
from tests.engine.small_network import DAY, MINUTE, SECOND, Network

from starling.protocol.archiver import talking
from starling.protocol.archiver.archive import Archive
from starling.protocol.archiver.kept_frames import MAX_SIBLINGS, ArchivedFrame, KeptFrames
from starling.protocol.distributed.policy import FrameQuota
from starling.protocol.engine.bad_inputs import MAX_BAD_INPUTS
from starling.protocol.engine.context import Context
from starling.protocol.engine.inputs import (
    CreateUniverse,
    FrameReceived,
    MessageFromPeer,
    NameArchiver,
    PeerConnected,
    UpdateKeys,
)
from starling.protocol.engine.step import SendToPeer
from starling.protocol.exchange.archiver_messages import Listed, ListPulse, WantFrames, WantList
from starling.protocol.exchange.feed import FrameKind
from starling.protocol.exchange.frame import CommitFrame, MessageFrame, decode_frame, frame_id
from starling.protocol.exchange.member_messages import Frames, Hello, RosterEntries, WantRoster

SMALL = FrameQuota(1000, 256 * 1024)


# the quota


def test_a_full_archiver_says_so_and_takes_more_when_there_is_room() -> None:
    network, universe_id, vault, (alice, bob) = with_archiver("Alice", "Bob", quota=SMALL)
    network.run(70 * SECOND)
    network.cut(bob, alice, vault)
    for number in range(12):
        alice.say(universe_id, f"{number} ".encode() + os.urandom(20_000))
        network.run(SECOND)
    network.run(10 * SECOND)
    archive = vault.archive(universe_id)
    assert archive.frames.full
    assert archive.frames.size <= SMALL.size
    (told,) = vault.heard("archive.full")
    assert told["quota"] == SMALL.size
    (view,) = vault.archiver.universes()
    assert (view["state"], view["full"], view["used"]) == ("full", True, archive.frames.size)
    (seen,) = alice.engine.archivers(universe_id)
    assert (seen["full"], seen["has_all"]) == (True, False)
    consistent(vault, universe_id)
    # Commits still find room, what is kept stays, and nothing else does.
    before = {frame.frame_id for frame in archive.frames if not frame.is_commit}
    alice.do(UpdateKeys(universe_id))
    network.run(10 * SECOND)
    assert before <= {frame.frame_id for frame in archive.frames if not frame.is_commit}
    newest = alice.universe(universe_id).own.graph.head_info.number
    assert max(frame.number for frame in archive.frames if frame.is_commit) == newest - 1
    network.cut(alice, vault)
    network.heal_between(bob, vault)
    network.run(30 * SECOND)
    network.cut(bob, vault)
    got = len(bob.heard("message.received"))
    assert 0 < got < 12
    network.heal_between(alice, vault)
    alice.do(UpdateKeys(universe_id))
    network.run(60 * SECOND)
    for _ in range(4):
        for node in (alice, bob):
            network.heal_between(node, vault)
            network.run(100 * SECOND)
            network.cut(node, vault)
    assert len(bob.heard("message.received")) == 12
    assert vault.heard("archive.room")
    assert not archive.frames.full


def test_a_frame_of_an_unknown_group_does_not_make_it_full() -> None:
    """A member of two universes gossips in both: what is of one must not make the other's archive say it is full."""
    _, universe_id, vault, (alice, _) = with_archiver("Alice", "Bob")
    elsewhere = Network()
    *_, stranger = elsewhere.found("Eve", "Mallory")
    stranger.say(stranger.engine.universes()[0]["universe_id"], "of another universe")
    frame = junk(elsewhere, stranger)
    archive = vault.archive(universe_id)
    archive.frames.quota = FrameQuota(0, 0)
    vault.do(FrameReceived(alice.id, frame))
    assert not archive.frames.full


def test_what_an_owner_commits_on_epochs_that_never_were_does_not_stay() -> None:
    frames = KeptFrames(bytes(32), SMALL)
    ctx = Context(1, os.urandom)
    for number in range(100):
        name = number.to_bytes(32)
        made_up = ArchivedFrame(name, b"group", 7, name, FrameKind.COMMIT, 10, b"peer", 1)
        frames.add(ctx, made_up, bytes(10))
    for gone in (frames.up_to(frames.listing.last), frames.below(b"group", 8)):
        assert len(gone) == 100 - MAX_SIBLINGS


def test_one_member_cannot_fill_it() -> None:
    network, universe_id, vault, (alice, bob, mallory) = with_archiver("Alice", "Bob", "Mallory", quota=SMALL)
    network.run(70 * SECOND)
    mallory.say(universe_id, b"x" * 20_000)
    network.run(SECOND)
    network.cut(mallory, alice, bob)
    for number in range(60):
        vault.do(FrameReceived(mallory.id, junk(network, mallory, number)))
    archive = vault.archive(universe_id)
    assert archive.frames.size <= SMALL.size * 5 // 8
    network.cut(bob, alice, vault)
    alice.say(universe_id, "there is room for this")
    network.run(10 * SECOND)
    network.cut(alice, vault)
    network.heal_between(bob, vault)
    network.run(30 * SECOND)
    assert "there is room for this" in bob.texts()
    consistent(vault, universe_id)


# who may say what


def test_strangers_get_nothing_and_leave_nothing() -> None:
    network, universe_id, vault, (alice, _bob) = with_archiver("Alice", "Bob")
    alice.say(universe_id, "not for strangers")
    network.run(SECOND)
    eve = network.add("Eve")
    vault.do(PeerConnected(eve.id))
    rows, before = dict(vault.rows), len(network.sent)
    archive = vault.archive(universe_id)
    kept = next(iter(archive.frames)).frame_id
    listed = alice.universe(universe_id).kept.listing.last
    for message in (
        WantList(universe_id, archive.list_id, 0),
        WantFrames(universe_id, (kept,)),
        WantRoster(universe_id, ()),
        RosterEntries(universe_id, ()),
        ListPulse(universe_id, bytes(32), bytes(16), listed, b"", 0, full=False),
        Listed(universe_id, bytes(16), 0, 5, ((b"g", 1, b"e" * 32, ((b"i" * 32, 0, 1),)),)),
        Frames(universe_id),
        Hello(universe_id, alice.universe(universe_id).roster.proof(alice.me, 10_000)),
        Hello(bytes(32), alice.universe(universe_id).roster.entries()),
    ):
        vault.hear(eve, message, [junk(network, alice)] if isinstance(message, Frames) else [])
    vault.do(FrameReceived(eve.id, junk(network, alice)))
    assert vault.rows == rows
    to_eve = [
        send for _, send in network.sent[before:] if isinstance(send, SendToPeer) and send.peer_id == eve.id
    ]
    assert not to_eve


def test_frames_that_were_not_asked_for_are_not_looked_at() -> None:
    network, universe_id, vault, (alice, _bob) = with_archiver("Alice", "Bob")
    alice.say(universe_id, "a message")
    network.run(SECOND)
    before = len(vault.archive(universe_id).frames)
    vault.hear(alice, Frames(universe_id), [junk(network, alice)])
    assert len(vault.archive(universe_id).frames) == before


def test_what_does_not_decode_counts_against_who_sends_it() -> None:
    _network, _universe_id, vault, (alice, _bob) = with_archiver("Alice", "Bob")
    for number in range(MAX_BAD_INPUTS):
        assert not vault.disconnects
        bad = bytes([number]) * 5
        vault.do(MessageFromPeer(alice.id, bad) if number % 2 else FrameReceived(alice.id, bad))
    assert [send.peer_id for send in vault.disconnects] == [alice.id]


def test_what_only_its_author_can_be_blamed_for_counts_against_nobody() -> None:
    network, universe_id, vault, (alice, _) = with_archiver("Alice", "Bob")
    alice.say(universe_id, "a message")
    network.run(SECOND)
    before = len(vault.archive(universe_id).frames)
    message = decode_frame(junk(network, alice))
    assert isinstance(message, MessageFrame)
    for number in range(2 * MAX_BAD_INPUTS):
        frame = CommitFrame(message.dmls_message, bytes([number + 1]))
        vault.do(FrameReceived(alice.id, frame.encode()))
    assert not vault.disconnects
    assert len(vault.archive(universe_id).frames) == before


def test_an_answer_is_bounded() -> None:
    network, universe_id, vault, (alice, bob) = with_archiver("Alice", "Bob")
    network.cut(bob, alice, vault)
    for number in range(10):
        alice.say(universe_id, f"{number}".encode() + os.urandom(100_000))
    network.run(30 * SECOND)
    archive = vault.archive(universe_id)
    names = tuple(frame.frame_id for frame in archive.frames)
    vault.hear(alice, WantFrames(universe_id, (names[-1], *names, bytes(32))))
    (answered,) = [send for _, send in network.sent[-3:] if isinstance(send, SendToPeer) and send.frame_ids]
    size = sum(len(vault.rows["frame", name]) for name in answered.frame_ids)
    assert 100_000 < size <= 512 * 1024
    assert len(set(answered.frame_ids)) == len(answered.frame_ids)


def test_a_restart_loses_nothing() -> None:
    network, universe_id, vault, (alice, bob) = with_archiver("Alice", "Bob")
    network.cut(bob, alice, vault)
    alice.say(universe_id, "before the restart")
    network.run(10 * SECOND)
    before = vault.archive(universe_id)
    held = [(frame.frame_id, frame.place, frame.opening) for frame in before.frames]
    network.stop(vault)
    network.restart(vault)
    after = vault.archive(universe_id)
    assert [(frame.frame_id, frame.place, frame.opening) for frame in after.frames] == held
    assert after.floors == before.floors
    assert after.roster.digest == before.roster.digest
    assert after.frames.listing.last == before.frames.listing.last
    network.run(DAY // 24)
    assert header_of(vault.rows["frame", held[-1][0]])
    assert frame_id(vault.rows["frame", held[-1][0]]) == held[-1][0]


def test_what_is_about_one_universe_is_nothing_to_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    network, universe_id, vault, (alice, _bob) = with_archiver("Alice", "Bob")
    carol = network.add("Carol")
    other = carol.do(CreateUniverse("other"))
    carol.do(NameArchiver(other, vault.offer()))
    network.run(10 * SECOND)
    looked_at: list[bytes] = []
    tick = talking.tick

    def seen(ctx: Context, archive: Archive) -> None:
        looked_at.append(archive.universe_id)
        tick(ctx, archive)

    monkeypatch.setattr(talking, "tick", seen)
    pulse = ListPulse(universe_id, bytes(32), bytes(16), 0, b"", 0, full=False)
    vault.hear(alice, pulse)
    eve = network.add("Eve")
    vault.hear(eve, pulse)
    vault.do(PeerConnected(eve.id))
    assert looked_at == [universe_id], "a stranger is nothing to any"
    network.run(MINUTE)
    assert {universe_id, other} <= set(looked_at[1:]), "each is woken when something is due in it"
