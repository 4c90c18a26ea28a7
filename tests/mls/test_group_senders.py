"""Proposals by reference and from outside, reused keys, and one's own messages (RFC 9420 §6, §12)."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from tests.mls.group_members import Client, found, receive, refused

from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.errors import Pending, VerificationFailed
from starling.protocol.mls import framing
from starling.protocol.mls.commit import ProposalOrRef
from starling.protocol.mls.credential import Credential
from starling.protocol.mls.extension import EXTERNAL_SENDERS, Extension
from starling.protocol.mls.external_sender import ExternalSender, ExternalSenders
from starling.protocol.mls.framing import AuthenticatedContent, FramedContent, FramedContentAuthData, Sender
from starling.protocol.mls.group import Group
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.proposal import Add, PreSharedKey, Proposal, Remove, Update
from starling.protocol.mls.psk import PreSharedKeyID
from starling.protocol.mls.public_message import PublicMessage
from starling.protocol.mls.rules import Rule
from starling.protocol.mls.wire_format import ContentType, SenderType, WireFormat

SUITE = cipher_suite(1)


def test_a_path_with_a_key_that_is_in_the_tree_is_refused() -> None:
    party = found(3)
    made = party.groups[0].commit(random=os.urandom).content
    commit = made.content.commit
    assert commit is not None and commit.path is not None
    for node_index in (0, 2, 4):
        key = party.groups[1].tree.encryption_key(node_index)
        leaf = replace(commit.path.leaf_node, encryption_key=key)
        path = replace(commit.path, leaf_node=leaf)
        content = replace(made.content, commit=replace(commit, path=path))
        attempt = AuthenticatedContent(made.wire_format, content, made.auth)
        rule = refused(party.groups[1].stage, attempt)
        assert rule is Rule.UPDATE_PATH_KEY_REUSED


def test_an_update_and_a_remove_of_one_leaf_are_not_committed_together() -> None:
    party = found(3)
    leaf, _ = party.clients[1].update_leaf(party.groups[1])
    message, _ = party.groups[1].propose(Update(leaf), random=os.urandom)
    opened = party.groups[0].open_handshake(MLSMessage.decode(message))
    assert (
        refused(lambda: party.groups[0].commit([Remove(1)], by_reference=[opened], random=os.urandom))
        is Rule.PROPOSAL_SAME_LEAF
    )


def test_ones_own_message_is_refused_and_moves_nothing() -> None:
    party = found(2)
    group = party.groups[0]
    before = group.save_ratchets()
    twin = Group.load(group.save(), before)
    reflected = MLSMessage.decode(twin.protect(b"sent by a copy of this state", random=os.urandom))
    assert refused(lambda: group.unprotect(reflected)) is Rule.OWN_MESSAGE
    assert group.save_ratchets() == before
    assert party.groups[1].unprotect(reflected).sender_leaf_index == 0


def _outside(
    group: Group, sender: Sender, proposal: Proposal, private_key: bytes, *, epoch: int | None = None
) -> MLSMessage:
    content = FramedContent(
        group.group_id,
        group.epoch if epoch is None else epoch,
        sender,
        b"",
        ContentType.PROPOSAL,
        proposal=proposal,
    )
    tbs = framing.to_be_signed(WireFormat.MLS_PUBLIC_MESSAGE, content, b"an outsider knows no context")
    auth = FramedContentAuthData(framing.sign(SUITE, private_key, tbs))
    return MLSMessage.of(PublicMessage(content, auth, None))


def test_an_external_sender_and_a_new_member_propose() -> None:
    admin_key, admin_public = SUITE.signature_generate(os.urandom)
    senders = ExternalSenders((ExternalSender(admin_public, Credential.basic(b"admin")),))
    party = found(3, extensions=(Extension(EXTERNAL_SENDERS, senders.encode()),))
    owner, receiver = party.groups[0], party.groups[1]
    newcomer = Client("newcomer")
    add = Add(newcomer.bundle().key_package)
    by_admin = _outside(owner, Sender(SenderType.EXTERNAL, None, 0), Remove(2), admin_key)
    by_newcomer = _outside(owner, Sender(SenderType.NEW_MEMBER_PROPOSAL), add, newcomer.signature_private_key)
    proposals = [owner.open_handshake(message) for message in (by_admin, by_newcomer)]
    made = owner.commit(by_reference=proposals, random=os.urandom)
    received = {
        content.reference(SUITE): content
        for content in (receiver.open_handshake(message) for message in (by_admin, by_newcomer))
    }
    after = receive(receiver, made.message, proposals=received)
    assert after.tree == made.next.tree
    assert made.added == (2,)

    with pytest.raises(VerificationFailed):
        owner.open_handshake(_outside(owner, Sender(SenderType.EXTERNAL, None, 0), Remove(2), bytes(32)))
    unknown = _outside(owner, Sender(SenderType.EXTERNAL, None, 1), Remove(2), admin_key)
    assert refused(lambda: owner.open_handshake(unknown)) is Rule.EXTERNAL_SENDER
    update = Update(newcomer.signed_leaf()[0])
    for sender in (Sender(SenderType.EXTERNAL, None, 0), Sender(SenderType.NEW_MEMBER_PROPOSAL)):
        message = _outside(owner, sender, update, admin_key)
        assert refused(owner.open_handshake, message) is Rule.PROPOSAL_EXTERNAL_TYPE


def test_a_proposal_of_another_epoch_is_not_committed() -> None:
    party = found(3)
    _, earlier = party.groups[1].propose(Remove(2), random=os.urandom)
    party.commit()
    made = party.groups[0].commit(random=os.urandom).content
    assert made.content.commit is not None
    entries = (ProposalOrRef.by_reference(earlier.reference(SUITE)),)
    content = replace(made.content, commit=replace(made.content.commit, proposals=entries))
    with pytest.raises(Pending):
        party.groups[1].stage(
            AuthenticatedContent(made.wire_format, content, made.auth),
            proposals={earlier.reference(SUITE): earlier},
        )


def test_a_removed_member_needs_no_psk_to_learn_of_it() -> None:
    party = found(3)
    psk = PreSharedKey(PreSharedKeyID.external(b"id", bytes(SUITE.hash_length)))
    made = party.groups[0].commit([Remove(2), psk], psks=lambda psk_id: bytes(32), random=os.urandom)
    message = MLSMessage.decode(made.message)
    removed, stays = party.groups[2], party.groups[1]
    assert removed.stage(removed.open_handshake(message)).self_removed
    opened = stays.open_handshake(message)
    with pytest.raises(Pending):
        stays.stage(opened)
