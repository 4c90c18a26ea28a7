"""What real engines keep of healing: the right facts reach the vectors, and they last as long as they are needed."""

from __future__ import annotations

import pytest
from tests.engine.branched import Saved
from tests.engine.small_network import DAY, HOUR, MINUTE, SECOND, START, Network, Node, quiet

from starling.protocol.distributed.healing import Vector
from starling.protocol.distributed.member import read_member
from starling.protocol.engine import own_group
from starling.protocol.engine.context import Context
from starling.protocol.engine.inputs import CreateUniverse, JoinUniverse, RemoveMember, UpdateKeys
from starling.protocol.engine.security_view import healed


def vector(node: Node, universe: bytes, owner: Node) -> Vector:
    """What the newest epoch of a member's group is healed of, as this node sees it."""
    state = node.group(universe, owner)
    return node.universe(universe).healing.vector(state.group_id, state.graph.head)


def imports(node: Node, universe: bytes, text: str) -> None:
    """Let a node import what there is: it does so before a message."""
    node.universe(universe).timers.last_import = 0
    node.say(universe, text)
    node.network.run(SECOND)


def check_kept(node: Node, universe: bytes) -> None:
    """A vector for each epoch that has secrets or a PSK, in memory and in the store alike, and no other."""
    held = node.universe(universe)
    needed = {(state.group_id, epoch) for state in held.groups.values() for epoch in state.retained()}
    needed |= held.ledger.psks.keys()
    assert held.healing.epochs == needed
    assert node.table("healing").keys() == {group_id + epoch for group_id, epoch in needed}


def test_an_update_heals_its_own_group_and_every_group_that_imports_it() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    network.run(5 * SECOND)
    alice.do(UpdateKeys(universe))
    updated = network.now
    network.run(SECOND)
    for node in (alice, bob, carol):
        assert vector(node, universe, alice)[alice.me] == updated
        assert vector(node, universe, bob)[alice.me] < updated
    imports(bob, universe, "pathless suffices")
    for node in (alice, bob, carol):
        assert vector(node, universe, bob)[alice.me] == updated
        assert vector(node, universe, carol)[alice.me] < updated
    bob.do(UpdateKeys(universe))
    network.run(SECOND)
    network.cut(alice, carol)
    imports(carol, universe, "from bob, and from alice too")
    assert vector(bob, universe, carol)[alice.me] == updated


def test_a_replaced_leaf_heals_by_itself() -> None:
    """Without any import: bob's imports are undone by hand before he path-commits."""
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    alice.do(UpdateKeys(universe))
    updated = network.now
    network.run(SECOND)
    held = bob.universe(universe)
    exported = held.ledger.newest(alice.universe(universe).group_id)
    assert exported is not None
    held.ledger.remove(exported)
    bob.do(UpdateKeys(universe))
    network.run(SECOND)
    for node in (alice, bob, carol):
        assert vector(node, universe, bob)[alice.me] == updated
    assert vector(bob, universe, bob)[carol.me] < updated


def test_who_is_added_again_by_an_old_key_package_is_healed_no_further_than_that() -> None:
    """Whoever took the key package's keys opens the Welcome, whatever the group had imported."""
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    held = alice.universe(universe)
    package = held.profiles.key_package(bob.me, 1)
    assert package is not None
    made = read_member(package.leaf_node).serial
    network.run(5 * SECOND)
    bob.do(UpdateKeys(universe))
    updated = network.now
    network.run(SECOND)
    imports(alice, universe, "with what bob made anew")
    assert vector(carol, universe, alice)[bob.me] == updated > made
    ctx = Context(network.now, alice.random_source())
    leaf = alice.group(universe, alice).members()[bob.me]
    own_group.commit(ctx, held, path=True, removes=[leaf], adds=[package])
    alice.finish(ctx.step(alice.wake, None))
    network.run(20)
    for node in (alice, carol):
        assert vector(node, universe, alice)[bob.me] == made


def test_path_commits_alone_heal_nobody_else() -> None:
    network, universe, (_, bob, carol) = quiet("alice", "bob", "carol")
    before = dict(vector(carol, universe, bob))
    bob.do(UpdateKeys(universe))
    network.run(SECOND)
    after = dict(vector(carol, universe, bob))
    assert after.pop(bob.me) == network.now - SECOND
    before.pop(bob.me)
    assert after == before


