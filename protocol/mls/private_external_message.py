"""A handshake message from outside, sealed to all members (draft-mahy-mls-private-external-01 §3.3).

The structure alone; what seals and opens it is in `starling.protocol.extensions.private_external`.
"""

from __future__ import annotations

from dataclasses import dataclass

from starling.protocol.crypto.hpke import HPKECiphertext
from starling.protocol.mls.framing import check_content_type
from starling.protocol.wire import Reader, Struct, opaque, uint8, uint64


@dataclass(frozen=True, slots=True)
class PrivateExternalMessage(Struct):
    """`encrypted_public_message` holds a PublicMessage; the fields before it are copies of that one's, readable by
    whoever forwards it."""

    group_id: opaque
    epoch: uint64
    content_type: uint8
    authenticated_data: opaque
    encrypted_public_message: HPKECiphertext

    @classmethod
    def read(cls, reader: Reader) -> PrivateExternalMessage:
        message = super(PrivateExternalMessage, cls).read(reader)
        check_content_type(message.content_type)
        return message
