"""Messages to one member (PROTOCOL 7, T-8, T-10): carried like any other, and shown to whom they are for alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from tests.engine.frames import is_commit
from tests.engine.small_network import MINUTE, SECOND, Network, Node, quiet
from tests.engine.test_engine_readding import all_read_all, sealed_badly_for

from starling.protocol.decentralized.dmls_message import read_dmls_message
from starling.protocol.decentralized.settling import LINGER
from starling.protocol.distributed.application import (
    AGAIN,
    DIRECT,
    HEADS,
    MAX_APPLICATION_DATA,
    MAX_BODY,
    ApplicationData,
)
from starling.protocol.distributed.direct import (
    LARGEST_CLASS,
    SMALLEST_CLASS,
    open_direct,
    seal_direct,
    size_class,
)
from starling.protocol.engine import aligning, own_group
from starling.protocol.engine.context import Context
from starling.protocol.engine.inputs import BlockMember, JoinUniverse, RemoveMember, SendMessage, UpdateKeys
from starling.protocol.errors import UsageError
from starling.protocol.exchange.frame import MessageFrame, decode_frame
from starling.protocol.extensions.targeted_messages import holds_targeted_secrets, seal_targeted_message
from starling.protocol.extensions.targeted_protection import TargetedProfile
from starling.protocol.mls.private_message import PrivateMessage

TEXT = "for bob alone"


def received(node: Node) -> list[Mapping[str, Any]]:
    return node.heard("message.received")


def leaf(owner: Node, universe: bytes, member: Node) -> int:
    return owner.group(universe, owner).members()[member.me]


def send_body(owner: Node, universe: bytes, body: bytes) -> None:
    """A message `direct` with any body, whatever the owner's own engine thinks of it."""
    ctx = Context(owner.network.now, owner.random_source())
    own_group.protect(ctx, owner.universe(universe), ApplicationData(DIRECT, b"o" * 16, (), body))
    owner.finish(ctx.step(owner.wake, None))


def test_it_is_shown_to_its_recipient_and_counted_by_all() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    result = alice.say(universe, TEXT, to=bob)
    alice.say(universe, "for all")
    network.run(5 * SECOND)
    assert result["state"] == "sent" and result["recipients"] == 1
    assert bob.texts() == [TEXT, "for all"] and carol.texts() == ["for all"]
    assert [body["to"] for body in received(bob)] == [bob.me, None]
    assert [body["id"] for body in received(bob)] == [body["id"] for body in alice.heard("message.sent")]
    assert [body["to"] for body in alice.heard("message.sent")] == [bob.me, None]
    assert [body["recipients"] for body in alice.heard("message.sent")] == [1, 2]
    counted = {node.group(universe, alice).graph.head_info.user_count for node in (alice, bob, carol)}
    assert len(counted) == 1
    network.run(MINUTE)
    assert not list(alice.universe(universe).outbox.kept())
    assert all(node.engine.converged(universe) for node in (alice, bob, carol))


def test_content_type_and_refs_are_for_the_recipient_too() -> None:
    network, universe, (alice, bob, _) = quiet("alice", "bob", "carol")
    command = SendMessage(universe, b"i" * 16, b"\x00\xff", "image/png", (b"r" * 16,), bob.me)
    alice.do(command)
    network.run(5 * SECOND)
    (shown,) = received(bob)
    assert (shown["type"], shown["body"], shown["refs"]) == ("image/png", b"\x00\xff", [b"r" * 16])
    assert (shown["sender"], shown["id"]) == (alice.me, b"i" * 16)


def test_it_is_caught_up_from_others_who_cannot_read_it() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    network.stop(bob)
    alice.say(universe, TEXT, to=bob)
    network.run(5 * SECOND)
    network.stop(alice)
    network.restart(bob)
    network.run(MINUTE)
    assert bob.texts() == [TEXT] and carol.texts() == []
    assert received(bob)[0]["to"] == bob.me