def test_every_branch_is_healed_of_what_was_done_on_it() -> None:
    """Alice is put back to before she imported what carol made; bob follows both of her branches.

    Dave is away, so nothing settles.
    """
    network, universe, (alice, bob, carol, dave) = quiet("alice", "bob", "carol", "dave")
    network.run(MINUTE)
    network.stop(dave)
    saved = Saved(alice)
    before = dict(vector(bob, universe, alice))
    network.cut(carol, alice, bob)
    alice.do(UpdateKeys(universe))
    first_path = network.now
    network.run(SECOND)
    network.heal()
    carol.do(UpdateKeys(universe))
    updated = network.now
    network.run(SECOND)
    network.cut(carol, alice, bob)
    imports(alice, universe, "with what carol made")
    network.stop(alice)
    lost = bob.group(universe, alice).graph.head
    saved.put_back(alice)
    network.cut(alice, bob, carol)
    network.restart(alice)
    network.run(20 * SECOND)
    new = alice.group(universe, alice).graph.head
    network.heal()
    for _ in range(1000):
        network.run(5)
        if new in bob.group(universe, alice).graph:
            break
    state, held = bob.group(universe, alice), bob.universe(universe).healing
    on_lost, on_new = held.vector(state.group_id, lost), held.vector(state.group_id, new)
    assert (on_lost[carol.me], on_lost[alice.me]) == (updated, first_path)
    assert (on_new[carol.me], on_new[bob.me]) == (before[carol.me], before[bob.me])
    assert on_new[alice.me] > updated, "the boot commit is hers, and newer than the theft of the backup"
    # While both are open people are told what holds on either.
    assert set(state.graph.open_heads) == {lost, new}
    shown = {node.me: healed(bob.universe(universe), node.me).groups[alice.me] for node in (alice, carol)}
    assert shown == {alice.me: first_path, carol.me: before[carol.me]}


def test_vectors_go_with_their_epochs_and_come_back_at_a_restart() -> None:
    network, universe, nodes = quiet("alice", "bob", "carol")
    alice, bob, carol = nodes
    for turn in range(3):
        for node in nodes:
            node.do(UpdateKeys(universe))
            imports(node, universe, f"{node.name} {turn}")
    dave = network.add("dave")
    dave.do(JoinUniverse(network.invite(alice, universe)))
    network.run(10 * SECOND)
    alice.do(RemoveMember(universe, carol.me))
    network.run(10 * MINUTE)
    for node in (alice, bob, dave):
        check_kept(node, universe)
        assert all(carol.me not in vector(node, universe, owner) for owner in (alice, bob, dave))
    before = bob.universe(universe).healing
    kept = {epoch: before.vector(*epoch) for epoch in before.epochs}
    network.stop(bob)
    bob.start()
    after = bob.universe(universe).healing
    assert after.epochs == kept.keys() and {epoch: after.vector(*epoch) for epoch in kept} == kept
    assert not carol.table("healing") and not carol.universe(universe).healing.epochs


def test_a_joiner_claims_no_more_than_who_was_there() -> None:
    network, universe, (alice, bob) = quiet("alice", "bob")
    for node in (alice, bob):
        node.do(UpdateKeys(universe))
        network.run(SECOND)
    carol = network.add("carol")
    joined = network.now
    carol.do(JoinUniverse(network.invite(alice, universe)))
    for _ in range(1000):
        network.run(5)
        if len(carol.universe(universe).groups) == 3:
            break
    for owner in (alice, bob):
        seen, true = vector(carol, universe, owner), vector(owner, universe, owner)
        assert seen.keys() == true.keys()
        assert all(time <= true[member] for member, time in seen.items())
        assert seen[owner.me] >= joined, "the Welcome is newer than the key package that it welcomes"
    network.run(10 * SECOND)
    for node in (alice, bob, carol):
        node.do(UpdateKeys(universe))
        network.run(SECOND)
        assert vector(carol, universe, node)[node.me] == vector(node, universe, node)[node.me]


@pytest.mark.parametrize("skew", [-3 * HOUR, 3 * HOUR, 20 * HOUR])
def test_a_clock_that_is_wrong_claims_no_future(skew: int) -> None:
    """Bob's clock: what the others claim of him was made, by their own clocks, before it came."""
    network = Network()
    alice, bob, carol = network.add_all("alice", "bob", "carol")

    bob.clock_error = skew
    bob.start()
    network.nodes.pop(bob.id)
    network.nodes[bob.id] = bob
    universe = alice.do(CreateUniverse("lab"))
    ticket = network.invite(alice, universe, uses=2, expires_in=100 * DAY)
    for node in (bob, carol):
        node.do(JoinUniverse(ticket))
    network.run(10 * SECOND)
    for _ in range(3):
        bob.do(UpdateKeys(universe))
        updated = network.now
        network.run(10 * SECOND)
        imports(alice, universe, f"at {updated}")
    alice.do(UpdateKeys(universe))  # replaces bob's leaf, much later than it was made
    network.run(SECOND)
    # Carol knows by her own clock that what bob welcomed her with is newer than her key package.
    most = updated + 100 if skew > 0 else max(START + 100, updated + skew)
    for node in (alice, carol):
        for owner in (alice, bob):
            assert START - 4 * HOUR < vector(node, universe, owner)[bob.me] <= most
    held = alice.universe(universe).healing
    seen = held.stated.seen.get(bob.me, {})
    assert bool(seen) == (skew > 0)
    network.stop(alice)
    alice.start()
    assert alice.universe(universe).healing.stated.seen.get(bob.me, {}) == seen
