"""What of a losing fork is proposed again, and when it goes (draft-kohbrok-mls-dmls-00 §5.1; K-18)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.decentralized.forked_members import NOW, ForkMember, gather, welcomed
from tests.mls.group_members import Client

from starling.protocol.decentralized.dmls_message import read_dmls_message, wrap
from starling.protocol.decentralized.fork_choice import rank
from starling.protocol.decentralized.fork_results import Ignored, IgnoredReason, ReleasedCommit
from starling.protocol.decentralized.forked_group import ForkedGroup
from starling.protocol.mls import (
    Add,
    KeyPackageBundle,
    PreSharedKey,
    PreSharedKeyID,
    Proposal,
    Remove,
    WireFormat,
)

Make = Callable[[list[ForkMember]], ReleasedCommit]


def fork(count: int, losing: Make, winning: Make) -> tuple[list[ForkMember], ReleasedCommit, ReleasedCommit]:
    """Members 0 and 1 commit at the same time, such that the first of the two commits loses; all have both."""
    for world in range(200):
        members = gather(count, world=world)
        lost, won = losing(members), winning(members)
        members[0].get(won.message, psks=secret)
        tree = members[0].forked.tree
        if rank(tree[lost.dmls_epoch]) < rank(tree[won.dmls_epoch]):
            break
    members[1].get(lost.message, psks=secret)
    for member in members[2:]:
        for commit in (lost, won):
            member.get(commit.message, psks=secret)
    return members, lost, won


def secret(psk_id: PreSharedKeyID) -> bytes | None:
    return b"known to all" if psk_id.psk_id == b"shared" else None


def due(member: ForkMember, **options: Any) -> list[Proposal]:
    return member.forked.due(random=member.client.random, **options)


def newcomer() -> tuple[Client, KeyPackageBundle]:
    client = Client("newcomer")
    return client, client.bundle()


def test_adds_removes_and_psks_of_the_loser_are_due_once() -> None:
    client, bundle = newcomer()
    psk_id = PreSharedKeyID.external(b"shared", b"n" * 32)

    def losing(members: list[ForkMember]) -> ReleasedCommit:
        leaf = members[0].leaf_of(members[3])
        proposals = [Remove(leaf), Add(bundle.key_package), PreSharedKey(psk_id)]
        return members[0].commit(proposals, psks=secret)

    members, _, _ = fork(4, losing, lambda members: members[1].commit())
    alice, bob, carol, dave = members
    removed = Remove(carol.leaf_of(dave))
    assert due(carol) == [removed, Add(bundle.key_package)]  # without the PSK, which it does not ask for
    proposals = due(carol, psks=secret)
    assert proposals[:2] == [removed, Add(bundle.key_package)]
    (psk,) = [proposal.psk for proposal in proposals if isinstance(proposal, PreSharedKey)]
    assert psk.psk_id == b"shared" and psk.psk_nonce != psk_id.psk_nonce  # a nonce is used once
    merged = carol.commit(proposals, psks=secret)
    for member in (alice, bob, dave):
        member.get(merged.message, psks=secret)
    for member in (alice, bob, carol):
        assert due(member, psks=secret) == []
        assert client.signature_key in member.members() and dave.name not in member.members()
    assert dave.forked.is_removed


def test_what_both_forks_did_is_not_due() -> None:
    _, bundle = newcomer()

    def by(number: int) -> Make:
        return lambda members: members[number].commit(
            [Remove(members[number].leaf_of(members[3])), Add(bundle.key_package)]
        )

    members, _, _ = fork(4, by(0), by(1))
    assert all(due(member) == [] for member in members[:3])


def test_the_winner_decides_about_members_that_it_brought_back() -> None:
    """The draft's open question: removed on both, and added again on the winning fork."""
    members, _, _ = fork(
        4, lambda members: members[0].remove(members[3]), lambda members: members[1].remove(members[3])
    )
    alice, bob, carol, dave = members
    back = bob.commit([Add(dave.client.bundle().key_package)])
    for member in (alice, carol):
        member.get(back.message)
        assert due(member) == []
        assert dave.name in member.members()