def test_the_frames_look_like_those_of_ordinary_messages() -> None:
    """A PrivateMessage in a frame of the same kind; its length tells the class of what is in it, no more."""
    network, universe, (alice, bob, _) = quiet("alice", "bob", "carol")
    sizes: dict[int, set[int]] = {}
    for length in (1, 100, 200, 300, 420):
        before = len(network.published(alice))
        alice.say(universe, b"x" * length, to=bob)
        (frame,) = [each for each in network.published(alice)[before:] if not is_commit(each)]
        decoded = decode_frame(frame)
        assert isinstance(decoded, MessageFrame)
        assert isinstance(read_dmls_message(decoded.dmls_message).message.body, PrivateMessage)
        assert bob.me not in frame and alice.me not in frame
        sizes.setdefault(size_class(length + 30), set()).add(len(frame))
    assert [len(found) for found in sizes.values()] == [1, 1]
    network.run(5 * SECOND)
    assert [len(text) for text in bob.texts()] == [1, 100, 200, 300, 420]


def test_the_size_classes_hold_all_lengths() -> None:
    classes = {size_class(length) for length in range(1, LARGEST_CLASS + 1, 97)}
    assert min(classes) == SMALLEST_CLASS and len(classes) == 13
    assert all(size_class(length) >= length for length in (1, 255, 256, 257, MAX_BODY, LARGEST_CLASS))
    assert size_class(LARGEST_CLASS) == LARGEST_CLASS == MAX_APPLICATION_DATA + 4


def test_the_longest_message_arrives() -> None:
    network, universe, (alice, bob) = quiet("alice", "bob")
    alice.say(universe, b"x" * MAX_BODY, to=bob)
    network.run(MINUTE)
    assert bob.texts() == ["x" * MAX_BODY]


def test_what_cannot_be_sent_is_refused_and_changes_nothing() -> None:
    _, universe, (alice, bob) = quiet("alice", "bob")
    rows = dict(alice.rows)
    for to, body, code in (
        (alice.me, b"hi", "recipient.self"),
        (b"\x07" * 32, b"hi", "member.unknown"),
        (b"short", b"hi", "member.unknown"),
        (bob.me, b"x" * (MAX_BODY + 1), "usage"),
    ):
        with pytest.raises(UsageError) as refusal:
            alice.do(SendMessage(universe, b"i" * 16, body, to=to))
        assert refusal.value.code == code
    with pytest.raises(UsageError):
        alice.do(SendMessage(universe, b"i" * 16, b"hi", DIRECT))
    assert alice.rows == rows


def test_an_id_stands_for_one_recipient() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    first = alice.say(universe, TEXT, b"i" * 16, to=bob)
    assert alice.say(universe, TEXT, b"i" * 16, to=bob) == first
    for to in (carol, None):
        with pytest.raises(UsageError) as refusal:
            alice.say(universe, TEXT, b"i" * 16, to=to)
        assert refusal.value.code == "id_used"
    network.stop(alice)
    network.restart(alice)
    assert alice.say(universe, TEXT, b"i" * 16, to=bob) == first
    network.run(10 * SECOND)
    assert bob.texts() == [TEXT] and carol.texts() == []


# waiting for the recipient


def _newcomer(network: Network, universe: bytes, alice: Node) -> Node:
    dave = network.add("dave")
    dave.do(JoinUniverse(network.invite(alice, universe)))
    network.run(10 * SECOND)
    return dave


def test_it_waits_until_the_recipient_is_in_the_own_group(monkeypatch: pytest.MonkeyPatch) -> None:
    network, universe, (alice, bob) = quiet("alice", "bob")
    usable: Any = aligning.usable_key_package

    def not_here(ctx: Context, universe: Any, *arguments: Any, **more: Any) -> Any:
        return None if universe.me == bob.me else usable(ctx, universe, *arguments, **more)

    monkeypatch.setattr(aligning, "usable_key_package", not_here)
    dave = _newcomer(network, universe, alice)
    assert dave.me not in bob.group(universe, bob).members()
    commits = len(bob.commits())
    assert bob.say(universe, "for dave", to=dave)["state"] == "queued"
    assert bob.say(universe, "for all")["state"] == "sent"
    network.run(MINUTE)
    assert alice.texts() == ["for all"] and dave.texts() == []
    assert len(bob.commits()) <= commits + 1
    network.stop(bob)
    network.restart(bob)
    network.run(10 * SECOND)
    assert bob.universe(universe).outbox.queued == 1
    monkeypatch.setattr(aligning, "usable_key_package", usable)
    network.run(2 * MINUTE)
    assert dave.texts() == ["for dave"] and alice.texts() == ["for all"]
    assert bob.universe(universe).outbox.queued == 0


