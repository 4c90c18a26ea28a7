"""TargetedMessage: from one member of a group to another (draft-ietf-mls-targeted-messages §3).

All revisions of the draft have this form, and differ in what is inside (`protocol/extensions/targeted_protection.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

from starling.protocol.wire import Struct, opaque, uint32, uint64


@dataclass(frozen=True, slots=True)
class TargetedMessage(Struct):
    """`recipient_leaf_index` and `authenticated_data` are in the clear; who sent it is not."""

    group_id: opaque
    epoch: uint64
    recipient_leaf_index: uint32
    authenticated_data: opaque
    encrypted_sender_auth_data: opaque
    ciphertext: opaque
