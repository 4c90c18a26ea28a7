"""Code points of Starling's own components and proposal, all in the private ranges (PROTOCOL C-6, X-10)."""

from __future__ import annotations

DMLS_UNIVERSE = 0x8D01
"""GroupContext: which universe a send group belongs to, and whose it is (X-2)."""
DMLS_DEPS = 0x8D02
"""AppEphemeral: the epochs whose PSKs a commit imports (X-8)."""
DMLS_RESOLVE = 0x8D03
"""AppEphemeral: the heads of its group that the owner closes (5.6)."""
DMLS_MEMBER = 0x8D04
"""LeafNode: who a leaf is (X-1)."""
EPOCH_END = 0x8D05
"""AppEphemeral: how many application messages the ended epoch has (K-14)."""
ROSTER_DIGEST = 0x8D06
"""GroupContext: the roster that the owner has applied (6)."""
KEY_PACKAGES = 0x8D07
"""AppEphemeral: the owner's fresh KeyPackages (X-10)."""
SENT_AGAIN = 0x8D09
"""Not in any structure: messages that a member gets again are sealed to its leaf under this id (B10)."""
TICKET_PROOF = 0x8D08
"""KeyPackage: the proof that the joiner holds a ticket (6)."""
JOINER = 0x8D0A
"""KeyPackage: what a joiner tells of itself besides (6)."""
ANSWER_KEY = 0x8D0B
"""SafeAAD of a joiner's proposal: the HPKE key that the answer is sealed to (6)."""

LEAF_REPLACE = 0xF0D2
"""Proposal type: an owner replaces a member's leaf by a newer one of that member (X-10)."""
