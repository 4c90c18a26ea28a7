"""Messages that one member gets again (PROTOCOL B10): the message `again`, and `lost` for those that are gone.

They travel in their sender's group, where everybody could read them: also who came after they were first sent. So
they are sealed once more, to the leaf of the member that they are for.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from starling.protocol.crypto.cipher_suite import CipherSuite
from starling.protocol.crypto.hpke import HPKECiphertext, Random
from starling.protocol.distributed import component_ids
from starling.protocol.distributed.application import MAX_APPLICATION_DATA, MAX_SEALED_BODY
from starling.protocol.extensions.component_operations import (
    ComponentOperationLabel,
    safe_encrypt_with_label,
)
from starling.protocol.mls.group import Group
from starling.protocol.packed import Blob, Many, Uint, pack, shape, unpack

MAX_MESSAGES = 1024
"""In one message `again`."""

_LABEL = b"again"
_AGAIN = (Blob.of(32), Blob(1200), Blob(MAX_SEALED_BODY))
_MESSAGES = Many(Blob(MAX_APPLICATION_DATA, 1), MAX_MESSAGES, 1)
_LOST = (Blob.of(32), Uint(2**53))


@dataclass(frozen=True, slots=True)
class SentAgain:
    """The body of `again`: whom it is for (an identity key), and the sealed list of encoded messages."""

    identity: bytes
    sealed: HPKECiphertext = field(repr=False)

    def encode(self) -> bytes:
        return pack([self.identity, self.sealed.kem_output, self.sealed.ciphertext])

    @classmethod
    def decode(cls, body: bytes) -> SentAgain:
        """Raises `DecodeError`."""
        identity, kem_output, ciphertext = shape(unpack(body, max_bytes=MAX_SEALED_BODY), _AGAIN)
        return cls(identity, HPKECiphertext(kem_output, ciphertext))

    @classmethod
    def seal(
        cls,
        suite: CipherSuite,
        identity: bytes,
        encryption_key: bytes,
        place: bytes,
        messages: list[bytes],
        random: Random,
    ) -> SentAgain:
        """Seal encoded messages to a member's leaf, bound to `place`: group id and `dmls_epoch`."""
        sealed = safe_encrypt_with_label(
            suite, encryption_key, component_ids.SENT_AGAIN, _LABEL, place, pack(messages), random
        )
        return cls(identity, sealed)

    def open(self, group: Group, place: bytes) -> list[bytes]:
        """The encoded messages; raises `VerificationFailed` where it is not for our leaf, `DecodeError`."""
        label = ComponentOperationLabel.of(component_ids.SENT_AGAIN, _LABEL).encode()
        opened = group.decrypt_with_label(label, place, self.sealed)
        messages: list[bytes] = shape(unpack(opened, max_bytes=MAX_SEALED_BODY), _MESSAGES)
        return messages


def build_lost(identity: bytes, count: int) -> bytes:
    """The body of `lost`: whom it concerns, and how many messages of the sender it will never get."""
    return pack([identity, count])


def parse_lost(body: bytes) -> tuple[bytes, int]:
    """Raises `DecodeError`."""
    identity, count = shape(unpack(body, max_bytes=64), _LOST)
    return identity, count
