"""RFC 9420 §4.1, §7.7 to §7.9, §12.4.3.3: the tree as a value, its hashes, and what a joiner checks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.mls.tree_members import GROUP_ID, SUITE, Someone, someone, tree_of, with_path

from starling.protocol.errors import DecodeError, Invalid, UsageError
from starling.protocol.mls import tree_math
from starling.protocol.mls.credential import Certificate, Credential
from starling.protocol.mls.extension import RequiredCapabilities
from starling.protocol.mls.leaf_node import LeafNode
from starling.protocol.mls.parent_hash import check_parent_hashes
from starling.protocol.mls.ratchet_tree import ParentNode, RatchetTree
from starling.protocol.mls.rules import Rule
from starling.protocol.mls.tree_hash import tree_hash
from starling.protocol.mls.tree_validation import (
    check_credentials_supported,
    check_unique_keys,
    check_unmerged_leaves,
    validate_tree,
)

TREE, MEMBERS = tree_of(6)
GROWN = with_path(with_path(TREE, MEMBERS, 0), MEMBERS, 3)
"""Six leaves of eight, with the paths of leaves 0 and 3."""


def broken(rule: Rule, action: Callable[..., Any], *arguments: Any) -> None:
    with pytest.raises(Invalid) as caught:
        action(*arguments)
    assert caught.value.rule is rule


def parent(tree: RatchetTree, node: int) -> ParentNode:
    found = tree.parent_node(node)
    assert found is not None
    return found


def test_a_changed_tree_leaves_the_old_one_whole() -> None:
    before = TREE.encode(), tree_hash(SUITE, TREE)
    TREE.with_leaf_added(someone().leaf_node)
    TREE.with_leaf_removed(2)
    with_path(TREE, MEMBERS, 1)
    assert (TREE.encode(), tree_hash(SUITE, TREE)) == before


def test_a_leaf_takes_the_leftmost_blank_place() -> None:
    tree = TREE.with_leaf_removed(2)
    tree, index = tree.with_leaf_added(someone().leaf_node)
    assert index == 2
    assert [index for index, _ in tree.leaves()] == [0, 1, 2, 3, 4, 5]


def test_a_new_leaf_is_unmerged_at_every_parent_above() -> None:
    tree, index = GROWN.with_leaf_added(someone().leaf_node)
    assert index == 6
    assert parent(tree, tree.root).unmerged_leaves == (6,)
    tree, _ = tree.with_leaf_added(someone().leaf_node)
    assert parent(tree, tree.root).unmerged_leaves == (6, 7)
    assert tree.resolution(tree.root) == [tree.root, 12, 14]
    validate_tree(SUITE, tree, GROUP_ID)


def test_the_tree_halves_as_far_as_its_right_half_is_empty() -> None:
    tree = TREE.with_leaf_removed(4)
    assert tree.leaf_count == 8
    assert tree.with_leaf_removed(5).leaf_count == 4
    tree = TREE
    for index in (1, 2, 3, 4, 5):
        tree = tree.with_leaf_removed(index)
    assert (tree.leaf_count, tree.root) == (1, 0)


def test_update_and_remove_blank_the_direct_path() -> None:
    for tree in (GROWN.with_leaf_updated(0, someone().leaf_node), GROWN.with_leaf_removed(0)):
        assert all(tree.nodes[node] is None for node in tree_math.direct_path(0, tree.leaf_count))


@pytest.mark.parametrize("index", [6, 7, 8, 2**32 - 1])
def test_only_a_leaf_that_is_there_changes(index: int) -> None:
    with pytest.raises(UsageError):
        TREE.with_leaf_removed(index)
    with pytest.raises(UsageError):
        TREE.with_leaf_updated(index, MEMBERS[0].leaf_node)
    assert TREE.leaf(index) is None


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["add", "remove", "update", "path"]), st.integers(0, 11)), max_size=12)
)
def test_kept_hashes_are_those_computed_anew(steps: list[tuple[str, int]]) -> None:
    tree, members = RatchetTree(), dict[int, Someone]()
    for name, number in (("add", 0), *steps):
        occupied = sorted(members)
        chosen = occupied[number % len(occupied)] if occupied else 0
        if name == "add":
            member = someone()
            tree, index = tree.with_leaf_added(member.leaf_node)
            members[index] = member
        elif name == "remove" and len(occupied) > 1:
            tree = tree.with_leaf_removed(chosen)
            del members[chosen]
        elif name == "update":
            member = someone()
            tree = tree.with_leaf_updated(chosen, member.leaf_node)
            members[chosen] = member
        elif name == "path":
            tree = with_path(tree, [members.get(i, members[chosen]) for i in range(chosen + 1)], chosen)
        fresh = RatchetTree.decode(tree.encode())
        assert fresh == tree
        assert tree_hash(SUITE, tree) == tree_hash(SUITE, fresh)
        validate_tree(SUITE, fresh, GROUP_ID)


# decoding


def test_a_tree_ends_with_a_node() -> None:
    data = TREE.encode()
    assert RatchetTree.decode(data) == TREE
    broken(Rule.TREE_TRAILING_BLANK, RatchetTree.decode, b"\0")
    broken(Rule.TREE_TRAILING_BLANK, RatchetTree.decode, b"\1\0")


def test_leaves_and_parents_stand_in_their_places() -> None:
    leaf = b"\1\1" + MEMBERS[0].leaf_node.encode()
    node = b"\1\2" + ParentNode(b"k", b"", ()).encode()

    def vector(*entries: bytes) -> bytes:
        body = b"".join(entries)
        return (0x4000 + len(body)).to_bytes(2) + body

    assert RatchetTree.decode(vector(leaf, b"\0", leaf)).leaf_count == 2
    broken(Rule.TREE_NODE_PLACE, RatchetTree.decode, vector(leaf, leaf))
    broken(Rule.TREE_NODE_PLACE, RatchetTree.decode, vector(b"\0", leaf, node + bytes(0)))
    with pytest.raises(DecodeError):
        RatchetTree.decode(b"\x02\x01\x03")


# validation


def test_a_good_tree_is_valid() -> None:
    for tree in (TREE, GROWN, GROWN.with_leaf_removed(1), with_path(GROWN, MEMBERS, 5)):
        validate_tree(SUITE, tree, GROUP_ID)


def test_the_leaves_are_signed_for_the_group() -> None:
    broken(Rule.LEAF_NODE_SIGNATURE, validate_tree, SUITE, GROWN, b"another group")
    # Leaf 3 made the last path, so no parent hash covers its own content: only its signature does.
    leaf = GROWN.leaf(3)
    assert leaf is not None
    altered = replace(leaf, credential=Credential.basic(b"mallory"))
    broken(Rule.LEAF_NODE_SIGNATURE, validate_tree, SUITE, GROWN.with_nodes({6: altered}), GROUP_ID)


def test_every_part_of_a_parent_node_is_bound() -> None:
    parents = [node for node in range(1, len(GROWN.nodes), 2) if GROWN.parent_node(node) is not None]
    assert parents == [1, 3, 5, 7]
    for node in parents:
        good = parent(GROWN, node)
        for wrong in (
            replace(good, encryption_key=SUITE.hpke_generate(lambda size: b"\7" * size)[1]),
            replace(good, parent_hash=b"\7" * 32),
        ):
            broken(Rule.TREE_PARENT_HASH, check_parent_hashes, SUITE, GROWN.with_nodes({node: wrong}))


def test_a_parent_that_nobody_made() -> None:
    invented = ParentNode(SUITE.hpke_generate(lambda size: b"\7" * size)[1], b"", ())
    broken(Rule.TREE_PARENT_HASH, check_parent_hashes, SUITE, TREE.with_nodes({TREE.root: invented}))


def test_a_member_left_out_of_a_path_is_noticed() -> None:
    # Claiming leaf 5 unmerged at the root would hide that the path's secrets were sealed to it.
    root = replace(parent(GROWN, GROWN.root), unmerged_leaves=(5,))
    broken(Rule.TREE_PARENT_HASH, check_parent_hashes, SUITE, GROWN.with_nodes({GROWN.root: root}))


def test_the_committers_own_leaf_cannot_be_unmerged_above_it() -> None:
    # §7.9.2: the unmerged leaves under C are the resolution of C without D. Here D itself is listed.
    path = with_path(tree_of(2)[0], tree_of(2)[1], 0)
    root = replace(parent(path, 1), unmerged_leaves=(0,))
    broken(Rule.TREE_PARENT_HASH, check_parent_hashes, SUITE, path.with_nodes({1: root}))


@pytest.mark.parametrize(
    "unmerged",
    [(6,), (7,), (2**32 - 1,), (1, 0), (1, 1)],
    ids=["blank", "blank too", "outside", "descending", "twice"],
)
def test_unmerged_leaves_are_sorted_and_there(unmerged: tuple[int, ...]) -> None:
    root = replace(parent(GROWN, GROWN.root), unmerged_leaves=unmerged)
    tree = GROWN.with_nodes({GROWN.root: root})
    broken(Rule.TREE_UNMERGED_LEAVES, check_unmerged_leaves, tree)
    broken(Rule.TREE_UNMERGED_LEAVES, validate_tree, SUITE, tree, GROUP_ID)


def test_unmerged_leaves_are_below_their_node_and_unmerged_in_between() -> None:
    node = GROWN.parent_node(3)
    assert node is not None
    outside = GROWN.with_nodes({3: replace(node, unmerged_leaves=(4,))})
    broken(Rule.TREE_UNMERGED_LEAVES, check_unmerged_leaves, outside)
    root = replace(parent(GROWN, GROWN.root), unmerged_leaves=(0,))
    broken(Rule.TREE_UNMERGED_LEAVES, check_unmerged_leaves, GROWN.with_nodes({GROWN.root: root}))


def test_keys_are_unique() -> None:
    first, second = MEMBERS[0].leaf_node, MEMBERS[1].leaf_node
    same_signer = TREE.with_nodes({2: replace(second, signature_key=first.signature_key)})
    broken(Rule.LEAF_NODE_SIGNATURE_KEY, check_unique_keys, same_signer)
    same_key = TREE.with_nodes({2: replace(second, encryption_key=first.encryption_key)})
    broken(Rule.LEAF_NODE_ENCRYPTION_KEY, check_unique_keys, same_key)
    shared = replace(second, encryption_key=parent(GROWN, GROWN.root).encryption_key)
    broken(Rule.LEAF_NODE_ENCRYPTION_KEY, check_unique_keys, GROWN.with_nodes({2: shared}))


def test_every_member_supports_every_credential_in_use() -> None:
    x509 = replace(MEMBERS[0].leaf_node, credential=Credential(2, certificates=(Certificate(b"c"),)))
    broken(Rule.LEAF_NODE_CREDENTIAL, check_credentials_supported, TREE.with_nodes({0: x509}))


def test_every_leaf_supports_what_is_required_and_passes_the_applications_check() -> None:
    required = RequiredCapabilities((0xF0D1,))
    broken(Rule.LEAF_NODE_CAPABILITIES, validate_tree, SUITE, TREE, GROUP_ID, required)
    seen: list[LeafNode] = []
    validate_tree(SUITE, TREE, GROUP_ID, check_leaf=seen.append)
    assert seen == [leaf for _, leaf in TREE.leaves()]


def test_an_empty_place_has_an_empty_resolution() -> None:
    assert TREE.resolution(12) == []
    assert TREE.resolution(13) == []
    assert TREE.resolution(TREE.root) == [0, 2, 4, 6, 8, 10]
    assert GROWN.resolution(GROWN.root) == [GROWN.root]


def test_the_filtered_direct_path_leaves_out_empty_copaths() -> None:
    assert TREE.filtered_direct_path(4) == [(9, 10), (7, 3)]
    assert TREE.filtered_direct_path(0) == [(1, 2), (3, 5), (7, 11)]
    assert tree_of(1)[0].filtered_direct_path(0) == []
