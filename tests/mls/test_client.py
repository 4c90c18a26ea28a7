"""Clients: what they make is valid, and their private keys do not show."""

from __future__ import annotations

import os

import pytest
from tests.mls.certificates import issue, new_key

from starling.protocol.crypto.cipher_suite import CIPHER_SUITES, cipher_suite
from starling.protocol.errors import Invalid
from starling.protocol.mls import Add, Client, Credential, Lifetime
from starling.protocol.mls.rules import Rule

NOW = 1_800_000_000_000


def test_a_lifetime_begins_an_hour_before_and_never_below_zero() -> None:
    assert Lifetime.starting(NOW, 60) == Lifetime(NOW // 1000 - 3600, NOW // 1000 + 60)
    assert Lifetime.starting(1_000, 60) == Lifetime(0, 61)


@pytest.mark.parametrize("suite_id", CIPHER_SUITES)
def test_what_a_client_makes_is_valid_for_as_long_as_it_says(suite_id: int) -> None:
    suite = cipher_suite(suite_id)
    client = Client.generate(suite, Credential.basic(b"Alice"), extensions=(0xF001,), random=os.urandom)
    bundle = client.key_package(Lifetime.starting(NOW, 60), random=os.urandom)
    bundle.key_package.validate(suite, NOW)
    group = client.create_group(b"group", Lifetime.starting(NOW, 60), random=os.urandom)
    other = Client.generate(suite, Credential.basic(b"Bob"), random=os.urandom)
    late = other.key_package(Lifetime.starting(NOW, 60), random=os.urandom)
    with pytest.raises(Invalid) as refused:
        group.commit([Add(late.key_package)], now=NOW + 61_000, random=os.urandom)
    assert refused.value.rule is Rule.LEAF_NODE_LIFETIME


def test_a_client_with_a_certificate_keeps_its_key() -> None:
    key = new_key()
    credential = Credential.x509([issue("alice", key).der])
    seed = key.private_bytes_raw()
    client = Client.generate(cipher_suite(1), credential, signature_private_key=seed, random=os.urandom)
    assert client.signature_private_key == seed and client.capabilities.credentials[0] == 2
    client.key_package(Lifetime.starting(NOW, 60), random=os.urandom).key_package.validate(
        client.cipher_suite
    )


def test_private_keys_do_not_show() -> None:
    client = Client.generate(cipher_suite(1), Credential.basic(b"Alice"), random=os.urandom)
    assert repr(client.signature_private_key) not in repr(client)
