"""A data directory is copied and both copies run; and an owner tells different members different things (5.6 B6)."""

from __future__ import annotations

import pytest
from tests.sim.app import App
from tests.sim.restoring import SETTLING, quiet_world, talk, update
from tests.sim.world import World

from starling.protocol.distributed.evidence import Evidence


def cloned(world: World) -> tuple[App, App]:
    """Bob and his twin, who both speak until every other member knows."""
    alice, bob, carol, dave = world.apps
    twin = world.clone(bob, bob.copy())
    assert twin is not None
    for _ in range(20):
        talk(world, bob, twin)
        if all(app.heard["clone.detected"] for app in (alice, carol, dave)):
            break
    return bob, twin


def test_both_stay_readable_and_nothing_is_imported() -> None:
    with quiet_world("clone") as world:
        bob, twin = cloned(world)
        others = [app for app in world.apps if app not in (bob, twin)]
        assert all(app.heard["clone.detected"] for app in others)
        world.run(30_000)
        world.network.heal()
        assert world.oracle.missing() is None
        imported = [app.imports_of(bob) for app in others]
        assert all(imported)
        update(world, bob)
        update(world, twin)
        talk(world, *others)
        assert [app.imports_of(bob) for app in others] == imported
        world.end_clones()
        world.finish()
        assert world.confirmed == {bob.identity: 1}


@pytest.mark.parametrize("order", ["beside", "after", "apart"])
def test_one_that_notices_before_it_says_anything_is_denied(order: str) -> None:
    """What it would go on from is settled, so it is silent and asks: nothing that it has signed contradicts anything.
    The one that lives is the second one's original, or the second one itself where the original was away."""
    with quiet_world(f"silent clone {order}") as world:
        alice, bob, carol, dave = world.apps
        others = [alice, carol, dave]
        copy = bob.copy()
        if order == "after":
            bob.node.crash(None)
            twin = world.clone(bob, copy)
            assert twin is not None
            alive, silent = twin, bob
        update(world, alive if order == "after" else bob)
        talk(world, alice, carol)
        world.settle() if order != "after" else world.run(10_000)
        world.run(SETTLING)
        if order == "after":
            bob.node.start()
        else:
            twin = world.clone(bob, copy)
            assert twin is not None
            alive, silent = bob, twin
        if order == "apart":
            world.partition([0, 0, 1, 1, 1])
            talk(world, *world.apps)
            world.run(30_000)
            world.network.heal()
        for _ in range(10):
            talk(world, alive, *others)
            if all(app.heard["clone.detected"] for app in world.apps):
                break
        assert silent.heard["universe.recovering"] and not alive.heard["universe.recovering"]
        for app in world.apps:
            (told,) = (event.body for event in app.events if event.kind == "clone.detected")
            evidence = Evidence.parse(told["evidence"])
            assert told["owner"] == evidence.identity == bob.identity and evidence.faults() == ()
            assert len(evidence.denials) == 1 and not evidence.statements
        imported = [app.imports_of(bob) for app in others]
        update(world, alive)
        talk(world, *others)
        assert [app.imports_of(bob) for app in others] == imported
        world.end_clones()
        world.finish()


def test_everybody_has_evidence_and_the_clone_is_removed() -> None:
    with quiet_world("removed clone") as world:
        bob, twin = cloned(world)
        others = [app for app in world.apps if app not in (bob, twin)]
        for app in others:
            (told,) = (event.body for event in app.events if event.kind == "clone.detected")
            assert told["owner"] == bob.identity
            evidence = Evidence.parse(told["evidence"])
            assert evidence.identity == bob.identity and evidence.faults() == ()
        world.remove(bob)
        world.finish()
        assert not any(app.heard["clone.detected"] > 1 for app in others)


def test_an_owner_that_contradicts_itself() -> None:
    """Two states of one owner commit on one parent, each to half of the members, and then say nothing more."""
    with quiet_world("contradiction") as world:
        alice, bob, carol, dave = world.apps
        twin = world.clone(bob, bob.copy())
        assert twin is not None
        world.partition([0, 0, 1, 1, 1])
        update(world, bob, twin)
        talk(world, alice, carol, bob, twin)
        bob.node.retire()
        twin.node.retire()
        world.network.heal()
        talk(world, alice, carol, dave)
        world.run(60_000)
        for app in (alice, carol, dave):
            assert app.heard["fork.detected"] == 1
        assert world.oracle.missing() is None
        world.remove(bob)
        world.finish()
