"""Code points of message framing (RFC 9420 §6, §17.2)."""

from __future__ import annotations

MLS10 = 1
"""ProtocolVersion mls10."""


class WireFormat:
    """What an MLSMessage carries. The formats of the drafts have no assigned code points yet (C-1)."""

    MLS_PUBLIC_MESSAGE = 0x0001
    MLS_PRIVATE_MESSAGE = 0x0002
    MLS_WELCOME = 0x0003
    MLS_GROUP_INFO = 0x0004
    MLS_KEY_PACKAGE = 0x0005
    MLS_TARGETED_MESSAGE = 0x0006
    MLS_SEMIPRIVATE_MESSAGE = 0xFAFE
    MLS_PRIVATE_EXTERNAL_MESSAGE = 0xF4E9


DEFAULT_WIRE_FORMATS = frozenset(range(WireFormat.MLS_PUBLIC_MESSAGE, WireFormat.MLS_KEY_PACKAGE + 1))
"""The wire formats of RFC 9420, which need no negotiation."""


class ContentType:
    """What a FramedContent carries."""

    APPLICATION = 1
    PROPOSAL = 2
    COMMIT = 3


class SenderType:
    """Who sent a FramedContent."""

    MEMBER = 1
    EXTERNAL = 2
    NEW_MEMBER_PROPOSAL = 3
    NEW_MEMBER_COMMIT = 4
