"""New extensions of a GroupContext, wherever they come in, and leaves that have to bear them (RFC 9420 §5.3.1,
§12.1.7, §13.4)."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from tests.mls.group_members import Client, found, refused

from starling.protocol.errors import DecodeError
from starling.protocol.mls.credential import Credential
from starling.protocol.mls.extension import (
    APP_DATA_DICTIONARY,
    EXTERNAL_SENDERS,
    REQUIRED_CAPABILITIES,
    Extension,
)
from starling.protocol.mls.group import Group
from starling.protocol.mls.group_rules import GroupRules
from starling.protocol.mls.leaf_node import LeafNode
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.proposal import Add, GroupContextExtensions, Update
from starling.protocol.mls.rules import Rule
from starling.protocol.mls.welcome import Welcome


@pytest.mark.parametrize("extension_type", [EXTERNAL_SENDERS, REQUIRED_CAPABILITIES])
def test_what_mls_itself_reads_is_readable(extension_type: int) -> None:
    bad = Extension(extension_type, b"\x05")
    with pytest.raises(DecodeError):
        Client("founder").create(extensions=(bad,))
    with pytest.raises(DecodeError):
        found(2).groups[0].commit([GroupContextExtensions((bad,))], random=os.urandom)


def test_the_creators_leaf_bears_the_extensions() -> None:
    dictionary = Extension(APP_DATA_DICTIONARY, b"\x00")
    client = Client("founder", extensions=())
    assert refused(lambda: client.create(extensions=(dictionary,))) is Rule.LEAF_NODE_CONTEXT
    assert refused(lambda: Client("founder").create(extensions=(dictionary,) * 2)) is Rule.EXTENSION_TWICE


def test_a_new_leaf_still_bears_the_extensions() -> None:
    """An Update, a path and an external commit with a leaf that gave up what the group needs."""
    party = found(3, extensions=(Extension(APP_DATA_DICTIONARY, b"\x00"),))
    group = party.groups[0]

    def poorer(leaf: LeafNode) -> LeafNode:
        return replace(leaf, capabilities=replace(leaf.capabilities, extensions=()))

    assert refused(group.commit, leaf_node=poorer, path=True, random=os.urandom) is Rule.LEAF_NODE_CONTEXT
    client = Client("client 1", extensions=())
    client.signature_private_key = party.clients[1].signature_private_key
    client.signature_key = party.clients[1].signature_key
    client.random = party.clients[1].random
    _, content = party.groups[1].propose(Update(client.update_leaf(party.groups[1])[0]), random=os.urandom)
    assert refused(lambda: group.commit(by_reference=[content], random=os.urandom)) is Rule.LEAF_NODE_CONTEXT


def test_receivers_look_at_the_leaf_of_a_path_too() -> None:
    """What its committer should have refused: poorer capabilities, and somebody else's name."""
    party = found(3, extensions=(Extension(APP_DATA_DICTIONARY, b"\x00"),))
    made = party.groups[0].commit(random=os.urandom)
    commit = made.content.content.commit
    assert commit is not None and commit.path is not None
    honest = commit.path.leaf_node
    poorer = replace(honest, capabilities=replace(honest.capabilities, extensions=()))
    renamed = replace(honest, credential=Credential.basic(b"somebody else"))
    for rule, leaf in ((Rule.LEAF_NODE_CONTEXT, poorer), (Rule.CREDENTIAL_SUCCESSOR, renamed)):
        signed = leaf.sign(party.clients[0].suite, party.clients[0].signature_private_key, b"group", 0)
        forged = replace(commit, path=replace(commit.path, leaf_node=signed))
        content = replace(made.content, content=replace(made.content.content, commit=forged))
        assert refused(party.groups[1].stage, content) is rule


def test_a_credential_is_replaced_by_a_successor_only() -> None:
    party = found(3)
    group = party.groups[0]

    def renamed(leaf: LeafNode) -> LeafNode:
        return replace(leaf, credential=Credential.basic(b"somebody else"))

    assert refused(group.commit, leaf_node=renamed, path=True, random=os.urandom) is Rule.CREDENTIAL_SUCCESSOR
    impostor = Client("impostor")
    impostor.signature_private_key = party.clients[1].signature_private_key
    impostor.signature_key = party.clients[1].signature_key
    impostor.random = party.clients[1].random
    _, content = party.groups[1].propose(Update(impostor.update_leaf(party.groups[1])[0]), random=os.urandom)
    assert (
        refused(lambda: group.commit(by_reference=[content], random=os.urandom)) is Rule.CREDENTIAL_SUCCESSOR
    )

    class Lenient(GroupRules):
        def same_member(self, old: LeafNode, new: LeafNode) -> bool:
            return True

    lenient = Client("client 0").create(Lenient())
    assert lenient.commit(leaf_node=renamed, path=True, random=os.urandom).next.epoch == 1


def test_the_group_id_is_new_to_the_joiner() -> None:
    bundle = Client("joiner").bundle()
    made = Client("founder").create().commit([Add(bundle.key_package)], random=os.urandom)
    assert made.welcome is not None
    welcome = MLSMessage.decode(made.welcome).body
    assert isinstance(welcome, Welcome)
    key = Client("joiner").signature_private_key
    assert refused(lambda: Group.join(welcome, bundle, key, group_ids={b"group"})) is Rule.WELCOME_GROUP_ID
    assert Group.join(welcome, bundle, key, group_ids={b"other"})


def test_a_credential_type_that_mls_does_not_know() -> None:
    """It is carried as it is where all members name it, and refused where one does not (§5.3, §13.3)."""

    class Foreign(Client):
        def leaf(self, source: int = 1) -> tuple[LeafNode, bytes]:
            leaf, private_key = super().leaf(source)
            credential = Credential(0xF00D, opaque_data=self.name.encode())
            capabilities = replace(leaf.capabilities, credentials=(1, 0xF00D))
            return replace(leaf, credential=credential, capabilities=capabilities), private_key

    founder, friend = Foreign("founder"), Foreign("friend")
    group, bundle = founder.create(), friend.bundle()
    made = group.commit([Add(bundle.key_package)], random=os.urandom)
    assert made.welcome is not None
    joined = friend.join(made.welcome, bundle)
    leaf = joined.tree.leaf(0)
    assert leaf is not None and leaf.credential.opaque_data == b"founder"
    basic = Add(Client("basic").bundle().key_package)
    assert refused(lambda: joined.commit([basic], random=os.urandom)) is Rule.LEAF_NODE_CREDENTIAL
