"""A member that cannot follow a group is added again by itself, and nobody else is held up (PROTOCOL R6, B7)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from tests.engine.small_network import DAY, MINUTE, SECOND, Network, Node, quiet

from starling.protocol.distributed import policy
from starling.protocol.distributed.member import read_member
from starling.protocol.engine.inputs import JoinUniverse, UpdateKeys
from starling.protocol.mls import committing


@contextmanager
def sealed_badly_for(owner: Node, universe: bytes, *victims: Node) -> Iterator[None]:
    """What an owner seals to these members in its path commits meanwhile does not open."""
    original: Any = committing.seal_path
    places = [owner.group(universe, owner).members()[victim.me] for victim in victims]

    def seal_path(suite: Any, path: Any, context: bytes, new: Any, random: Any) -> Any:
        sealed = original(suite, path, context, new, random)
        if owner.universe(universe).group_id not in context:
            return sealed
        nodes = []
        for (_, child), node in zip(path.filtered, sealed.nodes, strict=True):
            targets = [target for target in path.tree.resolution(child) if target // 2 not in new]
            ciphertexts = [
                replace(found, ciphertext=bytes(len(found.ciphertext))) if target // 2 in places else found
                for target, found in zip(targets, node.encrypted_path_secret, strict=True)
            ]
            nodes.append(replace(node, encrypted_path_secret=tuple(ciphertexts)))
        return replace(sealed, nodes=tuple(nodes))

    committing.seal_path = seal_path
    try:
        yield
    finally:
        committing.seal_path = original


def incarnation_in(node: Node, universe: bytes, owner: Node, member: Node) -> int:
    """The incarnation of a member in an owner's group, as a node holds it."""
    state = node.group(universe, owner)
    leaf = state.head.tree.leaf(state.members()[member.me])
    assert leaf is not None
    return read_member(leaf).incarnation


def all_read_all(network: Network, universe: bytes, nodes: list[Node]) -> None:
    for node in nodes:
        node.say(universe, f"{node.name} at {network.now}")
    said = {node.name: f"{node.name} at {network.now}" for node in nodes}
    network.run(MINUTE)
    for node in nodes:
        heard = node.texts()
        assert all(text in heard for name, text in said.items() if name != node.name), node.name
        assert node.engine.converged(universe), node.name


def test_who_cannot_open_a_path_is_added_again_everywhere() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    before = bob.universe(universe).incarnation
    with sealed_badly_for(alice, universe, bob):
        alice.do(UpdateKeys(universe))
    network.run(MINUTE)
    for node in (alice, bob, carol):
        assert {"identity": bob.me, "owner": alice.me, "reason": "commit"} in node.heard("member.stuck")
        assert incarnation_in(node, universe, alice, bob) == before + 1
        assert incarnation_in(node, universe, carol, bob) == before + 1
        assert not node.heard("fork.detected") and not node.heard("member.excluded")
    all_read_all(network, universe, [alice, bob, carol])
    assert not bob.universe(universe).stuck.groups and not bob.table("stuck")


def test_it_is_cut_off_nowhere_else_while_the_owner_does_not_add_it_again() -> None:
    """R6: nobody imports what it could not know, and all others' messages go on."""
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    with sealed_badly_for(alice, universe, bob):
        alice.do(UpdateKeys(universe))
    network.run(SECOND)
    network.stop(alice)
    network.run(MINUTE)
    carol.do(UpdateKeys(universe))
    network.run(2 * MINUTE)
    carol.say(universe, "without alice")
    network.run(10 * SECOND)
    assert bob.texts() == ["without alice"]
    last = carol.universe(universe).ledger.last_imports[carol.me, alice.universe(universe).group_id]
    assert last.epoch < carol.group(universe, alice).graph.head_info.number, "that bob cannot know"
    network.restart(alice)
    network.run(2 * MINUTE)
    all_read_all(network, universe, [alice, bob, carol])
    carol.do(UpdateKeys(universe))
    network.run(10 * SECOND)


def test_the_one_that_is_stuck_goes_on_asking_after_a_restart() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    with sealed_badly_for(alice, universe, bob):
        alice.do(UpdateKeys(universe))
    network.run(500)
    assert bob.universe(universe).stuck.groups
    network.stop(bob)
    network.run(MINUTE)
    network.restart(bob)
    network.run(MINUTE)
    all_read_all(network, universe, [alice, bob, carol])


def test_a_hostile_owner_cannot_have_everybody_added_again_and_again() -> None:
    network, universe, (mallory, bob, carol) = quiet("mallory", "bob", "carol")
    before = bob.universe(universe).incarnation
    with sealed_badly_for(mallory, universe, bob):
        for _ in range(5):
            mallory.do(UpdateKeys(universe))
            network.run(MINUTE)
    assert bob.universe(universe).incarnation == before + 1
    assert incarnation_in(carol, universe, carol, bob) == before + 1
    carol.say(universe, "still here")
    network.run(10 * SECOND)
    assert "still here" in bob.texts()


def test_a_hostile_member_is_added_again_a_few_times_a_day() -> None:
    network, universe, (alice, mallory, carol) = quiet("alice", "mallory", "carol")
    before = mallory.universe(universe).incarnation
    for _ in range(policy.READDS_PER_DAY + 3):
        mallory.universe(universe).incarnation += 1
        mallory.do(UpdateKeys(universe))
        network.run(MINUTE)
    for owner in (alice, carol):
        assert incarnation_in(owner, universe, owner, mallory) == before + policy.READDS_PER_DAY
    all_read_all(network, universe, [alice, mallory, carol])
    network.leap(DAY)
    for owner in (alice, carol):
        assert incarnation_in(owner, universe, owner, mallory) == mallory.universe(universe).incarnation


def test_who_joins_later_adds_it_by_its_new_incarnation() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    with sealed_badly_for(alice, universe, bob):
        alice.do(UpdateKeys(universe))
    network.run(MINUTE)
    dave = network.add("dave")
    dave.do(JoinUniverse(network.invite(alice, universe)))
    network.run(MINUTE)
    all_read_all(network, universe, [alice, bob, carol, dave])
    assert incarnation_in(dave, universe, dave, bob) == bob.universe(universe).incarnation
