"""A message to one member: the application data `direct` (PROTOCOL section 7, T-8).

It travels in an application message of its sender's send group like any other, so outsiders see one, its ratchet drops
replays, and it is caught up and acknowledged. Its body is a TargetedMessage, revision 01, to the recipient's leaf, with
a whole application data in it. The other members see who writes to whom, when, and the size class.
"""

from __future__ import annotations

from starling.protocol.crypto.hpke import Random
from starling.protocol.distributed.application import MAX_APPLICATION_DATA
from starling.protocol.extensions.targeted_messages import open_targeted_message, seal_targeted_message
from starling.protocol.extensions.targeted_protection import TargetedProfile
from starling.protocol.mls.group import Group
from starling.protocol.mls.targeted_message import TargetedMessage
from starling.protocol.wire import encode_opaque

PROFILE = TargetedProfile.DRAFT_01

SMALLEST_CLASS = 256
LARGEST_CLASS = len(encode_opaque(bytes(MAX_APPLICATION_DATA)))


def size_class(length: int) -> int:
    """The length to which content of this length is padded: the next power of two, at least 256, the last one what
    the longest message takes."""
    return min(max(SMALLEST_CLASS, 1 << (length - 1).bit_length()), LARGEST_CLASS)


def seal_direct(group: Group, recipient_leaf_index: int, message: bytes, random: Random) -> bytes:
    """The body of `direct`: encoded application data, of at most `MAX_APPLICATION_DATA` bytes, sealed to a leaf."""
    length = len(encode_opaque(message))
    sealed = seal_targeted_message(
        group,
        PROFILE,
        recipient_leaf_index,
        message,
        padding=size_class(length) - length,
        random=random,
    )
    return sealed.encode()


def open_direct(group: Group, body: bytes) -> bytes | None:
    """The encoded application data, None where it is for another member.

    Raises `ProtocolError`, or `UsageError` where the epoch does not hold its secrets any more (T-10).
    """
    message = TargetedMessage.decode(body)
    if message.recipient_leaf_index != group.own_leaf_index:
        return None
    return open_targeted_message(group, PROFILE, message).application_data
