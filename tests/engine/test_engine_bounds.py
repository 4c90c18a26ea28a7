"""What a peer, also a member, can fill has a bound (PROTOCOL K-14, X-19, 5.3, 5.4, 6)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.engine.frames import header_of
from tests.engine.small_network import DAY, HOUR, MINUTE, SECOND, Node, quiet, settled

from starling.protocol.distributed import policy, roster_graph
from starling.protocol.distributed import roster as roster_module
from starling.protocol.distributed.heads import HeadsMessage, HeadsReport
from starling.protocol.distributed.identity import Identity
from starling.protocol.distributed.policy import MIB, FrameQuota
from starling.protocol.distributed.roster_body import Kind, Removal, Target, Topic
from starling.protocol.distributed.roster_entry import ReadEntry, read_entry, sign_entry
from starling.protocol.distributed.ticket import Ticket
from starling.protocol.engine import admitting, reporting, told_network
from starling.protocol.engine.context import Context
from starling.protocol.engine.inputs import JoinUniverse, OwnAddresses, RemoveMember, UpdateKeys
from starling.protocol.engine.step import KnownPeers, Publish, Send, SendToPeer
from starling.protocol.engine.universe import Universe
from starling.protocol.errors import Pending, UsageError
from starling.protocol.exchange.joining_messages import JoinHello, JoinRefused, JoinRequest
from starling.protocol.exchange.member_messages import Hello, RosterEntries

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
    assert len(state.graph.epochs) <= 24
    assert len([key for key in bob.table("epoch_info") if key.startswith(state.group_id)]) <= 24


def test_frames_and_records_go_after_thirty_days_whatever_a_member_reports(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(policy, "SUSPENDED_AFTER", 90 * DAY)
    network, universe, (alice, bob, carol) = settled("alice", "bob", "carol")
    network.stop(carol)
    alice.say(universe, "a word for carol")
    network.run(MINUTE)
    for _ in range(45):
        network.leap(DAY)
    for node in (alice, bob):
        for owner in (alice, bob):
            state = node.group(universe, owner)
            assert 25 <= len(state.graph.epochs) <= 2 * 33, "one update and one import a day"
            assert all(network.now - logged.stored_at < 31 * DAY for logged in state.log.ids.values())
        assert {body["reason"] for body in node.heard("frames.dropped")} == {"age"}


# the roster


def test_a_universe_has_a_most_of_members(monkeypatch: pytest.MonkeyPatch) -> None:
    network, universe, (alice, bob) = quiet("alice", "bob")
    ticket = network.invite(alice, universe, uses=5)
    monkeypatch.setattr(policy, "MAX_MEMBERS", 2)
    carol = network.add("carol")
    carol.do(JoinUniverse(ticket))
    network.run(20 * SECOND)
    assert carol.heard("join.failed") == [{"reason": "universe.full"}]
    assert not alice.universe(universe).roster.invites[Ticket.parse(ticket).keys.invite_id].spent
    with pytest.raises(UsageError, match="2 members already") as refusal:
        network.invite(alice, universe)
    assert refusal.value.code == "universe.full"
    alice.do(RemoveMember(universe, bob.me))
    network.run(10 * SECOND)
    dave = network.add("dave")
    dave.do(JoinUniverse(ticket))
    network.run(20 * SECOND)
    assert dave.heard("universe.joined"), "there is room again"


def test_only_a_sponsor_counts_the_members(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rosters merge whatever their size, so all nodes have the same one."""
    network, universe, nodes = quiet("alice", "bob", "carol")
    monkeypatch.setattr(policy, "MAX_MEMBERS", 1)
    for node in nodes:
        network.stop(node)
        network.restart(node)
    network.run(20 * SECOND)
    assert all(len(node.universe(universe).roster.members) == 3 for node in nodes)
    assert all(node.engine.converged(universe) for node in nodes)


def test_a_joiner_is_known_by_its_hello_however_long_the_roster_is() -> None:
    """Carol is away while much is entered and Dave joins; of the others only Dave is there when she is back."""
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    network.stop(carol)
    network.stop(bob)
    for _ in range(250):
        network.invite(alice, universe)
    dave = network.add("dave")
    dave.do(JoinUniverse(network.invite(alice, universe)))
    network.run(10 * SECOND)
    network.stop(alice)
    network.restart(carol, dial=False)
    network.dial(dave, carol.id)
    network.run(30 * SECOND)
    assert dave.me in carol.universe(universe).roster.members
    assert carol.universe(universe).roster.digest == dave.universe(universe).roster.digest
    hellos = [message for _, message in network.messages(dave) if isinstance(message, Hello)]
    assert max(sum(map(len, hello.entries)) for hello in hellos) <= 16 * 1024
    told = [message for _, message in network.messages(dave) if isinstance(message, RosterEntries)]
    assert max(sum(map(len, entries.entries)) for entries in told) <= 48 * 1024


