"""Ids of send groups: random, and bound to who owns them, so that nobody can claim another's (PROTOCOL X-1, X-14).

Two roster entries may be made without knowing of each other. If ids were all random, a member that admits others could
have one of them claim the group of an honest member, and no order of entries would tell who was first.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass

from starling.protocol.distributed import labels
from starling.protocol.wire import Struct, opaque

SEND_GROUP_ID_LENGTH = 32
_NONCE_LENGTH = 16


@dataclass(frozen=True, slots=True)
class _SendGroupId(Struct):
    label: opaque
    universe_id: opaque
    identity: opaque
    nonce: opaque


def new_send_group_id(universe_id: bytes, identity: bytes, random: Callable[[int], bytes]) -> bytes:
    """A fresh id for the send group of this identity: 16 random bytes, then 16 of a hash over them and the rest."""
    nonce = random(_NONCE_LENGTH)
    return nonce + _binding(universe_id, identity, nonce)


def is_send_group_id_of(group_id: bytes, universe_id: bytes, identity: bytes) -> bool:
    """Whether an id is one of a send group of this identity."""
    if len(group_id) != SEND_GROUP_ID_LENGTH:
        return False
    binding = _binding(universe_id, identity, group_id[:_NONCE_LENGTH])
    return hmac.compare_digest(binding, group_id[_NONCE_LENGTH:])


def _binding(universe_id: bytes, identity: bytes, nonce: bytes) -> bytes:
    content = _SendGroupId(labels.SEND_GROUP.encode(), universe_id, identity, nonce).encode()
    return hashlib.sha256(content).digest()[: SEND_GROUP_ID_LENGTH - _NONCE_LENGTH]
