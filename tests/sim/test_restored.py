"""A node's data directory is copied, the node goes on, and the copy is put back (PROTOCOL 5.6): in every order.

The world's oracle says what is owed, and its ledger that no pair of key and nonce came twice.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.sim.app import App
from tests.sim.restoring import SETTLING, apart, check_restored, quiet_world, say_only, talk, update
from tests.sim.world import World

from starling.protocol.engine import own_group

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


def restore_a_sibling(world: World, met: str, lose: Callable[[World, App], None]) -> None:
    """The second node is put back to before what it loses, while the fourth is away: so the others can still follow its
    new branch."""
    alice, bob, carol, dave = world.apps
    dave.node.crash(None)
    world.run(1_000)
    copy = bob.copy()
    lose(world, bob)
    talk(world, alice, carol, bob)
    if met == "later":
        apart(world, bob)
    world.put_back(bob, copy)
    go_on(world, bob, met)
    dave.node.start()
    world.finish()
    check_restored(world, bob, copy)
    assert noticed(bob)


@MET
def test_a_sibling_of_messages_alone(met: str) -> None:
    """Nobody imported what is lost: the restored node closes its dead branch by itself."""
    with quiet_world(f"sibling {met}") as world:
        alice, _, carol, dave = world.apps
        restore_a_sibling(world, met, say_only)
        for app in (alice, carol, dave):
            assert app.heard["fork.detected"] == app.heard["fork.resolved"] == 1
        assert not world.confirmed


@MET
def test_a_sibling_whose_dead_branch_was_imported(met: str) -> None:
    """Others mixed in what the restored node cannot derive any more (B9): it is added again, with at most one
    confirmation."""
    with quiet_world(f"imported sibling {met}") as world:
        restore_a_sibling(world, met, update)
        assert world.confirmed.total() <= 1


@MET
def test_the_parent_is_settled(met: str) -> None:
    """What the copy would commit on is gone at all others: the node starts anew, with one confirmation."""
    with quiet_world(f"settled {met}") as world:
        alice, bob, carol, _ = world.apps
        copy = bob.copy()
        update(world, bob)
        talk(world, alice, carol, bob)
        world.settle()
        world.run(SETTLING)
        if met == "later":
            apart(world, bob)
        world.put_back(bob, copy)
        go_on(world, bob, met)
        world.finish()
        check_restored(world, bob, copy)
        assert noticed(bob)
        assert world.confirmed == {bob.identity: 1}


def test_one_state_is_restored_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """K-23: even where both boot commits draw one generation, no pair of key and nonce is used twice."""
    monkeypatch.setattr(own_group, "BOOT_GENERATIONS", (7, 7))
    with quiet_world("twice") as world:
        alice, bob, carol, dave = world.apps
        dave.node.crash(None)
        world.run(1_000)
        copy = bob.copy()
        say_only(world, bob)
        for _ in range(2):
            world.put_back(bob, copy)
            talk(world, bob, alice, carol)
        dave.node.start()
        world.finish()
        check_restored(world, bob, copy)


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


def test_a_receiver_whose_frames_are_gone() -> None:
    with quiet_world("receiver of nothing") as world:
        alice, bob, carol, dave = world.apps
        copy = bob.copy()
        update(world, alice, carol)
        talk(world, alice, carol, dave)
        world.settle()
        world.run(SETTLING)
        world.put_back(bob, copy)
        talk(world, alice, bob)
        world.finish()
        check_restored(world, bob, copy)
        assert noticed(bob)
        assert {event.body["owner"] for event in bob.events if event.kind == "messages.unavailable"} >= {
            alice.identity,
            carol.identity,
        }


def test_a_receiver_of_whom_messages_are_gone_and_commits_are_not() -> None:
    """It had acknowledged them, so nobody keeps them; it does not wait a day for what cannot come."""
    with quiet_world("receiver of half") as world:
        alice, bob, carol, dave = world.apps
        say_only(world, alice)
        copy = bob.copy()
        say_only(world, alice)
        world.run(SETTLING)
        world.put_back(bob, copy)
        talk(world, alice, carol, dave)
        world.finish()
        check_restored(world, bob, copy)
        assert noticed(bob)
        assert alice.identity in {
            event.body["owner"] for event in bob.events if event.kind == "messages.unavailable"
        }


def test_the_founder_admits_itself() -> None:
    with quiet_world("founder") as world:
        alice, bob, carol, _ = world.apps
        copy = alice.copy()
        update(world, alice)
        talk(world, bob, carol, alice)
        world.settle()
        world.run(SETTLING)
        world.put_back(alice, copy)
        talk(world, alice, bob, carol)
        world.finish()
        check_restored(world, alice, copy)
        assert not world.confirmed
