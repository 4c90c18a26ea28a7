"""Send groups whose commits archivers read too: who reads which of them, and which are refused (PROTOCOL X-20, C-3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from tests.distributed.people import person
from tests.engine.branched import Saved
from tests.engine.forging import end, forged_commit, packages
from tests.engine.small_network import MINUTE, SECOND, Node, quiet
from tests.extensions.semi_private_groups import Outsider, outsider

from starling.protocol.decentralized.dmls_message import read_dmls_message
from starling.protocol.engine import membership
from starling.protocol.engine.context import Context
from starling.protocol.engine.inputs import FrameReceived, JoinUniverse, RemoveMember, UpdateKeys
from starling.protocol.engine.step import Publish
from starling.protocol.engine.universe import Universe
from starling.protocol.errors import DecodeError
from starling.protocol.exchange.frame import CommitFrame, decode_frame
from starling.protocol.extensions import semi_private
from starling.protocol.extensions.external_receivers import ExternalReceiver, read_external_receivers
from starling.protocol.extensions.semi_private_receiver import ReceivedHandshake
from starling.protocol.mls import Credential, MLSMessage, WireFormat
from starling.protocol.mls.semi_private_message import SemiPrivateMessage

PRIVATE, SEMI = WireFormat.MLS_PRIVATE_MESSAGE, WireFormat.MLS_SEMIPRIVATE_MESSAGE


def archiver(name: str) -> Outsider:
    """An archiver as the roster will name it: its identity key is its credential."""
    identity = person(name).identity_public_key
    made = outsider(name)
    key = made.receiver.external_receiver_public_key
    return replace(made, receiver=ExternalReceiver(key, Credential.basic(identity)))


ARCHIVE, VAULT = archiver("archive"), archiver("vault")


def add_entry(node: Node, universe_id: bytes, make: Callable[[Universe], bytes]) -> None:
    """A roster entry by this member."""
    ctx = Context(node.network.now, node.engine._random)
    universe = node.universe(universe_id)
    membership.add_entries(ctx, universe, [make(universe)])
    step = ctx.step(node.network.now, None)
    node.finish(step)


def name(node: Node, universe_id: bytes, who: Outsider) -> None:
    identity = who.receiver.credential.identity
    assert identity is not None

    def make(universe: Universe) -> bytes:
        return universe.roster.make_archiver(
            universe.identity,
            subject=identity,
            name="archive",
            peer_id=person(identity.hex()).peer_id,
            public_key=who.receiver.external_receiver_public_key,
            offer=bytes(32),
            addresses=(),
        )

    add_entry(node, universe_id, make)


def take_off(node: Node, universe_id: bytes, who: Outsider) -> None:
    identity = who.receiver.credential.identity
    assert identity is not None
    add_entry(node, universe_id, lambda held: held.roster.make_remove_archiver(held.identity, identity))


def commits(owner: Node, since: int = 0) -> list[MLSMessage]:
    """All commits that the owner sent, from one of the things sent on."""
    sent = [
        send.frame
        for source, send in owner.network.sent[since:]
        if source is owner and isinstance(send, Publish)
    ]
    frames = [frame for frame in map(decode_frame, sent) if isinstance(frame, CommitFrame)]
    return [read_dmls_message(frame.dmls_message).message for frame in frames]


def seen(person: Outsider, message: MLSMessage) -> ReceivedHandshake:
    assert isinstance(message.body, SemiPrivateMessage)
    return person.open(message.body)


def agree(universe_id: bytes, nodes: Sequence[Node]) -> None:
    """All hold the same heads of all groups."""
    for owner in nodes:
        heads = {node.group(universe_id, owner).graph.head for node in nodes}
        assert len(heads) == 1, owner.name


def test_archivers_read_the_commits_of_all_owners_while_they_are_named() -> None:
    network, universe, nodes = quiet("alice", "bob", "carol")
    alice, bob, carol = nodes
    start = len(network.sent)
    name(alice, universe, ARCHIVE)
    network.run(20 * SECOND)
    for owner in nodes:
        # One commit, not sealed to it yet, says who will read what follows.
        (told,) = commits(owner, start)
        assert told.wire_format == PRIVATE
        context = carol.group(universe, owner).head.context
        assert read_external_receivers(context.extensions) == (ARCHIVE.receiver,)
    start = len(network.sent)
    bob.do(UpdateKeys(universe))
    network.run(20 * SECOND)
    (update,) = commits(bob, start)
    assert update.wire_format == SEMI and 0 in seen(ARCHIVE, update).changes.leaf_nodes
    alice.say(universe, "read by members alone")
    network.run(5 * SECOND)
    assert carol.texts() == bob.texts() == ["read by members alone"]
    agree(universe, nodes)

    start = len(network.sent)
    take_off(alice, universe, ARCHIVE)
    network.run(20 * SECOND)
    for owner in nodes:
        # It is told that it reads no further.
        (last,) = commits(owner, start)
        opened = seen(ARCHIVE, last)
        assert not opened.is_authenticated and opened.sender_leaf_index == 0
        context = carol.group(universe, owner).head.context
        assert read_external_receivers(context.extensions) == ()
    start = len(network.sent)
    carol.do(UpdateKeys(universe))
    network.run(20 * SECOND)
    assert [message.wire_format for message in commits(carol, start)] == [PRIVATE]
    agree(universe, nodes)


def test_a_joiner_and_a_removal_are_seen() -> None:
    network, universe, (alice, bob) = quiet("alice", "bob")
    name(alice, universe, ARCHIVE)
    name(alice, universe, VAULT)
    network.run(10 * SECOND)
    start = len(network.sent)
    carol = network.add("carol")
    carol.do(JoinUniverse(network.invite(alice, universe)))
    network.run(20 * SECOND)
    for owner in (alice, bob):
        changes = [seen(VAULT, message).changes for message in commits(owner, start)]
        added = [package.leaf_node.credential.identity for change in changes for package in change.adds]
        assert added == [carol.me]
    # A group that is founded with archivers in the roster names them from its first epoch on.
    assert {message.wire_format for message in commits(carol)} == {SEMI}
    tree = alice.group(universe, bob).head.tree
    leaf_index = next(index for index, leaf in tree.leaves() if leaf.credential.identity == carol.me)
    start = len(network.sent)
    alice.do(RemoveMember(universe, carol.me))
    network.run(10 * SECOND)
    removes = [seen(ARCHIVE, message).changes.removes for message in commits(bob, start)]
    assert removes == [(leaf_index,)]
    alice.say(universe, "among the two")
    network.run(5 * SECOND)
    assert bob.texts() == ["among the two"]


def test_after_a_restart_the_boot_commit_is_semi_private() -> None:
    network, universe, (alice, bob) = quiet("alice", "bob")
    name(alice, universe, ARCHIVE)
    network.run(10 * SECOND)
    network.stop(bob)
    start = len(network.sent)
    network.restart(bob)
    network.run(MINUTE)
    boot = commits(bob, start)[0]
    assert 0 in seen(ARCHIVE, boot).changes.leaf_nodes
    bob.say(universe, "back")
    network.run(5 * SECOND)
    assert alice.texts() == ["back"]
    agree(universe, [alice, bob])


def test_a_put_back_owner_goes_on_semi_privately() -> None:
    """Its boot commit is a sibling under the same retained ratchet, at another generation (K-23)."""
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    name(alice, universe, ARCHIVE)
    network.run(20 * SECOND)
    network.stop(carol)  # so that bob keeps the parent
    saved = Saved(alice)
    start = len(network.sent)
    alice.do(UpdateKeys(universe))
    alice.say(universe, "forgotten")
    network.run(5 * SECOND)
    network.stop(alice)
    (lost,) = commits(alice, start)
    saved.put_back(alice)
    start = len(network.sent)
    network.restart(alice)
    network.run(5 * SECOND)
    alice.say(universe, "new")
    network.run(5 * SECOND)
    assert bob.texts() == ["forgotten", "new"] and bob.heard("fork.detected")
    boot = commits(alice, start)[0]
    assert isinstance(boot.body, SemiPrivateMessage) and isinstance(lost.body, SemiPrivateMessage)
    assert boot.body.epoch == lost.body.epoch
    keys = [seen(ARCHIVE, message).content for message in (lost, boot)]
    assert keys[0] != keys[1]
    assert boot.body.partial_context_hash != lost.body.partial_context_hash, "one nonce for two commits"
    network.restart(carol)
    network.run(MINUTE)
    assert carol.texts() == ["forgotten", "new"]
    agree(universe, (alice, bob, carol))


def test_an_archiver_with_a_key_that_is_none_is_not_named() -> None:
    """Nobody could commit in an epoch that names it."""
    _, universe, (alice, _) = quiet("alice", "bob")
    bad = archiver("bad")
    unusable = replace(bad.receiver, external_receiver_public_key=bytes(32))
    with pytest.raises(DecodeError):
        name(alice, universe, replace(bad, receiver=unusable))
    assert not alice.universe(universe).roster.archivers


def forged(node: Node, universe_id: bytes, wire_format: int) -> bytes:
    """A commit by this member in its own group, in that format whatever the rules say."""
    proposals = [end(node, universe_id), packages(node, universe_id)]
    return forged_commit(node, universe_id, node, proposals, path=True, wire_format=wire_format)


def test_what_archivers_shall_read_is_not_hidden_from_them() -> None:
    network, universe, (alice, bob) = quiet("alice", "bob")
    name(alice, universe, ARCHIVE)
    network.run(10 * SECOND)
    head = alice.group(universe, bob).graph.head
    alice.do(FrameReceived(bob.id, forged(bob, universe, PRIVATE)))
    assert alice.universe(universe).refused["HANDSHAKE_FORMAT"] == 1
    assert alice.group(universe, bob).graph.head == head
    alice.do(FrameReceived(bob.id, forged(bob, universe, SEMI)))
    assert alice.group(universe, bob).graph.head != head


def test_what_members_shall_read_is_not_shown_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    _, universe, (alice, bob) = quiet("alice", "bob")
    head = alice.group(universe, bob).graph.head
    with monkeypatch.context() as patch:
        # As if the GroupContext named somebody.
        patch.setattr(semi_private, "read_external_receivers", lambda extensions: (ARCHIVE.receiver,))
        frame = forged(bob, universe, SEMI)
        alice.do(FrameReceived(bob.id, frame))
        assert alice.universe(universe).refused["HANDSHAKE_FORMAT"] == 1
    alice.do(FrameReceived(bob.id, frame))
    assert alice.universe(universe).refused["HANDSHAKE_FORMAT"] == 2
    assert alice.group(universe, bob).graph.head == head
    alice.do(FrameReceived(bob.id, forged(bob, universe, PRIVATE)))
    assert alice.group(universe, bob).graph.head != head