def test_what_waits_for_a_member_that_is_removed_is_told_and_goes_to_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network, universe, (alice, bob) = quiet("alice", "bob")
    usable: Any = aligning.usable_key_package
    monkeypatch.setattr(
        aligning,
        "usable_key_package",
        lambda ctx, universe, *more, **named: (
            None if universe.me == bob.me else usable(ctx, universe, *more, **named)
        ),
    )
    dave = _newcomer(network, universe, alice)
    bob.say(universe, "for dave", b"i" * 16, to=dave)
    alice.do(RemoveMember(universe, dave.me))
    network.run(10 * SECOND)
    monkeypatch.setattr(aligning, "usable_key_package", usable)
    assert bob.heard("message.undelivered") == [{"id": b"i" * 16, "to": dave.me, "reason": "removed"}]
    assert bob.universe(universe).outbox.queued == 0
    assert not any(b"for dave" in row for row in bob.rows.values())
    network.stop(bob)
    network.restart(bob)
    network.run(MINUTE)
    with pytest.raises(UsageError) as refusal:
        bob.say(universe, "more for dave", to=dave)
    assert refusal.value.code == "member.unknown"
    assert bob.say(universe, "for dave", b"i" * 16, to=dave) == {"id": b"i" * 16, "state": "undelivered"}
    assert not dave.texts() and not alice.texts() and not bob.heard("message.sent")
    assert len(bob.heard("message.undelivered")) == 1


def test_what_waits_for_a_member_that_is_blocked_is_told() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    network.stop(alice)
    network.restart(alice, dial=False)
    assert alice.say(universe, TEXT, b"i" * 16, to=bob)["state"] == "queued"
    alice.do(BlockMember(universe, bob.me))
    assert alice.heard("message.undelivered") == [{"id": b"i" * 16, "to": bob.me, "reason": "blocked"}]
    with pytest.raises(UsageError) as refusal:
        alice.say(universe, "more", to=bob)
    assert refusal.value.code == "member.blocked"
    network.dial_all()
    network.run(MINUTE)
    assert bob.texts() == [] and carol.texts() == [] and not alice.heard("message.sent")


# again


def test_it_comes_again_to_its_recipient_alone_once_and_in_order() -> None:
    """Both fell behind in alice's group, and are added again by new leaves; each gets what was for it (B10)."""
    network, universe, (alice, bob, carol, dave) = quiet("alice", "bob", "carol", "dave")
    with sealed_badly_for(alice, universe, bob, carol):
        alice.do(UpdateKeys(universe))
    for text, to in (("one", None), ("two", bob), ("three", carol), ("four", None), ("five", bob)):
        alice.say(universe, text, to=to)
    network.run(SECOND)
    assert dave.texts() == ["one", "four"]
    before = len(network.published(alice))
    network.run(2 * MINUTE)
    assert bob.texts() == ["one", "two", "four", "five"]
    assert carol.texts() == ["one", "three", "four"]
    assert dave.texts() == ["one", "four"]
    for node in (bob, carol, dave):
        ids = [body["id"] for body in received(node)]
        assert len(set(ids)) == len(ids)
    assert [body["to"] for body in received(bob)] == [None, bob.me, None, bob.me]
    assert not any(b"two" in frame for frame in network.published(alice)[before:])
    all_read_all(network, universe, [alice, bob, carol, dave])
    assert not alice.universe(universe).outbox.repeats and not list(alice.universe(universe).outbox.kept())


def test_it_comes_again_after_a_restart_of_its_sender() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    with sealed_badly_for(alice, universe, bob):
        alice.do(UpdateKeys(universe))
    alice.say(universe, TEXT, to=bob)
    network.run(SECOND)
    network.stop(alice)
    network.run(MINUTE)
    network.restart(alice)
    network.run(2 * MINUTE)
    assert bob.texts() == [TEXT] and carol.texts() == []
    all_read_all(network, universe, [alice, bob, carol])


def test_what_is_lost_is_counted_for_its_recipient_alone() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    network.stop(bob)
    network.stop(carol)
    alice.say(universe, TEXT, to=bob)
    network.leap(31 * 24 * 60 * MINUTE)
    lost = alice.universe(universe).outbox.lost
    assert {member: counted.count for member, counted in lost.items()} == {bob.me: 1}


# T-10


def _superseded(node: Node, universe: bytes, owner: Node) -> dict[int, bool]:
    """By the number of each superseded epoch that is retained: whether direct messages of it could be opened."""
    state = node.group(universe, owner)
    found = {}
    for name in state.retained():
        group = state.state(name)
        assert group is not None
        if name != state.graph.head:
            found[group.epoch] = holds_targeted_secrets(group)
    return found


