"""Values that mean nothing are sent on demand, and ignored (RFC 9420 §13.5)."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest
from tests.mls.group_members import Client, Party, receive, refused

from starling.protocol.errors import Unsupported
from starling.protocol.mls.capabilities import Capabilities
from starling.protocol.mls.extension import Extension
from starling.protocol.mls.grease import (
    GREASE_VALUES,
    grease_capabilities,
    grease_extensions,
    grease_leaf,
    is_grease,
    supported,
)
from starling.protocol.mls.group import Group
from starling.protocol.mls.key_package import KeyPackageBundle
from starling.protocol.mls.leaf_node import LeafNode
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.proposal import Add, GroupContextExtensions
from starling.protocol.mls.rules import Rule
from starling.protocol.mls.welcome import Welcome


class Greased(Client):
    """A client that puts GREASE wherever it may stand."""

    def leaf(self, source: int = 1) -> tuple[LeafNode, bytes]:
        leaf, private_key = super().leaf(source)
        return grease_leaf(leaf, os.urandom), private_key

    def bundle(self, **options: Any) -> KeyPackageBundle:
        bundle = super().bundle(**options)
        package = replace(bundle.key_package, extensions=grease_extensions((), os.urandom))
        return replace(bundle, key_package=package.sign(self.signature_private_key))


def test_the_values_of_the_registries() -> None:
    assert GREASE_VALUES[0] == 0x0A0A and GREASE_VALUES[-1] == 0xEAEA and len(GREASE_VALUES) == 15
    assert [value for value in range(2**16) if is_grease(value)] == list(GREASE_VALUES)
    assert supported((1, 0x0A0A, 2, 0xFAFA)) == {1, 2, 0xFAFA}


def test_each_list_gets_one_and_nothing_else_changes() -> None:
    capabilities = Capabilities((1,), (1, 2), (6,), (8,), (1,))
    for _ in range(20):
        greased = grease_capabilities(capabilities, os.urandom)
        for name in ("cipher_suites", "extensions", "proposals", "credentials"):
            values = getattr(greased, name)
            assert [value for value in values if not is_grease(value)] == list(getattr(capabilities, name))
            assert len(values) == len(getattr(capabilities, name)) + 1
        assert greased.versions == (1,)
    assert len(grease_extensions((Extension(1, b""),), os.urandom)) == 2


def _party() -> Party:
    clients: list[Client] = [Greased(f"client {index}") for index in range(3)]
    group = clients[0].create()
    bundles = [client.bundle() for client in clients[1:]]
    made = group.commit(
        [Add(bundle.key_package) for bundle in bundles],
        group_info_extensions=grease_extensions((), os.urandom),
        random=os.urandom,
    )
    assert made.welcome is not None
    joined = [client.join(made.welcome, bundle) for client, bundle in zip(clients[1:], bundles, strict=True)]
    return Party(clients, [made.next, *joined])


def test_members_with_grease_make_a_group() -> None:
    party = _party()
    party.check_agreement()
    for by in range(3):
        party.commit(by=by)
    newcomer = Greased("newcomer")
    info = party.groups[1].group_info(grease_extensions((), os.urandom), external_pub=True)
    leaf, _ = newcomer.leaf()
    made = Group.external_join(info, leaf, newcomer.signature_private_key, random=os.urandom)
    Party(
        party.clients, [*(receive(group, made.message) for group in party.groups), made.next]
    ).check_agreement()


def test_grease_is_not_what_a_client_supports() -> None:
    """A group whose context has an extension that a joiner names only as GREASE."""
    founder, joiner = Client("founder", extensions=(6, *GREASE_VALUES)), Greased("joiner")
    bundle = joiner.bundle()
    named = [v for v in bundle.key_package.leaf_node.capabilities.extensions if is_grease(v)]
    group = founder.create(extensions=(Extension(named[0], b""),))
    made = group.commit([Add(bundle.key_package)], random=os.urandom)
    assert made.welcome is not None
    welcome = MLSMessage.decode(made.welcome).body
    assert isinstance(welcome, Welcome)
    with pytest.raises(Unsupported):
        Group.join(welcome, bundle, joiner.signature_private_key)


def test_grease_in_a_group_context_is_refused_as_any_unknown_extension() -> None:
    party = _party()
    others = [leaf.capabilities.extensions for _, leaf in party.groups[0].tree.leaves()]
    value = next(value for value in GREASE_VALUES if not any(value in known for known in others))
    proposal = GroupContextExtensions((Extension(value, b""),))
    assert (
        refused(lambda: party.groups[0].commit([proposal], random=os.urandom))
        is Rule.PROPOSAL_CONTEXT_SUPPORT
    )
