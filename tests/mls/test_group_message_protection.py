"""Public and private messages: the official vectors, and what must be refused (RFC 9420 §6)."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest
from tests.vectors import load_vectors

from starling.protocol.crypto.cipher_suite import CipherSuite, cipher_suite
from starling.protocol.errors import DecodeError, Invalid, UsageError, VerificationFailed
from starling.protocol.mls import framing
from starling.protocol.mls.commit import Commit
from starling.protocol.mls.framing import AuthenticatedContent, FramedContent, FramedContentAuthData, Sender
from starling.protocol.mls.group_context import GroupContext
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.private_message import (
    PrivateMessage,
    SenderData,
    open_private,
    open_sender_data,
    protect_private,
    sender_data_key_nonce,
)
from starling.protocol.mls.proposal import PROPOSALS
from starling.protocol.mls.public_message import PublicMessage, protect_public, unprotect_public
from starling.protocol.mls.rules import Rule
from starling.protocol.mls.secret_tree import SecretTree
from starling.protocol.mls.wire_format import ContentType, WireFormat

SENDER = 1
LEAVES = 2


class Scene:
    """The group of one vector: two leaves, of which the second sends."""

    def __init__(self, vector: dict[str, Any]) -> None:
        self.raw = {name: bytes.fromhex(value) for name, value in vector.items() if isinstance(value, str)}
        self.suite: CipherSuite = cipher_suite(vector["cipher_suite"])
        self.epoch: int = vector["epoch"]
        self.context = GroupContext(
            1,
            self.suite.id,
            self.raw["group_id"],
            self.epoch,
            self.raw["tree_hash"],
            self.raw["confirmed_transcript_hash"],
            (),
        ).encode()
        self.bodies: dict[str, Any] = {
            "proposal": PROPOSALS.decode(self.raw["proposal"]),
            "commit": Commit.decode(self.raw["commit"]),
            "application": self.raw["application"],
        }

    def tree(self) -> SecretTree:
        return SecretTree(self.suite, LEAVES, self.raw["encryption_secret"])

    def content(self, kind: str, wire_format: int) -> AuthenticatedContent:
        content_type = {
            "application": ContentType.APPLICATION,
            "proposal": ContentType.PROPOSAL,
            "commit": ContentType.COMMIT,
        }[kind]
        field = "application_data" if kind == "application" else kind
        content = FramedContent(
            self.raw["group_id"],
            self.epoch,
            Sender.member(SENDER),
            b"aad",
            content_type,
            **{field: self.bodies[kind]},
        )
        tbs = framing.to_be_signed(wire_format, content, self.context)
        signature = framing.sign(self.suite, self.raw["signature_priv"], tbs)
        tag = bytes(self.suite.hash_length) if kind == "commit" else None
        return AuthenticatedContent(wire_format, content, FramedContentAuthData(signature, tag))

    def check(self, kind: str, content: AuthenticatedContent) -> None:
        """The signature verifies and the body is the vector's."""
        framed = content.content
        tbs = framing.to_be_signed(content.wire_format, framed, self.context)
        framing.verify(self.suite, self.raw["signature_pub"], tbs, content.auth.signature)
        body = {
            "application": framed.application_data,
            "proposal": framed.proposal,
            "commit": framed.commit,
        }
        assert body[kind] == self.bodies[kind]
        assert [name for name, value in body.items() if value is not None] == [kind]

    def open_public(self, message: PublicMessage) -> AuthenticatedContent:
        tbs = framing.to_be_signed(WireFormat.MLS_PUBLIC_MESSAGE, message.content, self.context)
        return unprotect_public(self.suite, message, tbs, self.raw["membership_key"])

    def protect_public(self, kind: str) -> PublicMessage:
        content = self.content(kind, WireFormat.MLS_PUBLIC_MESSAGE)
        tbs = framing.to_be_signed(content.wire_format, content.content, self.context)
        return protect_public(self.suite, content, tbs, self.raw["membership_key"])

    def open_private(self, message: PrivateMessage) -> AuthenticatedContent:
        sender = open_sender_data(self.suite, message, self.raw["sender_data_secret"])
        assert sender.leaf_index == SENDER
        tree = self.tree()
        application = message.content_type == ContentType.APPLICATION
        ratchet = tree.application(SENDER) if application else tree.handshake(SENDER)
        return open_private(self.suite, message, sender, ratchet.peek(sender.generation))

    def protect_private(self, kind: str, padding: int = 0) -> PrivateMessage:
        content = self.content(kind, WireFormat.MLS_PRIVATE_MESSAGE)
        tree = self.tree()
        ratchet = tree.application(SENDER) if kind == "application" else tree.handshake(SENDER)
        return protect_private(
            self.suite,
            content,
            ratchet.peek(2),
            2,
            self.raw["sender_data_secret"],
            padding=padding,
            random=os.urandom,
        )


