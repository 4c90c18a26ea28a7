"""What methods of the socket are described by, and the parameters and answers that several of them share.

Kinds of parameters: `string`, `integer`, `number`, `boolean`, `kinds` (a list of event kinds), `hex`, `id16` (hex
of 16 bytes), `ids16` (a list), `universe` (its id, a unique beginning of it, or its name), `member`
(a petname, a name that no other looks like, or the beginning of an identity, of 4 digits or more), `from`
(an event number or "now").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MAX_WAIT = 60


@dataclass(frozen=True, slots=True)
class Parameter:
    """One named parameter; None is its value where it is optional, absent, and has no default."""

    name: str
    kind: str
    doc: str
    required: bool = False
    default: Any = None
    low: float = 0
    high: float = 2**53
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Member:
    """One member of an answer; an optional one can be missing, or null."""

    name: str
    kind: str
    optional: bool
    doc: str


def members(*lines: str) -> tuple[Member, ...]:
    """Members from lines `name kind doc`; a kind that ends in `?` is optional."""
    members = []
    for line in lines:
        name, kind, *doc = line.split(" ", 2)
        members.append(Member(name, kind.rstrip("?"), kind.endswith("?"), "".join(doc)))
    return tuple(members)


@dataclass(frozen=True, slots=True)
class Method:
    """One method: `result` are the members of the object that answers it."""

    name: str
    doc: str
    params: tuple[Parameter, ...] = ()
    result: tuple[Member, ...] = ()


UNIVERSE = Parameter("universe", "universe", "id, unique beginning of the id, or name", True)
MEMBER = Parameter(
    "member", "member", "petname, unambiguous name, or beginning of the identity", True, low=1, high=256
)
WAIT = Parameter("wait", "boolean", "false: answer as soon as it is saved", default=True)
TIMEOUT = Parameter("timeout", "number", "seconds to wait at most", default=15, low=0, high=MAX_WAIT)
LIMIT = Parameter("limit", "integer", "how many at most", default=100, low=1, high=1000)
KINDS = Parameter("kinds", "kinds", "event kinds wanted, all where absent", high=64)
SUITE = Parameter(
    "cipher_suite", "integer", "the MLS cipher suite of the own send group", default=1, low=1, high=65535
)

STATUS = members(
    "version string",
    "pid integer",
    "uptime_s number",
    "socket string",
    "addresses list where this node listens",
    "connected integer how many peers",
    "last_event integer",
    "commits integer how many transactions since the start",
    "last_backup integer? when the last backup was made",
    "network object counters",
    "name string?",
    "identity string?",
    "peer_id string?",
    "role string? member or archiver",
    "universes integer?",
    "archives list? of an archiver: what it keeps of each universe",
    "rollback_suspected list? ids of the universes in which this node seems to be put back to an old state",
)
UNIVERSE_VIEW = members(
    "universe_id string",
    "name string",
    "converged boolean all members report the same, and nothing is missing",
    "members list as of member.list",
    "former_members list as of member.list",
    "state string? active, joining, removed, left, asking (to be admitted anew) or superseded (by a copy of this "
    "node); of an archiver archiving or full",
    "founder string?",
    "role string? of this node",
    "policy object? the weakest role that may `invite`, and that may `remove`",
    "send_groups integer? of whom this node has the keys",
    "epoch integer? of the own group",
    "cipher_suite integer?",
    "verification string? while asking: twelve digits to compare with who confirms it",
    "ready boolean? whether the own group may be spoken in",
    "queued integer?",
    "waiting integer?",
    "frames integer?",
    "rollback_suspected boolean?",
    "refused object?",
    "commits integer? of an archiver: how many of the frames are commits",
    "opened integer? of an archiver: how many of these it could open, unauthenticated",
    "used integer? of an archiver: bytes of the frames",
    "quota integer? of an archiver: how many bytes it may keep",
    "quota_frames integer? of an archiver: how many frames it may keep",
    "full boolean? of an archiver: it takes nothing more",
    "floors integer? of an archiver: how many members have signed what they want no more",
)
TICKET = members(
    "universe_id string",
    "universe_name string",
    "invite_id string",
    "inviter string",
    "inviter_name string",
    "expires_at integer",
    "expired boolean",
    "members list whom it tells to dial",
)

PROFILE = members("name string", "identity string", "peer_id string", "addresses list")
PERSON = members(
    "identity string",
    "name string what the person claims to be called",
    "petname string?",
    "display_name string what to show",
    "verified_at integer? when the digits of the pair were compared",
)
