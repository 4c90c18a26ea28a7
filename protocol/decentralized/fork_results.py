"""What a message of a group with forks, or a commit of our own, came to."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from starling.protocol.errors import Pending
from starling.protocol.mls.framing import AuthenticatedContent
from starling.protocol.mls.group_changes import StagedCommit


class UnknownEpoch(Pending):
    """A message of an epoch whose commit has not come yet: keep it, ask for the commit, and try again (K-13)."""

    def __init__(self, dmls_epoch: bytes) -> None:
        super().__init__("the epoch is not known yet")
        self.dmls_epoch = dmls_epoch


class IgnoredReason(enum.Enum):
    """Why nothing is done with a message that may be in order."""

    KNOWN = "it was processed before, or is our own"
    DELETED = "the secrets of its epoch are gone, or it was before we joined"
    EVICTED = "its parent has too many children already, and it would not win"


@dataclass(frozen=True, slots=True)
class Ignored:
    reason: IgnoredReason


@dataclass(frozen=True, slots=True)
class ForkMessage:
    """A verified application message of some fork. `sender` is the member's id."""

    dmls_epoch: bytes
    sender: bytes
    application_data: bytes = field(repr=False)
    authenticated_data: bytes


@dataclass(frozen=True, slots=True)
class ForkTargetedMessage(ForkMessage):
    """The same for one that only this member can read."""


@dataclass(frozen=True, slots=True)
class ForkProposal:
    """A verified proposal, kept for the commits of its epoch; `reference` is its ProposalRef (Nh bytes)."""

    dmls_epoch: bytes
    reference: bytes
    content: AuthenticatedContent


@dataclass(frozen=True, slots=True)
class ForkCommit:
    """A commit that was entered: `dmls_epoch` is the epoch it starts, None where it removed us.

    `evicted` are epochs whose secrets went since their parent had too many children, perhaps this one: then
    `staged.next` can do nothing any more.
    """

    parent: bytes
    dmls_epoch: bytes | None
    staged: StagedCommit
    evicted: tuple[bytes, ...]


Received = ForkMessage | ForkProposal | ForkCommit | Ignored


@dataclass(frozen=True, slots=True)
class ReleasedCommit:
    """Our commit, to be sent once the group is saved: a DMLSMessage, and an encoded Welcome where members were
    added. `dmls_epoch` is the epoch it starts."""

    message: bytes = field(repr=False)
    welcome: bytes | None = field(repr=False)
    dmls_epoch: bytes
