"""What an archiver lets go of: what all members have, and what has grown old."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import replace

from tests.archiver.archiver_network import consistent, with_archiver
from tests.engine.small_network import HOUR, SECOND

from starling.protocol.archiver import keeping
from starling.protocol.distributed.floor import Floors, Place
from starling.protocol.distributed.policy import FRAME_RETENTION
from starling.protocol.engine.context import Context
from starling.protocol.engine.inputs import RemoveMember, UpdateKeys
from starling.protocol.exchange.archiver_messages import MemberFloors
from starling.protocol.exchange.feed import FrameKind, ListedFrame, Verdict


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
