"""Opening semi-private messages as an external receiver (draft-mahy-mls-semiprivatemessage-07 §3.3).

Without the GroupContext a receiver can check neither the signature nor `framed_content_tbs_hash`, which covers the
GroupContext (S-8; the draft names the signature only). Then anybody who knows its public key can have made the message,
and a member can have sent it another content than the group: the content says of itself that it is not authenticated.
"""

from __future__ import annotations

from dataclasses import dataclass

from starling.protocol.crypto.cipher_suite import CipherSuite
from starling.protocol.crypto.secret import PrivateKey
from starling.protocol.errors import Invalid
from starling.protocol.extensions.external_receivers import ExternalReceiver
from starling.protocol.extensions.group_view import GroupView
from starling.protocol.extensions.handshake_changes import HandshakeChanges
from starling.protocol.extensions.rules import Rule
from starling.protocol.extensions.semi_private import (
    LABEL,
    PerMessageKeyAndNonces,
    SemiPrivateMessageContext,
    check_keys,
    framed_content_tbs_hash,
    open_content,
)
from starling.protocol.mls import framing
from starling.protocol.mls.framing import AuthenticatedContent
from starling.protocol.mls.negotiation import check_wire_format
from starling.protocol.mls.ratchet import MessageKey
from starling.protocol.mls.rules import Rule as MlsRule
from starling.protocol.mls.safe_aad import read_safe_aad, uses_safe_aad
from starling.protocol.mls.semi_private_message import SemiPrivateMessage
from starling.protocol.mls.wire_format import WireFormat


@dataclass(frozen=True, slots=True)
class ReceivedHandshake:
    """A proposal or commit as an external receiver has it.

    Where not `is_authenticated`, who sent it and whether the members got the same is only claimed.
    """

    content: AuthenticatedContent
    is_authenticated: bool

    @property
    def sender_leaf_index(self) -> int:
        return self.content.content.sender.leaf_index or 0

    @property
    def changes(self) -> HandshakeChanges:
        """What it changes or proposes to change."""
        return HandshakeChanges.of(self.content.content)


def open_semi_private(
    message: SemiPrivateMessage,
    receiver: ExternalReceiver,
    private_key: PrivateKey,
    *,
    suite: CipherSuite,
    view: GroupView | None = None,
) -> ReceivedHandshake:
    """Open a message that names `receiver`, with its HPKE private key; with a `view` of the message's epoch all that
    a member checks is checked, but what the keys of the other receivers hold.

    Nothing is remembered: the same message opens again. Raises `Invalid`, `VerificationFailed`, `DecodeError`.
    """
    if view is not None:
        _check_view(message, suite, view)
    reference = receiver.reference(suite)
    sealed = [
        entry.encrypted_keys_and_nonces
        for entry in message.keys_for_external_receivers
        if entry.external_receiver_ref == reference
    ]
    if len(sealed) != 1:
        raise Invalid(Rule.SEMI_PRIVATE_RECEIVER, f"{len(sealed)} keys")
    bound = SemiPrivateMessageContext(message.group_id, message.epoch, message.partial_context_hash)
    keys = PerMessageKeyAndNonces.decode(
        suite.decrypt_with_label(private_key, LABEL, bound.encode(), sealed[0])
    )
    if (len(keys.key), len(keys.nonce)) != (suite.key_length, suite.nonce_length):
        raise Invalid(Rule.SEMI_PRIVATE_KEY_LENGTH)
    content = open_content(
        suite, message, keys.sender_leaf_index, MessageKey(keys.key, keys.nonce), keys.reuse_guard
    )
    if view is not None:
        _verify(message, content, view)
    return ReceivedHandshake(content, view is not None)


def _check_view(message: SemiPrivateMessage, suite: CipherSuite, view: GroupView) -> None:
    context = view.group_context
    if message.group_id != context.group_id:
        raise Invalid(MlsRule.WRONG_GROUP)
    if message.epoch != context.epoch:
        raise Invalid(MlsRule.WRONG_EPOCH)
    check_wire_format(context.extensions, WireFormat.MLS_SEMIPRIVATE_MESSAGE)
    check_keys(suite, context, message)


def _verify(message: SemiPrivateMessage, content: AuthenticatedContent, view: GroupView) -> None:
    suite, context, framed = view.cipher_suite, view.group_context, content.content
    leaf = view.tree.leaf(framed.sender.leaf_index or 0)
    if leaf is None:
        raise Invalid(MlsRule.SENDER_BLANK)
    view.rules.check_sender(framed.sender, framed.content_type)
    if framed_content_tbs_hash(suite, content, context) != message.framed_content_tbs_hash:
        raise Invalid(Rule.SEMI_PRIVATE_CONTENT)
    tbs = framing.to_be_signed(content.wire_format, framed, context.encode())
    framing.verify(suite, leaf.signature_key, tbs, content.auth.signature)
    if uses_safe_aad(context.extensions):
        read_safe_aad(framed.authenticated_data)
