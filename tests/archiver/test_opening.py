"""What an archiver opens: commits that are sealed to it, unauthenticated (PROTOCOL S-8, S-13, X-20)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.archiver.archiver_network import ArchiverNode, with_archiver
from tests.engine.small_network import SECOND, Network, Node

from starling.protocol.archiver.kept_frames import Opening
from starling.protocol.decentralized.dmls_message import read_dmls_message, wrap
from starling.protocol.distributed.archivers import external_receivers
from starling.protocol.distributed.head_statement import HeadStatement
from starling.protocol.distributed.identity import Identity
from starling.protocol.distributed.member import build_key_package
from starling.protocol.engine import own_group
from starling.protocol.engine.inputs import (
    FrameReceived,
    NameArchiver,
    RemoveArchiver,
    RemoveMember,
    UpdateKeys,
)
from starling.protocol.exchange.frame import CommitFrame, decode_frame
from starling.protocol.extensions.external_receivers import read_external_receivers
from starling.protocol.mls.extension import Extension
from starling.protocol.mls.key_package import KeyPackageBundle
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.semi_private_message import SemiPrivateMessage
from starling.protocol.mls.wire_format import WireFormat


def newest_commit(network: Network, source: Node) -> CommitFrame:
    frames = map(decode_frame, network.published(source))
    return [frame for frame in frames if isinstance(frame, CommitFrame)][-1]


def wire_format(frame: CommitFrame) -> int:
    return read_dmls_message(frame.dmls_message).message.wire_format


def openings(vault: ArchiverNode, universe_id: bytes) -> list[Opening]:
    return [frame.opening for frame in vault.archive(universe_id).frames if frame.is_commit]


def test_every_owner_commits_to_the_archiver_from_the_next_epoch_on() -> None:
    network, universe_id, vault, members = with_archiver("Alice", "Bob", "Carol")
    for node in members:
        roster = node.universe(universe_id).roster
        named = read_external_receivers(node.universe(universe_id).own.head.context.extensions)
        assert named == external_receivers(roster.archivers.values())
        assert len(named) == 1
    before = len(openings(vault, universe_id))
    for node in members:
        node.do(UpdateKeys(universe_id))
    network.run(5 * SECOND)
    new = openings(vault, universe_id)[before:]
    assert len(new) >= 3
    assert set(new) == {Opening.OPENED}
    assert wire_format(newest_commit(network, members[1])) == WireFormat.MLS_SEMIPRIVATE_MESSAGE
    assert not vault.archive(universe_id).refused


def test_an_add_and_a_removal_open_too() -> None:
    network, universe_id, vault, (alice, bob, carol) = with_archiver("Alice", "Bob", "Carol")
    before = len(openings(vault, universe_id))
    alice.do(RemoveMember(universe_id, carol.me))
    network.run(10 * SECOND)
    assert set(openings(vault, universe_id)[before:]) == {Opening.OPENED}
    assert carol.me not in vault.archive(universe_id).roster.members
    assert not bob.universe(universe_id).refused


def test_without_an_archiver_commits_are_private_again() -> None:
    network, universe_id, vault, members = with_archiver("Alice", "Bob")
    alice, bob = members
    alice.do(RemoveArchiver(universe_id, vault.me))
    network.run(10 * SECOND)
    for node in members:
        node.do(UpdateKeys(universe_id))
        network.run(SECOND)
        assert wire_format(newest_commit(network, node)) == WireFormat.MLS_PRIVATE_MESSAGE
        assert not read_external_receivers(node.universe(universe_id).own.head.context.extensions)
    network.run(20 * SECOND)
    assert bob.engine.converged(universe_id)


def test_who_is_named_no_more_keeps_nothing() -> None:
    network, universe_id, vault, (alice, bob) = with_archiver("Alice", "Bob")
    alice.say(universe_id, "kept for a while")
    network.run(SECOND)
    known = vault.archive(universe_id).roster.topics
    assert vault.table("offer")
    alice.do(RemoveArchiver(universe_id, vault.me))
    network.run(20 * SECOND)
    assert vault.archiver.universes() == []
    assert vault.rows == {}
    assert vault.topics == frozenset()
    assert [event["reason"] for event in vault.heard("archive.ended")] == ["removed"]
    assert alice.universe(universe_id).roster.topics[0] not in known
    assert all(bob.universe(universe_id).roster.topics[0] not in topics for topics in (known,))


def test_who_was_away_learns_later_that_it_is_named_no_more() -> None:
    network, universe_id, vault, (alice, bob) = with_archiver("Alice", "Bob")
    network.cut(vault, alice, bob)
    alice.do(RemoveArchiver(universe_id, vault.me))
    network.run(10 * SECOND)
    assert vault.archiver.universes()
    network.heal_between(vault, bob)
    network.run(20 * SECOND)
    assert vault.archiver.universes() == []


def test_two_archivers_both_open() -> None:
    network, universe_id, vault, (alice, bob) = with_archiver("Alice", "Bob")
    second = type(vault)("Second", network)
    network.nodes[second.id] = second
    alice.do(NameArchiver(universe_id, second.offer()))
    network.run(20 * SECOND)
    bob.do(UpdateKeys(universe_id))
    network.run(5 * SECOND)
    for node in (vault, second):
        assert openings(node, universe_id)[-1] is Opening.OPENED


def forged(vault: ArchiverNode, owner: Node, universe_id: bytes, *, spoil: str) -> bytes:
    """The newest commit of an owner that opens at the archiver, spoilt and signed by the owner again."""
    kept = [f for f in vault.archive(universe_id).frames if f.opening is Opening.OPENED]
    held = next(f for f in reversed(kept) if f.group_id == owner.universe(universe_id).group_id)
    frame = decode_frame(vault.rows["frame", held.frame_id])
    assert isinstance(frame, CommitFrame)
    message = read_dmls_message(frame.dmls_message)
    body = message.message.body
    assert isinstance(body, SemiPrivateMessage)
    flip = getattr(body, spoil)
    changed = replace(body, **{spoil: flip[:-1] + bytes([flip[-1] ^ 1])})
    encoded = MLSMessage(WireFormat.MLS_SEMIPRIVATE_MESSAGE, changed).encode()
    statement = HeadStatement.sign(
        owner.universe(universe_id).signature_private_key,
        universe_id=universe_id,
        group_id=message.group_id,
        epoch=message.epoch,
        parent_dmls_epoch=message.dmls_epoch,
        commit=encoded + frame.welcome,
    )
    return CommitFrame(wrap(encoded, message.dmls_epoch), statement.encode(), frame.welcome).encode()


def test_what_the_owner_signed_and_does_not_open_is_kept_and_told() -> None:
    for spoil in ("ciphertext", "partial_context_hash"):
        network, universe_id, vault, (alice, bob) = with_archiver("Alice", "Bob")
        bob.do(UpdateKeys(universe_id))
        network.run(5 * SECOND)
        vault.do(FrameReceived(alice.id, forged(vault, bob, universe_id, spoil=spoil)))
        assert openings(vault, universe_id)[-1] is Opening.BAD
        (told,) = vault.heard("archive.bad_commit")
        assert told["owner"] == bob.me


def test_what_the_owner_did_not_sign_is_refused() -> None:
    network, universe_id, vault, (alice, bob) = with_archiver("Alice", "Bob")
    bob.do(UpdateKeys(universe_id))
    network.run(5 * SECOND)
    before = len(vault.archive(universe_id).frames)
    good = newest_commit(network, bob)
    statement = HeadStatement.decode(good.head_statement)
    bad_signature = replace(statement, signature=bytes(64))
    other = replace(statement, epoch=statement.epoch + 1)
    for frame in (
        replace(good, head_statement=bad_signature.encode()),
        replace(good, head_statement=other.encode()),
        replace(good, welcome=b"\x01"),
        replace(good, head_statement=b"\x00"),
    ):
        vault.do(FrameReceived(alice.id, frame.encode()))
    assert len(vault.archive(universe_id).frames) == before
    assert sum(vault.archive(universe_id).refused.values()) == 4


def test_key_packages_that_no_row_could_hold_are_kept_by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else no node that has seen the commit of a hostile member could read its own store again."""
    network, universe_id, vault, (alice, mallory) = with_archiver("Alice", "Mallory")

    def swollen(identity: Identity, **fields: Any) -> KeyPackageBundle:
        bundle = build_key_package(identity, **fields)
        package = bundle.key_package
        padded = (*package.extensions, Extension(0xFA01, bytes(20_000)))
        signed = replace(package, extensions=padded).sign(fields["signature_private_key"])
        return replace(bundle, key_package=signed)

    with monkeypatch.context() as patch:
        patch.setattr(own_group, "build_key_package", swollen)
        mallory.do(UpdateKeys(universe_id))
        network.run(10 * SECOND)
    head = mallory.universe(universe_id).own.graph.head
    assert alice.universe(universe_id).groups[mallory.universe(universe_id).group_id].graph.head == head
    for node in (alice, vault):
        network.restart(node)
    stores = (alice.universe(universe_id).profiles, vault.archive(universe_id).profiles)
    assert all(store.key_package(mallory.me, 1) is not None for store in stores)
