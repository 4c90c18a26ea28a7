"""Sealing and opening a TargetedMessage with given keys (draft-ietf-mls-targeted-messages §4, §5).

Revisions 00 and 01 have one form and other contents; a group uses one of them (T-2). The content is sealed by HPKE in
PSK mode to the recipient's leaf (T-5); who sent it, encrypted for the group like sender data, stands beside it.

Where the texts are followed in another way: the KEM output is part of what is signed and authenticated, so sealing is
SetupPSKS and then one Seal (T-1), and the signature is verified before the content is opened in both revisions (T-6).
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

from starling.protocol.crypto.cipher_suite import CipherSuite
from starling.protocol.crypto.hpke import HPKECiphertext, Random
from starling.protocol.errors import Invalid
from starling.protocol.mls.key_schedule import export
from starling.protocol.mls.private_message import sender_data_key_nonce
from starling.protocol.mls.rules import Rule
from starling.protocol.mls.targeted_message import TargetedMessage
from starling.protocol.mls.wire_format import MLS10, WireFormat
from starling.protocol.wire import Reader, Struct, encode_opaque, opaque, uint16, uint32, uint64

SIGNATURE_LABEL = "TargetedMessageTBS"
_EXPORTER_LABEL = "targeted message"
_PSK_LABEL = b"MLS 1.0 targeted message psk"
_CONTEXT_LABEL = b"MLS 1.0 TargetedMessageData"


class TargetedProfile(enum.Enum):
    """The revision of the draft that a group's targeted messages follow.

    In 00 the signature does not cover the ciphertext, so a recipient can pretend to have got another content.
    """

    DRAFT_00 = "00"
    DRAFT_01 = "01"


@dataclass(frozen=True, slots=True)
class TargetedMessageSenderAuthData(Struct):
    """Who sent a message, encrypted (§5.3)."""

    sender_leaf_index: uint32
    signature: opaque
    kem_output: opaque


@dataclass(frozen=True, slots=True)
class _Place(Struct):
    """What begins all that is signed, and SenderAuthDataAAD (§5.3)."""

    group_id: opaque
    epoch: uint64
    recipient_leaf_index: uint32


@dataclass(frozen=True, slots=True)
class _Tbs(Struct):
    """TargetedMessageTBS (§4) of revision 00; 01 has `ciphertext_hash` after it."""

    version: uint16
    wire_format: uint16
    group_id: opaque
    epoch: uint64
    recipient_leaf_index: uint32
    authenticated_data: opaque
    sender_leaf_index: uint32
    kem_output: opaque


@dataclass(frozen=True, slots=True)
class _PskId(Struct):
    """The psk_id of HPKE, no PreSharedKeyID (T-3)."""

    group_id: opaque
    epoch: uint64
    label: opaque


@dataclass(frozen=True, slots=True)
class _Context(Struct):
    """TargetedMessageContext, the info of HPKE (§5.2, T-4)."""

    label: opaque
    context: opaque


@dataclass(frozen=True, slots=True, repr=False)
class TargetedSecrets:
    """What an epoch derives for targeted messages (§4, §5.3), Nh bytes each."""

    psk: bytes
    sender_auth_data: bytes

    @classmethod
    def of(cls, suite: CipherSuite, exporter_secret: bytes) -> TargetedSecrets:
        """From the exporter_secret of an epoch."""
        length = suite.hash_length
        return cls(
            export(suite, exporter_secret, _EXPORTER_LABEL, b"psk", length),
            export(suite, exporter_secret, _EXPORTER_LABEL, b"sender auth data secret", length),
        )


@dataclass(frozen=True, slots=True)
class TargetedPlace:
    """Where a message is sent: what the recipient knows before it opens anything.

    `group_context` is that of the epoch, encoded.
    """

    suite: CipherSuite
    profile: TargetedProfile
    group_context: bytes
    group_id: bytes
    epoch: int
    recipient_leaf_index: int
    authenticated_data: bytes

    @property
    def info(self) -> bytes:
        is_bound = self.profile is TargetedProfile.DRAFT_00
        return _Context(_CONTEXT_LABEL, self.group_context if is_bound else b"").encode()

    @property
    def psk_id(self) -> bytes:
        return _PskId(self.group_id, self.epoch, _PSK_LABEL).encode()

    @property
    def sender_auth_data_aad(self) -> bytes:
        return _Place(self.group_id, self.epoch, self.recipient_leaf_index).encode()

    def tbs(self, sender_leaf_index: int, kem_output: bytes, ciphertext: bytes) -> bytes:
        """What is signed."""
        signed = _Tbs(
            MLS10,
            WireFormat.MLS_TARGETED_MESSAGE,
            self.group_id,
            self.epoch,
            self.recipient_leaf_index,
            self.authenticated_data,
            sender_leaf_index,
            kem_output,
        ).encode()
        if self.profile is TargetedProfile.DRAFT_00:
            return signed
        return signed + encode_opaque(self.suite.hash(ciphertext))

    def tbm(self, sender: TargetedMessageSenderAuthData) -> bytes:
        """TargetedMessageTBM, the AAD of the content."""
        place = self.sender_auth_data_aad + encode_opaque(self.authenticated_data)
        if self.profile is TargetedProfile.DRAFT_00:
            return place + sender.encode()
        return place + sender.sender_leaf_index.to_bytes(4) + encode_opaque(sender.kem_output)


@dataclass(frozen=True, slots=True)
class OpenedSender:
    """The sender of a message, whose signature is to be verified over `tbs` before the content is opened."""

    auth: TargetedMessageSenderAuthData
    tbs: bytes


def seal_targeted(
    place: TargetedPlace,
    secrets: TargetedSecrets,
    *,
    sender_leaf_index: int,
    sign: Callable[[str, bytes], bytes],
    recipient_public_key: bytes,
    application_data: bytes,
    padding: int,
    random: Random,
) -> TargetedMessage:
    """A message to one leaf. `sign` is SignWithLabel with the sender's leaf key; `padding` a number of zero bytes.
    Raises `DecodeError` for a bad public key."""
    content = encode_opaque(application_data) + bytes(padding)
    hpke = place.suite.hpke
    kem_output, seal = hpke.setup_psk(recipient_public_key, place.info, secrets.psk, place.psk_id, random)
    unsigned = TargetedMessageSenderAuthData(sender_leaf_index, b"", kem_output)
    if place.profile is TargetedProfile.DRAFT_00:
        signature = sign(SIGNATURE_LABEL, place.tbs(sender_leaf_index, kem_output, b""))
        auth = TargetedMessageSenderAuthData(sender_leaf_index, signature, kem_output)
        ciphertext = seal(place.tbm(auth), content)
    else:
        ciphertext = seal(place.tbm(unsigned), content)
        signature = sign(SIGNATURE_LABEL, place.tbs(sender_leaf_index, kem_output, ciphertext))
        auth = TargetedMessageSenderAuthData(sender_leaf_index, signature, kem_output)
    key = sender_data_key_nonce(place.suite, secrets.sender_auth_data, ciphertext)
    encrypted = place.suite.seal(key.key, key.nonce, place.sender_auth_data_aad, auth.encode())
    return TargetedMessage(
        place.group_id,
        place.epoch,
        place.recipient_leaf_index,
        place.authenticated_data,
        encrypted,
        ciphertext,
    )


def open_sender(place: TargetedPlace, secrets: TargetedSecrets, message: TargetedMessage) -> OpenedSender:
    """Who says to have sent it (§5.3); the key comes from a sample of the ciphertext as for sender data (T-7). Raises
    `VerificationFailed`, also where the message is of another epoch with the same number (T-9), or `DecodeError`."""
    key = sender_data_key_nonce(place.suite, secrets.sender_auth_data, message.ciphertext)
    aad, encrypted = place.sender_auth_data_aad, message.encrypted_sender_auth_data
    opened = place.suite.open(key.key, key.nonce, aad, encrypted)
    auth = TargetedMessageSenderAuthData.decode(opened)
    return OpenedSender(auth, place.tbs(auth.sender_leaf_index, auth.kem_output, message.ciphertext))


def open_content(
    place: TargetedPlace,
    secrets: TargetedSecrets,
    sender: OpenedSender,
    ciphertext: bytes,
    open_psk: Callable[[bytes, bytes, HPKECiphertext, bytes, bytes], bytes],
) -> bytes:
    """The application data. `open_psk` is OpenPSK (info, AAD, sealed, PSK, its id) with the recipient's leaf key.
    Raises `VerificationFailed`, `DecodeError`, or `Invalid(PADDING)` (T-11)."""
    sealed = HPKECiphertext(sender.auth.kem_output, ciphertext)
    reader = Reader(open_psk(place.info, place.tbm(sender.auth), sealed, secrets.psk, place.psk_id))
    application_data = reader.opaque()
    if reader.rest().strip(b"\x00"):
        raise Invalid(Rule.PADDING)
    return application_data
