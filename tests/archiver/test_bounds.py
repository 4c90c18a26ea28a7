"""How much an archiver keeps, what it lets go of, and what nobody can make it do."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import replace

import pytest
from tests.archiver.archiver_network import ArchiverNode, add_archiver, with_archiver
from tests.engine.small_network import DAY, HOUR, SECOND, Network, Node, header_of

from starling.protocol.archiver import keeping
from starling.protocol.archiver.engine import MAX_BAD_INPUTS
from starling.protocol.archiver.kept_frames import MAX_SIBLINGS, ArchivedFrame, KeptFrames
from starling.protocol.archiver.offers import MAX_OFFERS
from starling.protocol.distributed.archiver_offer import ArchiverOffer
from starling.protocol.distributed.floor import Floors, Place
from starling.protocol.distributed.identity import Identity
from starling.protocol.distributed.policy import FRAME_RETENTION, FrameQuota
from starling.protocol.engine.context import Context
from starling.protocol.engine.inputs import (
    CreateUniverse,
    DropArchive,
    FrameReceived,
    JoinUniverse,
    MessageFromPeer,
    NameArchiver,
    PeerConnected,
    RemoveMember,
    SendMessage,
    UpdateKeys,
)
from starling.protocol.engine.step import SendToPeer
from starling.protocol.errors import UsageError
from starling.protocol.exchange.feed import FrameKind, ListedFrame, Verdict
from starling.protocol.exchange.frame import CommitFrame, MessageFrame, decode_frame, frame_id
from starling.protocol.exchange.messages import (
    Frames,
    Hello,
    Listed,
    ListPulse,
    MemberFloors,
    Message,
    RosterEntries,
    WantFrames,
    WantList,
    WantRoster,
    attach,
    decode_message,
)

SMALL = FrameQuota(1000, 256 * 1024)


def junk(network: Network, source: Node, number: int = 0, size: int = 20_000) -> bytes:
    """A frame that looks like a message of a member."""
    frames = [f for f in network.published(source) if isinstance(decode_frame(f), MessageFrame)]
    frame = decode_frame(frames[-1])
    assert isinstance(frame, MessageFrame)
    head = len(frame.dmls_message) - 33
    return replace(frame, dmls_message=frame.dmls_message[:head] + b"\x20" + number.to_bytes(32)).encode()


def answers(network: Network, vault: Node, before: int) -> list[Message]:
    return [
        decode_message(attach(send.data, []))[0]
        for source, send in network.sent[before:]
        if source is vault and isinstance(send, SendToPeer)
    ]


def consistent(vault: ArchiverNode, universe_id: bytes) -> None:
    """What is counted is what is stored."""
    frames = vault.archive(universe_id).frames
    stored = vault.table("frame")
    assert set(vault.table("archived")) == set(stored) == {frame.frame_id for frame in frames}
    assert frames.size == sum(map(len, stored.values())) == sum(frame.size for frame in frames)
    assert len(frames.listing) == len(frames)


# floors


def test_what_all_have_is_let_go_of() -> None:
    network, universe_id, vault, members = with_archiver("Alice", "Bob", "Carol")
    for number, node in itertools.product(range(10), members):
        node.say(universe_id, f"{node.name} {number}")
        network.run(SECOND)
    assert len(vault.archive(universe_id).frames) > 40
    for node in members:
        node.do(UpdateKeys(universe_id))
        network.run(10 * SECOND)
    network.run(120 * SECOND)
    consistent(vault, universe_id)
    kept = list(vault.archive(universe_id).frames)
    assert len(kept) < 40
    heads = {node.universe(universe_id).group_id: node for node in members}
    for group_id, node in heads.items():
        newest = [frame for frame in kept if frame.group_id == group_id and frame.is_commit]
        assert newest[-1].number + 1 == node.universe(universe_id).own.graph.head_info.number


def test_one_who_is_away_keeps_it_there() -> None:
    network, universe_id, vault, (alice, bob, carol) = with_archiver("Alice", "Bob", "Carol")
    network.run(120 * SECOND)
    network.cut(carol, alice, bob, vault)
    for number in range(5):
        alice.say(universe_id, f"message {number}")
        alice.do(UpdateKeys(universe_id))
        network.run(70 * SECOND)
    held = len(vault.archive(universe_id).frames)
    network.run(200 * SECOND)
    assert len(vault.archive(universe_id).frames) >= held
    network.heal_between(carol, vault)
    network.run(60 * SECOND)
    assert len(carol.texts()) == 5
    alice.do(UpdateKeys(universe_id))
    network.run(200 * SECOND)
    assert len(vault.archive(universe_id).frames) < held
    # Who is no member any more keeps nothing there.
    network.cut(carol, vault)
    alice.do(RemoveMember(universe_id, carol.me))
    network.run(200 * SECOND)
    assert carol.me not in vault.archive(universe_id).floors


def test_floors_are_the_members_own_and_the_newest() -> None:
    network, universe_id, vault, (alice, bob) = with_archiver("Alice", "Bob")
    network.run(70 * SECOND)
    archive = vault.archive(universe_id)
    held = dict(archive.floors)
    assert held.keys() == {alice.me, bob.me}
    high = dict.fromkeys(alice.universe(universe_id).groups, 2**40)
    of_bob = Floors.sign(bob.identity, universe_id=universe_id, serial=network.now + 1, floors=high)
    vault.hear(alice, MemberFloors(universe_id, of_bob.encode()))
    old = Floors.sign(alice.identity, universe_id=universe_id, serial=1, floors=high)
    vault.hear(alice, MemberFloors(universe_id, old.encode()))
    forged = replace(of_bob, member=alice.me)
    vault.hear(alice, MemberFloors(universe_id, forged.encode()))
    elsewhere = Floors.sign(alice.identity, universe_id=bytes(32), serial=network.now + 1, floors=high)
    vault.hear(alice, MemberFloors(universe_id, elsewhere.encode()))
    vault.hear(alice, MemberFloors(universe_id, b"\x00"))
    assert archive.floors == held


class _Counted(tuple[Place, ...]):
    """Says how often it was read."""

    reads = 0

    def __iter__(self) -> Iterator[Place]:
        type(self).reads += 1
        return super().__iter__()


def test_a_page_of_a_list_does_not_read_the_floors_again_for_each_frame() -> None:
    network, universe_id, vault, (alice, bob) = with_archiver("Alice", "Bob")
    network.run(70 * SECOND)
    archive = vault.archive(universe_id)
    ctx = Context(network.now, os.urandom)
    for identity, floors in list(archive.floors.items()):
        newer = replace(floors, serial=network.now + 1, places=_Counted(floors.places))
        assert archive.take_floors(ctx, newer), identity
    read = _Counted.reads
    group_id = bob.universe(universe_id).group_id
    for number in range(512):
        listed = ListedFrame(os.urandom(32), group_id, 10_000 + number, bytes(32), FrameKind.MESSAGE, number)
        assert keeping.judge(archive, alice.id, listed) is Verdict.TAKE
    assert _Counted.reads == read


def test_floors_that_rise_are_heeded_at_once() -> None:
    network, universe_id, vault, (alice, bob) = with_archiver("Alice", "Bob")
    network.run(70 * SECOND)
    archive = vault.archive(universe_id)
    group_id = bob.universe(universe_id).group_id
    before = archive.floor(group_id)
    assert before is not None
    for number, node in enumerate((alice, bob)):
        floors = {group_id: 2**40 + number}
        said = Floors.sign(node.identity, universe_id=universe_id, serial=network.now + 1, floors=floors)
        vault.hear(node, MemberFloors(universe_id, said.encode()))
    assert archive.floor(group_id) == 2**40 > before


def test_frames_go_after_thirty_days() -> None:
    network, universe_id, vault, (alice, bob, carol) = with_archiver("Alice", "Bob", "Carol")
    network.cut(carol, alice, bob, vault)
    alice.say(universe_id, "nobody fetches this")
    network.run(10 * SECOND)
    network.cut(vault, alice, bob)
    network.stop(alice)
    network.stop(bob)
    network.stop(carol)
    network.run(FRAME_RETENTION + 2 * HOUR)
    assert not list(vault.archive(universe_id).frames)
    consistent(vault, universe_id)
    assert {event["reason"] for event in vault.heard("archive.dropped")} == {"age"}


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


# offers


def test_an_offer_serves_one_universe() -> None:
    network, universe_id, vault, (alice, _bob) = with_archiver("Alice", "Bob")
    carol = network.add("Carol")
    other = carol.do(CreateUniverse("other"))
    used = alice.universe(universe_id).roster.archivers[vault.me]
    stolen = vault.offer()
    carol.do(NameArchiver(other, stolen))
    network.run(10 * SECOND)
    assert len(vault.archiver.universes()) == 2
    third = carol.do(CreateUniverse("third"))
    carol.do(NameArchiver(third, stolen))
    network.run(10 * SECOND)
    assert len(vault.archiver.universes()) == 2
    assert used.public_key != carol.universe(other).roster.archivers[vault.me].public_key
    vault.do(DropArchive(other))
    assert [view["universe_id"] for view in vault.archiver.universes()] == [universe_id]
    assert not [key for table, key in vault.rows if key.startswith(other)]


def test_an_unused_offer_is_nowhere_in_the_clear() -> None:
    """Who has its token can take it up for a universe of its own."""
    network = Network()
    universe_id, alice = network.found("Alice")
    vault = add_archiver(network)
    text = vault.offer()
    offer = ArchiverOffer.parse(text)
    assert all(offer.offer not in key for _, key in vault.rows)
    assert text not in repr(NameArchiver(universe_id, text))
    alice.do(NameArchiver(universe_id, text))
    (info,) = alice.universe(universe_id).roster.archivers.values()
    held = vault.archiver._offers.unused(offer.offer)
    assert held is not None
    assert all(repr(offer.offer) not in repr(shown) for shown in (offer, info, held))


def test_offers_are_bounded() -> None:
    network = Network()
    vault = add_archiver(network)
    for _ in range(MAX_OFFERS + 5):
        vault.offer()
    assert len(vault.table("offer")) == MAX_OFFERS


def test_who_knows_no_offer_cannot_use_the_archiver() -> None:
    network = Network()
    vault = add_archiver(network)
    vault.offer()
    mallory = network.add("Mallory")
    universe_id = mallory.do(CreateUniverse("mine"))
    roster = mallory.universe(universe_id).roster
    forged = roster.make_archiver(
        mallory.identity,
        subject=vault.me,
        name="Vault",
        peer_id=vault.id,
        public_key=Identity.generate("x", os.urandom).identity_public_key,
        offer=os.urandom(32),
        addresses=("/memory/Vault",),
    )
    rows = dict(vault.rows)
    vault.do(PeerConnected(mallory.id))
    vault.hear(mallory, Hello(universe_id, (*roster.entries(), forged)))
    assert vault.archiver.universes() == []
    assert vault.rows == rows


def test_bad_commands_change_nothing() -> None:
    _network, universe_id, vault, (alice, bob) = with_archiver("Alice", "Bob")
    rows = dict(vault.rows)
    for command in (
        CreateUniverse("mine"),
        JoinUniverse("starling1"),
        SendMessage(universe_id, bytes(16), b"text"),
        UpdateKeys(universe_id),
        NameArchiver(universe_id, "starlingarchiver1"),
        DropArchive(bytes(32)),
    ):
        with pytest.raises(UsageError):
            vault.do(command)
    assert vault.rows == rows
    rows = dict(alice.rows)
    for text in ("", "x", "starlingarchiver1abc", vault.offer()):
        with pytest.raises(UsageError):
            alice.do(NameArchiver(universe_id, text))
    with pytest.raises(UsageError):
        bob.do(NameArchiver(universe_id, vault.offer()))
    assert alice.rows == rows


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
