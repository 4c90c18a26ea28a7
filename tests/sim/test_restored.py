"""A node's data directory is copied, the node goes on, and the copy is put back (PROTOCOL 5.6): in every order.

The world's oracle says what is owed, and its ledger that no pair of key and nonce came twice.
"""

from __future__ import annotations

import pytest
from tests.sim.app import App
from tests.sim.restoring import apart, check_restored, quiet_world, say_only, talk, update
from tests.sim.world import World

MET = pytest.mark.parametrize("met", ["at once", "later"])


def noticed(app: App) -> bool:
    return bool(app.heard["rollback.detected"] or app.heard["rollback.suspected"])


def go_on(world: World, app: App, met: str) -> None:
    """The node that was put back speaks, among the others or alone for a minute."""
    if met == "later":
        talk(world, app)
        world.run(60_000)
    talk(world, app, *(other for other in world.apps if other is not app))
    world.network.heal()
    world.run(20_000)


@MET
def test_a_sibling_of_messages_alone(met: str) -> None:
    """Nobody imported what is lost: the restored node closes its dead branch by itself."""
    with quiet_world(f"sibling {met}") as world:
        alice, bob, carol, dave = world.apps
        dave.node.crash(None)
        world.run(1_000)
        copy = bob.copy()
        say_only(world, bob)
        talk(world, alice, carol, bob)
        if met == "later":
            apart(world, bob)
        world.put_back(bob, copy)
        go_on(world, bob, met)
        dave.node.start()
        world.finish()
        check_restored(world, bob, copy)
        assert noticed(bob)
        for app in (alice, carol, dave):
            assert app.heard["fork.detected"] == app.heard["fork.resolved"] == 1
        assert not world.confirmed


@MET
def test_a_sibling_whose_dead_branch_was_imported(met: str) -> None:
    """Others mixed in what the restored node cannot derive any more (B9): it is added again, with at most one
    confirmation."""
    with quiet_world(f"imported sibling {met}") as world:
        alice, bob, carol, dave = world.apps
        dave.node.crash(None)
        world.run(1_000)
        copy = bob.copy()
        update(world, bob)
        talk(world, alice, carol, bob)
        if met == "later":
            apart(world, bob)
        world.put_back(bob, copy)
        go_on(world, bob, met)
        dave.node.start()
        world.finish()
        check_restored(world, bob, copy)
        assert noticed(bob)
        assert world.confirmed.total() <= 1


def test_a_receiver_catches_up() -> None:
    """What it had received since its copy is still kept for a member who is away."""
    with quiet_world("receiver") as world:
        alice, bob, carol, dave = world.apps
        dave.node.crash(None)
        world.run(1_000)
        copy = bob.copy()
        say_only(world, alice)
        say_only(world, carol)
        texts = {
            message.message_id for message in world.oracle.messages.values() if bob.key in message.delivered
        }
        world.put_back(bob, copy)
        world.run(5_000)
        assert all(bob.key in world.oracle.messages[message_id].delivered for message_id in texts)
        dave.node.start()
        world.finish()
        assert not world.confirmed
