"""The keys of a member's epoch, used as one likes: whatever content is signed, tagged, sealed and encrypted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.fuzz import values
from tests.fuzz.group_member import Member
from tests.fuzz.kinds import PROPOSALS, Structure
from tests.fuzz.live_group import LiveGroup

from starling.protocol.extensions.semi_private import SEMI_PRIVATE
from starling.protocol.mls import framing
from starling.protocol.mls.framing import AuthenticatedContent, FramedContent, FramedContentAuthData, Sender
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.private_message import PrivateMessage, SenderData, sender_data_key_nonce
from starling.protocol.mls.proposal import PROPOSALS as PROPOSAL_CODEC
from starling.protocol.mls.proposal import Proposal
from starling.protocol.mls.public_message import PublicMessage
from starling.protocol.mls.wire_format import ContentType, SenderType, WireFormat
from starling.protocol.wire import Struct, encode_opaque


class Forger:
    """One member of a live group, on a copy of its state."""

    def __init__(self, live: LiveGroup, member: Member) -> None:
        self.live = live
        self.rng = live.rng
        self.member = member
        self.group = member.clone()
        self.epoch = self.group._epoch
        self.suite = live.suite
        self.signature_private_key = member.client.signature_private_key

    # content

    def frame(self, content_type: int, **content: Any) -> FramedContent:
        sender = Sender.member(self.group.own_leaf_index)
        aad = self.live.authenticated_data()
        return FramedContent(self.group.group_id, self.group.epoch, sender, aad, content_type, **content)

    def change(self, held: Any) -> Any:
        """The structure changed in one to three places."""
        for _ in range(self.rng.choice((1, 1, 1, 2, 3))):
            held = values.change(self.rng, Structure(type(held)), held)
        return held

    def change_proposal(self, proposal: Proposal) -> Proposal:
        changed_: Proposal = values.change(self.rng, PROPOSALS, proposal)
        return changed_

    def sign(self, wire_format: int, content: FramedContent) -> bytes:
        tbs = framing.to_be_signed(wire_format, content, self.epoch.context_bytes)
        return framing.sign(self.suite, self.signature_private_key, tbs)

    # framing

    def send(
        self,
        content: FramedContent,
        tag: bytes | None = None,
        *,
        wire_format: int | None = None,
        signature: bytes | None = None,
        private: Callable[[bytes], bytes] = lambda plaintext: plaintext,
        sender_data: Callable[[SenderData], SenderData] = lambda data: data,
    ) -> bytes:
        """An encoded MLSMessage with this content, signed and protected; `private` changes what is encrypted.
        Raises `UsageError` for content that has no wire form."""
        wire_format = wire_format or self.live.wire_format()
        signature = self.sign(wire_format, content) if signature is None else signature
        if tag is None and content.content_type == ContentType.COMMIT:
            tag = self.rng.randbytes(self.suite.hash_length)
        auth = FramedContentAuthData(signature, tag if content.content_type == ContentType.COMMIT else None)
        if wire_format == WireFormat.MLS_PUBLIC_MESSAGE:
            return MLSMessage.of(self._public(content, auth)).encode()
        if wire_format == WireFormat.MLS_SEMIPRIVATE_MESSAGE:
            return MLSMessage.of(
                self._semi_private(AuthenticatedContent(wire_format, content, auth))
            ).encode()
        return MLSMessage.of(self._private(content, auth, private, sender_data)).encode()

    def _public(self, content: FramedContent, auth: FramedContentAuthData) -> PublicMessage:
        if content.sender.sender_type != SenderType.MEMBER:
            return PublicMessage(content, auth, None)
        tbm = bytearray(
            framing.to_be_signed(WireFormat.MLS_PUBLIC_MESSAGE, content, self.epoch.context_bytes)
        )
        auth.write(tbm)
        return PublicMessage(content, auth, self.suite.mac(self.epoch.secrets.membership_key, bytes(tbm)))

    def _semi_private(self, content: AuthenticatedContent) -> Struct:
        own = self.group.own_leaf_index
        ratchet = self.epoch.secret_tree.handshake(own)
        generation = ratchet.generation + self.rng.choice((0, 0, 0, 1, 5))
        body = SEMI_PRIVATE.seal(
            self.suite,
            self.epoch.context,
            content,
            ratchet.peek(generation),
            SenderData(own, generation, self.rng.randbytes(4)),
            self.epoch.secrets.sender_data_secret,
            padding=self.rng.choice((0, 0, 7)),
            random=self.live.random,
        )
        return body if self.rng.random() < 0.7 else self.change(body)

    def _private(
        self,
        content: FramedContent,
        auth: FramedContentAuthData,
        change: Callable[[bytes], bytes],
        change_sender: Callable[[SenderData], SenderData],
    ) -> PrivateMessage:
        plaintext = bytearray()
        if content.commit is not None:
            content.commit.write(plaintext)
        elif content.proposal is not None:
            PROPOSAL_CODEC.write(content.proposal, plaintext)
        else:
            plaintext += encode_opaque(content.application_data or b"")
        auth.write(plaintext)
        own = self.group.own_leaf_index
        tree = self.epoch.secret_tree
        application = content.content_type == ContentType.APPLICATION
        ratchet = tree.application(own) if application else tree.handshake(own)
        generation = ratchet.generation + self.rng.choice((0, 0, 0, 1, 5))
        key = ratchet.peek(generation)
        guard = self.rng.randbytes(4)
        nonce = bytes(a ^ b for a, b in zip(key.nonce[:4], guard, strict=True)) + key.nonce[4:]
        header = (
            encode_opaque(content.group_id) + content.epoch.to_bytes(8) + content.content_type.to_bytes(1)
        )
        aad = header + encode_opaque(content.authenticated_data)
        ciphertext = self.suite.seal(key.key, nonce, aad, change(bytes(plaintext)))
        data = change_sender(SenderData(own, generation, guard))
        sealing = sender_data_key_nonce(self.suite, self.epoch.secrets.sender_data_secret, ciphertext)
        sealed = self.suite.seal(sealing.key, sealing.nonce, header, data.encode())
        return PrivateMessage(
            content.group_id,
            content.epoch,
            content.content_type,
            content.authenticated_data,
            sealed,
            ciphertext,
        )
