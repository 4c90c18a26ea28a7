"""What a member may import, as the others check it (PROTOCOL X-4, X-7, X-8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from tests.engine.forging import end, forged_commit
from tests.engine.small_network import SECOND, Network, Node, settled

from starling.protocol.distributed import component_ids
from starling.protocol.distributed.dependency import Dependency, build_dependencies
from starling.protocol.distributed.psk_ledger import ExportedPsk
from starling.protocol.engine.inputs import CreateInvite, FrameReceived, UpdateKeys
from starling.protocol.mls.proposal import AppEphemeral, PreSharedKey, Proposal
from starling.protocol.mls.psk import PreSharedKeyID


def universe_of_three() -> tuple[Network, bytes, Node, Node, Node]:
    """Mallory has imported twice from bob, and bob's older PSK is still held."""
    network, universe, (alice, bob, mallory) = settled("alice", "bob", "mallory")
    network.stop(alice)
    for _ in range(2):
        bob.do(UpdateKeys(universe))
        network.run(2 * SECOND)
        network.run(61 * SECOND)
        mallory.say(universe, "imports")
        network.run(2 * SECOND)
    bob.do(UpdateKeys(universe))
    network.run(2 * SECOND)
    network.restart(alice)
    network.run(20 * SECOND)
    return network, universe, alice, bob, mallory


def importing(
    node: Node, universe: bytes, exports: Sequence[ExportedPsk], *, named: bool = True, ordered: bool = True
) -> bytes:
    deps = [Dependency(exported.group_id, exported.epoch, exported.dmls_epoch) for exported in exports]
    psks = {dep.psk_id: exported.psk for dep, exported in zip(deps, exports, strict=True)}
    proposals: list[Proposal] = [
        PreSharedKey(PreSharedKeyID.external(psk_id, bytes([number]) * 32))
        for number, psk_id in enumerate(sorted(psks, reverse=not ordered))
    ]
    if named:
        proposals.append(AppEphemeral(component_ids.DMLS_DEPS, build_dependencies(deps)))
    return forged_commit(node, universe, node, [*proposals, end(node, universe)], path=False, psks=psks)


def newest(node: Node, universe: bytes, owner: Node) -> ExportedPsk:
    found = node.universe(universe).ledger.newest(owner.universe(universe).group_id)
    assert found is not None
    return found


def is_entered(network: Network, universe: bytes, node: Node, owner: Node, frame: bytes) -> bool:
    head = node.group(universe, owner).graph.head
    node.do(FrameReceived(owner.id, frame))
    return node.group(universe, owner).graph.head != head


def test_what_is_newer_each_time_is_taken_and_what_is_not_is_refused() -> None:
    network, universe, alice, bob, mallory = universe_of_three()
    group_id = bob.universe(universe).group_id
    last = alice.universe(universe).ledger.last_imports[mallory.me, group_id]
    held = mallory.universe(universe).ledger._groups[group_id].values()
    again = [exported for exported in held if exported.epoch <= last.epoch]
    assert again, "one that was imported before is still in the ledger"
    for exported in again:
        alice.universe(universe).ledger.add(exported)
        frame = importing(mallory, universe, [exported])
        assert not is_entered(network, universe, alice, mallory, frame)
    assert alice.universe(universe).refused == {"IMPORT_ORDER": len(again)}
    frame = importing(mallory, universe, [newest(mallory, universe, bob)])
    assert is_entered(network, universe, alice, mallory, frame)


@pytest.mark.parametrize("named", [True, False])
def test_psks_that_are_not_in_ascending_order_are_refused(named: bool) -> None:
    network, universe, alice, bob, mallory = universe_of_three()
    alice.do(UpdateKeys(universe))
    network.run(SECOND)
    both = [newest(mallory, universe, bob), newest(mallory, universe, alice)]
    frame = importing(mallory, universe, both, named=named, ordered=False)
    assert not is_entered(network, universe, alice, mallory, frame)
    frame = importing(mallory, universe, both, named=named)
    assert is_entered(network, universe, alice, mallory, frame)


def test_a_group_that_is_none_of_the_universe_is_refused() -> None:
    network, universe, alice, bob, mallory = universe_of_three()
    stranger = replace(newest(mallory, universe, bob), group_id=b"?" * 32)
    frame = importing(mallory, universe, [stranger])
    assert not is_entered(network, universe, alice, mallory, frame)
    assert alice.universe(universe).refused == {"PSK_ID": 1}
    assert len(alice.universe(universe).waiting) == 0


def test_a_group_that_the_roster_may_still_tell_of_waits() -> None:
    network, universe, alice, bob, mallory = universe_of_three()
    stranger = replace(newest(mallory, universe, bob), group_id=b"?" * 32)
    network.streams = False
    alice.do(CreateInvite(universe))  # now the two rosters differ
    frame = importing(mallory, universe, [stranger])
    assert not is_entered(network, universe, alice, mallory, frame)
    assert not alice.universe(universe).refused
    assert len(alice.universe(universe).waiting) == 1


def test_a_group_does_not_import_from_itself() -> None:
    network, universe, alice, _, mallory = universe_of_three()
    mallory.do(UpdateKeys(universe))
    network.run(SECOND)
    frame = importing(mallory, universe, [newest(mallory, universe, mallory)])
    assert not is_entered(network, universe, alice, mallory, frame)
    assert alice.universe(universe).refused == {"IMPORT_OWN_GROUP": 1}


@pytest.mark.parametrize(("forks", "entered"), [(0, True), (7, True), (8, False)])
def test_a_commit_that_names_no_epochs_is_tried_with_what_the_ledger_has(forks: int, entered: bool) -> None:
    """At most eight choices, and the confirmation tag tells the right one."""
    network, universe, alice, bob, mallory = universe_of_three()
    right = newest(mallory, universe, bob)
    ledger = alice.universe(universe).ledger
    ledger.remove(newest(alice, universe, bob))
    for number in range(forks):
        ledger.add(replace(right, dmls_epoch=bytes([number]) * 32, psk=bytes([number]) * 32))
    ledger.add(right)
    frame = importing(mallory, universe, [right], named=False)
    assert is_entered(network, universe, alice, mallory, frame) is entered
    last = ledger.last_imports[mallory.me, right.group_id]
    assert (last.epoch == right.epoch) is entered


def test_a_commit_that_names_no_epochs_of_which_none_is_known_is_refused() -> None:
    network, universe, alice, bob, mallory = universe_of_three()
    right = newest(mallory, universe, bob)
    alice.universe(universe).ledger.remove(newest(alice, universe, bob))
    frame = importing(mallory, universe, [right], named=False)
    assert not is_entered(network, universe, alice, mallory, frame)
    assert alice.universe(universe).refused == {"DEPENDENCY_PSKS": 1}
