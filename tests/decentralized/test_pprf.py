"""The puncturable PRF: known answers, and what is left after an evaluation."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.vectors import load_vectors

from starling.protocol.crypto.cipher_suite import CIPHER_SUITES, cipher_suite
from starling.protocol.decentralized.pprf import PuncturablePRF, pprf_nodes
from starling.protocol.errors import UsageError
from starling.protocol.mls.node_secrets import NodeSecrets

SUITE = cipher_suite(1)
KEY = bytes(range(32))


def test_known_answers() -> None:
    vectors = load_vectors("dmls/dmls-suite1.json")["pprf"]
    for vector in vectors:
        function = PuncturablePRF.keyed(SUITE, bytes.fromhex(vector["prf_key"]))
        assert function.evaluate(bytes.fromhex(vector["input"])).hex() == vector["output"], vector["name"]


@settings(max_examples=15, deadline=None)
@given(st.lists(st.binary(min_size=32, max_size=32), unique=True, min_size=1, max_size=5))
def test_each_input_once_in_any_order_and_after_a_restart(inputs: list[bytes]) -> None:
    nodes = pprf_nodes(SUITE, KEY)
    for value in inputs:
        function = PuncturablePRF(SUITE, nodes)
        expected = PuncturablePRF.keyed(SUITE, KEY).evaluate(value)
        assert function.peek(value) == function.peek(value) == function.evaluate(value) == expected
        nodes = NodeSecrets(SUITE, 256, nodes.save())
    function = PuncturablePRF(SUITE, nodes)
    for value in inputs:
        for again in (function.evaluate, function.peek):
            with pytest.raises(UsageError, match="before"):
                again(value)


def test_nothing_that_is_kept_leads_to_an_evaluated_input() -> None:
    """From outside: all kept secrets, expanded along the input wherever they could stand, miss its leaf."""
    value = bytes.fromhex("a5" * 32)
    leaf = int.from_bytes(value)
    nodes = pprf_nodes(SUITE, KEY)
    output = PuncturablePRF(SUITE, nodes).evaluate(value)
    kept = nodes.save()
    assert len(kept) == 256
    assert len({node.level for node in kept}) == 256
    for node in kept:
        assert int.from_bytes(node.prefix) != leaf >> (256 - node.level)
        secret = node.secret
        for level in range(node.level, 256):
            side = b"right" if leaf >> (255 - level) & 1 else b"left"
            secret = SUITE.expand_with_label(secret, "tree", side, 32)
        assert SUITE.derive_secret(secret, "pprf") != output


@pytest.mark.parametrize("suite_id", CIPHER_SUITES)
def test_lengths_follow_the_suite(suite_id: int) -> None:
    suite = cipher_suite(suite_id)
    length = suite.hash_length
    function = PuncturablePRF.keyed(suite, bytes(length))
    assert len(function.evaluate(bytes([1]) * length)) == length
    for wrong in (b"", bytes(length - 1), bytes(length + 1)):
        with pytest.raises(UsageError, match="bytes"):
            function.evaluate(wrong)
        with pytest.raises(UsageError, match="bytes"):
            PuncturablePRF.keyed(suite, wrong)
