"""Ids of invites: bound to who made the ticket, so that nobody's entry can touch the ticket of another (PROTOCOL 6).

Two roster entries may be made without knowing of each other. If the ticket's key alone were the id, whoever sees an
invite, or is given the ticket, could make a second one by that id, and of the two one had to count.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from starling.protocol.distributed import labels
from starling.protocol.wire import Struct, opaque


@dataclass(frozen=True, slots=True)
class _InviteId(Struct):
    label: opaque
    inviter: opaque
    ticket_key: opaque


def invite_id_of(inviter: bytes, ticket_key: bytes) -> bytes:
    """The id, 32 bytes, of the invite for the ticket with this public key, made by this identity."""
    return hashlib.sha256(_InviteId(labels.INVITE_ID.encode(), inviter, ticket_key).encode()).digest()
