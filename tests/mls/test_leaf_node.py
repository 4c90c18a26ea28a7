"""RFC 9420 §7.2, §7.3, §10, §13: leaf nodes, key packages and extensions, each clause broken once."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.mls.tree_members import CAPABILITIES, LIFETIME, NOW, SUITE, Someone, key_package_of, someone

from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.errors import DecodeError, Invalid, UsageError
from starling.protocol.mls.capabilities import Capabilities
from starling.protocol.mls.credential import Certificate, Credential
from starling.protocol.mls.extension import (
    Extension,
    RequiredCapabilities,
    check_unique,
    find_extension,
    with_extension,
)
from starling.protocol.mls.key_package import KeyPackage, KeyPackageBundle
from starling.protocol.mls.leaf_node import COMMIT, MAX_LIFETIME, UPDATE, LeafNode, Lifetime
from starling.protocol.mls.rules import Rule


def broken(rule: Rule, action: Callable[..., Any], *arguments: Any) -> None:
    with pytest.raises(Invalid) as caught:
        action(*arguments)
    assert caught.value.rule is rule


def resigned(member: Someone, **changes: Any) -> KeyPackage:
    """A key package whose leaf has these changes and is signed as it should be."""
    leaf = replace(member.leaf_node, **changes)
    if leaf.leaf_node_source in (UPDATE, COMMIT):
        leaf = leaf.sign(SUITE, member.signature_private_key, b"group", 0)
    else:
        leaf = leaf.sign(SUITE, member.signature_private_key)
    return key_package_of(replace_leaf(member, leaf))


def replace_leaf(member: Someone, leaf: LeafNode) -> Someone:
    return Someone(leaf, member.encryption_private_key, member.signature_private_key)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_good_key_package_is_valid_and_round_trips(number: int) -> None:
    suite = cipher_suite(number)
    package = key_package_of(someone(suite=suite), suite=suite)
    package.validate(suite, NOW)
    assert KeyPackage.decode(package.encode()) == package
    assert package.reference() == suite.ref_hash("MLS 1.0 KeyPackage Reference", package.encode())


def test_version_and_suite_are_the_groups() -> None:
    member = someone()
    package = key_package_of(member)
    broken(Rule.KEY_PACKAGE_VERSION, package.validate, cipher_suite(3), NOW)
    later = replace(package, version=2).sign(member.signature_private_key)
    broken(Rule.KEY_PACKAGE_VERSION, later.validate, SUITE, NOW)


def test_the_signature_of_the_key_package() -> None:
    package = key_package_of(someone())
    for wrong in (b"", bytes(64), package.signature[::-1], package.leaf_node.signature):
        altered = replace(package, signature=wrong)
        broken(Rule.KEY_PACKAGE_SIGNATURE, altered.validate, SUITE, NOW)
    other_init_key = replace(package, init_key=SUITE.hpke_generate(os.urandom)[1])
    broken(Rule.KEY_PACKAGE_SIGNATURE, other_init_key.validate, SUITE, NOW)


def test_the_signature_of_the_leaf() -> None:
    member = someone()
    leaf = replace(member.leaf_node, credential=Credential.basic(b"somebody else"))
    package = key_package_of(replace_leaf(member, leaf))
    broken(Rule.LEAF_NODE_SIGNATURE, package.validate, SUITE, NOW)


def test_init_key_and_encryption_key_differ() -> None:
    member = someone()
    package = key_package_of(member, member.leaf_node.encryption_key)
    broken(Rule.KEY_PACKAGE_KEYS, package.validate, SUITE, NOW)


@pytest.mark.parametrize(
    "wrong", [b"", bytes(31), bytes(33), bytes(32)], ids=["none", "short", "long", "zero"]
)
def test_keys_that_are_none(wrong: bytes) -> None:
    member = someone()
    with pytest.raises(DecodeError):
        key_package_of(member, wrong).validate(SUITE, NOW)
    package = resigned(member, encryption_key=wrong)
    with pytest.raises(DecodeError):
        package.validate(SUITE, NOW)


def test_only_the_source_key_package_stands_in_a_key_package() -> None:
    member = someone()
    for changes in (
        {"leaf_node_source": UPDATE, "lifetime": None},
        {"leaf_node_source": COMMIT, "lifetime": None, "parent_hash": b""},
    ):
        package = resigned(member, **changes)
        broken(Rule.LEAF_NODE_SOURCE, package.validate, SUITE, NOW)


@pytest.mark.parametrize("source", [0, 4, 255])
def test_an_unknown_source(source: int) -> None:
    leaf = replace(someone().leaf_node, leaf_node_source=source, lifetime=None)
    assert LeafNode.decode(leaf.encode()) == leaf
    broken(Rule.LEAF_NODE_SOURCE, leaf.check, SUITE)


@pytest.mark.parametrize(
    "lifetime", [Lifetime(NOW // 1000 + 1, NOW // 1000 + 9), Lifetime(NOW // 1000 - 9, NOW // 1000 - 1)]
)
def test_now_lies_in_the_lifetime(lifetime: Lifetime) -> None:
    package = resigned(someone(), lifetime=lifetime)
    broken(Rule.LEAF_NODE_LIFETIME, package.validate, SUITE, NOW)
    package.validate(SUITE)


@pytest.mark.parametrize(
    "lifetime",
    [
        Lifetime(0, 2**64 - 1),
        Lifetime(NOW // 1000, NOW // 1000 + MAX_LIFETIME + 1),
        Lifetime(NOW // 1000 + 1, NOW // 1000 - 1),
    ],
)
def test_a_lifetime_has_an_acceptable_length(lifetime: Lifetime) -> None:
    package = resigned(someone(), lifetime=lifetime)
    broken(Rule.LEAF_NODE_LIFETIME_RANGE, package.validate, SUITE, NOW)


def test_the_ends_of_a_lifetime_belong_to_it() -> None:
    for second in (LIFETIME.not_before, LIFETIME.not_after):
        key_package_of(someone()).validate(SUITE, second * 1000)


@pytest.mark.parametrize(
    ("rule", "capabilities"),
    [
        (Rule.LEAF_NODE_CAPABILITIES, replace(CAPABILITIES, versions=())),
        (Rule.LEAF_NODE_CAPABILITIES, replace(CAPABILITIES, cipher_suites=(2, 3))),
        (Rule.LEAF_NODE_CREDENTIAL, replace(CAPABILITIES, credentials=(2,))),
    ],
)
def test_a_leaf_supports_what_it_uses(rule: Rule, capabilities: Capabilities) -> None:
    package = resigned(someone(), capabilities=capabilities)
    broken(rule, package.validate, SUITE, NOW)


def test_a_leafs_extensions_are_in_its_capabilities() -> None:
    package = resigned(someone(), extensions=(Extension(0xF000, b""),))
    broken(Rule.LEAF_NODE_EXTENSION, package.validate, SUITE, NOW)
    # application_id (1) is a default type and need not be listed; 6 is listed.
    resigned(someone(), extensions=(Extension(1, b"id"), Extension(6, b"\0"))).validate(SUITE, NOW)


def test_an_extension_stands_once() -> None:
    twice = (Extension(6, b""), Extension(6, b"x"))
    package = resigned(someone(), extensions=twice)
    broken(Rule.EXTENSION_TWICE, package.validate, SUITE, NOW)
    member = someone()
    outer = replace(key_package_of(member), extensions=twice).sign(member.signature_private_key)
    broken(Rule.EXTENSION_TWICE, outer.validate, SUITE, NOW)
    broken(Rule.EXTENSION_TWICE, check_unique, twice)


@pytest.mark.parametrize(
    "required",
    [
        RequiredCapabilities((0xF0D1,)),
        RequiredCapabilities((), (0xF0D2,)),
        RequiredCapabilities((), (), (2,)),
    ],
)
def test_a_leaf_supports_what_the_group_requires(required: RequiredCapabilities) -> None:
    broken(Rule.LEAF_NODE_CAPABILITIES, someone().leaf_node.check, SUITE, required)
    someone().leaf_node.check(SUITE, RequiredCapabilities((1, 6), (1, 8), (1,)))


def test_unknown_capabilities_are_ignored_and_survive() -> None:
    capabilities = Capabilities((1, 99), (0x0A0A, 1), (0x1A1A,), (0x2A2A,), (1, 0x3A3A))
    package = resigned(someone(), capabilities=capabilities)
    package.validate(SUITE, NOW)
    assert KeyPackage.decode(package.encode()).leaf_node.capabilities == capabilities


def test_update_and_commit_are_signed_for_their_group_and_place() -> None:
    member = someone()
    for source, parent_hash in ((UPDATE, None), (COMMIT, b"hash")):
        leaf = replace(member.leaf_node, leaf_node_source=source, lifetime=None, parent_hash=parent_hash)
        leaf = leaf.sign(SUITE, member.signature_private_key, b"group", 3)
        leaf.verify_signature(SUITE, b"group", 3)
        for group_id, index in ((b"grou", 3), (b"group", 4)):
            with pytest.raises(Invalid):
                leaf.verify_signature(SUITE, group_id, index)
        with pytest.raises(UsageError):
            leaf.to_be_signed(None, None)


def test_credentials_of_each_type_round_trip() -> None:
    for credential in (
        Credential.basic(b"alice"),
        Credential(2, certificates=(Certificate(b"leaf"), Certificate(b"root"))),
        Credential(0x0A0A, opaque_data=b"unknown"),
    ):
        assert Credential.decode(credential.encode()) == credential
    with pytest.raises(DecodeError):
        Credential.decode(bytes.fromhex("00020205ff"))


def test_a_bundle_prints_no_private_key() -> None:
    member = someone()
    bundle = KeyPackageBundle(key_package_of(member), b"init-private", b"leaf-private")
    assert "private" not in repr(bundle)


def test_extension_lists() -> None:
    extensions = (Extension(1, b"a"), Extension(2, b"b"), Extension(3, b"c"))
    assert find_extension(extensions, 2) == b"b"
    assert find_extension(extensions, 4) is None
    changed = with_extension(extensions, 2, b"B")
    assert [e.extension_data for e in changed] == [b"a", b"B", b"c"]
    assert with_extension(extensions, 2, None) == (extensions[0], extensions[2])
    assert with_extension(extensions, 4, b"d")[-1] == Extension(4, b"d")
