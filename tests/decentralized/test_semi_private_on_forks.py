"""Semi-private proposals and commits in a group that forks: every fork is read, by external receivers too (K-13b)."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from tests.decentralized.forked_members import KNOWN, NOW, ForkMember
from tests.extensions.semi_private_groups import (
    RULES,
    SEMI,
    Outsider,
    found,
    member,
    outsider,
    semi_private,
    view,
)
from tests.mls.group_members import Client

from starling.protocol.decentralized.dmls_message import SHARED_GROUP_FORMATS, read_dmls_message
from starling.protocol.decentralized.fork_results import ForkProposal, ReleasedCommit
from starling.protocol.decentralized.forked_group import ForkedGroup
from starling.protocol.decentralized.key_schedule import PUNCTURED
from starling.protocol.errors import UsageError
from starling.protocol.extensions.external_receivers import EXTERNAL_RECEIVERS, encode_external_receivers
from starling.protocol.extensions.group_view import GroupView
from starling.protocol.extensions.semi_private_receiver import ReceivedHandshake
from starling.protocol.mls import Add, AppDataUpdate, Remove, Update, WireFormat
from starling.protocol.mls.proposal import AppDataUpdateOperation
from starling.protocol.mls.semi_private_message import SemiPrivateMessage

ARCHIVE, RELAY = outsider("archive"), outsider("relay")


@dataclass
class _Member(ForkMember):
    def restart(self) -> None:
        self.forked = ForkedGroup.load(self.forked.save(), rules=RULES)


def _gather(count: int) -> list[_Member]:
    party = found(count, [ARCHIVE, RELAY], key_schedule=PUNCTURED)
    return [
        _Member(client, ForkedGroup(group, client.signature_private_key, now=NOW))
        for client, group in zip(party.clients, party.groups, strict=True)
    ]


def _seen(message: bytes, known: GroupView | None = None) -> ReceivedHandshake:
    """What the archive makes of a DMLSMessage."""
    return ARCHIVE.open(_body(message), known)


def _body(message: bytes) -> SemiPrivateMessage:
    return semi_private(read_dmls_message(message, SHARED_GROUP_FORMATS).message.encode())


def _converge(members: list[_Member], commits: dict[int, ReleasedCommit]) -> None:
    for index, commit in commits.items():
        for member_ in members:
            if member_ is not members[index]:
                assert member_.enter(commit.message) == commit.dmls_epoch
                assert member_.get(commit.message) == KNOWN
    assert len({member_.forked.head for member_ in members}) == 1


@pytest.mark.parametrize("formats", [(SEMI, SEMI), (SEMI, WireFormat.MLS_PRIVATE_MESSAGE)])
def test_two_commits_on_one_parent(formats: tuple[int, int]) -> None:
    members = alice, bob, carol = _gather(3)
    parent = view(alice.forked.group)
    commits = {0: alice.commit(wire_format=formats[0]), 1: bob.commit(wire_format=formats[1])}
    said = alice.say(b"on the first"), bob.say(b"on the second")
    _converge(members, commits)
    for message in said:
        carol.get(message)
    assert carol.read == [b"on the first", b"on the second"]
    for index, wire_format in enumerate(formats):
        if wire_format == SEMI:
            seen = _seen(commits[index].message, parent)
            assert seen.is_authenticated and seen.sender_leaf_index == index
            child = carol.forked.epoch_group(commits[index].dmls_epoch)
            assert parent.follow(seen.content) == view(child)
    following = carol.commit(wire_format=SEMI)
    for member_ in (alice, bob):
        assert member_.enter(following.message) == following.dmls_epoch
    head = members[0].forked.head
    assert head == following.dmls_epoch


def test_proposals_are_committed_by_reference() -> None:
    alice, bob, carol = _gather(3)
    leaf, private_key = bob.client.update_leaf(bob.forked.group)
    message, content = bob.forked.propose(
        Update(leaf), leaf_private_key=private_key, wire_format=SEMI, random=bob.client.random
    )
    bob.step()
    assert _seen(message).content == content
    for member_ in (alice, carol):
        received = member_.get(message)
        assert isinstance(received, ForkProposal) and received.content == content
    released = alice.commit(by_reference=[content], wire_format=SEMI)
    assert _seen(released.message).changes.references == (content.reference(alice.forked.cipher_suite),)
    for member_ in (bob, carol):
        assert member_.enter(released.message) == released.dmls_epoch
    bob.get(carol.say(b"to the new leaf"))
    assert bob.read == [b"to the new leaf"]


def test_each_fork_has_its_own_receivers() -> None:
    """The list is that of the epoch in which a commit is sent: a fork that took a receiver off does not speak to it."""
    alice, bob, carol = _gather(3)

    def only(person: Outsider) -> AppDataUpdate:
        data = encode_external_receivers([person.receiver])
        return AppDataUpdate(EXTERNAL_RECEIVERS, AppDataUpdateOperation.UPDATE, data)

    first = alice.commit([only(ARCHIVE)], wire_format=SEMI)
    second = bob.commit([only(RELAY)], wire_format=SEMI)
    for commit in (first, second):
        _seen(commit.message)  # both parents had both
    on_first = alice.commit(wire_format=SEMI)
    on_second = bob.commit(wire_format=SEMI)
    for commit in (first, second, on_first, on_second):
        assert carol.enter(commit.message) == commit.dmls_epoch
    suite = alice.forked.cipher_suite
    for commit, person in ((on_first, ARCHIVE), (on_second, RELAY)):
        named = [entry.external_receiver_ref for entry in _body(commit.message).keys_for_external_receivers]
        assert named == [person.receiver.reference(suite)]


def test_an_added_member_and_a_commit_that_is_abandoned() -> None:
    (alice, bob) = _gather(2)
    alice.forked.commit(wire_format=SEMI, random=alice.client.random)
    alice.forked.abandon()
    dave: Client = member("dave")
    bundle = dave.bundle()
    released = alice.commit([Add(bundle.key_package)], wire_format=SEMI)
    assert released.welcome is not None
    assert bob.enter(released.message) == released.dmls_epoch
    assert [package.leaf_node.credential.identity for package in _seen(released.message).changes.adds] == [
        b"dave"
    ]
    with pytest.raises(UsageError):
        bob.forked.propose(Remove(0), wire_format=0x0006, random=bob.client.random)
