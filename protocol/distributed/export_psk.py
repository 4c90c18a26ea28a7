"""The PSK that a send group gives to others, and its id (draft-xue-distributed-mls-01 COMMIT; X-3 to X-5)."""

from __future__ import annotations

from collections.abc import Callable

from starling.protocol.distributed.rules import Rule
from starling.protocol.errors import Invalid

MAX_GROUP_ID = 255

Export = Callable[[str, bytes, int], bytes]
"""MLS-Exporter of one epoch: label, context, length (RFC 9420 §8.5); `Group.export` is one."""


def psk_id(epoch: int, group_id: bytes) -> bytes:
    """uint64 epoch, then the raw group id without a length (X-3)."""
    return epoch.to_bytes(8, "big") + group_id


def parse_psk_id(data: bytes) -> tuple[int, bytes]:
    """(epoch, group_id) of an external PSK id; Invalid where it cannot be one (X-4)."""
    if not 8 < len(data) <= 8 + MAX_GROUP_ID:
        raise Invalid(Rule.PSK_ID, f"{len(data)} bytes")
    return int.from_bytes(data[:8], "big"), data[8:]


def export_psk(export: Export, length: int) -> bytes:
    """The PSK of an epoch: MLS-Exporter("exporter-psk", "psk_id", export_length).

    The context is the literal text (X-5); the exporter secret already binds group, epoch and fork.
    """
    return export("exporter-psk", b"psk_id", length)
