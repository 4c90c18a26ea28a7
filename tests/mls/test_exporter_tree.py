"""The safe exporter: its values, once for each component, and nothing left of a superseded epoch."""

from __future__ import annotations

import pytest
from tests.mls.group_members import found
from tests.vectors import load_vectors

from starling.protocol.crypto.cipher_suite import CipherSuite, cipher_suite
from starling.protocol.errors import DecodeError, UsageError
from starling.protocol.mls.exporter_tree import ExporterTree
from starling.protocol.mls.group import Group

SUITE: CipherSuite = cipher_suite(1)


def test_safe_export_vectors() -> None:
    vectors = load_vectors("dmls/dmls-suite1.json")["safe_export"]
    for vector in vectors:
        tree = ExporterTree.begin(SUITE, bytes.fromhex(vector["application_export_secret"]))
        assert tree.export(vector["component_id"]).hex() == vector["secret"]
    # One tree gives the same in any order, also when it is saved in between.
    tree = ExporterTree.begin(SUITE, bytes.fromhex(vectors[0]["application_export_secret"]))
    for vector in reversed(vectors):
        assert tree.export(vector["component_id"]).hex() == vector["secret"]
        tree = ExporterTree.load(SUITE, tree.save())


def test_a_secret_is_given_once_and_its_sources_are_deleted() -> None:
    tree = ExporterTree.begin(SUITE, b"\x07" * 32)
    before = tree.save()
    assert [(node.level, node.prefix) for node in before] == [(0, b"")]
    secret = tree.export(0x8001)
    with pytest.raises(UsageError) as refused:
        tree.export(0x8001)
    assert refused.value.code == "consumed"
    left = tree.save()
    # The copath alone: no node that the secret could be derived from.
    assert [node.level for node in left] == list(range(1, 17))
    assert all(int.from_bytes(node.prefix) != 0x8001 >> (16 - node.level) for node in left)
    assert {secret, before[0].secret}.isdisjoint(node.secret for node in left)
    tree.export(0x8000)
    assert [node.level for node in tree.save()] == list(range(1, 16))


@pytest.mark.parametrize("component_id", [-1, 0x10000])
def test_a_component_id_has_two_bytes(component_id: int) -> None:
    with pytest.raises(UsageError):
        ExporterTree.begin(SUITE, bytes(32)).export(component_id)


@pytest.mark.parametrize("suite", [1, 5, 83])
def test_members_export_the_same_and_each_epoch_another(suite: int) -> None:
    party = found(3, suite=suite)
    secrets = {group.safe_export(0x8D01) for group in party.groups}
    assert len(secrets) == 1 and len(secrets.pop()) == party.groups[0].cipher_suite.hash_length
    party.groups = [Group.load(group.save(), group.save_ratchets()) for group in party.groups]
    for group in party.groups:
        with pytest.raises(UsageError):
            group.safe_export(0x8D01)
    second = {group.safe_export(0x8D02) for group in party.groups}
    party.commit(by=1)
    later = {group.safe_export(0x8D02) for group in party.groups}
    assert len(second) == len(later) == 1 and second != later


def test_ratchets_that_were_saved_without_the_tree_load_and_export_nothing() -> None:
    group = found(2).groups[0]
    before = group._epoch.secret_tree.save().encode()
    assert group.save_ratchets().startswith(before) and len(group.save_ratchets()) > len(before)
    loaded = Group.load(group.save(), before)
    assert loaded.save_ratchets() == before
    with pytest.raises(UsageError):
        loaded.safe_export(1)
    with pytest.raises(DecodeError):
        Group.load(group.save(), group.save_ratchets() + b"\0")


@pytest.mark.parametrize("keep_handshake", [False, True])
def test_a_superseded_epoch_exports_nothing(keep_handshake: bool) -> None:
    party = found(2)
    group = party.groups[0]
    following = group.commit(random=party.clients[0].random).next
    root = group._epoch.exporter_tree.save()[0].secret
    assert root in group.save_ratchets()
    group.supersede(following, keep_handshake=keep_handshake)
    for again in (group, Group.load(group.save(), group.save_ratchets())):
        with pytest.raises(UsageError) as refused:
            again.safe_export(1)
        assert refused.value.code == "consumed"
    assert root not in group.save() + group.save_ratchets()
    assert not group.secrets.holds("application_export_secret")
