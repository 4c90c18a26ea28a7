"""SemiPrivateMessage: a member's proposal or commit that chosen outsiders can open too
(draft-mahy-mls-semiprivatemessage-07 §3.1)."""

from __future__ import annotations

from dataclasses import dataclass

from starling.protocol.crypto.hpke import HPKECiphertext
from starling.protocol.errors import DecodeError
from starling.protocol.mls.framing import check_content_type
from starling.protocol.mls.wire_format import ContentType
from starling.protocol.wire import Reader, Struct, Vector, opaque, uint8, uint64


@dataclass(frozen=True, slots=True)
class KeyForExternalReceiver(Struct):
    """`external_receiver_ref` is Nh bytes."""

    external_receiver_ref: opaque
    encrypted_keys_and_nonces: HPKECiphertext


@dataclass(frozen=True, slots=True)
class SemiPrivateContentAAD(Struct):
    """What the ciphertext is bound to. `partial_context_hash` and `framed_content_tbs_hash` are Nh bytes."""

    group_id: opaque
    epoch: uint64
    content_type: uint8
    authenticated_data: opaque
    partial_context_hash: opaque
    keys_for_external_receivers: Vector[KeyForExternalReceiver]
    framed_content_tbs_hash: opaque


@dataclass(frozen=True, slots=True)
class SemiPrivateMessage(SemiPrivateContentAAD):
    """Decoding raises `DecodeError` for an application message: none is semi-private (S-11)."""

    encrypted_sender_data: opaque
    ciphertext: opaque

    @classmethod
    def read(cls, reader: Reader) -> SemiPrivateMessage:
        message = super(SemiPrivateMessage, cls).read(reader)
        check_content_type(message.content_type)
        if message.content_type == ContentType.APPLICATION:
            raise DecodeError("a semi-private application message")
        return message

    def content_aad(self) -> bytes:
        """SemiPrivateContentAAD of the message, encoded."""
        return SemiPrivateContentAAD(
            self.group_id,
            self.epoch,
            self.content_type,
            self.authenticated_data,
            self.partial_context_hash,
            self.keys_for_external_receivers,
            self.framed_content_tbs_hash,
        ).encode()
