"""A member that cannot follow a group is added again by itself, and nobody else is held up (PROTOCOL R6, B7)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from tests.engine.branched import put_back_while_one_is_away
from tests.engine.forging import end, forged_commit
from tests.engine.small_network import DAY, MINUTE, SECOND, Network, Node, quiet

from starling.protocol.distributed import policy
from starling.protocol.distributed.application import ApplicationData
from starling.protocol.distributed.member import read_member
from starling.protocol.distributed.report import StuckGroup, build_report
from starling.protocol.engine import own_group
from starling.protocol.engine.context import Context
from starling.protocol.engine.inputs import FrameReceived, JoinUniverse, RemoveMember, UpdateKeys
from starling.protocol.engine.step import Send, SendToPeer
from starling.protocol.exchange.frame import CommitFrame, decode_frame
from starling.protocol.exchange.member_messages import Gone, Profiles, Summary
from starling.protocol.exchange.messages import attach, decode_message
from starling.protocol.mls import committing


@contextmanager
def sealed_badly_for(owner: Node, universe: bytes, *victims: Node) -> Iterator[None]:
    """What an owner seals to these members in its path commits meanwhile does not open."""
    original: Any = vars(committing)["seal_path"]
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

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(committing, "seal_path", seal_path)
        yield


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


def test_its_key_package_is_out_of_use_as_soon_as_all_have_added_it_again() -> None:
    """PROTOCOL 5.4, as for a joiner: it makes another path commit at once, and the others import that."""
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    bob.events.clear()
    with sealed_badly_for(alice, universe, bob):
        alice.do(UpdateKeys(universe))
    network.run(20 * SECOND)
    entered = max(at for at, event in enumerate(bob.events) if event.kind == "group.entered")
    path = next(
        event.body["epoch"]
        for event in bob.events[entered:]
        if event.kind == "epoch.started" and event.body["owner"] == bob.me and event.body["path"]
    )
    for node in (alice, carol):
        held = node.universe(universe)
        assert held.ledger.last_imports[node.me, bob.universe(universe).group_id].epoch == path
    all_read_all(network, universe, [alice, bob, carol])


def test_it_makes_another_path_commit_after_a_minute_where_not_all_have_added_it_again() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    network.stop(carol)
    with sealed_badly_for(alice, universe, bob):
        alice.do(UpdateKeys(universe))
    network.run(30 * SECOND)
    before = sum(commit["path"] for commit in bob.commits())
    network.run(MINUTE)
    assert sum(commit["path"] for commit in bob.commits()) == before + 1


def test_who_was_put_back_rises_above_what_it_may_have_forgotten() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    # As after a copy of it, put back since, had been added again a few times.
    bob.universe(universe).was_put_back = True
    forgotten = bob.universe(universe).incarnation + 3
    with sealed_badly_for(alice, universe, bob):
        alice.do(UpdateKeys(universe))
    network.run(MINUTE)
    assert incarnation_in(carol, universe, carol, bob) > forgotten
    all_read_all(network, universe, [alice, bob, carol])


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


def is_profiles(send: Send) -> bool:
    return isinstance(send, SendToPeer) and isinstance(decode_message(attach(send.data, []))[0], Profiles)


def test_who_enters_its_group_anew_learns_its_newer_incarnation_from_its_leaf() -> None:
    """The commit that showed it was closed to the owner that is to add it again, and came with the same report."""
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    network.drop = lambda source, target, send: target is alice and is_profiles(send)
    held = bob.universe(universe)
    held.incarnation += 1
    with sealed_badly_for(bob, universe, alice):
        bob.do(UpdateKeys(universe))
    network.run(10 * SECOND)
    assert not alice.universe(universe).stuck.groups, "she has entered it anew"
    assert incarnation_in(carol, universe, carol, bob) == held.incarnation
    network.drop = lambda source, target, send: False
    network.run(MINUTE)
    assert incarnation_in(alice, universe, alice, bob) == held.incarnation
    all_read_all(network, universe, [alice, bob, carol])


def test_who_cannot_enter_the_branch_that_its_owner_goes_on_with_is_added_again() -> None:
    """That the other one is dead the owner says only where bob cannot read it."""
    network, universe, alice, bob, carol = put_back_while_one_is_away()
    with sealed_badly_for(alice, universe, bob):
        network.restart(alice)
        network.run(10 * SECOND)
    assert alice.heard("fork.resolved") and not bob.heard("fork.resolved")
    assert not bob.heard("member.stuck"), "it may be the dead one"
    network.restart(carol)
    network.run(3 * MINUTE)
    assert {"identity": bob.me, "owner": alice.me, "reason": "commit"} in bob.heard("member.stuck")
    all_read_all(network, universe, [alice, bob, carol])


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


@contextmanager
def welcomes(owner: Node, universe: bytes, change: Callable[[Any], Any]) -> Iterator[None]:
    """An owner's Welcomes are changed meanwhile."""
    original: Any = vars(committing)["create_welcome"]

    def create_welcome(suite: Any, info: Any, *arguments: Any) -> Any:
        welcome = original(suite, info, *arguments)
        is_owners = info.group_context.group_id == owner.universe(universe).group_id
        return change(welcome) if is_owners else welcome

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(committing, "create_welcome", create_welcome)
        yield


