"""What somebody learns of a join who is no member, and reads every payload that passes (P-4, P-12, P-15).

The outsider is in the worst place: it carries the whole join between joiner and sponsor, and all gossip, with the
transport's encryption taken off. What members tell each other on streams of their own it does not carry.
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.engine.small_network import MINUTE, SECOND, Network, Node

from starling.protocol.engine import joining
from starling.protocol.engine.inputs import FrameReceived, Input, JoinUniverse, MessageFromPeer
from starling.protocol.exchange.joining_messages import JoinRequest
from starling.protocol.exchange.messages import decode_message
from starling.protocol.mls.key_package import KeyPackage

NAME = "Josephine-of-the-Hill"


class Outsider:
    """Keeps what passes until the joiner is a member: gossip of everybody, what the joiner sends, and what its sponsor
    answers. (To others the joiner is a member as soon as they know that it was admitted.)"""

    def __init__(self, network: Network, joiner: Node, sponsor: Node) -> None:
        self.gossip: list[bytes] = []
        self.streams: list[bytes] = []

        def is_member() -> bool:
            return bool(joiner.heard("universe.joined"))

        def watch(node: Node, item: Input) -> None:
            if isinstance(item, FrameReceived):
                self.gossip.append(item.frame)
            elif (
                isinstance(item, MessageFromPeer)
                and (item.peer_id == joiner.id or (node is joiner and item.peer_id == sponsor.id))
                and not is_member()
            ):
                self.streams.append(item.data)

        network.tap = watch

    def kinds(self) -> set[str]:
        return {type(decode_message(data)[0]).__name__ for data in self.streams}

    def finds(self, needle: bytes) -> bool:
        return any(needle in data for data in (*self.gossip, *self.streams))


def traces(joiner: Node, packages: list[KeyPackage]) -> dict[str, bytes]:
    """What would tell who asks."""
    package = packages[0]
    leaf = package.leaf_node
    return {
        "identity": joiner.me,
        "name": NAME.encode(),
        "credential": leaf.credential.encode(),
        "signature key": leaf.signature_key,
        "key package": package.encode(),
        "init key": package.init_key,
        "encryption key": leaf.encryption_key,
    }


def watched_join(monkeypatch: pytest.MonkeyPatch, *, seal: bool) -> tuple[Outsider, dict[str, bytes], Node]:
    network = Network()
    universe, alice, _ = network.found("alice", "bob")
    network.run(10 * SECOND)
    joiner = network.add(NAME)
    outsider = Outsider(network, joiner, alice)
    if not seal:

        def in_clear(message: Any, bundle: object, *, random: object) -> bytes:
            encoded: bytes = message.encode()
            return encoded

        monkeypatch.setattr(joining, "seal_private_external", in_clear)
    joiner.do(JoinUniverse(network.invite(alice, universe)))
    packages = joiner.universe(universe).bundles.newest()
    found = traces(joiner, packages)
    network.run(MINUTE)
    return outsider, found, joiner


def test_an_outsider_learns_nothing_of_who_joins(monkeypatch: pytest.MonkeyPatch) -> None:
    outsider, found, joiner = watched_join(monkeypatch, seal=True)
    assert joiner.heard("universe.joined")
    assert outsider.kinds() >= {"JoinHello", "JoinProof", "JoinRequest", "JoinAnswer"} and outsider.gossip
    assert [what for what, needle in found.items() if outsider.finds(needle)] == []
    # Group ids stand in clear in gossip (5.7), but nothing of the join tells which one will be the joiner's.
    (universe,) = joiner.engine.universes()
    group_id = joiner.universe(universe["universe_id"]).group_id
    assert outsider.finds(group_id) and not any(group_id in data for data in outsider.streams)


def test_with_a_public_message_in_its_place_it_learns_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: the same search finds what is there."""
    outsider, found, joiner = watched_join(monkeypatch, seal=False)
    assert not joiner.heard("universe.joined")  # and a sponsor does not take it
    assert all(outsider.finds(needle) for needle in found.values())
    requests = [decode_message(data)[0] for data in outsider.streams]
    assert any(isinstance(request, JoinRequest) for request in requests)


def test_names_of_all_lengths_make_few_sizes() -> None:
    sizes = set()
    for length in (1, 20, 64):
        network = Network()
        universe, alice = network.found("alice")
        joiner = network.add("j" * length)
        outsider = Outsider(network, joiner, alice)
        joiner.do(JoinUniverse(network.invite(alice, universe)))
        network.run(SECOND)
        requests = [message for message, _ in map(decode_message, outsider.streams)]
        sizes |= {len(request.message) for request in requests if isinstance(request, JoinRequest)}
    assert len(sizes) == 1
