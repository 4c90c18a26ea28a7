"""Welcomes of a member that means ill: it signs and seals what it likes, and a joiner refuses it (§12.4.3.1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.mls.group_members import Client, found

from starling.protocol.errors import Invalid, Unsupported
from starling.protocol.mls.committing import create_group_info
from starling.protocol.mls.extension import RATCHET_TREE, Extension, with_extension
from starling.protocol.mls.group import Group
from starling.protocol.mls.group_info import GroupInfo
from starling.protocol.mls.group_record import GroupRecord
from starling.protocol.mls.key_package import KeyPackageBundle
from starling.protocol.mls.key_schedule import welcome_key_nonce
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.proposal import Add
from starling.protocol.mls.ratchet_tree import RatchetTree
from starling.protocol.mls.rules import Rule
from starling.protocol.mls.welcome import GroupSecrets, Welcome, create_welcome, open_group_secrets

Change = Callable[[GroupInfo], GroupInfo]


class Adder:
    """Leaf 0 of a group of three, that adds a newcomer and can forge what it sends to it."""

    def __init__(self) -> None:
        party = found(3)
        self.signing = party.clients[0].signature_private_key
        self.newcomer = Client("newcomer")
        self.suite = self.newcomer.suite
        self.bundle = self.newcomer.bundle()
        made = party.groups[0].commit([Add(self.bundle.key_package)], path=True, random=self.newcomer.random)
        assert made.welcome is not None
        body = MLSMessage.decode(made.welcome).body
        assert isinstance(body, Welcome)
        self.secrets = open_group_secrets(self.suite, body, self.bundle)
        self.info = create_group_info(made.next._epoch, with_tree=True)

    def welcome(self, info: GroupInfo, path_secret: bytes | None = None) -> Welcome:
        held = self.secrets.path_secret
        assert held is not None
        return create_welcome(
            self.suite,
            info,
            self.secrets.joiner_secret,
            bytes(32),
            (),
            {3: self.bundle.key_package},
            lambda leaf_index: path_secret or held.path_secret,
            self.newcomer.random,
        )

    def join(self, welcome: Welcome, bundle: KeyPackageBundle | None = None) -> Group:
        return Group.join(welcome, bundle or self.bundle, self.newcomer.signature_private_key)[0]

    def signed(self, change: Change) -> Welcome:
        return self.welcome(change(self.info).sign(self.suite, self.signing))


@pytest.fixture(scope="module")
def adder() -> Adder:
    return Adder()


def _with_tree(info: GroupInfo, tree: RatchetTree) -> GroupInfo:
    return replace(info, extensions=with_extension(info.extensions, RATCHET_TREE, tree.encode()))


def test_what_is_not_forged_is_joined(adder: Adder) -> None:
    assert adder.join(adder.signed(lambda info: info)).own_leaf_index == 3
    assert isinstance(adder.secrets, GroupSecrets)


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        (Rule.GROUP_INFO_SIGNER, lambda info: replace(info, signer=77)),
        (Rule.GROUP_INFO_SIGNATURE, lambda info: replace(info, signer=1)),
        (Rule.TREE_HASH, lambda info: _context(info, tree_hash=bytes(32))),
        (Rule.CONFIRMATION_TAG, lambda info: replace(info, confirmation_tag=bytes(32))),
        (Rule.CONFIRMATION_TAG, lambda info: _context(info, epoch=9)),
        (Rule.WELCOME_SUITE, lambda info: _context(info, cipher_suite=3)),
        (Rule.EXTENSION_TWICE, lambda info: replace(info, extensions=info.extensions * 2)),
        (
            Rule.TREE_HASH,
            lambda info: _with_tree(info, _tree(info).with_leaf_removed(2)),
        ),
    ],
)
def test_forged_group_infos(adder: Adder, rule: Rule, change: Change) -> None:
    with pytest.raises(Invalid) as refused:
        adder.join(adder.signed(change))
    assert refused.value.rule is rule


def _context(info: GroupInfo, **changes: Any) -> GroupInfo:
    return replace(info, group_context=replace(info.group_context, **changes))


def _tree(info: GroupInfo) -> RatchetTree:
    return next(
        RatchetTree.decode(extension.extension_data)
        for extension in info.extensions
        if extension.extension_type == RATCHET_TREE
    )


def test_a_signature_that_is_not_the_signers(adder: Adder) -> None:
    with pytest.raises(Invalid) as refused:
        adder.join(adder.welcome(replace(adder.info, signature=bytes(64))))
    assert refused.value.rule is Rule.GROUP_INFO_SIGNATURE


def test_a_group_info_that_the_joiner_itself_signed(adder: Adder) -> None:
    info = replace(adder.info, signer=3).sign(adder.suite, adder.newcomer.signature_private_key)
    with pytest.raises(Invalid) as refused:
        adder.join(adder.welcome(info))
    assert refused.value.rule is Rule.GROUP_INFO_SIGNER


def test_a_path_secret_that_is_not_the_trees(adder: Adder) -> None:
    with pytest.raises(Invalid) as refused:
        adder.join(adder.welcome(adder.info, bytes(32)))
    assert refused.value.rule is Rule.WELCOME_PATH_SECRET


def test_a_tree_without_the_joiner(adder: Adder) -> None:
    """The secrets are sealed to a second key package of the newcomer, whose leaf is not in the tree."""
    second = adder.newcomer.bundle()
    held = adder.secrets.path_secret
    assert held is not None
    key, nonce = welcome_key_nonce(adder.suite, adder.secrets.joiner_secret, bytes(32))
    forged = create_welcome(
        adder.suite,
        adder.info,
        adder.secrets.joiner_secret,
        bytes(32),
        (),
        {3: second.key_package},
        lambda leaf_index: held.path_secret,
        adder.newcomer.random,
    )
    assert adder.suite.open(key, nonce, b"", forged.encrypted_group_info) == adder.info.encode()
    with pytest.raises(Invalid) as refused:
        adder.join(forged, second)
    assert refused.value.rule is Rule.WELCOME_MY_LEAF


def test_group_context_extensions_that_the_joiner_does_not_know(adder: Adder) -> None:
    unknown = (Extension(0xF123, b""),)
    with pytest.raises(Unsupported):
        adder.join(adder.signed(lambda info: _context(info, extensions=unknown)))


def test_the_last_epoch_has_no_child() -> None:
    party = found(2)
    group = party.groups[0]
    record = GroupRecord.decode(group.save())
    last = replace(record, context=replace(record.context, epoch=2**64 - 1))
    with pytest.raises(Invalid) as refused:
        Group.load(last.encode(), group.save_ratchets()).commit(random=party.clients[0].random)
    assert refused.value.rule is Rule.EPOCH_LIMIT
