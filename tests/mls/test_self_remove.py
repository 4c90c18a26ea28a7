"""Members that remove themselves (extensions draft §6.3)."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest
from tests.mls.group_members import Client, Party, found, receive, refused

from starling.protocol.errors import UsageError, VerificationFailed
from starling.protocol.mls import framing
from starling.protocol.mls.commit import Commit, ProposalOrRef
from starling.protocol.mls.framing import AuthenticatedContent, Sender
from starling.protocol.mls.group import CommitResult, Group
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.proposal import PROPOSALS, Proposal, Remove, SelfRemove, Update
from starling.protocol.mls.protection import protect_handshake, sign_content
from starling.protocol.mls.public_message import PublicMessage
from starling.protocol.mls.rules import Rule
from starling.protocol.mls.wire_format import SenderType, WireFormat

PUBLIC = WireFormat.MLS_PUBLIC_MESSAGE


CAPABLE = (8, 9, SelfRemove.proposal_type)


@pytest.fixture
def party() -> Party:
    """A group whose members support SelfRemove."""
    return found(4, proposals=CAPABLE)


def _leave(party: Party, index: int) -> tuple[MLSMessage, AuthenticatedContent]:
    message, content = party.groups[index].propose(SelfRemove(), wire_format=PUBLIC, random=os.urandom)
    return MLSMessage.decode(message), content


def _received(party: Party, *contents: AuthenticatedContent) -> dict[bytes, AuthenticatedContent]:
    return {content.reference(party.groups[0].cipher_suite): content for content in contents}


def _by_reference(made: CommitResult, content: AuthenticatedContent, *more: Proposal) -> AuthenticatedContent:
    """The commit, with this proposal in it."""
    commit = made.content.content.commit
    assert commit is not None
    entries = [ProposalOrRef.by_value(proposal) for proposal in more]
    entries.append(ProposalOrRef.by_reference(content.reference(made.next.cipher_suite)))
    changed = replace(made.content.content, commit=Commit(tuple(entries), commit.path))
    return replace(made.content, content=changed)


def test_it_is_an_empty_structure_of_type_ten() -> None:
    assert PROPOSALS.encode(SelfRemove()) == b"\x00\x0a"
    assert PROPOSALS.decode(b"\x00\x0a") == SelfRemove()


def test_a_member_leaves_and_another_commits_it(party: Party) -> None:
    message, content = _leave(party, 2)
    assert party.groups[0].open_handshake(message) == content
    made = party.groups[0].commit(by_reference=[content], random=os.urandom)
    commit = MLSMessage.decode(made.message)
    received = _received(party, content)
    gone = party.groups[2]
    assert gone.stage(gone.open_handshake(commit), proposals=received).self_removed
    others = [receive(party.groups[index], made.message, proposals=received) for index in (1, 3)]
    left = Party([party.clients[index] for index in (0, 1, 3)], [made.next, *others])
    left.check_agreement()
    assert made.next.tree.leaf(2) is None
    left.commit(by=2)


def test_an_external_commit_takes_it_along(party: Party) -> None:
    message, content = _leave(party, 1)
    newcomer = Client("newcomer", proposals=CAPABLE)
    made = Group.external_join(
        party.groups[0].group_info(external_pub=True),
        newcomer.signed_leaf()[0],
        newcomer.signature_private_key,
        self_removes=[message],
        random=os.urandom,
    )
    received = _received(party, content)
    others = [receive(party.groups[index], made.message, proposals=received) for index in (0, 2, 3)]
    assert made.next.own_leaf_index == 1
    Party(party.clients, [*others, made.next]).check_agreement()
    gone = party.groups[1]
    opened = gone.open_handshake(MLSMessage.decode(made.message))
    assert gone.stage(opened, proposals=received).self_removed


def test_an_external_joiner_verifies_what_it_takes_along(party: Party) -> None:
    message, _ = _leave(party, 1)
    body = message.body
    assert isinstance(body, PublicMessage)
    info = party.groups[0].group_info(external_pub=True)
    private = party.groups[1].propose(Remove(2), random=os.urandom)[0]
    removal = party.groups[1].propose(Remove(2), wire_format=PUBLIC, random=os.urandom)[0]
    newcomer = Client("newcomer", proposals=CAPABLE)

    def join(pending: MLSMessage) -> CommitResult:
        leaf = newcomer.signed_leaf()[0]
        return Group.external_join(
            info, leaf, newcomer.signature_private_key, self_removes=[pending], random=os.urandom
        )

    def changed(**changes: Any) -> MLSMessage:
        content = replace(body.content, **changes)
        return MLSMessage.of(replace(body, content=content))

    # The membership tag is the one thing that an outsider cannot check.
    assert join(MLSMessage.of(replace(body, membership_tag=bytes(32))))
    assert refused(lambda: join(MLSMessage.decode(private))) is Rule.SELF_REMOVE_PUBLIC
    assert refused(lambda: join(MLSMessage.decode(removal))) is Rule.CONTENT_TYPE
    assert refused(lambda: join(changed(group_id=b"other"))) is Rule.WRONG_GROUP
    assert refused(lambda: join(changed(epoch=7))) is Rule.WRONG_EPOCH
    assert refused(lambda: join(changed(sender=Sender.member(9)))) is Rule.SENDER_BLANK
    outside = MLSMessage.of(
        replace(
            body,
            content=replace(body.content, sender=Sender(SenderType.EXTERNAL, None, 0)),
            membership_tag=None,
        )
    )
    assert refused(lambda: join(outside)) is Rule.SELF_REMOVE_SENDER
    with pytest.raises(VerificationFailed):
        join(changed(sender=Sender.member(2)))


def test_it_is_public_and_committed_by_reference(party: Party) -> None:
    group, receiver = party.groups[0], party.groups[3]
    with pytest.raises(UsageError):
        group.propose(SelfRemove(), random=os.urandom)
    _, content = _leave(party, 1)
    made = group.commit(random=os.urandom)
    commit = made.content.content.commit
    assert commit is not None
    by_value = Commit((ProposalOrRef.by_value(SelfRemove()),), commit.path)
    forged = replace(made.content, content=replace(made.content.content, commit=by_value))
    assert refused(lambda: receiver.stage(forged)) is Rule.SELF_REMOVE_BY_VALUE

    private = replace(content, wire_format=WireFormat.MLS_PRIVATE_MESSAGE)
    forged = _by_reference(made, private)
    assert (
        refused(lambda: receiver.stage(forged, proposals=_received(party, private)))
        is Rule.SELF_REMOVE_PUBLIC
    )
    sender = party.groups[1]._epoch
    signature = sign_content(sender, private.wire_format, private.content)
    signed = replace(private, auth=framing.FramedContentAuthData(signature))
    message = MLSMessage.decode(protect_handshake(sender, signed, None, 0, os.urandom))
    receiver._epoch.secret_tree.handshake(1)
    before = receiver.save_ratchets()
    assert refused(lambda: receiver.open_handshake(message)) is Rule.SELF_REMOVE_PUBLIC
    assert receiver.save_ratchets() == before, "a refused message burns no generation"


def test_it_is_of_a_member_and_not_of_the_committer(party: Party) -> None:
    group, receiver = party.groups[0], party.groups[3]
    _, own = _leave(party, 0)
    assert (
        refused(lambda: group.commit(by_reference=[own], random=os.urandom))
        is Rule.PROPOSAL_REMOVE_OF_COMMITTER
    )
    made = group.commit(random=os.urandom)
    outside = replace(own, content=replace(own.content, sender=Sender(SenderType.EXTERNAL, None, 0)))
    forged = _by_reference(made, outside)
    assert (
        refused(lambda: receiver.stage(forged, proposals=_received(party, outside)))
        is Rule.SELF_REMOVE_SENDER
    )


def test_a_remove_beside_it_is_refused(party: Party) -> None:
    _, content = _leave(party, 1)
    assert (
        refused(lambda: party.groups[0].commit([Remove(1)], by_reference=[content], random=os.urandom))
        is Rule.PROPOSAL_SAME_LEAF
    )


def test_it_is_preferred_to_a_remove_and_an_update(party: Party) -> None:
    group = party.groups[0]
    _, removal = party.groups[2].propose(Remove(1), random=os.urandom)
    update = Update(party.clients[1].update_leaf(party.groups[1])[0])
    _, updated = party.groups[1].propose(update, random=os.urandom)
    _, leaving = _leave(party, 1)
    assert group.committable([removal, leaving, updated]) == (leaving,)


def test_all_that_stay_support_it() -> None:
    party = found(3)
    _, content = party.groups[1].propose(SelfRemove(), wire_format=PUBLIC, random=os.urandom)
    assert (
        refused(lambda: party.groups[0].commit(by_reference=[content], random=os.urandom))
        is Rule.PROPOSAL_TYPE_SUPPORT
    )
