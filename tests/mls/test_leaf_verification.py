"""Leaves are verified once where they are remembered, and by several threads where they may be."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from tests.mls.group_members import Client

from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.errors import Invalid
from starling.protocol.mls.group import CommitResult, Group
from starling.protocol.mls.group_rules import GroupRules
from starling.protocol.mls.leaf_node import COMMIT, LeafNode
from starling.protocol.mls.leaf_verification import LeafVerification
from starling.protocol.mls.proposal import Add
from starling.protocol.mls.rules import Rule

SUITE = cipher_suite(1)
CLIENTS = [Client(f"client {index}") for index in range(80)]
LEAVES = [client.signed_leaf()[0] for client in CLIENTS]
FORGED = replace(LEAVES[70], signature=LEAVES[0].signature)


class Rules(GroupRules):
    def __init__(self, verification: LeafVerification) -> None:
        self.leaf_verification = verification


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The leaves whose signature was really verified, by encryption key."""
    seen: list[bytes] = []
    verify = LeafNode.verify_signature

    def counting(leaf: LeafNode, *arguments: Any) -> None:
        seen.append(leaf.encryption_key)
        verify(leaf, *arguments)

    monkeypatch.setattr(LeafNode, "verify_signature", counting)
    return seen


def _entries(leaves: list[LeafNode]) -> list[tuple[int, LeafNode]]:
    return list(enumerate(leaves))


def test_without_memory_every_leaf_is_verified_every_time(verified: list[bytes]) -> None:
    verification = LeafVerification()
    for _ in range(2):
        assert verification.verify(SUITE, b"group", _entries(LEAVES[:3])) == _entries(LEAVES[:3])
    assert len(verified) == 6


def test_a_remembered_leaf_is_verified_and_held_once(verified: list[bytes]) -> None:
    verification = LeafVerification(remembered=10)
    verification.verify(SUITE, b"group", _entries(LEAVES[:3]))
    copies = [LeafNode.decode(leaf.encode()) for leaf in LEAVES[:4]]
    found = verification.verify(SUITE, b"another group", _entries(copies))
    assert len(verified) == 4
    assert [leaf is held for (_, leaf), held in zip(found, LEAVES, strict=False)] == [True, True, True, False]


def test_only_so_many_are_remembered_and_the_oldest_is_forgotten(verified: list[bytes]) -> None:
    verification = LeafVerification(remembered=2)
    for leaf in (LEAVES[0], LEAVES[1], LEAVES[0], LEAVES[2]):
        verification.verify(SUITE, b"group", [(0, leaf)])
    assert len(verified) == 3
    verification.verify(SUITE, b"group", [(0, LEAVES[0])])
    assert len(verified) == 3
    verification.verify(SUITE, b"group", [(0, LEAVES[1])])
    assert len(verified) == 4


def test_a_leaf_that_names_its_group_is_not_remembered() -> None:
    verification = LeafVerification(remembered=10)
    leaf = replace(LEAVES[0], leaf_node_source=COMMIT, lifetime=None, parent_hash=b"")
    signed = leaf.sign(SUITE, CLIENTS[0].signature_private_key, b"group", 0)
    verification.verify(SUITE, b"group", [(0, signed)])
    for group_id, leaf_index in ((b"another", 0), (b"group", 1)):
        with pytest.raises(Invalid) as caught:
            verification.verify(SUITE, group_id, [(leaf_index, signed)])
        assert caught.value.rule is Rule.LEAF_NODE_SIGNATURE


def test_a_wrong_signature_is_found_wherever_it_is_and_nothing_is_remembered(verified: list[bytes]) -> None:
    leaves = [*LEAVES[:70], FORGED, *LEAVES[71:]]
    with ThreadPoolExecutor(2) as pool:
        for verification in (LeafVerification(remembered=100), LeafVerification(parallel_map=pool.map)):
            for _ in range(2):
                with pytest.raises(Invalid) as caught:
                    verification.verify(SUITE, b"group", _entries(leaves))
                assert caught.value.rule is Rule.LEAF_NODE_SIGNATURE
    assert verified.count(LEAVES[0].encryption_key) == 4


def test_several_threads_verify_every_leaf(verified: list[bytes]) -> None:
    with ThreadPoolExecutor(2) as pool:
        LeafVerification(parallel_map=pool.map).verify(SUITE, b"group", _entries(LEAVES))
    assert sorted(verified) == sorted(leaf.encryption_key for leaf in LEAVES)


def test_groups_that_are_joined_share_their_leaves(verified: list[bytes]) -> None:
    newcomer = Client("newcomer")
    bundles = [newcomer.bundle(), *(client.bundle() for client in CLIENTS[:3])]
    adds = [Add(bundle.key_package) for bundle in bundles]
    made: list[CommitResult] = [
        client.create(group_id=client.name.encode()).commit(adds, random=client.random)
        for client in CLIENTS[3:5]
    ]
    verified.clear()
    rules = Rules(LeafVerification(remembered=100))
    groups: list[Group] = []
    for result in made:
        assert result.welcome is not None
        groups.append(newcomer.join(result.welcome, bundles[0], rules))
    first, second = (group.tree.leaf_nodes()[1:] for group in groups)
    assert all(one is other for one, other in zip(first, second, strict=True))
    # Two creators, and four leaves that both groups have.
    assert len(verified) == 6
