"""What a send group carries as application data: `[type, id, refs, body]` (PROTOCOL section 7).

User messages have any type an app names; the types in `CONTROL_TYPES` are said between the nodes
themselves, never shown to apps, and make no report due (R1).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from starling.protocol.errors import DecodeError, UsageError
from starling.protocol.packed import Blob, Many, Text, pack, shape, unpack

HEADS = "heads"
REPORT = "report"
LOST = "lost"
PROFILE = "profile"
"""What the owner calls itself now."""
CONTROL_TYPES = frozenset({HEADS, REPORT, LOST, PROFILE, "address", "ack", "roster"})

AGAIN = "again"
"""Messages that one member gets again: acknowledged like those of users, and shown as what is in them."""

DIRECT = "direct"
"""A message for one member: counted by all like those of users, shown as what is in it to whom it is for."""

RESERVED_TYPES = CONTROL_TYPES | {AGAIN, DIRECT}

MESSAGE_ID_SIZE = 16
MAX_BODY = 512 * 1024
MAX_REFS = 16
MAX_SEALED_BODY = MAX_BODY + 8192
"""Of a message `again` or `direct`: room for a whole one in it."""

MAX_APPLICATION_DATA = MAX_BODY + 4096
_MAX_ENCODED = MAX_SEALED_BODY + 4096

_SHAPE = (
    Text(64, 1),
    Blob.of(MESSAGE_ID_SIZE),
    Many(Blob.of(MESSAGE_ID_SIZE), MAX_REFS),
    Blob(MAX_SEALED_BODY),
)


@dataclass(frozen=True, slots=True)
class ApplicationData:
    """One message of a send group.

    `message_id` is 16 random bytes of the app or the daemon; `refs` are the ids of messages that the
    sender had delivered, at most 16; `body` has at most 512 KiB.
    """

    content_type: str
    message_id: bytes
    refs: tuple[bytes, ...]
    body: bytes = field(repr=False)

    @property
    def is_control(self) -> bool:
        return self.content_type in CONTROL_TYPES

    def encode(self) -> bytes:
        return pack([self.content_type, self.message_id, list(self.refs), self.body])

    @classmethod
    def decode(cls, data: bytes) -> ApplicationData:
        """Raises `DecodeError` for anything but the four fields in their bounds."""
        content_type, message_id, refs, body = shape(unpack(data, max_bytes=_MAX_ENCODED), _SHAPE)
        if len(body) > MAX_BODY and content_type not in (AGAIN, DIRECT):
            raise DecodeError(f"{len(body)} bytes where a message has at most {MAX_BODY}")
        return cls(content_type, message_id, tuple(refs), body)


def check_user_message(content_type: str, message_id: bytes, refs: tuple[bytes, ...], body: bytes) -> None:
    """What an app may send; raises `UsageError` with a sentence for people."""
    if content_type in RESERVED_TYPES:
        raise UsageError(f"the type {content_type!r} belongs to the nodes themselves; choose another")
    if not 1 <= len(content_type) <= 64:
        raise UsageError("a message type has 1 to 64 characters")
    if len(message_id) != MESSAGE_ID_SIZE:
        raise UsageError(f"a message id has {MESSAGE_ID_SIZE} bytes")
    if len(body) > MAX_BODY:
        raise UsageError(f"a message has at most {MAX_BODY} bytes; this one has {len(body)}")
    if len(refs) > MAX_REFS or any(len(ref) != MESSAGE_ID_SIZE for ref in refs):
        raise UsageError(f"a message names at most {MAX_REFS} others, by ids of {MESSAGE_ID_SIZE} bytes")
