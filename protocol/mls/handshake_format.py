"""Other formats than PrivateMessage in which a member's proposals and commits travel under its handshake ratchet."""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterable

from starling.protocol.crypto.cipher_suite import CipherSuite
from starling.protocol.mls.extension import Extension
from starling.protocol.mls.framing import AuthenticatedContent
from starling.protocol.mls.group_context import GroupContext
from starling.protocol.mls.private_message import RatchetMessage, SenderData
from starling.protocol.mls.ratchet import MessageKey
from starling.protocol.wire import Struct


class HandshakeFormat(typing.Protocol):
    """How content of one wire format is sealed and opened. The group does what is common to all: it finds sender and
    key, verifies the signature, and consumes the generation, which is used once across all formats."""

    @property
    def body(self) -> type[RatchetMessage]:
        """The class of the structure in the MLSMessage."""

    def check_context(self, suite: CipherSuite, context_extensions: Iterable[Extension]) -> None:
        """Raise `Invalid` or `DecodeError` for a GroupContext in which the format could not be used: no epoch with it
        is entered."""

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
    ) -> Struct:
        """The body with our signed content, under the key of one generation. `UsageError` where the epoch does not use
        the format."""

    def open(
        self,
        suite: CipherSuite,
        context: GroupContext,
        message: RatchetMessage,
        sender_data: SenderData,
        key: MessageKey,
    ) -> AuthenticatedContent:
        """Decrypt the content; its signature is the caller's. Raises `Invalid`, `VerificationFailed`,
        `DecodeError`."""