def _scenes() -> list[Scene]:
    return [Scene(vector) for vector in load_vectors("mls/message-protection.json")]


def _body(encoded: bytes) -> Any:
    message = MLSMessage.decode(encoded)
    assert message.encode() == encoded
    return message.body


@pytest.mark.parametrize("kind", ["proposal", "commit"])
def test_public_vectors_open_and_what_we_protect_opens(kind: str) -> None:
    for scene in _scenes():
        scene.check(kind, scene.open_public(_body(scene.raw[f"{kind}_pub"])))
        scene.check(kind, scene.open_public(PublicMessage.decode(scene.protect_public(kind).encode())))


@pytest.mark.parametrize("kind", ["proposal", "commit", "application"])
def test_private_vectors_open_and_what_we_protect_opens(kind: str) -> None:
    for scene in _scenes():
        scene.check(kind, scene.open_private(_body(scene.raw[f"{kind}_priv"])))
        for padding in (0, 1, 100):
            message = PrivateMessage.decode(scene.protect_private(kind, padding).encode())
            scene.check(kind, scene.open_private(message))


def test_application_data_is_never_public() -> None:
    scene = _scenes()[0]
    with pytest.raises(UsageError):
        scene.protect_public("application")
    content = scene.content("application", WireFormat.MLS_PUBLIC_MESSAGE)
    with pytest.raises(Invalid) as refused:
        scene.open_public(PublicMessage(content.content, content.auth, bytes(scene.suite.hash_length)))
    assert refused.value.rule is Rule.PUBLIC_APPLICATION


def test_a_wrong_membership_tag_is_refused() -> None:
    for scene in _scenes():
        message = scene.protect_public("proposal")
        assert message.membership_tag is not None
        tag = bytes([message.membership_tag[0] ^ 1]) + message.membership_tag[1:]
        for wrong in (tag, b"", tag[:-1]):
            with pytest.raises(VerificationFailed):
                scene.open_public(replace(message, membership_tag=wrong))


def test_every_header_field_of_a_private_message_is_authenticated() -> None:
    scene = _scenes()[0]
    message = scene.protect_private("proposal")
    assert scene.open_private(message)
    for changed in (
        replace(message, group_id=message.group_id + b"x"),
        replace(message, epoch=message.epoch + 1),
        replace(message, content_type=ContentType.APPLICATION),
        replace(message, authenticated_data=b"other"),
        replace(message, ciphertext=message.ciphertext[:-1] + bytes([message.ciphertext[-1] ^ 1])),
        replace(message, ciphertext=b""),
        replace(message, encrypted_sender_data=b""),
    ):
        with pytest.raises(VerificationFailed):
            scene.open_private(changed)


def test_padding_that_is_not_zero_is_refused() -> None:
    scene = _scenes()[0]
    suite = scene.suite
    message = scene.protect_private("application", padding=5)
    sender = open_sender_data(suite, message, scene.raw["sender_data_secret"])
    key = scene.tree().application(SENDER).peek(sender.generation)
    nonce = bytes(a ^ b for a, b in zip(key.nonce[:4], sender.reuse_guard, strict=True)) + key.nonce[4:]
    head = PrivateMessage(message.group_id, message.epoch, message.content_type, b"", b"", b"").encode()[:-3]
    aad = head + b"\x03aad"
    plaintext = suite.open(key.key, nonce, aad, message.ciphertext)
    assert plaintext.endswith(bytes(5))
    ciphertext = suite.seal(key.key, nonce, aad, plaintext[:-1] + b"\x01")
    new_key = sender_data_key_nonce(suite, scene.raw["sender_data_secret"], ciphertext)
    data = SenderData(SENDER, sender.generation, sender.reuse_guard).encode()
    sealed = suite.seal(new_key.key, new_key.nonce, head, data)
    forged = replace(message, ciphertext=ciphertext, encrypted_sender_data=sealed)
    with pytest.raises(Invalid) as refused:
        scene.open_private(forged)
    assert refused.value.rule is Rule.PADDING


def test_unknown_sender_and_content_types_do_not_decode() -> None:
    scene = _scenes()[0]
    message = scene.protect_private("application").encode()
    at = 1 + len(scene.raw["group_id"]) + 8
    assert message[at] == ContentType.APPLICATION
    for wrong in (0, 4, 255):
        with pytest.raises(DecodeError):
            PrivateMessage.decode(message[:at] + bytes([wrong]) + message[at + 1 :])
    public = scene.protect_public("proposal").encode()
    assert public[at] == 1
    for wrong in (0, 5):
        with pytest.raises(DecodeError):
            PublicMessage.decode(public[:at] + bytes([wrong]) + public[at + 1 :])
