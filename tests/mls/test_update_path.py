"""RFC 9420 §7.4 to §7.6: making, sealing, merging and opening a path, and each clause broken once."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.mls.tree_members import GROUP_ID, SUITE, Someone, someone, tree_of

from starling.protocol.crypto.hpke import HPKECiphertext
from starling.protocol.errors import DecodeError, Invalid, VerificationFailed
from starling.protocol.mls.leaf_node import UPDATE, LeafNode
from starling.protocol.mls.private_tree import PrivateTree, keys_in
from starling.protocol.mls.ratchet_tree import RatchetTree
from starling.protocol.mls.rules import Rule
from starling.protocol.mls.update_path import (
    NewPath,
    UpdatePath,
    apply_path,
    create_path,
    open_path,
    seal_path,
)

CONTEXT = b"group context"


def made(tree: RatchetTree, members: list[Someone], committer: int = 0) -> tuple[NewPath, UpdatePath]:
    leaf = tree.leaf(committer)
    assert leaf is not None
    signing_key = members[committer].signature_private_key
    path = create_path(SUITE, tree, committer, GROUP_ID, leaf, signing_key, os.urandom)
    return path, seal_path(SUITE, path, CONTEXT, (), os.urandom)


def broken(rule: Rule, action: Callable[..., Any], *arguments: Any) -> None:
    with pytest.raises(Invalid) as caught:
        action(*arguments)
    assert caught.value.rule is rule


@pytest.mark.parametrize("count", [2, 3, 5, 8, 9])
def test_everyone_else_gets_the_same_secrets(count: int) -> None:
    tree, members = tree_of(count)
    path, sealed = made(tree, members)
    assert UpdatePath.decode(sealed.encode()) == sealed
    assert sum(len(node.encrypted_path_secret) for node in sealed.nodes) == count - 1
    after = apply_path(SUITE, tree, 0, sealed)
    assert after == path.tree
    for index in range(1, count):
        opened = open_path(SUITE, after, 0, sealed, members[index].private_tree(index), CONTEXT, ())
        assert opened.commit_secret == path.secrets.commit_secret
        assert opened.root_path_secret == path.secrets.root_path_secret
        assert all(
            bytes(path.secrets.private_keys[node]) == bytes(key) for node, key in opened.private_keys.items()
        )


def test_parent_keys_of_one_path_open_the_next() -> None:
    tree, members = tree_of(4)
    path, _ = made(tree, members, 0)
    second, sealed = made(path.tree, members, 3)
    assert [len(node.encrypted_path_secret) for node in sealed.nodes] == [1, 1]
    after = apply_path(SUITE, path.tree, 3, sealed)
    private_tree = PrivateTree(0, keys_in(path.tree, path.secrets.private_keys))
    opened = open_path(SUITE, after, 3, sealed, private_tree, CONTEXT, ())
    assert opened.commit_secret == second.secrets.commit_secret


def test_a_path_of_one_has_a_fresh_secret_all_the_same() -> None:
    """K-4: with no parent node the drawn secret stands for path_secret[n]."""
    tree, members = tree_of(1)
    first, sealed = made(tree, members)
    second, _ = made(tree, members)
    assert sealed.nodes == ()
    assert first.secrets.root_path_secret != second.secrets.root_path_secret
    assert first.secrets.commit_secret == SUITE.derive_secret(first.secrets.root_path_secret, "path")


def test_new_leaves_get_no_ciphertext() -> None:
    tree, members = tree_of(3)
    new = someone()
    tree, index = tree.with_leaf_added(new.leaf_node)
    path = create_path(
        SUITE, tree, 0, GROUP_ID, members[0].leaf_node, members[0].signature_private_key, os.urandom
    )
    sealed = seal_path(SUITE, path, CONTEXT, (index,), os.urandom)
    assert [len(node.encrypted_path_secret) for node in sealed.nodes] == [1, 1]
    after = apply_path(SUITE, tree, 0, sealed)
    opened = open_path(SUITE, after, 0, sealed, members[2].private_tree(2), CONTEXT, (index,))
    assert opened.commit_secret == path.secrets.commit_secret
    # Who counts the new leaf in expects one ciphertext more.
    broken(
        Rule.UPDATE_PATH_CIPHERTEXTS,
        open_path, SUITE, after, 0, sealed, members[2].private_tree(2), CONTEXT, (),
    )  # fmt: skip
    broken(
        Rule.UPDATE_PATH_CIPHERTEXTS,
        open_path, SUITE, after, 0, sealed, new.private_tree(index), CONTEXT, (index,),
    )  # fmt: skip


TREE, MEMBERS = tree_of(4)
PATH, SEALED = made(TREE, MEMBERS)


def signed(leaf: LeafNode) -> LeafNode:
    return leaf.sign(SUITE, MEMBERS[0].signature_private_key, GROUP_ID, 0)


def altered_node(place: int, **changes: Any) -> UpdatePath:
    nodes = list(SEALED.nodes)
    nodes[place] = replace(nodes[place], **changes)
    return replace(SEALED, nodes=tuple(nodes))


def test_the_path_has_the_length_of_the_filtered_direct_path() -> None:
    for nodes in ((), SEALED.nodes[:1], (*SEALED.nodes, SEALED.nodes[0])):
        broken(Rule.UPDATE_PATH_LENGTH, apply_path, SUITE, TREE, 0, replace(SEALED, nodes=nodes))


def test_the_leaf_has_the_source_commit() -> None:
    leaf = signed(replace(SEALED.leaf_node, leaf_node_source=UPDATE, parent_hash=None))
    broken(Rule.LEAF_NODE_SOURCE, apply_path, SUITE, TREE, 0, replace(SEALED, leaf_node=leaf))


def test_the_leaf_carries_the_parent_hash_of_the_path() -> None:
    for parent_hash in (b"", bytes(32)):
        leaf = signed(replace(SEALED.leaf_node, parent_hash=parent_hash))
        broken(Rule.UPDATE_PATH_PARENT_HASH, apply_path, SUITE, TREE, 0, replace(SEALED, leaf_node=leaf))
    other_key = altered_node(1, encryption_key=SUITE.hpke_generate(os.urandom)[1])
    broken(Rule.UPDATE_PATH_PARENT_HASH, apply_path, SUITE, TREE, 0, other_key)


def test_no_key_of_the_path_is_in_the_tree_or_in_it_twice() -> None:
    for held in (MEMBERS[3].leaf_node.encryption_key, SEALED.nodes[1].encryption_key):
        broken(Rule.UPDATE_PATH_KEY_REUSED, apply_path, SUITE, TREE, 0, altered_node(0, encryption_key=held))
    leaf = signed(replace(SEALED.leaf_node, encryption_key=MEMBERS[0].leaf_node.encryption_key))
    broken(Rule.UPDATE_PATH_KEY_REUSED, apply_path, SUITE, TREE, 0, replace(SEALED, leaf_node=leaf))


@pytest.mark.parametrize("wrong", [b"", bytes(31), bytes(32)])
def test_the_keys_of_the_path_are_keys(wrong: bytes) -> None:
    with pytest.raises(DecodeError):
        apply_path(SUITE, TREE, 0, altered_node(1, encryption_key=wrong))


def opened(path: UpdatePath, member: int, context: bytes = CONTEXT) -> None:
    open_path(SUITE, PATH.tree, 0, path, MEMBERS[member].private_tree(member), context, ())


def test_each_resolution_has_its_ciphertexts() -> None:
    sealed = SEALED.nodes[1].encrypted_path_secret
    for wrong in ((), sealed[:1], (*sealed, sealed[0])):
        # All members refuse it, also those whose own ciphertext is there.
        for member in (1, 2, 3):
            broken(Rule.UPDATE_PATH_CIPHERTEXTS, opened, altered_node(1, encrypted_path_secret=wrong), member)


def test_a_ciphertext_is_bound_to_its_receiver_and_to_the_group_context() -> None:
    swapped = altered_node(1, encrypted_path_secret=SEALED.nodes[1].encrypted_path_secret[::-1])
    garbage = altered_node(0, encrypted_path_secret=(HPKECiphertext(b"\1" * 32, b"\1" * 48),))
    for path, member, context in ((swapped, 2, CONTEXT), (garbage, 1, CONTEXT), (SEALED, 1, b"other")):
        with pytest.raises(VerificationFailed):
            opened(path, member, context)


def test_the_secret_gives_the_public_keys() -> None:
    """A committer that seals something else than the secret of its keys is caught by the receiver."""
    secrets = replace(PATH.secrets, by_node=dict.fromkeys(PATH.secrets.by_node, bytes(32)))
    lying = seal_path(SUITE, replace(PATH, secrets=secrets), CONTEXT, (), os.urandom)
    for member in (1, 2, 3):
        broken(Rule.UPDATE_PATH_PUBLIC_KEY, opened, lying, member)


def test_secrets_are_not_printed() -> None:
    private_tree = MEMBERS[1].private_tree(1)
    printed = repr(PATH.secrets) + repr(private_tree)
    for secret in map(bytes, (*PATH.secrets.private_keys.values(), *PATH.secrets.by_node.values())):
        assert repr(secret) not in printed
    private_tree.wipe()
    assert 2 not in private_tree.keys


def test_only_keys_of_nodes_that_are_there_are_kept() -> None:
    keys = PATH.secrets.private_keys
    assert keys_in(PATH.tree, keys) == keys
    assert set(keys_in(PATH.tree.with_leaf_updated(1, someone().leaf_node), keys)) == {0}
    assert set(keys_in(RatchetTree(PATH.tree.nodes[:1]), keys)) == {0}
