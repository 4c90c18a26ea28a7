"""What is done with a decoded structure next: every function that takes one from outside, with real signatures
where a hostile author can make them."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tests.mls.group_members import Client

from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.decentralized.dmls_message import read_dmls_message
from starling.protocol.distributed import labels
from starling.protocol.distributed.commit_content import read_commit_content
from starling.protocol.distributed.dependency import parse_dependencies
from starling.protocol.distributed.dmls_resolve import parse_resolve
from starling.protocol.distributed.epoch_end import parse_epoch_end
from starling.protocol.distributed.evidence import Evidence
from starling.protocol.distributed.head_statement import HeadStatement, HeadStatementTBS
from starling.protocol.distributed.identity import Identity
from starling.protocol.distributed.key_packages import check_key_package, parse_key_packages
from starling.protocol.distributed.member import verify_member
from starling.protocol.distributed.peer_address import PeerAddress, PeerAddressTBS
from starling.protocol.distributed.roster_entry import RosterEntry, entry_id, read_entry, tbs_of
from starling.protocol.distributed.ticket_proof import verify_ticket_proof
from starling.protocol.distributed.universe_component import read_roster_digest, read_universe
from starling.protocol.mls.commit import Commit
from starling.protocol.mls.components import read_dictionary
from starling.protocol.mls.extension import RequiredCapabilities
from starling.protocol.mls.external_init import external_pub_of
from starling.protocol.mls.group import Group
from starling.protocol.mls.group_context import GroupContext
from starling.protocol.mls.group_info import GroupInfo
from starling.protocol.mls.group_info_validation import validate_group_info
from starling.protocol.mls.group_rules import RFC_RULES
from starling.protocol.mls.key_package import KeyPackage
from starling.protocol.mls.leaf_node import LeafNode
from starling.protocol.mls.ratchet_tree import RatchetTree, _Nodes
from starling.protocol.mls.safe_aad import read_safe_aad
from starling.protocol.mls.tree_hash import tree_hash
from starling.protocol.mls.tree_validation import validate_tree
from starling.protocol.mls.welcome import Welcome

_SUITE = cipher_suite(1)
_CLIENT = Client("fuzz")
_BUNDLE = _CLIENT.bundle()
_IDENTITY = Identity.generate("fuzz", lambda size: hashlib.shake_128(b"fuzz").digest(size))
_UNIVERSE = bytes(32)

Use = Callable[[random.Random, Any], list[Callable[[], object]]]


def _leaf(rng: random.Random, leaf: LeafNode) -> list[Callable[[], object]]:
    if rng.random() < 0.7:
        leaf = replace(
            leaf,
            signature_key=_CLIENT.signature_key,
            encryption_key=rng.choice((leaf.encryption_key, _BUNDLE.key_package.init_key)),
        )
        leaf = leaf.sign(_SUITE, _CLIENT.signature_private_key, b"group", 1)
    return [
        lambda: leaf.check(_SUITE, RequiredCapabilities((6,), (8,), (1,))),
        lambda: leaf.verify_signature(_SUITE, b"group", 1),
        lambda: leaf.check_lifetime(1_700_000_000_000),
        lambda: verify_member(leaf, universe_id=_UNIVERSE),
    ]


def _key_package(rng: random.Random, package: KeyPackage) -> list[Callable[[], object]]:
    if rng.random() < 0.7:
        leaf = replace(
            package.leaf_node,
            signature_key=_CLIENT.signature_key,
            encryption_key=_BUNDLE.key_package.leaf_node.encryption_key,
            capabilities=_BUNDLE.key_package.leaf_node.capabilities,
        )
        leaf = leaf.sign(_SUITE, _CLIENT.signature_private_key, b"", 0)
        package = replace(package, leaf_node=leaf, version=1, cipher_suite=1)
        package = package.sign(_CLIENT.signature_private_key)
    return [
        lambda: package.validate(cipher_suite(package.cipher_suite), 1_700_000_000_000),
        lambda: check_key_package(package, universe_id=_UNIVERSE),
        lambda: verify_ticket_proof(package, _UNIVERSE),
        lambda: package.reference(),
    ]


def _nodes(rng: random.Random, nodes: _Nodes) -> list[Callable[[], object]]:
    encoded = nodes.encode()

    def validate() -> None:
        tree = RatchetTree.decode(encoded)
        if nodes.nodes and nodes.nodes[-1] is not None and tree.encode() != encoded:
            raise AssertionError("a tree does not encode as it was decoded")
        tree_hash(_SUITE, tree)
        validate_tree(_SUITE, tree, b"group")

    return [validate]


def _group_info(rng: random.Random, info: GroupInfo) -> list[Callable[[], object]]:
    return [
        lambda: validate_group_info(
            cipher_suite(info.group_context.cipher_suite),
            info,
            None,
            _BUNDLE.key_package.leaf_node.capabilities,
            RFC_RULES,
        ),
        lambda: external_pub_of(info),
    ]


def _welcome(rng: random.Random, welcome: Welcome) -> list[Callable[[], object]]:
    def join(changed: Welcome) -> None:
        Group.join(changed, _BUNDLE, _CLIENT.signature_private_key)

    mine = replace(welcome, cipher_suite=1)
    if welcome.secrets:
        named = replace(welcome.secrets[0], new_member=_BUNDLE.key_package.reference())
        mine = replace(mine, secrets=(named, *welcome.secrets[1:]))
    return [lambda: join(welcome), lambda: join(mine)]


def _context(rng: random.Random, context: GroupContext) -> list[Callable[[], object]]:
    return [
        lambda: context.required_capabilities,
        lambda: read_dictionary(context.extensions),
        lambda: read_universe(context.extensions),
        lambda: read_roster_digest(context.extensions),
    ]


def _entry(rng: random.Random, entry: RosterEntry) -> list[Callable[[], object]]:
    if rng.random() < 0.8:
        entry = replace(entry, author=_IDENTITY.identity_public_key, universe_id=_UNIVERSE)
        entry = replace(entry, predecessors=tuple(sorted(entry.predecessors)))
        entry = replace(entry, signature=_IDENTITY.sign(labels.ROSTER, tbs_of(entry)))
    encoded = entry.encode()
    return [lambda: read_entry(encoded, _UNIVERSE), lambda: entry_id(encoded)]


def _address(rng: random.Random, address: PeerAddress) -> list[Callable[[], object]]:
    if rng.random() < 0.8:
        address = replace(address, universe_id=_UNIVERSE, peer_id=_IDENTITY.peer_id)
        tbs = PeerAddressTBS(address.universe_id, address.peer_id, address.serial, address.addresses)
        address = replace(address, signature=_IDENTITY.sign_as_peer(labels.ADDRESS, tbs.encode()))

    def verify() -> None:
        address.verify(_UNIVERSE)
        assert all(address.texts) or not address.texts

    return [verify]


def _statement(rng: random.Random, statement: HeadStatement) -> list[Callable[[], object]]:
    tbs = HeadStatementTBS(*statement.parent, statement.commit_hash)
    signed = replace(statement, signature=_IDENTITY.sign(labels.HEAD, tbs.encode()))
    return [lambda: signed.verify(_IDENTITY.identity_public_key)]


def _commit(rng: random.Random, commit: Commit) -> list[Callable[[], object]]:
    proposals = [entry.proposal for entry in commit.proposals if entry.proposal is not None]
    return [lambda: read_commit_content(proposals, has_path=commit.path is not None)]


USES: dict[str, Use] = {
    "LeafNode": _leaf,
    "KeyPackage": _key_package,
    "_Nodes": _nodes,
    "GroupInfo": _group_info,
    "Welcome": _welcome,
    "GroupContext": _context,
    "RosterEntry": _entry,
    "PeerAddress": _address,
    "HeadStatement": _statement,
    "Evidence": lambda rng, held: [held.faults, lambda: Evidence.parse(held.text())],
    "Commit": _commit,
    "DMLSMessage": lambda rng, held: [lambda: read_dmls_message(held.encode())],
    "AppDataDictionary": lambda rng, held: [held.check, lambda: held.with_component(5, None)],
    "SafeAAD": lambda rng, held: [lambda: read_safe_aad(held.encode())],
    "_Dependencies": lambda rng, held: [lambda: parse_dependencies(held.encode())],
    "_KeyPackages": lambda rng, held: [lambda: parse_key_packages(held.encode())],
    "Resolve": lambda rng, held: [lambda: parse_resolve(held.encode())],
    "_EpochEnd": lambda rng, held: [lambda: parse_epoch_end(held.encode())],
    "DmlsUniverse": lambda rng, held: [held.check],
}
"""By the name of the structure."""
