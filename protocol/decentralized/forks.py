"""Groups that fork and come together again (draft-kohbrok-mls-dmls-02): the names that an application needs.

Send groups need none of it, so the package itself loads nothing.
"""

from starling.protocol.decentralized.deletion import ForkLimits
from starling.protocol.decentralized.fork_results import (
    ForkCommit,
    ForkMessage,
    ForkProposal,
    Ignored,
    IgnoredReason,
    Received,
    ReleasedCommit,
    UnknownEpoch,
)
from starling.protocol.decentralized.fork_rules import ForkRule
from starling.protocol.decentralized.forked_group import ForkedGroup
from starling.protocol.decentralized.held_epochs import SavedForks
from starling.protocol.decentralized.key_schedule import PUNCTURED, punctured_extensions

__all__ = [
    "PUNCTURED",
    "ForkCommit",
    "ForkLimits",
    "ForkMessage",
    "ForkProposal",
    "ForkRule",
    "ForkedGroup",
    "Ignored",
    "IgnoredReason",
    "Received",
    "ReleasedCommit",
    "SavedForks",
    "UnknownEpoch",
    "punctured_extensions",
]
