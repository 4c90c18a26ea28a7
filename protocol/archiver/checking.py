"""What an archiver checks of a frame before it keeps it.

It has no GroupContext and no epoch secrets, so it cannot tell a message from random bytes. Of a commit it checks that
the owner signed it, with the key that the roster names, and, where it is sealed to this archiver too, that it opens
and changes leaves as the rules allow (S-8). What is opened stays unauthenticated: only members check it whole.
"""

from __future__ import annotations

from starling.protocol.archiver.archive import Archive
from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.decentralized.dmls_message import DMLSMessage, read_dmls_message
from starling.protocol.distributed.archivers import receiver_of
from starling.protocol.distributed.commit_content import CommitContent, read_commit_content
from starling.protocol.distributed.head_statement import HeadStatement
from starling.protocol.distributed.member import leaf_identity, verify_member
from starling.protocol.distributed.roster import MemberInfo
from starling.protocol.distributed.send_group_rules import OWNER_LEAF
from starling.protocol.errors import DecodeError, Unsupported
from starling.protocol.exchange.feed import FrameKind
from starling.protocol.exchange.frame import CommitFrame, MessageFrame
from starling.protocol.extensions.semi_private_receiver import open_semi_private
from starling.protocol.mls.semi_private_message import SemiPrivateMessage
from starling.protocol.mls.wire_format import ContentType


def read_frame(frame: CommitFrame | MessageFrame) -> DMLSMessage:
    """The message of a frame. Raises `DecodeError`, which counts against who brings it, and `Unsupported` for one of
    another kind than the frame says: members pass that on unseen."""
    message = read_dmls_message(frame.dmls_message)
    content_type = getattr(message.message.body, "content_type", None)
    wanted = ContentType.COMMIT if isinstance(frame, CommitFrame) else ContentType.APPLICATION
    if content_type != wanted:
        raise Unsupported("a frame whose message is of another content type")
    return message


def kind_of(frame: CommitFrame | MessageFrame) -> FrameKind:
    if isinstance(frame, MessageFrame):
        return FrameKind.MESSAGE
    return FrameKind.WELCOME if frame.welcome else FrameKind.COMMIT


def check_signed(archive: Archive, owner: MemberInfo, frame: CommitFrame, message: DMLSMessage) -> None:
    """Check that the owner of its group signed a commit. Raises `DecodeError`, `Invalid`, `VerificationFailed`."""
    statement = HeadStatement.decode(frame.head_statement)
    if statement.parent != (archive.universe_id, message.group_id, message.epoch, message.dmls_epoch):
        raise DecodeError("the head statement is about something else")
    statement.verify(owner.signature_key, commit=message.message.encode() + frame.welcome)


def open_commit(archive: Archive, owner: MemberInfo, message: DMLSMessage) -> CommitContent | None:
    """What a commit changes, where it is sealed to this archiver; None for a message, or a commit that is not.

    Unauthenticated: without the GroupContext neither the signature nor the hash of what is signed can be checked, only
    that it decrypts under the key and nonce that are named, and what it says of leaves (S-8). Raises `Invalid`,
    `VerificationFailed`, `DecodeError`.
    """
    body = message.message.body
    if not isinstance(body, SemiPrivateMessage):
        return None
    suite = cipher_suite(owner.cipher_suite)
    offer = archive.offer
    receiver = receiver_of(archive.identity, offer.public_key)
    reference = receiver.reference(suite)
    if all(entry.external_receiver_ref != reference for entry in body.keys_for_external_receivers):
        return None
    received = open_semi_private(body, receiver, offer.private_key, suite=suite)
    changes = received.changes
    if received.sender_leaf_index != OWNER_LEAF or changes.references:
        raise DecodeError("a send group's commit is the owner's, and covers proposals by value")
    own_leaf = changes.leaf_nodes.get(OWNER_LEAF)
    content = read_commit_content(changes.proposals, has_path=own_leaf is not None)
    if own_leaf is not None:
        member = verify_member(own_leaf, universe_id=archive.universe_id)
        if (leaf_identity(own_leaf), member.send_group_id) != (owner.identity, message.group_id):
            raise DecodeError("the owner's new leaf is somebody else's")
    for leaf in (
        *(package.leaf_node for package in content.adds),
        *(replaced.leaf_node for replaced in content.replaces),
    ):
        verify_member(leaf, universe_id=archive.universe_id)
    return content
