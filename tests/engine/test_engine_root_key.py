"""The root key of send groups: there from the founding, new after every removal, and shown nowhere (P-5, P-6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from tests.engine.forging import end, forged_commit, packages
from tests.engine.small_network import MINUTE, SECOND, Network, Node, quiet

from starling.protocol.distributed.universe_component import send_group_extensions
from starling.protocol.engine import own_group
from starling.protocol.engine.inputs import FrameReceived, JoinUniverse, RemoveMember
from starling.protocol.engine.step import Publish, SendToPeer
from starling.protocol.extensions.private_external_info import (
    ROOT_PRIVATE_SIGNATURE_KEY,
    RootPrivateSignature,
    read_root_key,
)
from starling.protocol.extensions.private_external_rules import replace_root_key
from starling.protocol.mls.components import read_dictionary, with_dictionary
from starling.protocol.mls.proposal import AppDataUpdate, AppDataUpdateOperation, Proposal, Remove


def root_of(node: Node, universe: bytes, owner: Node) -> bytes:
    root = read_root_key(node.group(universe, owner).head.context)
    assert root is not None
    return root


def with_key(root: bytes) -> AppDataUpdate:
    update = RootPrivateSignature(root).encode()
    return AppDataUpdate(ROOT_PRIVATE_SIGNATURE_KEY, AppDataUpdateOperation.UPDATE, update)


def forge_removal(
    network: Network, universe: bytes, owner: Node, victim: Node, *more: Proposal, watcher: Node
) -> None:
    """What an owner commits that does not keep to the rules, brought to one other member."""
    leaf = owner.group(universe, owner).members()[victim.me]
    proposals = [Remove(leaf), *more, end(owner, universe), packages(owner, universe)]
    frame = forged_commit(owner, universe, owner, proposals, path=True)
    watcher.do(FrameReceived(owner.id, frame))


def test_every_group_has_its_own_and_a_removal_replaces_it_everywhere() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    nodes = (alice, bob, carol)
    before = {owner.name: root_of(owner, universe, owner) for owner in nodes}
    assert len(set(before.values())) == 3
    for owner in nodes:
        assert {root_of(node, universe, owner) for node in nodes} == {before[owner.name]}
    alice.do(RemoveMember(universe, carol.me))
    network.run(MINUTE)
    for owner in (alice, bob):
        after = {root_of(node, universe, owner) for node in (alice, bob)}
        assert len(after) == 1 and before[owner.name] not in after


@pytest.mark.parametrize("restart", [False, True])
def test_others_refuse_a_removal_without_a_key_that_is_new(restart: bool) -> None:
    network, universe, (alice, bob, carol, dave) = quiet("alice", "bob", "carol", "dave")
    first = root_of(alice, universe, alice)
    alice.do(RemoveMember(universe, dave.me))
    network.run(MINUTE)
    second = root_of(alice, universe, alice)
    assert root_of(bob, universe, alice) == second != first
    if restart:
        network.stop(bob)
        network.restart(bob)
        network.run(MINUTE)
    present = bob.universe(universe)
    assert len(present.groups[alice.universe(universe).group_id].used_root_keys.hashes) >= 2
    for more, rule in (
        ((), "ROOT_KEY_REPLACED"),
        ((with_key(second),), "ROOT_KEY_NEW"),
        ((with_key(first),), "ROOT_KEY_NEW"),
        ((with_key(b"short"),), "ROOT_KEY"),
    ):
        counted = present.refused.get(rule, 0)
        forge_removal(network, universe, alice, carol, *more, watcher=bob)
        assert present.refused.get(rule, 0) == counted + 1
    suite = bob.group(universe, alice).head.cipher_suite
    epoch = bob.group(universe, alice).graph.head_info.number
    new = replace_root_key(suite, bob.random_source())
    forge_removal(network, universe, alice, carol, new, watcher=bob)  # the control: this one is accepted
    assert bob.group(universe, alice).graph.head_info.number == epoch + 1


def test_a_group_without_a_root_key_is_not_entered(monkeypatch: pytest.MonkeyPatch) -> None:
    network, universe, (alice, bob) = quiet("alice", "bob")
    mallory = network.add("mallory")

    def without(*arguments: Any) -> object:
        made = send_group_extensions(*arguments)
        dictionary = read_dictionary(made)
        assert dictionary is not None
        return with_dictionary(made, dictionary.with_component(ROOT_PRIVATE_SIGNATURE_KEY, None))

    monkeypatch.setattr(own_group, "send_group_extensions", without)
    mallory.do(JoinUniverse(network.invite(alice, universe)))
    network.run(10 * SECOND)
    for node in (alice, bob):
        assert node.universe(universe).refused["ROOT_KEY"]
        assert mallory.universe(universe).group_id not in node.universe(universe).groups


def test_it_stands_in_no_event_no_message_no_open_row_and_no_print() -> None:
    """P-5: a GroupContext is a secret. Rows with a scope are sealed by the store."""
    network, universe, nodes = quiet("alice", "bob", "carol")
    alice, _, carol = nodes
    roots = {root_of(node, universe, owner) for node in nodes for owner in nodes}
    alice.do(RemoveMember(universe, carol.me))
    network.run(MINUTE)
    roots |= {root_of(alice, universe, owner) for owner in nodes[:2]}
    assert len(roots) == 5
    sealed = shown = b""
    for node in nodes:
        shown += repr(node.events).encode()
        for key, value in node.rows.items():
            if node.scopes[key]:
                sealed += value
            else:
                shown += value
        for state in node.universe(universe).groups.values():
            group = state.head
            held = (group, group.context, group.context.extensions, group.secrets, group.group_info())
            shown += b"".join(repr(one).encode() for one in held)
    for _, send in network.sent:
        if isinstance(send, Publish):
            shown += send.frame
        elif isinstance(send, SendToPeer):
            shown += send.data
    assert any(root in sealed for root in roots)  # the search finds what is there
    forms = [form for root in roots for form in (root, root.hex().encode(), repr(root).encode())]
    assert not any(form in shown for form in forms)


def test_what_is_printed_of_a_commit_has_no_root_key() -> None:
    root = bytes(range(32))
    update: Sequence[Proposal] = [with_key(root)]
    for value in (update, RootPrivateSignature(root)):
        assert repr(root) not in repr(value) and root.hex() not in repr(value)
