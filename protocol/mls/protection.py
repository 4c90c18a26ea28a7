"""Protecting and unprotecting messages with the keys of an epoch (RFC 9420 §6.2, §6.3).

A ratchet generation is consumed only after the signature of its message verified.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from starling.protocol.errors import Invalid, UsageError
from starling.protocol.mls import framing
from starling.protocol.mls.content_media_types import read_application_framing
from starling.protocol.mls.epoch import Epoch
from starling.protocol.mls.external_sender import external_signature_key, new_member_signature_key
from starling.protocol.mls.framing import AuthenticatedContent, FramedContent, FramedContentAuthData, Sender
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.negotiation import check_wire_format
from starling.protocol.mls.private_message import (
    PrivateMessage,
    RatchetMessage,
    SenderData,
    open_private,
    open_sender_data,
    protect_private,
)
from starling.protocol.mls.proposal import SelfRemove
from starling.protocol.mls.public_message import PublicMessage, protect_public, unprotect_public
from starling.protocol.mls.ratchet import Ratchet
from starling.protocol.mls.rules import Rule
from starling.protocol.mls.safe_aad import read_safe_aad
from starling.protocol.mls.wire_format import ContentType, SenderType, WireFormat
from starling.protocol.wire import Struct

_OWN_FORMATS = (WireFormat.MLS_PUBLIC_MESSAGE, WireFormat.MLS_PRIVATE_MESSAGE)


@dataclass(frozen=True, slots=True)
class ApplicationMessage:
    """A verified application message."""

    sender_leaf_index: int
    generation: int
    application_data: bytes = field(repr=False)
    authenticated_data: bytes


def sign_content(epoch: Epoch, wire_format: int, content: FramedContent) -> bytes:
    """The signature of our content in this epoch. `UsageError` where it is not framed as the group asks."""
    try:
        _check_framing(epoch, content)
        _check_wire_format(epoch, wire_format, content.sender.sender_type, content.content_type)
    except Invalid as invalid:
        raise UsageError(f"the group asks for another form: {invalid}", "framing") from None
    if wire_format not in (*_OWN_FORMATS, *epoch.rules.handshake_formats):
        raise UsageError("nothing is sent in this wire format here", "framing")
    tbs = framing.to_be_signed(wire_format, content, epoch.context_bytes)
    return framing.sign(epoch.suite, epoch.signing_key(), tbs)


def protect_application(
    epoch: Epoch, data: bytes, authenticated_data: bytes, padding: int, random: Callable[[int], bytes]
) -> bytes:
    """An encoded MLSMessage with the next generation of our application ratchet."""
    content = FramedContent(
        epoch.context.group_id,
        epoch.context.epoch,
        Sender.member(epoch.own_leaf_index),
        authenticated_data,
        ContentType.APPLICATION,
        data,
    )
    signature = sign_content(epoch, WireFormat.MLS_PRIVATE_MESSAGE, content)
    signed = AuthenticatedContent(WireFormat.MLS_PRIVATE_MESSAGE, content, FramedContentAuthData(signature))
    return _protect_private(epoch, signed, None, padding, random)


def protect_handshake(
    epoch: Epoch,
    content: AuthenticatedContent,
    generation: int | None,
    padding: int,
    random: Callable[[int], bytes],
) -> bytes:
    """An encoded MLSMessage of our proposal or commit, in the wire format that was signed.

    `generation` is chosen where the handshake ratchet is retained (0 by default, K-23), else it is the next.
    """
    if content.wire_format != WireFormat.MLS_PUBLIC_MESSAGE:
        return _protect_private(epoch, content, generation, padding, random)
    tbs = framing.to_be_signed(content.wire_format, content.content, epoch.context_bytes)
    message = protect_public(epoch.suite, content, tbs, epoch.secrets.membership_key)
    return MLSMessage.of(message).encode()


def _protect_private(
    epoch: Epoch,
    content: AuthenticatedContent,
    generation: int | None,
    padding: int,
    random: Callable[[int], bytes],
) -> bytes:
    own = epoch.own_leaf_index
    retained = epoch.rules.retain_sender
    if retained is not None and retained != own:
        raise UsageError("only the owner sends in this group", "not_owner")
    ratchet = _ratchet(epoch, own, content.content.content_type)
    is_handshake = content.content.content_type != ContentType.APPLICATION
    if retained is None and generation is not None:
        raise UsageError("the next handshake generation is not chosen")
    if generation is None:
        generation = 0 if is_handshake and retained is not None else ratchet.generation
    key, secret = ratchet.peek(generation), epoch.secrets.sender_data_secret
    message: Struct
    if content.wire_format == WireFormat.MLS_PRIVATE_MESSAGE:
        message = protect_private(
            epoch.suite, content, key, generation, secret, padding=padding, random=random
        )
    else:
        data = SenderData(own, generation, random(4))
        handshake_format = epoch.rules.handshake_formats[content.wire_format]
        message = handshake_format.seal(
            epoch.suite, epoch.context, content, key, data, secret, padding=padding, random=random
        )
    ratchet.consume(generation)
    return MLSMessage.of(message).encode()


def _ratchet(epoch: Epoch, leaf_index: int, content_type: int) -> Ratchet:
    if content_type == ContentType.APPLICATION:
        return epoch.secret_tree.application(leaf_index)
    return epoch.secret_tree.handshake(leaf_index)


def peek_sender(epoch: Epoch, message: MLSMessage) -> SenderData:
    """Who sent a message of this epoch under a ratchet, and its generation, as the sender data say; nothing is
    verified beyond membership of the sender. Consumes nothing."""
    body = _ratchet_message(epoch, message)
    _check_epoch(epoch, body.group_id, body.epoch)
    sender = open_sender_data(epoch.suite, body, epoch.secrets.sender_data_secret)
    if epoch.tree.leaf(sender.leaf_index) is None:
        raise Invalid(Rule.SENDER_BLANK)
    return sender


def _ratchet_message(epoch: Epoch, message: MLSMessage) -> RatchetMessage:
    """The body of a message whose key is of its sender's ratchet."""
    body = message.body
    if isinstance(body, PrivateMessage):
        return body
    handshake_format = epoch.rules.handshake_formats.get(message.wire_format)
    if handshake_format is None or not isinstance(body, handshake_format.body):
        raise Invalid(Rule.CONTENT_TYPE)
    return body


