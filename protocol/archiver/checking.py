"""What an archiver checks of a frame before it keeps it.

It has no GroupContext and no epoch secrets, so it cannot tell a message from random bytes. Of a commit it checks that
the owner signed it, with the key that the roster names, and, where it is sealed to this archiver too, that it opens
and changes leaves as the rules allow (S-8). What is opened stays unauthenticated: only members check it whole.
"""

from __future__ import annotations

from starling.protocol.archiver.archive import Archive
from starling.protocol.decentralized.dmls_message import DMLSMessage, read_dmls_message
from starling.protocol.distributed.head_statement import HeadStatement
from starling.protocol.errors import DecodeError, Pending
from starling.protocol.exchange.feed import FrameKind
from starling.protocol.exchange.frame import CommitFrame, MessageFrame
from starling.protocol.mls.wire_format import ContentType


def read_frame(frame: CommitFrame | MessageFrame) -> DMLSMessage:
    """The message of a frame, of the kind that the frame says. Raises `DecodeError`, `Unsupported`."""
    message = read_dmls_message(frame.dmls_message)
    content_type = getattr(message.message.body, "content_type", None)
    wanted = ContentType.COMMIT if isinstance(frame, CommitFrame) else ContentType.APPLICATION
    if content_type != wanted:
        raise DecodeError("a frame whose message is of another content type")
    return message


def kind_of(frame: CommitFrame | MessageFrame) -> FrameKind:
    if isinstance(frame, MessageFrame):
        return FrameKind.MESSAGE
    return FrameKind.WELCOME if frame.welcome else FrameKind.COMMIT


def check_frame(archive: Archive, frame: CommitFrame | MessageFrame, message: DMLSMessage) -> bool:
    """Whether the frame is a commit that was opened here.

    Raises `Pending` where the roster does not name the group yet, and `DecodeError`, `Invalid`, `VerificationFailed`
    for a commit that the owner did not sign.
    """
    owner = archive.roster.send_groups.get(message.group_id)
    if owner is None:
        raise Pending("the roster names no such send group yet")
    if isinstance(frame, MessageFrame):
        return False
    statement = HeadStatement.decode(frame.head_statement)
    if statement.parent != (archive.universe_id, message.group_id, message.epoch, message.dmls_epoch):
        raise DecodeError("the head statement is about something else")
    statement.verify(owner.signature_key, commit=message.message.encode() + frame.welcome)
    return False