def test_the_secrets_go_when_the_epoch_is_complete() -> None:
    """Somebody is away, so the epochs stay; what opens direct messages goes when they are all here, and no other copy
    of their sender can bring more."""
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    network.stop(carol)
    alice.say(universe, TEXT, to=bob)
    network.run(SECOND)
    assert holds_targeted_secrets(bob.group(universe, alice).head)
    alice.do(UpdateKeys(universe))
    network.run(SECOND)
    assert any(_superseded(bob, universe, alice).values())
    network.run(LINGER)
    assert _superseded(bob, universe, alice) and not any(_superseded(bob, universe, alice).values())
    network.stop(bob)
    network.restart(bob)
    network.run(10 * SECOND)
    assert not any(_superseded(bob, universe, alice).values())
    network.restart(carol)
    network.run(MINUTE)
    assert carol.texts() == [] and bob.texts() == [TEXT]


def test_they_stay_while_a_message_is_missing() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    network.streams = False
    network.drop = lambda source, target, send: target is bob and getattr(send, "frame", b"") == lost
    network.stop(carol)
    ctx_before = len(network.published(alice))
    lost = b""
    network.gossip = False
    alice.say(universe, TEXT, to=bob)
    lost = network.published(alice)[ctx_before]
    network.gossip = True
    alice.do(UpdateKeys(universe))
    network.run(SECOND)
    number = alice.group(universe, alice).graph.head_info.number
    assert bob.group(universe, alice).graph.head_info.number == number
    assert _superseded(bob, universe, alice)[number - 1]
    network.drop = lambda source, target, send: False
    network.streams = True
    network.run(MINUTE)
    assert bob.texts() == [TEXT]
    assert not any(_superseded(bob, universe, alice).values())


def test_what_comes_after_they_went_is_told() -> None:
    """On a branch that nobody knew an epoch may have had more messages."""
    network, universe, (alice, bob) = quiet("alice", "bob")
    group = bob.group(universe, alice).head
    group.secrets.forget({"targeted_message_psk", "targeted_sender_auth_data"})
    alice.say(universe, TEXT, to=bob)
    network.run(5 * SECOND)
    told = {"owner": alice.me, "epoch": group.epoch, "held": None, "count": 1}
    assert bob.heard("messages.unavailable") == [told] and bob.texts() == []


# hostile senders


def test_what_a_hostile_sender_seals_is_refused_and_harms_nobody() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    group = alice.group(universe, alice).head
    place = leaf(alice, universe, bob)
    random = alice.random_source()
    good = ApplicationData("text", b"i" * 16, (), TEXT.encode()).encode()
    sealed = seal_direct(group, place, good, random)
    for inner in (HEADS, DIRECT, AGAIN):
        data = ApplicationData(inner, b"i" * 16, (), b"").encode()
        send_body(alice, universe, seal_direct(group, place, data, random))
    bodies = [
        b"",
        b"\xff" * 300,
        sealed[:-1],
        sealed + b"\x00",
        sealed[:-20] + bytes(20),
        seal_direct(group, place, b"no application data", random),
        seal_targeted_message(group, TargetedProfile.DRAFT_00, place, good, random=random).encode(),
        seal_direct(carol.group(universe, carol).head, place, good, random),
    ]
    for body in bodies:
        send_body(alice, universe, body)
    network.run(10 * SECOND)
    assert bob.texts() == [] and carol.texts() == []
    refused = bob.universe(universe).refused
    assert refused["direct"] == 3 and sum(refused.values()) == 3 + len(bodies)
    alice.say(universe, "on")
    network.run(10 * SECOND)
    assert bob.texts() == carol.texts() == ["on"]


def test_a_repeated_body_is_delivered_once() -> None:
    network, universe, (alice, bob) = quiet("alice", "bob")
    data = ApplicationData("text", b"i" * 16, (), TEXT.encode()).encode()
    group = alice.group(universe, alice).head
    body = seal_direct(group, leaf(alice, universe, bob), data, alice.random_source())
    for _ in range(3):
        send_body(alice, universe, body)
    network.run(10 * SECOND)
    assert bob.texts() == [TEXT]
    assert open_direct(bob.group(universe, alice).head, body) == data