def unprotect_application(epoch: Epoch, message: MLSMessage) -> ApplicationMessage:
    """Decrypt and verify an application message, then consume its generation."""
    body = message.body
    if isinstance(body, PublicMessage) and body.content.content_type == ContentType.APPLICATION:
        raise Invalid(Rule.PUBLIC_APPLICATION)
    if not isinstance(body, PrivateMessage) or body.content_type != ContentType.APPLICATION:
        raise Invalid(Rule.CONTENT_TYPE)
    sender, content = _open_private(epoch, message)
    return ApplicationMessage(
        sender.leaf_index,
        sender.generation,
        content.content.application_data or b"",
        content.content.authenticated_data,
    )


def open_handshake(epoch: Epoch, message: MLSMessage) -> AuthenticatedContent:
    """Decrypt (or check the membership tag of) a proposal or commit, and verify its signature."""
    body = message.body
    if isinstance(body, PublicMessage):
        return _open_public(epoch, body)
    if isinstance(body, PrivateMessage) and body.content_type == ContentType.APPLICATION:
        raise Invalid(Rule.CONTENT_TYPE)
    return _open_private(epoch, message)[1]


def _open_private(epoch: Epoch, message: MLSMessage) -> tuple[SenderData, AuthenticatedContent]:
    body = _ratchet_message(epoch, message)
    sender = peek_sender(epoch, message)
    if body.content_type == ContentType.APPLICATION and sender.leaf_index == epoch.own_leaf_index:
        # Consuming it would move the ratchet that we send with.
        raise Invalid(Rule.OWN_MESSAGE)
    epoch.rules.check_sender(Sender.member(sender.leaf_index), body.content_type)
    _check_wire_format(epoch, message.wire_format, SenderType.MEMBER, body.content_type)
    ratchet = _ratchet(epoch, sender.leaf_index, body.content_type)
    key = ratchet.peek(sender.generation)
    if isinstance(body, PrivateMessage):
        content = open_private(epoch.suite, body, sender, key)
    else:
        handshake_format = epoch.rules.handshake_formats[message.wire_format]
        content = handshake_format.open(epoch.suite, epoch.context, body, sender, key)
    tbs = framing.to_be_signed(content.wire_format, content.content, epoch.context_bytes)
    leaf = epoch.tree.leaf(sender.leaf_index)
    assert leaf is not None
    framing.verify(epoch.suite, leaf.signature_key, tbs, content.auth.signature)
    _check_framing(epoch, content.content)
    if isinstance(content.content.proposal, SelfRemove):
        raise Invalid(Rule.SELF_REMOVE_PUBLIC)
    ratchet.consume(sender.generation)
    return sender, content


