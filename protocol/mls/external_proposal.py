"""Proposals that are made outside the group (RFC 9420 §12.1.8). They are PublicMessages, since an outsider has
none of the group's keys."""

from __future__ import annotations

from starling.protocol.crypto.cipher_suite import CipherSuite, cipher_suite
from starling.protocol.mls import framing
from starling.protocol.mls.framing import FramedContent, FramedContentAuthData, Sender
from starling.protocol.mls.key_package import KeyPackage
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.proposal import Add, Proposal
from starling.protocol.mls.public_message import PublicMessage
from starling.protocol.mls.wire_format import ContentType, SenderType, WireFormat


def propose_as_external_sender(
    suite: CipherSuite,
    group_id: bytes,
    epoch: int,
    sender_index: int,
    proposal: Proposal,
    signature_private_key: bytes,
    authenticated_data: bytes = b"",
) -> bytes:
    """An encoded MLSMessage of the sender at `sender_index` in the group's external_senders extension."""
    sender = Sender(SenderType.EXTERNAL, None, sender_index)
    return _propose(suite, group_id, epoch, sender, proposal, signature_private_key, authenticated_data)


def propose_own_add(
    group_id: bytes,
    epoch: int,
    key_package: KeyPackage,
    signature_private_key: bytes,
    authenticated_data: bytes = b"",
) -> bytes:
    """An encoded MLSMessage in which a client asks to be added (sender type new_member_proposal)."""
    suite, sender = cipher_suite(key_package.cipher_suite), Sender(SenderType.NEW_MEMBER_PROPOSAL)
    proposal = Add(key_package)
    return _propose(suite, group_id, epoch, sender, proposal, signature_private_key, authenticated_data)


def _propose(
    suite: CipherSuite,
    group_id: bytes,
    epoch: int,
    sender: Sender,
    proposal: Proposal,
    signature_private_key: bytes,
    authenticated_data: bytes,
) -> bytes:
    content = FramedContent(
        group_id, epoch, sender, authenticated_data, ContentType.PROPOSAL, proposal=proposal
    )
    # The GroupContext is no part of what an outsider signs (§6.1).
    tbs = framing.to_be_signed(WireFormat.MLS_PUBLIC_MESSAGE, content, b"")
    auth = FramedContentAuthData(framing.sign(suite, signature_private_key, tbs))
    return MLSMessage.of(PublicMessage(content, auth, None)).encode()
