"""Sealing and opening handshake messages from outside (draft-mahy-mls-private-external-01 §3.3, §3.4).

What is sealed is a whole PublicMessage of somebody who is no member (P-9): an external proposal or an external commit.
Its signature, and a commit's transcript, are those of the PublicMessage, as if nothing were around it. HPKE binds
nothing of the header, which is why its fields are compared with those inside before anything else happens (P-10).
"""

from __future__ import annotations

from collections.abc import Callable

from starling.protocol.errors import Invalid, UsageError
from starling.protocol.extensions.private_external_info import (
    EXTERNAL_ENCRYPTION_SECRET,
    ExternalEncryptionBundle,
    external_key_pair,
)
from starling.protocol.extensions.rules import Rule
from starling.protocol.mls import rules as mls
from starling.protocol.mls.group import Group
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.negotiation import check_wire_format
from starling.protocol.mls.private_external_message import PrivateExternalMessage
from starling.protocol.mls.public_message import PublicMessage
from starling.protocol.mls.wire_format import SenderType, WireFormat

_LABEL = "PrivateExternalMessageContent"
_CONTEXT = b""
"""PrivateExternalMessageContext is an empty struct."""


def seal_private_external(
    message: MLSMessage, bundle: ExternalEncryptionBundle, *, random: Callable[[int], bytes]
) -> bytes:
    """An encoded MLSMessage that carries a PublicMessage of ours to the members of the bundle's epoch.

    The bundle's signature is checked; that a member vouches for it is the caller's to know (P-4). `authenticated_data`
    stands in clear on the outside (P-15). Raises `UsageError` for another message or epoch, and as
    `ExternalEncryptionBundle.verify`.
    """
    suite, inner = bundle.verify(), message.body
    if not isinstance(inner, PublicMessage) or inner.content.sender.sender_type == SenderType.MEMBER:
        raise UsageError("only PublicMessages from outside the group are sealed", "sender")
    content = inner.content
    if (content.group_id, content.epoch) != (bundle.group_id, bundle.epoch):
        raise UsageError("the message is for another group or epoch than the key", "epoch")
    public_key = bundle.info.external_encryption_public_key
    sealed = suite.encrypt_with_label(public_key, _LABEL, _CONTEXT, inner.encode(), random)
    return MLSMessage.of(
        PrivateExternalMessage(
            content.group_id, content.epoch, content.content_type, content.authenticated_data, sealed
        )
    ).encode()


def open_private_external(group: Group, message: MLSMessage) -> MLSMessage:
    """The PublicMessage inside, for `Group.open_handshake`, which verifies it.

    Raises `Invalid`, `DecodeError` (also for anything after the PublicMessage), `VerificationFailed`.
    """
    body = message.body
    if not isinstance(body, PrivateExternalMessage):
        raise Invalid(mls.Rule.CONTENT_TYPE)
    check_wire_format(group.context.extensions, WireFormat.MLS_PRIVATE_EXTERNAL_MESSAGE)
    if body.group_id != group.group_id:
        raise Invalid(mls.Rule.WRONG_GROUP)
    if body.epoch != group.epoch:
        raise Invalid(mls.Rule.WRONG_EPOCH)
    if not group.secrets.holds(EXTERNAL_ENCRYPTION_SECRET):
        raise Invalid(Rule.EXTERNAL_ENCRYPTION_HEAD)
    private_key, _ = external_key_pair(group)
    sealed = body.encrypted_public_message
    plaintext = group.cipher_suite.decrypt_with_label(private_key, _LABEL, _CONTEXT, sealed)
    inner = PublicMessage.decode(plaintext)
    content = inner.content
    if (
        content.group_id != body.group_id
        or content.epoch != body.epoch
        or content.content_type != body.content_type
        or content.authenticated_data != body.authenticated_data
    ):
        raise Invalid(Rule.PRIVATE_EXTERNAL_HEADER)
    if content.sender.sender_type == SenderType.MEMBER:
        raise Invalid(Rule.PRIVATE_EXTERNAL_SENDER)
    return MLSMessage.of(inner)