def test_who_was_added_and_removed_on_losing_forks_stays_away() -> None:
    client, bundle = newcomer()
    members, lost, won = fork(
        3, lambda members: members[0].commit([Add(bundle.key_package)]), lambda members: members[1].commit()
    )
    carol = members[2]
    assert due(carol) == [Add(bundle.key_package)]
    # Alice has not heard of the winner, and removes the newcomer on the losing fork.
    copy = ForkedGroup.load(members[0].forked.save())
    key = members[0].client.signature_private_key
    alice = ForkMember(members[0].client, ForkedGroup(copy.epoch_group(lost.dmls_epoch), key, now=NOW))
    name = bundle.key_package.leaf_node.signature_key
    leaf = next(i for i, node in alice.forked.group.tree.leaves() if node.signature_key == name)
    carol.get(alice.commit([Remove(leaf)]).message)
    assert due(carol) == []
    # The newcomer goes on beside the removal: it stays removed.
    assert lost.welcome is not None
    beside = welcomed(client, bundle, lost.welcome).commit()
    carol.get(beside.message)
    assert beside.dmls_epoch in carol.forked.heads
    assert due(carol) == []
    assert carol.forked.head == won.dmls_epoch


def test_who_joined_a_losing_fork_later_is_waited_for_too() -> None:
    members, lost, won = fork(3, lambda members: members[0].commit(), lambda members: members[1].commit())
    alice, bob, carol = members
    copy = ForkedGroup.load(alice.forked.save())
    key = alice.client.signature_private_key
    before = ForkMember(alice.client, ForkedGroup(copy.epoch_group(lost.dmls_epoch), key, now=NOW))
    client, bundle = newcomer()
    carol.get(before.commit([Add(bundle.key_package)]).message)
    merged = bob.commit(due_after(bob, carol))
    carol.get(merged.message)
    alice.get(merged.message)
    carol.get(alice.say(b"here"))
    assert lost.dmls_epoch not in carol.forked.sweep(NOW)
    assert merged.welcome is not None
    carol.get(welcomed(client, bundle, merged.welcome).say(b"here"))
    assert lost.dmls_epoch in carol.forked.sweep(NOW)
    assert carol.forked.tree[won.dmls_epoch].children == [merged.dmls_epoch]


def due_after(member: ForkMember, other: ForkMember) -> list[Proposal]:
    """What the other sees as due, for a member that has not heard of it yet."""
    assert due(member) == []
    return due(other)


def test_a_losing_fork_goes_when_all_its_members_are_known_on_the_winner() -> None:
    public = WireFormat.MLS_PUBLIC_MESSAGE
    members, lost, won = fork(
        4, lambda members: members[0].commit(wire_format=public), lambda members: members[1].commit()
    )
    alice, bob, carol, dave = members
    for member in (alice, dave):  # Bob made the winner, Carol knows herself
        assert lost.dmls_epoch not in carol.forked.sweep(NOW)
        carol.get(member.say(b"I am on the winner"))
    text = bob.say(b"late")
    held = carol.forked.epoch_group(lost.dmls_epoch)
    # While a netsplit lasts nothing goes.
    assert carol.forked.sweep(NOW, retain=True) == ()
    assert lost.dmls_epoch in carol.forked.sweep(NOW)
    assert lost.dmls_epoch not in carol.forked.tree
    # Whoever still has the object finds nothing in it.
    assert held.secrets.items() == [] and held._epoch.private_tree.keys == {}
    assert held._epoch.secret_tree.save().nodes == () and held._epoch.secret_tree.save().leaves == ()
    assert carol.forked.heads == (won.dmls_epoch,)
    carol.restart()
    carol.get(text)
    assert carol.read == [b"I am on the winner", b"I am on the winner", b"late"]
    # The commit that began it, and what follows it, are not taken for something new.
    gone = Ignored(IgnoredReason.DELETED)
    assert carol.get(lost.message) == gone
    assert carol.get(wrap(read_dmls_message(text).message.encode(), lost.dmls_epoch)) == gone


def test_a_losing_fork_stays_while_something_of_it_is_due() -> None:
    _, bundle = newcomer()
    members, lost, _ = fork(
        3, lambda members: members[0].commit([Add(bundle.key_package)]), lambda members: members[1].commit()
    )
    alice, bob, carol = members
    carol.get(alice.say(b"here"))
    assert lost.dmls_epoch not in carol.forked.sweep(NOW)
    merged = bob.commit(due(bob))
    carol.get(merged.message)
    # The newcomer was a member of the losing fork, and is not known on the winner yet.
    assert lost.dmls_epoch not in carol.forked.sweep(NOW)
    assert merged.welcome is not None
    there = welcomed(Client("newcomer"), bundle, merged.welcome)
    carol.get(there.say(b"me too"))
    assert lost.dmls_epoch in carol.forked.sweep(NOW)
