"""A member's KeyPackages are its own affair: they cannot stop the commits of others (X-10, RFC 9420 §7.3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.engine.small_network import SECOND, Node, quiet

from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.distributed.member import build_key_package, leaf_extensions, read_member
from starling.protocol.distributed.send_group_id import new_send_group_id
from starling.protocol.engine.inputs import UpdateKeys
from starling.protocol.exchange.member_messages import Profiles
from starling.protocol.mls.key_package import KeyPackage
from starling.protocol.mls.leaf_node import LeafNode

SUITE = cipher_suite(1)


def repackaged(
    node: Node, universe_id: bytes, change: Callable[[LeafNode], LeafNode], **fields: bytes
) -> bytes:
    """A KeyPackage by this member, newer than all it ever made, its leaf changed and signed again."""
    held = node.universe(universe_id)
    private_key = held.signature_private_key
    package = build_key_package(
        held.identity,
        cipher_suite=SUITE,
        universe_id=universe_id,
        send_group_id=fields.get("send_group_id", held.group_id),
        incarnation=held.incarnation,
        serial=2**60,
        signature_private_key=private_key,
        now=node.network.now,
        random=node.random_source(),
    ).key_package
    leaf = change(package.leaf_node).sign(SUITE, private_key)
    return replace(package, leaf_node=leaf).sign(private_key).encode()


def newest_key(node: Node, universe_id: bytes, member: Node) -> bytes:
    package = node.universe(universe_id).profiles.key_package(member.me, 1)
    assert isinstance(package, KeyPackage)
    return package.leaf_node.encryption_key


def without_proposals(leaf: LeafNode) -> LeafNode:
    return replace(leaf, capabilities=replace(leaf.capabilities, proposals=()))


def without_wire_formats(leaf: LeafNode) -> LeafNode:
    return replace(leaf, extensions=leaf.extensions[:1])


@pytest.mark.parametrize(
    "kind", ["key of another", "other send group", "group of another", "no capabilities", "no wire formats"]
)
def test_a_bad_key_package_does_not_stop_the_updates_of_others(kind: str) -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    stolen = newest_key(alice, universe, carol)
    bad = {
        "key of another": lambda: repackaged(
            bob, universe, lambda leaf: replace(leaf, encryption_key=stolen)
        ),
        "other send group": lambda: repackaged(
            bob, universe, lambda leaf: leaf, send_group_id=new_send_group_id(universe, bob.me, bytes)
        ),
        "group of another": lambda: repackaged(
            bob, universe, lambda leaf: leaf, send_group_id=carol.universe(universe).group_id
        ),
        "no capabilities": lambda: repackaged(bob, universe, without_proposals),
        "no wire formats": lambda: repackaged(bob, universe, without_wire_formats),
    }[kind]()
    alice.hear(bob, Profiles(universe, (((bad,), b""),)))
    before = alice.group(universe, alice).graph.head_info.number
    assert alice.do(UpdateKeys(universe)) > before
    network.stop(alice)
    network.restart(alice)
    network.run(10 * SECOND)
    assert alice.universe(universe).boot.done
    assert alice.group(universe, alice).graph.head_info.number > before + 1
    alice.say(universe, "still here")
    network.run(5 * SECOND)
    assert carol.texts()[-1] == "still here"


def test_a_failed_boot_commit_lets_nothing_be_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """B2: what the earlier run entered is never spoken in, whatever stops the commit."""
    network, universe, (alice, _) = quiet("alice", "bob")
    network.stop(alice)

    from starling.protocol.engine import own_group
    from starling.protocol.errors import VerificationFailed

    def fails(*_: object, **__: Any) -> None:
        raise VerificationFailed

    monkeypatch.setattr(own_group, "commit", fails)
    network.restart(alice)
    network.run(10 * SECOND)
    assert alice.say(universe, "too early")["state"] == "queued"
    monkeypatch.undo()
    network.run(10 * SECOND)
    assert alice.universe(universe).outbox.queued == 0


def test_read_member_of_a_repackaged_leaf() -> None:
    """The forging above makes what it says."""
    _, universe, (alice, _) = quiet("alice", "bob")
    package = KeyPackage.decode(repackaged(alice, universe, lambda leaf: leaf, send_group_id=bytes(32)))
    assert read_member(package.leaf_node).send_group_id == bytes(32)
    assert leaf_extensions(read_member(package.leaf_node)) == package.leaf_node.extensions


def test_no_epoch_keeps_what_its_psk_came_from() -> None:
    """X-6, X-18: a wiped PSK cannot be exported a second time, not even in a head."""
    _, universe, nodes = quiet("alice", "bob")
    for node in nodes:
        for state in node.universe(universe).groups.values():
            assert not any(
                held is not None and held.secrets.holds("exporter_secret")
                for held in map(state.state, state.retained())
            )
