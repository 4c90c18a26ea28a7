"""The secret tree and its ratchets: official vectors, order, skipping, deletion, retention (RFC 9420 §9)."""

from __future__ import annotations

import pytest
from tests.vectors import load_vectors

from starling.protocol.crypto.cipher_suite import CipherSuite, cipher_suite
from starling.protocol.errors import Invalid, Pending
from starling.protocol.mls.private_message import sender_data_key_nonce
from starling.protocol.mls.ratchet import MAX_SKIPPED
from starling.protocol.mls.rules import Rule
from starling.protocol.mls.secret_tree import SecretTree, SecretTreeRecord

SUITE: CipherSuite = cipher_suite(1)


def _tree(leaf_count: int = 4) -> SecretTree:
    return SecretTree(SUITE, leaf_count, b"\x07" * 32)


def test_secret_tree_vectors() -> None:
    for vector in load_vectors("mls/secret-tree.json"):
        suite = cipher_suite(vector["cipher_suite"])
        case = {name: bytes.fromhex(value) for name, value in vector["sender_data"].items()}
        sender = sender_data_key_nonce(suite, case["sender_data_secret"], case["ciphertext"])
        assert (sender.key, sender.nonce) == (case["key"], case["nonce"])
        leaves = vector["leaves"]
        tree = SecretTree(suite, len(leaves), bytes.fromhex(vector["encryption_secret"]))
        for leaf_index, generations in enumerate(leaves):
            for expected in generations:
                generation = expected["generation"]
                key, nonce = tree.handshake(leaf_index).peek(generation)
                assert key.hex() == expected["handshake_key"]
                assert nonce.hex() == expected["handshake_nonce"]
                key, nonce = tree.application(leaf_index).peek(generation)
                assert key.hex() == expected["application_key"]
                assert nonce.hex() == expected["application_nonce"]
                tree.application(leaf_index).consume(generation)


def test_a_generation_is_used_once_and_a_peek_uses_nothing() -> None:
    ratchet = _tree().application(2)
    assert ratchet.peek(0) == ratchet.peek(0)
    ratchet.consume(0)
    with pytest.raises(Invalid) as refused:
        ratchet.peek(0)
    assert refused.value.rule is Rule.GENERATION_CONSUMED


def test_skipped_generations_stay_until_they_come() -> None:
    fresh = _tree().application(1)
    expected = {generation: fresh.peek(generation) for generation in range(6)}
    ratchet = _tree().application(1)
    for generation in (3, 0, 5, 1):
        assert ratchet.peek(generation) == expected[generation]
        ratchet.consume(generation)
    assert (ratchet.generation, ratchet.missing) == (6, (2, 4))
    with pytest.raises(Invalid):
        ratchet.peek(3)


def test_too_far_ahead_waits_and_nothing_is_dropped() -> None:
    ratchet = _tree().application(0)
    with pytest.raises(Pending):
        ratchet.peek(MAX_SKIPPED + 1)
    ratchet.peek(MAX_SKIPPED)
    ratchet.consume(MAX_SKIPPED)
    assert len(ratchet.missing) == MAX_SKIPPED
    with pytest.raises(Pending):
        ratchet.peek(MAX_SKIPPED + 2)
    ratchet.consume(0)
    ratchet.peek(MAX_SKIPPED + 2)


def test_keep_only_leaves_one_sender_with_a_retained_handshake_ratchet() -> None:
    tree, kept = _tree(), _tree()
    kept.keep_only(0)
    for generation in (0, 999, 0):
        kept.handshake(0).consume(generation)
        assert kept.handshake(0).peek(generation) == tree.handshake(0).peek(generation)
    with pytest.raises(Invalid) as refused:
        kept.handshake(0).peek(1000)
    assert refused.value.rule is Rule.HANDSHAKE_GENERATION
    for other in (1, 2, 3, 4, 2**31):
        with pytest.raises(Invalid) as refused:
            kept.application(other)
        assert refused.value.rule is Rule.RATCHET_DELETED
    kept.application(0).consume(0)
    with pytest.raises(Invalid):
        kept.application(0).peek(0)


def test_saved_trees_go_on_where_they_were() -> None:
    tree, twin = _tree(5), _tree(5)
    for leaf_index in (0, 4):
        tree.application(leaf_index).consume(2)
        twin.application(leaf_index).consume(2)
    loaded = SecretTree.load(SUITE, SecretTreeRecord.decode(tree.save().encode()))
    for leaf_index in range(5):
        assert loaded.application(leaf_index).missing == twin.application(leaf_index).missing
        assert loaded.application(leaf_index).peek(3) == twin.application(leaf_index).peek(3)
        assert loaded.handshake(leaf_index).peek(0) == twin.handshake(leaf_index).peek(0)
    kept = _tree()
    kept.keep_only(0)
    again = SecretTree.load(SUITE, SecretTreeRecord.decode(kept.save().encode()))
    again.handshake(0).consume(7)
    assert again.handshake(0).peek(0) == kept.handshake(0).peek(0)
    with pytest.raises(Invalid):
        again.application(1)


def test_drop_handshake_keeps_the_application_ratchets() -> None:
    tree, twin = _tree(), _tree()
    tree.drop_handshake()
    assert tree.application(3).peek(1) == twin.application(3).peek(1)
    with pytest.raises(Invalid):
        tree.handshake(3)


def test_a_wiped_tree_gives_nothing() -> None:
    tree = _tree()
    tree.application(0)
    tree.wipe()
    with pytest.raises(Invalid):
        tree.application(0)
