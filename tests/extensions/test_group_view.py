"""Following a group from outside, with its GroupContext and tree, commit by commit."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.extensions.semi_private_groups import RULES, SEMI, found, member, outsider, view
from tests.mls.group_members import Party, receive, refused

from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.errors import Pending, UsageError, VerificationFailed
from starling.protocol.extensions.group_view import GroupView
from starling.protocol.mls import Add, MLSMessage, Remove
from starling.protocol.mls.framing import FramedContentAuthData
from starling.protocol.mls.rules import Rule

ARCHIVE = outsider("archive")


def test_a_view_follows_the_commits() -> None:
    """An outsider that was given one GroupContext knows all later ones from the commits alone."""
    party = found(3, [ARCHIVE])
    known = view(party.groups[0])
    dave = member("dave")
    proposal, content = party.groups[1].propose(Remove(2), wire_format=SEMI, random=party.clients[1].random)
    proposed = ARCHIVE.open(proposal, known)
    assert proposed.is_authenticated and proposed.content == content
    assert proposed.changes.removes == (2,) and not proposed.changes.leaf_nodes
    party.groups[0].open_handshake(MLSMessage.decode(proposal))
    party.groups[2].open_handshake(MLSMessage.decode(proposal))
    reference = content.reference(cipher_suite(1))
    held = {reference: content}
    made = party.groups[0].commit(
        [Add(dave.bundle().key_package)],
        by_reference=[content],
        wire_format=SEMI,
        random=party.clients[0].random,
    )
    party = Party(party.clients[:2], [made.next, receive(party.groups[1], made.message, proposals=held)])
    commit = ARCHIVE.open(made.message, known)
    assert commit.changes.references == (reference,)
    assert [package.leaf_node.credential.identity for package in commit.changes.adds] == [b"dave"]
    known = known.follow(commit.content, {reference: proposed.content})
    assert known == view(party.groups[0])
    made = party.groups[1].commit(wire_format=SEMI, random=party.clients[1].random)
    known = known.follow(ARCHIVE.open(made.message, known).content)
    assert known == view(made.next)


def test_a_group_info_begins_a_view() -> None:
    party = found(2, [ARCHIVE])
    alice = party.groups[0]
    info = alice.group_info()
    known = GroupView.of_group_info(info, alice.tree, RULES)
    assert known == view(alice)
    made = alice.commit(wire_format=SEMI, random=party.clients[0].random)
    assert known.follow(ARCHIVE.open(made.message, known).content) == view(made.next)
    with pytest.raises(VerificationFailed):
        GroupView.of_group_info(replace(info, confirmation_tag=bytes(32)), alice.tree, RULES)
    blank = replace(info, signer=5)
    assert refused(lambda: GroupView.of_group_info(blank, alice.tree, RULES)) is Rule.GROUP_INFO_SIGNER


def test_what_cannot_be_followed() -> None:
    party = found(3, [ARCHIVE])
    alice, bob, _ = party.groups
    known = view(alice)
    proposal, content = bob.propose(Remove(2), wire_format=SEMI, random=party.clients[1].random)
    alice.open_handshake(MLSMessage.decode(proposal))
    commit = alice.commit(by_reference=[content], wire_format=SEMI, random=party.clients[0].random).content
    reference = content.reference(cipher_suite(1))
    with pytest.raises(Pending):
        known.follow(commit)
    with pytest.raises(UsageError):
        replace(known, interim_transcript_hash=b"").follow(commit, {reference: content})
    untagged = replace(commit, auth=FramedContentAuthData(commit.auth.signature))
    assert refused(lambda: known.follow(untagged, {reference: content})) is Rule.CONFIRMATION_TAG
    assert refused(lambda: known.follow(content)) is Rule.CONTENT_TYPE
    after = known.follow(commit, {reference: content})
    assert [index for index, _ in after.tree.leaves()] == [0, 1]
    assert refused(lambda: after.follow(commit, {reference: content})) is Rule.WRONG_EPOCH