def test_a_hello_of_a_stranger_costs_one_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its last entry is to be a member's word that it is one; else nothing of it is checked or kept."""
    network, universe, (alice, bob) = quiet("alice", "bob")
    stranger = Identity.generate("mallory", bob.random_source())
    mallory = network.add("mallory")
    roster = alice.universe(universe).roster
    forged = [
        sign_entry(
            stranger,
            universe_id=universe,
            subject=stranger.identity_public_key,
            kind=Kind.REMOVAL,
            version=1,
            predecessors=(bytes([number]) * 32,),
            body=Removal(Target.LEAVE, ()),
        )
        for number in range(50)
    ]
    looked = []

    def look(*arguments: Any) -> ReadEntry:
        looked.append(arguments)
        return read_entry(*arguments)

    monkeypatch.setattr(roster_module, "read_entry", look)
    monkeypatch.setattr(roster_graph, "read_entry", look)
    known = roster.entries()
    for entries in (tuple(forged), (*forged, known[1]), (known[1], *forged), known):
        alice.hear(mallory, Hello(universe, entries))
    assert not looked and not list(roster._graph.waiting)
    damaged = bytearray(roster.proof(bob.me, 10_000)[-1].replace(bob.id, mallory.id))
    for number in range(20):
        alice.hear(mallory, Hello(universe, (*forged, bytes(damaged[:-1]) + bytes([number]))))
    assert len(looked) == 20, "one signature each"
    assert not list(roster._graph.waiting)
    assert mallory.id not in roster.peers


def test_of_the_entries_that_wait_the_members_stay() -> None:
    """Whoever is a member can sign entries of as many authors as it likes."""
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    network.stop(carol)
    for _ in range(3):
        network.invite(alice, universe)
    roster = carol.universe(universe).roster
    *_, last = alice.universe(universe).roster.entries()
    with pytest.raises(Pending):
        roster.add(last)
    for number in range(300):
        author = Identity.generate(f"{number}", bob.random_source())
        for kind, subject, body in (
            (Kind.REMOVAL, author.identity_public_key, Removal(Target.LEAVE, ())),
            (Kind.TOPIC, universe, Topic(bytes(32))),
        ):
            entry = sign_entry(
                author,
                universe_id=universe,
                subject=subject,
                kind=kind,
                version=1,
                predecessors=(number.to_bytes(32),),
                body=body,
            )
            with pytest.raises(Pending):
                roster.add(entry)
    waiting = list(roster._graph.waiting)
    assert len(waiting) <= 256 and last in {read.encoded for read in waiting}


def test_who_knows_no_invite_has_nothing_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    network, universe, (alice, _) = quiet("alice", "bob")
    mallory = network.add("mallory")
    network.dial(mallory, alice.id)
    monkeypatch.setattr(admitting, "read_dmls_message", None)
    alice.hear(mallory, JoinHello(universe, b"i" * 32, b"n" * 32))
    alice.hear(mallory, JoinRequest(universe, b"k" * 900))
    refusals = [message for _, message in network.messages(alice) if isinstance(message, JoinRefused)]
    assert refusals == [
        JoinRefused(universe, "ticket.unknown", False),
        JoinRefused(universe, "request.stale", False),
    ]


# what does not come


def test_a_group_of_which_nothing_comes_for_a_day_is_told_once() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    group_id = alice.universe(universe).group_id

    def is_of_alice(source: Node, target: Node, send: Send) -> bool:
        frames = [send.frame] if isinstance(send, Publish) else []
        if isinstance(send, SendToPeer):
            frames = [source.rows["frame", key] for key in send.frame_ids if ("frame", key) in source.rows]
        return any(header_of(frame)[0] == group_id for frame in frames)

    network.drop = is_of_alice
    alice.do(UpdateKeys(universe))
    for _ in range(30):
        network.leap(HOUR)
        bob.say(universe, f"{len(carol.texts())}")
    (told,) = carol.heard("group.stalled")
    assert told["owner"] == alice.me
    assert told["epoch"] == carol.group(universe, alice).graph.head_info.number
    assert len(carol.texts()) >= 28, "nothing else waits"
    assert [body["owner"] for body in bob.heard("group.stalled")] == [alice.me]
    network.drop = lambda source, target, send: False
    network.leap(HOUR)
    assert carol.engine.converged(universe) and not carol.universe(universe).lacks
    for _ in range(30):
        network.leap(HOUR)
    assert len(carol.heard("group.stalled")) == 1


# costs


def test_a_report_is_compared_once() -> None:
    network, universe, (alice, *_) = quiet("alice", "bob", "carol", "dave")
    here = alice.universe(universe)
    whom, report = next(iter(here.reports.items()))
    assert alice.engine.converged(universe)
    compared = []

    def agrees(universe: Universe, identity: bytes, own: HeadsReport) -> bool:
        compared.append(identity)
        return original(universe, identity, own)

    original = reporting._agrees
    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(reporting, "_agrees", agrees)
        body = HeadsMessage.telling(report, None).encode()
        reporting.take_report(Context(network.now, bytes), here, whom, body)
        assert here.converged and compared == [whom]
        here.reports[whom] = report  # that is what the next one names
        alice.say(universe, "news")
        assert not alice.engine.converged(universe)
        network.run(10 * SECOND)
        assert alice.engine.converged(universe)
        assert len(compared) < 30


def test_the_network_is_told_of_peers_only_when_they_change(monkeypatch: pytest.MonkeyPatch) -> None:
    network, universe, (alice, bob) = quiet("alice", "bob")
    built = []

    def known(*arguments: Any) -> KnownPeers:
        built.append(arguments)
        return KnownPeers(*arguments)

    monkeypatch.setattr(told_network, "KnownPeers", known)
    for number in range(20):
        bob.say(universe, f"{number}")
        network.run(100)
    assert not built
    bob.do(OwnAddresses(("/memory/elsewhere",)))
    network.run(SECOND)
    assert built and alice.known.members[bob.id] == ("/memory/elsewhere",)
