"""The groups that the libraries are measured with: made here, with the newcomer's key package from the library.

*Flat*: leaf 0 added everybody, all inner nodes are blank. *Warm*: every inner node is filled, since every second
member has sent an update path; the last one is that of the newcomer's neighbour, who welcomes it.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace

from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.mls import key_schedule as schedules
from starling.protocol.mls import tree_math
from starling.protocol.mls.capabilities import Capabilities
from starling.protocol.mls.committing import create_group_info
from starling.protocol.mls.credential import Credential
from starling.protocol.mls.epoch import Epoch, enter_epoch
from starling.protocol.mls.group import Group
from starling.protocol.mls.group_context import GroupContext
from starling.protocol.mls.group_rules import RFC_RULES
from starling.protocol.mls.key_package import KeyPackage, KeyPackageBundle
from starling.protocol.mls.leaf_node import COMMIT, KEY_PACKAGE, LeafNode, Lifetime
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.parent_hash import path_changes
from starling.protocol.mls.proposal import Add
from starling.protocol.mls.ratchet_tree import RatchetTree
from starling.protocol.mls.tree_hash import tree_hash
from starling.protocol.mls.update_path import create_path
from starling.protocol.mls.welcome import create_welcome
from starling.protocol.mls.wire_format import WireFormat

SUITE = cipher_suite(1)
TEXT_SIZE = 1024
TEXTS = 20
"""How many application messages wait for the newcomer."""


@dataclass
class Client:
    """A signature key pair, and a key package with its private keys."""

    name: str

    def __post_init__(self) -> None:
        self.signature_private_key, self.signature_key = SUITE.signature_generate(os.urandom)
        encryption_private_key, encryption_key = SUITE.hpke_generate(os.urandom)
        init_private_key, init_key = SUITE.hpke_generate(os.urandom)
        now = int(time.time())
        leaf = LeafNode(
            encryption_key,
            self.signature_key,
            Credential.basic(self.name.encode()),
            Capabilities((1,), (1,), (), (), (1,)),
            KEY_PACKAGE,
            Lifetime(now - 3600, now + 30 * 24 * 3600),
            None,
            (),
            b"",
        ).sign(SUITE, self.signature_private_key)
        package = KeyPackage(1, SUITE.id, init_key, leaf, (), b"").sign(self.signature_private_key)
        self.bundle = KeyPackageBundle(package, init_private_key, encryption_private_key)

    @property
    def leaf_node(self) -> LeafNode:
        return self.bundle.key_package.leaf_node

    def key_package(self) -> bytes:
        """As an MLSMessage."""
        return MLSMessage.of(self.bundle.key_package).encode()

    def create(self, group_id: bytes) -> Group:
        return Group.create(
            cipher_suite=SUITE,
            group_id=group_id,
            leaf_node=self.leaf_node,
            encryption_private_key=self.bundle.encryption_private_key,
            signature_private_key=self.signature_private_key,
            random=os.urandom,
        )


@dataclass
class Scene:
    """What a newcomer gets: the Welcome as an MLSMessage, application messages and a commit of leaf 0."""

    welcome: bytes
    texts: list[bytes]
    commit: bytes
    export_after: bytes
    """Exported (label "after") in the epoch that the commit begins: who knows it has processed the commit."""

    def as_request(self) -> dict[str, object]:
        return {
            "welcome": self.welcome.hex(),
            "texts": [text.hex() for text in self.texts],
            "commit": self.commit.hex(),
        }


class Population:
    """All members of a group but the newcomer, who takes the last leaf."""

    def __init__(self, size: int) -> None:
        self.clients = [Client(f"client {index}") for index in range(size - 1)]
        self._warmed: RatchetTree | None = None

    def flat(self, newcomer: KeyPackage) -> Scene:
        """Leaf 0 creates a group and adds everybody at once."""
        founder, *others = self.clients
        packages = [*(client.bundle.key_package for client in others), newcomer]
        group = founder.create(os.urandom(16))
        made = group.commit([Add(package) for package in packages], random=os.urandom)
        assert made.welcome is not None
        return _scene(made.next, made.welcome)

    def warm(self, newcomer: KeyPackage) -> Scene:
        """Leaf 0's view of a group whose inner nodes are all filled."""
        group_id = b"warm group bench"
        if self._warmed is None:
            self._warmed = _warmed(self.clients, group_id)
        tree, new_leaf = self._warmed.with_leaf_added(newcomer.leaf_node)
        signer = new_leaf - 1
        signing = self.clients[signer]
        leaf = tree.leaf(signer)
        assert leaf is not None
        path = create_path(SUITE, tree, signer, group_id, leaf, signing.signature_private_key, os.urandom)
        context = GroupContext(1, SUITE.id, group_id, 7, tree_hash(SUITE, path.tree), os.urandom(32), ())
        joiner_secret, no_psk = os.urandom(32), bytes(32)

        def epoch_of(index: int) -> Epoch:
            return enter_epoch(
                suite=SUITE,
                context=context,
                tree=path.tree,
                own_leaf_index=index,
                private_keys={2 * index: self.clients[index].bundle.encryption_private_key},
                signature_private_key=self.clients[index].signature_private_key,
                epoch_secret=schedules.epoch_secret(SUITE, joiner_secret, no_psk, context.encode()),
                rules=RFC_RULES,
                key_schedule=schedules.RFC9420,
            )

        welcome = create_welcome(
            SUITE,
            create_group_info(epoch_of(signer), with_tree=True),
            joiner_secret,
            no_psk,
            (),
            {new_leaf: newcomer},
            lambda index: path.secrets.by_node[tree_math.common_ancestor(signer, index)],
            os.urandom,
        )
        return _scene(Group(epoch_of(0)), MLSMessage.of(welcome).encode())


def _warmed(clients: list[Client], group_id: bytes) -> RatchetTree:
    """The tree after a path of every second member; nobody needs the private keys of these paths."""
    tree = RatchetTree()
    for client in clients:
        tree, _ = tree.with_leaf_added(client.leaf_node)
    for index in range(0, len(clients), 2):
        keys = [(node, sibling, os.urandom(32)) for node, sibling in tree.filtered_direct_path(index)]
        changes, parent_hash = path_changes(SUITE, tree, index, keys)
        leaf = replace(
            clients[index].leaf_node,
            encryption_key=os.urandom(32),
            leaf_node_source=COMMIT,
            lifetime=None,
            parent_hash=parent_hash,
        ).sign(SUITE, clients[index].signature_private_key, group_id, index)
        tree = tree.with_nodes({**changes, 2 * index: leaf})
    return tree


def _scene(founder: Group, welcome: bytes) -> Scene:
    texts = [founder.protect(bytes(TEXT_SIZE), random=os.urandom) for _ in range(TEXTS)]
    made = founder.commit(path=True, wire_format=WireFormat.MLS_PUBLIC_MESSAGE, random=os.urandom)
    return Scene(welcome, texts, made.message, made.next.export("after", b"", 32))