def _open_public(epoch: Epoch, message: PublicMessage) -> AuthenticatedContent:
    framed = message.content
    _check_epoch(epoch, framed.group_id, framed.epoch)
    if framed.content_type == ContentType.APPLICATION:
        raise Invalid(Rule.PUBLIC_APPLICATION)
    epoch.rules.check_sender(framed.sender, framed.content_type)
    _check_wire_format(epoch, WireFormat.MLS_PUBLIC_MESSAGE, framed.sender.sender_type, framed.content_type)
    signature_key = _signature_key(epoch, framed)
    tbs = framing.to_be_signed(WireFormat.MLS_PUBLIC_MESSAGE, framed, epoch.context_bytes)
    content = unprotect_public(epoch.suite, message, tbs, epoch.secrets.membership_key)
    framing.verify(epoch.suite, signature_key, tbs, content.auth.signature)
    _check_framing(epoch, framed)
    return content


def _signature_key(epoch: Epoch, framed: FramedContent) -> bytes:
    sender = framed.sender
    if sender.sender_type == SenderType.MEMBER:
        leaf = epoch.tree.leaf(sender.leaf_index or 0)
        if leaf is None:
            raise Invalid(Rule.SENDER_BLANK)
        return leaf.signature_key
    if sender.sender_type == SenderType.NEW_MEMBER_COMMIT and framed.commit is not None:
        if framed.commit.path is None:
            raise Invalid(Rule.EXTERNAL_COMMIT_PATH)
        return framed.commit.path.leaf_node.signature_key
    if framed.content_type != ContentType.PROPOSAL:
        raise Invalid(Rule.SENDER_TYPE)
    if sender.sender_type == SenderType.EXTERNAL:
        return external_signature_key(epoch.context.extensions, sender.sender_index or 0, framed.proposal)
    if sender.sender_type == SenderType.NEW_MEMBER_PROPOSAL:
        return new_member_signature_key(framed.proposal)
    raise Invalid(Rule.SENDER_TYPE)


def _check_framing(epoch: Epoch, content: FramedContent) -> None:
    """SafeAAD and ApplicationFraming where the GroupContext has them (extensions draft §4.9, §6.2)."""
    if epoch.safe_aad:
        read_safe_aad(content.authenticated_data)
    if epoch.media_types and content.content_type == ContentType.APPLICATION:
        read_application_framing(content.application_data or b"", epoch.media_types)


def _check_wire_format(epoch: Epoch, wire_format: int, sender_type: int, content_type: int) -> None:
    """Non-default formats are required by the group (C-2); the rules may narrow down those of members' handshakes."""
    check_wire_format(epoch.context.extensions, wire_format)
    if content_type != ContentType.APPLICATION and sender_type == SenderType.MEMBER:
        epoch.rules.check_wire_format(epoch.context, wire_format)


def _check_epoch(epoch: Epoch, group_id: bytes, number: int) -> None:
    if group_id != epoch.context.group_id:
        raise Invalid(Rule.WRONG_GROUP)
    if number != epoch.context.epoch:
        raise Invalid(Rule.WRONG_EPOCH)
    if epoch.reinit is not None:
        raise Invalid(Rule.REINIT_LAST)