def spoilt(welcome: Any) -> Any:
    return replace(welcome, encrypted_group_info=bytes(len(welcome.encrypted_group_info)))


def withheld(welcome: Any) -> Any:
    return replace(welcome, secrets=())


@pytest.mark.parametrize("change", [spoilt, withheld])
def test_who_gets_no_good_welcome_asks_for_another(change: Callable[[Any], Any]) -> None:
    network, universe, (alice, bob) = quiet("alice", "bob")
    dave = network.add("dave")
    with welcomes(bob, universe, change):
        dave.do(JoinUniverse(network.invite(alice, universe)))
        network.run(SECOND)
        assert dave.me in bob.group(universe, bob).members()
    network.run(12 * MINUTE)
    assert {"identity": dave.me, "owner": bob.me, "reason": "welcome"} in alice.heard("member.stuck")
    all_read_all(network, universe, [alice, bob, dave])


def test_a_welcome_that_anybody_else_spoilt_is_no_reason() -> None:
    network, universe, (alice, bob) = quiet("alice", "bob")
    dave = network.add("dave")

    def drop(source: Node, target: Node, send: Send) -> bool:
        return source is bob and target is dave

    network.drop = drop
    dave.do(JoinUniverse(network.invite(alice, universe)))
    network.run(SECOND)
    logged = bob.group(universe, bob).log.adding(dave.me)
    assert logged is not None
    frame = decode_frame(bob.rows["frame", logged.frame_id])
    assert isinstance(frame, CommitFrame)
    welcome = bytearray(frame.welcome)
    welcome[-1] ^= 1
    dave.do(FrameReceived(alice.id, replace(frame, welcome=bytes(welcome)).encode()))
    assert not dave.universe(universe).stuck.groups
    network.drop = lambda source, target, send: False
    network.run(MINUTE)
    all_read_all(network, universe, [alice, bob, dave])
    assert not dave.heard("member.stuck")


def test_what_no_rule_allows_is_told_to_nobody_and_adds_nobody_again() -> None:
    """A commit that all refuse alike: its owner would only make the next one."""
    network, universe, (mallory, bob, carol) = quiet("mallory", "bob", "carol")
    frame = forged_commit(mallory, universe, mallory, [end(mallory, universe)] * 2, path=False)
    for node in (bob, carol):
        node.do(FrameReceived(mallory.id, frame))
    network.run(MINUTE)
    assert not bob.heard("member.stuck") and not carol.heard("member.stuck")


