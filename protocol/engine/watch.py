"""What is remembered between two looks at a universe: to tell of a change once, and not of ordinary traffic."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Mark:
    """What this node had at some time, which every member should have reached soon after.

    `heads` are by group the newest epoch and how many generations of user messages it had.
    """

    taken_at: int
    roster_digest: bytes
    heads: dict[bytes, tuple[bytes, int]]


@dataclass(slots=True)
class Watch:
    """The state of `watching`, in this run."""

    looked_at: int = 0
    checked_at: int = 0
    """When it was last looked at who is stale and who lags."""
    mark: Mark | None = None
    agreed: bool = False
    """Whether at some look all members had reached the mark: from then on it can be lost."""
    behind_since: int | None = None
    """Since when, at every look, this node itself lacked something that it was told of."""
    diverged_since: int | None = None
    """Told, and not over yet."""
    healed: dict[bytes, int] = field(default_factory=dict)
    """By member: a theft before this was told to be healed everywhere."""
    stale: dict[bytes, int] = field(default_factory=dict)
    """By member: the last update at which it was told to be stale."""
