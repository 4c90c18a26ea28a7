"""Members for the tests of groups: clients with keys, key packages, and groups that they form."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, ClassVar, ParamSpec

import pytest

from starling.protocol.crypto.cipher_suite import CipherSuite, cipher_suite
from starling.protocol.errors import Invalid
from starling.protocol.mls.capabilities import Capabilities
from starling.protocol.mls.components import AppDataDictionary
from starling.protocol.mls.credential import Credential
from starling.protocol.mls.extension import APP_DATA_DICTIONARY, KOH_KEY_SCHEDULE, Extension
from starling.protocol.mls.group import CommitResult, Group
from starling.protocol.mls.group_rules import RFC_RULES, GroupRules
from starling.protocol.mls.key_package import KeyPackage, KeyPackageBundle
from starling.protocol.mls.key_schedule import RFC9420, KeySchedule
from starling.protocol.mls.leaf_node import KEY_PACKAGE, UPDATE, LeafNode, Lifetime
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.proposal import PROPOSALS, Add, CustomProposal, Proposal
from starling.protocol.mls.ratchet_tree import RatchetTree
from starling.protocol.mls.welcome import Welcome
from starling.protocol.wire import uint32

P = ParamSpec("P")

COMPONENT = 0x8123


@dataclass(frozen=True, slots=True)
class ReplaceLeaf(CustomProposal):
    """A private proposal that replaces a leaf, as send groups have one."""

    proposal_type: ClassVar[int] = 0xF0DD
    requires_path: ClassVar[bool] = True

    leaf_index: uint32
    leaf_node: LeafNode

    def apply(self, tree: RatchetTree) -> RatchetTree:
        return tree.with_leaf_updated(self.leaf_index, self.leaf_node)


PROPOSALS.register(ReplaceLeaf)


class ComponentRules(GroupRules):
    """One component is known: its updates are joined, and what goes with a commit is taken."""

    def app_data_update(self, component_id: int, current: bytes | None, updates: Sequence[bytes]) -> bytes:
        if component_id != COMPONENT:
            return super().app_data_update(component_id, current, updates)
        return (current or b"") + b"".join(updates)

    def app_ephemeral(self, component_id: int, data: bytes) -> None:
        if component_id != COMPONENT:
            super().app_ephemeral(component_id, data)


class OwnerRules(ComponentRules):
    """Only leaf 0 sends."""

    retain_sender = 0
    custom_proposals = MappingProxyType({ReplaceLeaf.proposal_type: ReplaceLeaf})


class Randomness:
    """Bytes that depend on the seed and the order of the calls only."""

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._calls = 0

    def __call__(self, size: int) -> bytes:
        self._calls += 1
        return hashlib.shake_128(self._seed + self._calls.to_bytes(8)).digest(size)


@dataclass
class Client:
    """Somebody with a signature key who makes key packages."""

    name: str
    suite: CipherSuite = field(default_factory=lambda: cipher_suite(1))
    extensions: tuple[int, ...] = (APP_DATA_DICTIONARY, KOH_KEY_SCHEDULE)
    proposals: tuple[int, ...] = (8, 9, ReplaceLeaf.proposal_type)

    def __post_init__(self) -> None:
        self.random: Callable[[int], bytes] = Randomness(self.name.encode())
        self.signature_private_key, self.signature_key = self.suite.signature_generate(self.random)

    def leaf(self, source: int = KEY_PACKAGE) -> tuple[LeafNode, bytes]:
        """A fresh leaf without a signature, and its private key."""
        private_key, public_key = self.suite.hpke_generate(self.random)
        capabilities = Capabilities((1,), (self.suite.id,), self.extensions, self.proposals, (1,))
        lifetime = Lifetime(0, 2**64 - 1) if source == KEY_PACKAGE else None
        leaf = LeafNode(
            public_key, self.signature_key, Credential.basic(self.name.encode()), capabilities,
            source, lifetime, None, (), b"",
        )  # fmt: skip
        return leaf, private_key

    def signed_leaf(self) -> tuple[LeafNode, bytes]:
        leaf, private_key = self.leaf()
        return leaf.sign(self.suite, self.signature_private_key), private_key

    def update_leaf(self, group: Group) -> tuple[LeafNode, bytes]:
        """A leaf for an Update of our own leaf in a group."""
        leaf, private_key = self.leaf(UPDATE)
        signed = leaf.sign(self.suite, self.signature_private_key, group.group_id, group.own_leaf_index)
        return signed, private_key

    def bundle(self, *, lifetime: Lifetime | None = None) -> KeyPackageBundle:
        leaf, leaf_private_key = self.leaf()
        if lifetime is not None:
            leaf = replace(leaf, lifetime=lifetime)
        leaf = leaf.sign(self.suite, self.signature_private_key)
        init_private_key, init_key = self.suite.hpke_generate(self.random)
        package = KeyPackage(1, self.suite.id, init_key, leaf, (), b"").sign(self.signature_private_key)
        return KeyPackageBundle(package, init_private_key, leaf_private_key)

    def create(
        self,
        rules: GroupRules = RFC_RULES,
        extensions: tuple[Extension, ...] = (),
        group_id: bytes = b"group",
        key_schedule: KeySchedule = RFC9420,
    ) -> Group:
        leaf, private_key = self.signed_leaf()
        return Group.create(
            cipher_suite=self.suite,
            group_id=group_id,
            leaf_node=leaf,
            encryption_private_key=private_key,
            signature_private_key=self.signature_private_key,
            extensions=extensions,
            rules=rules,
            key_schedule=key_schedule,
            random=self.random,
        )

    def join(
        self,
        welcome: bytes,
        bundle: KeyPackageBundle,
        rules: GroupRules = RFC_RULES,
        key_schedule: KeySchedule = RFC9420,
    ) -> Group:
        body = MLSMessage.decode(welcome).body
        assert isinstance(body, Welcome)
        private_key = self.signature_private_key
        return Group.join(body, bundle, private_key, rules=rules, key_schedule=key_schedule)[0]


def receive(group: Group, message: bytes, **options: Any) -> Group:
    """Open and stage a commit; the member stays."""
    staged = group.stage(group.open_handshake(MLSMessage.decode(message)), **options)
    assert staged.next is not None
    return staged.next


def refused(attempt: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs) -> object:
    """The rule by which a call is refused."""
    with pytest.raises(Invalid) as refusal:
        attempt(*args, **kwargs)
    return refusal.value.rule


def open_text(group: Group, message: bytes) -> bytes:
    return group.unprotect(MLSMessage.decode(message)).application_data


@dataclass
class Party:
    """Clients with their groups, in one epoch; leaf 0 is the creator."""

    clients: list[Client]
    groups: list[Group]

    def commit(
        self, proposals: Sequence[Proposal] = (), *, by: int = 0, options: dict[str, Any] | None = None,
        receiving: Callable[[int], dict[str, Any]] = lambda index: {},
    ) -> CommitResult:  # fmt: skip
        """Commit by one, staged by all others; all move on and supersede."""
        committer = self.groups[by]
        made = committer.commit(proposals, random=self.clients[by].random, **(options or {}))
        following = [
            made.next if index == by else receive(group, made.message, **receiving(index))
            for index, group in enumerate(self.groups)
        ]
        for group, entered in zip(self.groups, following, strict=True):
            group.supersede(entered)
        self.groups = following
        self.check_agreement()
        return made

    def check_agreement(self) -> None:
        first = self.groups[0]
        for group in self.groups[1:]:
            assert group.context == first.context
            assert group.tree == first.tree
            assert group.confirmation_tag == first.confirmation_tag
            assert group.export("test", b"context", 16) == first.export("test", b"context", 16)


def found(
    count: int,
    rules: GroupRules = RFC_RULES,
    extensions: tuple[Extension, ...] = (),
    *,
    suite: int = 1,
    path: bool = True,
    proposals: tuple[int, ...] = Client.proposals,
    key_schedule: KeySchedule = RFC9420,
) -> Party:
    """A group of so many members, the others added by one commit."""
    clients = [Client(f"client {index}", cipher_suite(suite), proposals=proposals) for index in range(count)]
    group = clients[0].create(rules, extensions, key_schedule=key_schedule)
    if count == 1:
        return Party(clients, [group])
    bundles = [client.bundle() for client in clients[1:]]
    made = group.commit([Add(bundle.key_package) for bundle in bundles], path=path, random=clients[0].random)
    assert made.welcome is not None
    joined = [
        client.join(made.welcome, bundle, rules, key_schedule)
        for client, bundle in zip(clients[1:], bundles, strict=True)
    ]
    party = Party(clients, [made.next, *joined])
    party.check_agreement()
    return party


def dictionary(components: dict[int, bytes]) -> Extension:
    return Extension(APP_DATA_DICTIONARY, AppDataDictionary.of(components).encode())