def test_one_peer_that_says_that_frames_are_gone_is_not_believed() -> None:
    network, universe, (alice, bob, mallory) = quiet("alice", "bob", "mallory")
    group_id = alice.universe(universe).group_id
    network.cut(alice, bob)
    network.gossip = False
    network.drop = lambda source, target, send: source is mallory
    alice.do(UpdateKeys(universe))
    network.run(SECOND)
    head = alice.group(universe, alice).graph.head
    number = alice.group(universe, alice).graph.head_info.number
    places = ((group_id, head, number, 0, True, 0),)
    digest = bob.universe(universe).roster.digest
    bob.hear(mallory, Summary(universe, digest, places, False))
    network.run(SECOND)
    assert group_id in bob.universe(universe).behind
    assert set(bob.universe(universe).links) == {mallory.id}
    bob.hear(mallory, Gone(universe, ((group_id, 0),)))
    assert not bob.universe(universe).stuck.groups, "it can lead on from epoch 0"
    network.gossip = True
    network.drop = lambda source, target, send: False
    network.heal()
    bob.hear(mallory, Summary(universe, digest, places, False))
    bob.hear(mallory, Gone(universe, ((group_id, None),)))
    network.run(MINUTE)
    assert not bob.universe(universe).stuck.groups and not bob.heard("member.stuck")
    all_read_all(network, universe, [alice, bob, mallory])


def test_a_member_that_lies_pauses_imports_for_a_day() -> None:
    network, universe, (alice, bob, mallory) = quiet("alice", "bob", "mallory")
    group_id = alice.universe(universe).group_id
    held = mallory.universe(universe)
    report = [StuckGroup(group_id, b"", held.incarnation, "commit")]
    data = ApplicationData("report", bytes(16), (), build_report(report))
    ctx = Context(network.now, mallory.random_source())
    own_group.protect(ctx, held, data)
    mallory.finish(ctx.step(None, None))
    network.run(SECOND)
    assert {"identity": mallory.me, "owner": alice.me, "reason": "commit"} in bob.heard("member.stuck")
    alice.do(UpdateKeys(universe))
    network.run(MINUTE)
    bob.do(UpdateKeys(universe))
    newest = alice.group(universe, alice).graph.head_info.number
    assert bob.universe(universe).ledger.last_imports[bob.me, group_id].epoch < newest
    network.leap(DAY)
    bob.do(UpdateKeys(universe))
    assert bob.universe(universe).ledger.last_imports[bob.me, group_id].epoch >= newest
    assert incarnation_in(bob, universe, bob, mallory) == held.incarnation


def test_the_welcome_from_before_is_no_evidence_against_the_owner() -> None:
    """It was to a KeyPackage of the incarnation that the member had then."""
    network = Network()
    universe, alice = network.found("alice")
    bob = network.add("bob")
    bob.do(JoinUniverse(network.invite(alice, universe)))
    network.run(300)
    logged = alice.group(universe, alice).log.adding(bob.me)
    assert logged is not None
    first = alice.rows["frame", logged.frame_id]
    pinned = bob.group(universe, alice).pinned_epoch
    with sealed_badly_for(alice, universe, bob):
        alice.do(UpdateKeys(universe))
    deadline = network.now + MINUTE
    while bob.group(universe, alice).pinned_epoch == pinned:
        assert network.now < deadline
        network.run(5)
    incarnation = bob.universe(universe).incarnation
    held = [read_member(found.key_package.leaf_node) for found in bob.universe(universe).bundles.all()]
    assert any(member.incarnation < incarnation for member in held), "the key for it is still there"
    bob.do(FrameReceived(alice.id, first))
    network.run(MINUTE)
    assert not bob.heard("fork.detected")
    all_read_all(network, universe, [alice, bob])


@pytest.mark.parametrize("who", ["owner", "reporter"])
def test_nothing_is_left_of_it_once_one_of_the_two_is_removed(who: str) -> None:
    network, universe, (alice, bob, mallory, carol) = quiet("alice", "bob", "mallory", "carol")
    with sealed_badly_for(mallory, universe, bob):
        mallory.do(UpdateKeys(universe))
    network.run(SECOND)
    network.stop(mallory)
    network.run(MINUTE)
    assert bob.universe(universe).stuck.groups and carol.universe(universe).stuck.reports
    alice.do(RemoveMember(universe, {"owner": mallory.me, "reporter": bob.me}[who]))
    network.run(MINUTE)
    for node in (alice, bob, carol):
        assert not node.table("stuck") and not node.table("reported"), node.name
    network.restart(mallory)
    network.run(MINUTE)
    all_read_all(network, universe, [alice, mallory, carol] if who == "reporter" else [alice, bob, carol])
