"""Bytes as a text that survives being read aloud, typed in capitals or broken over lines; a typo is noticed.

A prefix says what it is; base32 of the content and five bytes of its hash follow.
"""

from __future__ import annotations

import base64
import hashlib

from starling.protocol.errors import DecodeError

MAX_TEXT = 12_000
"""The longest text that is looked at, in characters."""

_CHECKSUM_LENGTH = 5


def write_text(prefix: str, content: bytes) -> str:
    """The text of some bytes, in lower case."""
    return prefix + base64.b32encode(content + _checksum(content)).decode().rstrip("=").lower()


def read_text(prefix: str, text: str) -> bytes | None:
    """The bytes of a text in any case and broken in any way, None where it begins with another prefix.

    Raises `DecodeError` where it is too long, has a typo, or a part of it is missing.
    """
    if len(text) > MAX_TEXT:
        raise DecodeError("the text is too long")
    compact = "".join(text.split()).lower()
    if not compact.startswith(prefix):
        return None
    body = compact.removeprefix(prefix)
    try:
        data = base64.b32decode(body.upper() + "=" * (-len(body) % 8))
    except ValueError as error:
        raise DecodeError("the text is no base32") from error
    content, checksum = data[:-_CHECKSUM_LENGTH], data[-_CHECKSUM_LENGTH:]
    if _checksum(content) != checksum or base64.b32encode(data).decode().rstrip("=").lower() != body:
        raise DecodeError("the text's checksum is wrong")
    return content


def _checksum(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()[:_CHECKSUM_LENGTH]
