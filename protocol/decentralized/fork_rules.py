"""The clauses that a message of a group with forks can break, each with where it is written."""

from __future__ import annotations

import enum


class ForkRule(enum.Enum):
    """One clause: (id or section of the draft, what must hold)."""

    EXTERNAL_COMMIT_ON_HEAD = ("K-10", "an external commit starts from an epoch without a child")
    RESUMPTION_PSK = ("K-19", "no resumption PSK is used: its id does not tell forks apart")
    LINEAGE = ("K-16", "a GroupInfo names the epochs before it, and an external join needs its own too")
    OTHER_GROUP = ("K-18", "a Welcome that brings us back is to the same group, in the same suite")
