"""Roles and what they allow, and the universe's policy about it (PROTOCOL 6).

A reader receives and reports; a member writes, invites and admits; an admin does everything. Whether members may also
remove, or not even invite, the policy says.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from starling.protocol.distributed.rules import Rule
from starling.protocol.errors import Invalid

READER, MEMBER, ADMIN = "reader", "member", "admin"

ROLES = (READER, MEMBER, ADMIN)
"""From the weakest to the strongest."""

NOBODY = 0
"""The rank of who is not in the universe, below all roles."""

_RANKS = {role: number for number, role in enumerate(ROLES, 1)}

_SETTINGS = (MEMBER, ADMIN)


def rank(role: str) -> int:
    """A role as a number from 1, to compare by."""
    return _RANKS[role]


@dataclass(frozen=True, slots=True)
class Policy:
    """The weakest role that may invite members and readers, and remove them: `member` or `admin`. Raises Invalid."""

    invite: str = MEMBER
    remove: str = ADMIN

    def __post_init__(self) -> None:
        if self.invite not in _SETTINGS or self.remove not in _SETTINGS:
            raise Invalid(Rule.ENTRY_BODY, "a policy names the role member or admin")

    def stricter(self, other: Policy) -> Policy:
        """What two policies both allow."""
        return Policy(max(self.invite, other.invite, key=rank), max(self.remove, other.remove, key=rank))


class Right(enum.StrEnum):
    """What one may do in a universe, or not."""

    SPEAK = "speak"
    INVITE = "invite"
    SPONSOR = "sponsor"
    TOPIC = "topic"
    REVOKE = "revoke"
    """Somebody else's invite; one's own, whoever may invite."""
    REMOVE = "remove"
    READMIT = "readmit"
    ROLE = "role"
    POLICY = "policy"
    ARCHIVER = "archiver"


_MEMBERS_RIGHTS = frozenset({Right.SPEAK, Right.INVITE, Right.SPONSOR, Right.TOPIC, Right.REMOVE})
"""What a member may do, with whom and where the policy allows it."""


@dataclass(frozen=True, slots=True)
class Need:
    """What a deed needs of who does it: a rank, and what the policy asks for on top where it is asked at all."""

    rank: int
    setting: str = ""

    def under(self, policy: Policy) -> int:
        """The rank that is needed while this policy holds."""
        match self.setting:
            case "invite":
                return max(self.rank, rank(policy.invite))
            case "remove":
                return max(self.rank, rank(policy.remove))
        return self.rank


def need(right: Right, role: str = READER) -> Need:
    """What a right asks for; `role` is that of the invitee (INVITE) or of who is to go (REMOVE).

    Only admins have to do with admins.
    """
    least = rank(MEMBER) if right in _MEMBERS_RIGHTS else rank(ADMIN)
    match right:
        case Right.INVITE | Right.REMOVE:
            return Need(max(least, rank(role)), right.value)
    return Need(least)
