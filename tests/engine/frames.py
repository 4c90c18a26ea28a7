"""Looking into frames, and changing what stands in them, as anybody can who forwards one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from starling.protocol.decentralized.dmls_message import read_dmls_message
from starling.protocol.exchange.frame import CommitFrame, MessageFrame, decode_frame
from starling.protocol.packed import pack, unpack


def is_commit(frame: bytes) -> bool:
    return isinstance(decode_frame(frame), CommitFrame)


def with_welcome(frame: bytes, welcome: bytes) -> bytes:
    """A commit frame with another Welcome beside the same commit."""
    decoded = decode_frame(frame)
    assert isinstance(decoded, CommitFrame)
    return replace(decoded, welcome=welcome).encode()


def header_of(frame: bytes) -> tuple[bytes, int, bytes]:
    """The group id, the epoch and the `dmls_epoch` that a frame says."""
    decoded = decode_frame(frame)
    assert isinstance(decoded, CommitFrame | MessageFrame)
    message = read_dmls_message(decoded.dmls_message)
    return message.group_id, message.epoch, message.dmls_epoch


def repack(data: bytes, change: Callable[[Any], Any]) -> bytes:
    """Canonical msgpack with its value changed."""
    return pack(change(unpack(data, max_bytes=2**26)))
