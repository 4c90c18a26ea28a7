"""At most four siblings of an epoch are held: which one goes, and what it changed is still due (B11)."""

from __future__ import annotations

import pytest
from tests.decentralized.forked_members import (
    DELETED,
    EVICTED,
    KNOWN,
    NOW,
    by_rank,
    gather,
)
from tests.mls.group_members import Client

from starling.protocol.decentralized.fork_results import (
    ForkCommit,
)
from starling.protocol.mls import (
    Add,
)

# siblings (B11)


def test_four_siblings_are_held_and_the_winner_is_never_evicted() -> None:
    members = gather(7)
    reader = members[-1]
    commits = [member.commit() for member in members[:-1]]
    said = [member.say(b"on %d" % number) for number, member in enumerate(members[:-1])]
    evicted: list[bytes] = []
    for commit, text in zip(commits, said, strict=True):
        received = reader.get(commit.message)
        assert isinstance(received, ForkCommit)
        evicted.extend(received.evicted)
        if received.dmls_epoch in reader.forked.epochs:
            reader.get(text)
    assert len(evicted) == 2 and len(reader.forked.heads) == 4
    best = by_rank(reader, *commits)[0]
    assert reader.forked.head == best.dmls_epoch
    for commit, text in zip(commits, said, strict=True):
        if commit.dmls_epoch in evicted:
            assert reader.get(text) == DELETED
            assert reader.get(commit.message) == KNOWN
    assert reader.forked.tree[reader.forked.tree[best.dmls_epoch].parent or b""].siblings_entered == 6


def test_of_the_others_one_goes_in_which_nobody_wrote() -> None:
    members = gather(6)
    reader = members[-1]
    commits = [member.commit() for member in members[:-1]]
    for commit in commits[:4]:
        reader.enter(commit.message)
    ranked = by_rank(reader, *commits[:4])
    lowest = members[commits.index(ranked[-1])]
    reader.get(lowest.say(b"keep this"))
    received = reader.get(commits[4].message)
    assert isinstance(received, ForkCommit)
    assert received.evicted == (by_rank(reader, *[c for c in commits if c is not ranked[-1]])[-1].dmls_epoch,)
    assert ranked[-1].dmls_epoch in reader.forked.epochs


def test_what_we_wrote_ourselves_counts_as_well() -> None:
    for world in range(100):
        members = gather(5, world=world)
        alice = members[0]
        commits = [member.commit() for member in members]
        tags = [member.forked.group.confirmation_tag for member in members]
        if min(tags) == tags[0]:
            break
    alice.say(b"here")
    for commit in commits[1:]:
        alice.get(commit.message)
    assert commits[0].dmls_epoch in alice.forked.epochs
    assert len(alice.forked.heads) == 4


def test_what_an_evicted_fork_changed_is_still_due() -> None:
    members = gather(6)
    reader, clients = members[-1], [Client(f"newcomer {number}") for number in range(5)]
    commits = [
        member.commit([Add(client.bundle().key_package)])
        for member, client in zip(members[:-1], clients, strict=True)
    ]
    for commit in commits:
        reader.get(commit.message)
    reader.forked.sweep(NOW)
    reader.restart()
    due = reader.forked.due(random=reader.client.random)
    winner = next(client for client in clients if client.signature_key in reader.members())
    added = {proposal.key_package.leaf_node.signature_key for proposal in due if isinstance(proposal, Add)}
    assert added == {client.signature_key for client in clients if client is not winner}


def test_beyond_many_siblings_only_a_better_one_is_entered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("starling.protocol.decentralized.fork_receiving.MAX_EVICTING", 2)
    members = gather(5)
    reader = members[-1]
    commits = [member.commit() for member in members[:-1]]
    for commit in commits[:2]:
        reader.enter(commit.message)
    best = max(reader.forked.tree[commit.dmls_epoch].confirmation_tag for commit in commits[:2])
    for commit, member in zip(commits[2:], members[2:4], strict=True):
        tag = member.forked.tree[commit.dmls_epoch].confirmation_tag
        received = reader.get(commit.message)
        assert (received == EVICTED) == (tag < best)
        best = max(tag, best)
