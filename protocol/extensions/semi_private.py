"""Semi-private messages: proposals and commits for the members and for chosen external receivers
(draft-mahy-mls-semiprivatemessage-07).

The content is encrypted once, under the sender's handshake ratchet as in a PrivateMessage; key, nonce, reuse guard and
sender are then encrypted to each external receiver. Decisions where the draft is silent:

- S-3: `partial_context_hash` = Hash(uint32 sender_leaf_index || nonce), of the ratchet's nonce before the reuse guard.
- S-4: a receiver's reference is the plain hash of its structure.
- S-6: the keys are sealed by EncryptWithLabel in HPKE's base mode, with the context V(group_id) || epoch || V(partial
  context hash).
- S-7: the wire format in what is signed, and in the transcript, is mls_semiprivate_message.
- S-9: a member checks that the list of keys is that of the epoch's receivers; what is sealed to them it cannot see.
- S-10: the ratchet is that of PrivateMessages, so no generation serves in both formats.
- S-11: there is no semi-private application message and no membership tag.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, ClassVar

from starling.protocol.crypto.cipher_suite import CipherSuite
from starling.protocol.errors import Invalid, UsageError
from starling.protocol.extensions.external_receivers import (
    EXTERNAL_RECEIVERS,
    check_external_receivers,
    read_external_receivers,
    update_external_receivers,
)
from starling.protocol.extensions.rules import Rule
from starling.protocol.mls import framing
from starling.protocol.mls.extension import Extension
from starling.protocol.mls.framing import AuthenticatedContent
from starling.protocol.mls.group_context import GroupContext
from starling.protocol.mls.group_rules import GroupRules
from starling.protocol.mls.handshake_format import HandshakeFormat
from starling.protocol.mls.private_message import (
    RatchetMessage,
    SenderData,
    decode_private_content,
    encode_private_content,
    guarded,
    seal_sender_data,
)
from starling.protocol.mls.ratchet import MessageKey
from starling.protocol.mls.semi_private_message import (
    KeyForExternalReceiver,
    SemiPrivateContentAAD,
    SemiPrivateMessage,
)
from starling.protocol.mls.wire_format import WireFormat
from starling.protocol.wire import Fixed, Struct, opaque, uint32, uint64

LABEL = "SemiPrivateMessageReceiver"
"""Of the encryption to an external receiver (§3.1)."""


@dataclass(frozen=True, slots=True, repr=False)
class PerMessageKeyAndNonces(Struct):
    """What an external receiver gets: key (Nk bytes) and nonce (Nn bytes) of the ratchet, and the sender's leaf."""

    key: opaque
    nonce: opaque
    reuse_guard: Annotated[bytes, Fixed(4)]
    sender_leaf_index: uint32


@dataclass(frozen=True, slots=True)
class SemiPrivateMessageContext(Struct):
    """What the encryption to an external receiver is bound to."""

    group_id: opaque
    epoch: uint64
    partial_context_hash: opaque


def partial_context_hash(suite: CipherSuite, sender_leaf_index: int, nonce: bytes) -> bytes:
    """Nh bytes (S-3)."""
    return suite.hash(sender_leaf_index.to_bytes(4) + nonce)


def framed_content_tbs_hash(
    suite: CipherSuite, content: AuthenticatedContent, context: GroupContext
) -> bytes:
    """The hash of the content's FramedContentTBS, the GroupContext included (S-7): Nh bytes."""
    return suite.hash(framing.to_be_signed(content.wire_format, content.content, context.encode()))


def open_content(
    suite: CipherSuite, message: SemiPrivateMessage, leaf_index: int, key: MessageKey, reuse_guard: bytes
) -> AuthenticatedContent:
    """Check the partial context hash, decrypt the content and check its padding; its hash and its signature are the
    caller's. Raises `Invalid`, `VerificationFailed`, `DecodeError`."""
    if partial_context_hash(suite, leaf_index, key.nonce) != message.partial_context_hash:
        raise Invalid(Rule.SEMI_PRIVATE_CONTEXT)
    plaintext = suite.open(
        key.key, guarded(key.nonce, reuse_guard), message.content_aad(), message.ciphertext
    )
    return decode_private_content(plaintext, message, WireFormat.MLS_SEMIPRIVATE_MESSAGE, leaf_index)


