"""Which fork wins, in whatever order its commits come, and what its losers do (K-9, K-16, K-17, K-22)."""

from __future__ import annotations

from itertools import permutations

import pytest
from tests.decentralized.forked_members import (
    DELETED,
    NOW,
    ForkMember,
    add,
    by_rank,
    gather,
    opened,
    welcomed,
)
from tests.mls.group_members import Client

from starling.protocol.decentralized.dmls_message import read_dmls_message
from starling.protocol.decentralized.fork_results import (
    ForkCommit,
    UnknownEpoch,
)
from starling.protocol.decentralized.forked_group import ForkedGroup
from starling.protocol.errors import UsageError
from starling.protocol.mls import (
    Add,
)

# fork choice (K-16, K-17)


def test_the_higher_tag_at_the_earliest_fork_wins_in_every_order() -> None:
    alice, bob, carol, dave = gather(4)
    commits = [alice.commit(), bob.commit(), carol.commit()]
    further = [member.commit() for member in (alice, bob, carol)]
    winners = set()
    for order in permutations(range(3)):
        reader = ForkMember(dave.client, ForkedGroup.load(dave.forked.save()))
        for number in order:
            reader.enter(commits[number].message)
        for number in order:
            reader.enter(further[number].message)
        tags = [reader.forked.tree[commit.dmls_epoch].confirmation_tag for commit in commits]
        assert reader.forked.head == further[tags.index(max(tags))].dmls_epoch
        assert set(reader.forked.heads) == {commit.dmls_epoch for commit in further}
        assert reader.forked.heads[0] == reader.forked.head
        winners.add(reader.forked.head)
    assert len(winners) == 1


def test_below_the_winner_the_same_holds_again() -> None:
    alice, bob, carol = gather(3)
    first, second = alice.commit(), bob.commit()
    for member, commits in ((alice, [second]), (bob, [first]), (carol, [first, second])):
        for commit in commits:
            member.enter(commit.message)
    winner, loser = by_rank(carol, first, second)
    again = [alice.commit(), bob.commit()]
    assert all(read_dmls_message(commit.message).dmls_epoch == winner.dmls_epoch for commit in again)
    for commit in again:
        carol.enter(commit.message)
    assert carol.forked.head == by_rank(carol, *again)[0].dmls_epoch
    assert loser.dmls_epoch in carol.forked.heads


def test_who_is_on_the_losing_fork_goes_over_and_sends_on_the_winner() -> None:
    alice, bob, carol = gather(3)
    first, second = alice.commit(), bob.commit()
    for commit in (first, second):
        carol.enter(commit.message)
    winner, loser = by_rank(carol, first, second)
    mover, stayer = (alice, bob) if loser is first else (bob, alice)
    longer = mover.commit()
    assert mover.forked.head == longer.dmls_epoch
    mover.enter(winner.message)
    assert mover.forked.head == stayer.forked.head == winner.dmls_epoch
    carol.enter(longer.message)
    assert carol.forked.head == winner.dmls_epoch
    for member in (stayer, carol):
        member.get(mover.say(b"here"))
        assert member.read == [b"here"]
    # The epoch that was entered late, from a punctured parent, can also be committed in.
    made = mover.commit()
    assert stayer.enter(made.message) == carol.enter(made.message) == made.dmls_epoch


# the committer's own puncture (K-9, K-22)


def test_a_commit_that_is_not_released_never_happened() -> None:
    alice, bob = gather(2)
    random = alice.client.random
    before = alice.forked.save()
    with pytest.raises(UsageError) as refusal:
        alice.forked.release(NOW)
    assert refusal.value.code == "nothing_made"
    alice.forked.commit(random=random)
    assert alice.forked.head == bob.forked.head
    with pytest.raises(UsageError) as refusal:
        alice.forked.commit(random=random)
    assert refusal.value.code == "unreleased"
    # The process ends here: what is loaded knows nothing of it, and holds what the epoch before held.
    loaded = ForkedGroup.load(alice.forked.save())
    assert loaded.save().forks == before.forks
    assert loaded.epochs == alice.forked.epochs
    alice.forked.abandon()
    alice.forked.abandon()
    alice.forked.commit(random=random)
    released = alice.forked.release(NOW)
    assert alice.forked.head == released.dmls_epoch == bob.enter(released.message)


def test_a_commit_is_not_released_beside_one_that_came_meanwhile() -> None:
    alice, bob = gather(2)
    alice.forked.commit(random=alice.client.random)
    theirs = bob.commit()
    assert isinstance(alice.forked.receive(theirs.message, now=NOW), ForkCommit)
    with pytest.raises(UsageError) as refusal:
        alice.forked.release(NOW)
    assert refusal.value.code == "superseded"
    alice.forked.abandon()
    mine = alice.commit()
    assert bob.enter(mine.message) == mine.dmls_epoch == alice.forked.head


# newcomers


@pytest.mark.parametrize("first_wins", [False, True])
def test_a_newcomer_compares_forks_by_the_lineage(first_wins: bool) -> None:
    """One who joined on a losing fork is brought over, reads both, and agrees with the rest."""
    for world in range(100):
        alice, bob, carol = gather(3, world=world)
        dave, first = add(alice, "dave")
        second = bob.commit()
        carol.enter(first.message)
        carol.enter(second.message)
        if (by_rank(carol, first, second)[0] is first) == first_wins:
            break
    assert dave.get(second.message) == DELETED  # it starts from an epoch before Dave joined
    alice.enter(second.message)
    bob.enter(first.message)
    due = carol.forked.due(random=carol.client.random)
    assert len(due) == (not first_wins)
    merged = carol.commit(due)
    if first_wins:
        dave.enter(merged.message)
    else:
        with pytest.raises(UnknownEpoch):
            dave.get(bob.say(b"over here"))
        assert merged.welcome is not None and dave.bundle is not None
        private_key = dave.client.signature_private_key
        for _ in range(2):
            name = dave.forked.rejoin(opened(merged.welcome), dave.bundle, private_key, now=NOW)
            assert name == merged.dmls_epoch
        dave.restart()
        assert first.dmls_epoch in dave.forked.heads
    for member in (alice, bob):
        member.enter(merged.message)
    assert {member.forked.head for member in (alice, bob, carol, dave)} == {merged.dmls_epoch}
    for member in (alice, bob, carol):
        member.get(dave.say(b"I am here"))
        assert member.read[-1] == b"I am here"


def test_where_no_common_ancestor_is_known_the_later_welcome_counts() -> None:
    alice, bob = gather(2)
    random = alice.client.random
    client = Client("dave")
    bundles = [client.bundle(), client.bundle()]
    epochs = []
    group = alice.forked.group
    for bundle in bundles:  # Welcomes of plain groups, without a lineage
        made = group.commit([Add(bundle.key_package)], random=random)
        assert made.welcome is not None
        epochs.append(made)
    assert epochs[0].welcome is not None and epochs[1].welcome is not None
    dave = welcomed(client, bundles[0], epochs[0].welcome)
    before = dave.forked.head
    after = dave.forked.rejoin(opened(epochs[1].welcome), bundles[1], client.signature_private_key, now=NOW)
    dave.restart()
    assert dave.forked.head == after != before
    assert dave.forked.heads == (after, before)
    assert dave.forked.due(random=random) == []
    assert bob.forked.head not in dave.forked.tree