def check_keys(suite: CipherSuite, context: GroupContext, message: SemiPrivateMessage) -> None:
    """Raises `Invalid` unless the message has one key for each external receiver of its epoch, in order (S-9)."""
    receivers = read_external_receivers(context.extensions)
    if not receivers:
        raise Invalid(Rule.SEMI_PRIVATE_EMPTY)
    named = [entry.external_receiver_ref for entry in message.keys_for_external_receivers]
    if named != [receiver.reference(suite) for receiver in receivers]:
        raise Invalid(Rule.SEMI_PRIVATE_KEYS)


class _SemiPrivateFormat:
    """How a group's members seal and open semi-private messages."""

    body: ClassVar[type[RatchetMessage]] = SemiPrivateMessage

    def check_context(self, suite: CipherSuite, context_extensions: Iterable[Extension]) -> None:
        check_external_receivers(suite, context_extensions)

    def seal(
        self,
        suite: CipherSuite,
        context: GroupContext,
        content: AuthenticatedContent,
        key: MessageKey,
        sender_data: SenderData,
        sender_data_secret: bytes,
        *,
        padding: int,
        random: Callable[[int], bytes],
    ) -> SemiPrivateMessage:
        receivers = read_external_receivers(context.extensions)
        if not receivers:
            raise UsageError("the group has no external receivers", "no_external_receivers")
        framed = content.content
        hashed = partial_context_hash(suite, sender_data.leaf_index, key.nonce)
        bound = SemiPrivateMessageContext(framed.group_id, framed.epoch, hashed).encode()
        keys = PerMessageKeyAndNonces(
            key.key, key.nonce, sender_data.reuse_guard, sender_data.leaf_index
        ).encode()
        aad = SemiPrivateContentAAD(
            framed.group_id,
            framed.epoch,
            framed.content_type,
            framed.authenticated_data,
            hashed,
            tuple(
                KeyForExternalReceiver(
                    receiver.reference(suite),
                    suite.encrypt_with_label(
                        receiver.external_receiver_public_key, LABEL, bound, keys, random
                    ),
                )
                for receiver in receivers
            ),
            framed_content_tbs_hash(suite, content, context),
        )
        ciphertext = suite.seal(
            key.key,
            guarded(key.nonce, sender_data.reuse_guard),
            aad.encode(),
            encode_private_content(content, padding),
        )
        return SemiPrivateMessage(
            aad.group_id,
            aad.epoch,
            aad.content_type,
            aad.authenticated_data,
            aad.partial_context_hash,
            aad.keys_for_external_receivers,
            aad.framed_content_tbs_hash,
            seal_sender_data(suite, framed, sender_data, sender_data_secret, ciphertext),
            ciphertext,
        )

    def open(
        self,
        suite: CipherSuite,
        context: GroupContext,
        message: RatchetMessage,
        sender_data: SenderData,
        key: MessageKey,
    ) -> AuthenticatedContent:
        assert isinstance(message, SemiPrivateMessage)
        check_keys(suite, context, message)
        content = open_content(suite, message, sender_data.leaf_index, key, sender_data.reuse_guard)
        if framed_content_tbs_hash(suite, content, context) != message.framed_content_tbs_hash:
            raise Invalid(Rule.SEMI_PRIVATE_CONTENT)
        return content


SEMI_PRIVATE: HandshakeFormat = _SemiPrivateFormat()
"""For `GroupRules.handshake_formats`, under mls_semiprivate_message."""


class SemiPrivateRules(GroupRules):
    """Of a group whose external receivers its members change by AppDataUpdate, and that has no rules of its own."""

    handshake_formats = MappingProxyType({WireFormat.MLS_SEMIPRIVATE_MESSAGE: SEMI_PRIVATE})

    def app_data_update(self, component_id: int, current: bytes | None, updates: Sequence[bytes]) -> bytes:
        if component_id == EXTERNAL_RECEIVERS:
            return update_external_receivers(updates)
        return super().app_data_update(component_id, current, updates)
