"""The methods of the socket, as data: validation, the reference and the OpenRPC document come from here.

Kinds of parameters: `string`, `integer`, `number`, `boolean`, `kinds` (a list of event kinds), `hex`, `id16` (hex
of 16 bytes), `ids16` (a list), `universe` (its id, a unique beginning of it, or its name), `member`
(a petname, a name that no other looks like, or the beginning of an identity, of 4 digits or more), `from`
(an event number or "now").
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

API_VERSION = {"major": 1, "minor": 0}
MAX_LINE = 2**20
MAX_BATCH = 64
MAX_CLIENTS = 64
MAX_SUBSCRIPTIONS = 16
MAX_WAIT = 60
FRAMINGS = ("json", "msgpack")
ROLES = ("reader", "member", "admin")
WHO_MAY = ("member", "admin")


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


def _members(*lines: str) -> tuple[Member, ...]:
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


_UNIVERSE = Parameter("universe", "universe", "id, unique beginning of the id, or name", True)
_MEMBER = Parameter(
    "member", "member", "petname, unambiguous name, or beginning of the identity", True, low=1, high=256
)
_WAIT = Parameter("wait", "boolean", "false: answer as soon as it is saved", default=True)
_TIMEOUT = Parameter("timeout", "number", "seconds to wait at most", default=15, low=0, high=MAX_WAIT)
_LIMIT = Parameter("limit", "integer", "how many at most", default=100, low=1, high=1000)
_KINDS = Parameter("kinds", "kinds", "event kinds wanted, all where absent", high=64)
_SUITE = Parameter(
    "cipher_suite", "integer", "the MLS cipher suite of the own send group", default=1, low=1, high=65535
)

_STATUS = _members(
    "version string",
    "pid integer",
    "uptime_s number",
    "socket string",
    "addresses list where this node listens",
    "connected integer how many peers",
    "last_event integer",
    "commits integer how many transactions since the start",
    "network object counters",
    "name string?",
    "identity string?",
    "peer_id string?",
    "role string? member or archiver",
    "universes integer?",
    "archives list? of an archiver: what it keeps of each universe",
    "rollback_suspected list? ids of the universes in which this node seems to be put back to an old state",
)
_UNIVERSE_VIEW = _members(
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
    "quota_frames integer?",
    "full boolean? of an archiver: it takes nothing more",
    "floors integer? of an archiver: how many members have signed what they want no more",
)
_TICKET = _members(
    "universe_id string",
    "universe_name string",
    "invite_id string",
    "inviter string",
    "inviter_name string",
    "expires_at integer",
    "expired boolean",
    "members list whom it tells to dial",
)

_PROFILE = _members("name string", "identity string", "peer_id string", "addresses list")
_PERSON = _members(
    "identity string",
    "name string what the person claims to be called",
    "petname string?",
    "display_name string what to show",
    "verified_at integer? when the digits of the pair were compared",
)

METHODS = {
    method.name: method
    for method in (
        Method(
            "hello",
            "Agree on the version of this interface; may come first, and need not.",
            (
                Parameter("client", "string", "name of the app, for the log", high=128),
                Parameter("want", "string", "wanted version, such as 1.x", high=16),
                Parameter(
                    "framing",
                    "string",
                    "of all that follows this request and its answer; by the first request of a connection only",
                    values=FRAMINGS,
                ),
            ),
            _members(
                "server string",
                "version string",
                "api object",
                "features list",
                "framing string",
                "profile object",
            ),
        ),
        Method("ping", "Answer.", (), _members("pong boolean")),
        Method(
            "rpc.discover",
            "This list, as an OpenRPC document.",
            (),
            _members("openrpc string", "info object", "methods list", "x-events list"),
        ),
        Method("daemon.status", "How the node is.", (), _STATUS),
        Method("daemon.shutdown", "End the daemon cleanly.", (), _members("stopping boolean")),
        Method(
            "profile.get",
            "Who this node is.",
            (),
            _PROFILE,
        ),
        Method(
            "profile.set",
            "Call oneself something else; the members of all universes are told.",
            (Parameter("name", "string", "what others are to read", True, low=1, high=64),),
            _PROFILE,
        ),
        Method(
            "universe.create",
            "Found a universe.",
            (Parameter("name", "string", "for people", True, low=1, high=64), _SUITE),
            _members("universe_id string", "name string"),
        ),
        Method("universe.list", "The universes of this node.", (), _members("universes list")),
        Method("universe.get", "One universe.", (_UNIVERSE,), _UNIVERSE_VIEW),
        Method(
            "universe.join",
            "Join by a ticket; by default waits until joined or refused.",
            (
                Parameter("ticket", "string", "its text or link", True, low=1, high=16384),
                _SUITE,
                _WAIT,
                _TIMEOUT,
            ),
            _members(
                "universe_id string", "state string joined or joining", "name string?", "members integer?"
            ),
        ),
        Method(
            "invite.create",
            "Make a ticket.",
            (
                _UNIVERSE,
                Parameter("uses", "integer", "how many may join with it", default=1, low=1, high=1000),
                Parameter("expires_in", "number", "seconds", default=86400, low=1, high=366 * 86400),
                Parameter("role", "string", "what who joins becomes", default="member", values=ROLES),
            ),
            _members(
                "ticket string",
                "link string the same as a link",
                "invite_id string",
                "expires_at integer",
                "uses integer",
                "role string",
                "sponsors integer how many members it tells to dial",
            ),
        ),
        Method(
            "invite.inspect",
            "What a ticket says, without using it.",
            (Parameter("ticket", "string", "its text or link", True, low=1, high=16384),),
            _TICKET,
        ),
        Method(
            "invite.list",
            "The tickets of a universe: who made each, the role that it gives, how often it may be used, and who came "
            "by it; `state` is open, used, expired, revoked, or overspent where more came than it allows.",
            (_UNIVERSE,),
            _members("invites list"),
        ),
        Method(
            "invite.revoke",
            "Take a ticket back; who joined with it stays.",
            (
                _UNIVERSE,
                Parameter("invite_id", "hex", "of the ticket, or a unique beginning", True, low=4, high=32),
            ),
            _members("revoked string"),
        ),
        Method(
            "universe.recover",
            "Start anew, with a new send group that supersedes the old one: for a node that was put back to an old "
            "state, or for the one of two copies that is to stay. Somebody who may admit members confirms it.",
            (_UNIVERSE,),
            _members(
                "state string asking, or active where nobody has to confirm it",
                "verification string twelve digits to compare with who confirms it",
            ),
        ),
        Method(
            "member.list",
            "Who is in a universe, and who was; of each in how many of all `groups` it is (`in_groups`), or is not any "
            "more (`removed_by`), as the trees show here; whom this node has `blocked` or `suspended`, and who has "
            "removed this node (`excludes_us`).",
            (_UNIVERSE, replace(_MEMBER, required=False, doc="only this one")),
            _members("members list", "former_members list"),
        ),
        Method(
            "member.name",
            "Call a person something on this node, in all universes; nobody else hears of it.",
            (
                _UNIVERSE,
                _MEMBER,
                Parameter(
                    "petname", "string", "your own name for the person; without it cleared", low=1, high=64
                ),
            ),
            _PERSON,
        ),
        Method(
            "member.verify",
            "Twelve digits of this node's user and another person, the same on both sides, for them to compare; and "
            "whether that was done.",
            (
                _UNIVERSE,
                _MEMBER,
                Parameter(
                    "verified", "boolean", "true: they were compared and are the same; false: take that back"
                ),
            ),
            (*_PERSON, *_members("verification string the twelve digits")),
        ),
        Method(
            "member.remove",
            "Remove a member, where the policy of the universe lets this node.",
            (_UNIVERSE, _MEMBER),
            _members("removed string the identity"),
        ),
        Method(
            "member.role",
            "Give a member another role: readers receive and cannot write, members write and admit, admins do all. "
            "Admins only.",
            (_UNIVERSE, _MEMBER, Parameter("role", "string", "the new one", True, values=ROLES)),
            _members("identity string", "role string"),
        ),
        Method(
            "universe.policy",
            "Who may invite, and who may remove; without `invite` and `remove` only what holds. Only admins set it.",
            (
                _UNIVERSE,
                Parameter("invite", "string", "who may invite members and readers", values=WHO_MAY),
                Parameter("remove", "string", "who may remove members and readers", values=WHO_MAY),
            ),
            _members("invite string member or admin", "remove string member or admin"),
        ),
        Method(
            "member.block",
            "Keep a member out of this node's own send group, and show nothing that it says; a member it stays.",
            (_UNIVERSE, _MEMBER),
            _members("blocked string"),
        ),
        Method(
            "member.unblock",
            "Take a blocked member into the own send group again; what it said meanwhile is not shown.",
            (_UNIVERSE, _MEMBER),
            _members("unblocked string"),
        ),
        Method(
            "universe.leave",
            "Leave a universe for good, also with nobody connected: the others are told when somebody is, for a week. "
            "All but the history is wiped at once.",
            (
                _UNIVERSE,
                Parameter("force", "boolean", "leave also as the last admin", default=False),
            ),
            _members("told integer how many members were connected"),
        ),
        Method(
            "universe.rejoin",
            "Have all members add this node again who have removed it from their groups while it was away for long.",
            (_UNIVERSE,),
            _members("groups integer how many those are, as far as is known"),
        ),
        Method(
            "member.readmit",
            "Confirm that a member may start anew (admins only).",
            (
                _UNIVERSE,
                _MEMBER,
                Parameter(
                    "verification",
                    "string",
                    "the twelve digits of its request, compared with the person before",
                    True,
                    low=1,
                    high=32,
                ),
            ),
            _members("readmitted string the identity"),
        ),
        Method(
            "message.send",
            "Send to everyone in a universe, or to one member: then the others see who writes to whom, when, and the "
            "size class, and cannot read it. Once for each id; by default waits until it is encrypted. A message to a "
            "member that is not in this node's group stays queued until it is.",
            (
                _UNIVERSE,
                Parameter("body", "string", "text, or base64 as `encoding` says", True, high=MAX_LINE),
                Parameter("encoding", "string", "of the body", default="utf8", values=("utf8", "base64")),
                Parameter("type", "string", "of the message", default="text", low=1, high=64),
                Parameter("id", "id16", "drawn by the app, to make a repeat harmless"),
                Parameter("refs", "ids16", "messages that this one answers", high=16),
                replace(_MEMBER, name="to", required=False, doc="the one member that it is for"),
                _WAIT,
                _TIMEOUT,
            ),
            _members(
                "id string",
                "state string sent, queued, or undelivered: the member has gone before it could be sent",
                "recipients integer? how many others can read it",
                "epoch integer?",
                "dmls_epoch string?",
                "warning string? something is wrong with this node's state",
            ),
        ),
        Method(
            "message.history",
            "Messages of a universe, own ones too, oldest first; the newest page without `before`. What has `notice` "
            "is no message but an event of that kind, about `sender`, which belongs among them.",
            (_UNIVERSE, Parameter("before", "integer", "a message's number", low=0), _LIMIT),
            _members("messages list", "more boolean"),
        ),
        Method(
            "events.subscribe",
            "Every event after a named cursor or a number, then each new one, as notifications `events.event`.",
            (
                Parameter(
                    "cursor",
                    "string",
                    "name of a cursor; a new one begins at `from`, at the oldest kept event without it",
                    low=1,
                    high=64,
                ),
                Parameter(
                    "from",
                    "from",
                    'number of the last event known, or "now", which it is without cursor and number',
                ),
                _KINDS,
                Parameter("universe", "universe", "only events of this one"),
            ),
            _members("subscription integer", "from integer", "last integer"),
        ),
        Method(
            "events.unsubscribe",
            "End a subscription of this connection.",
            (Parameter("subscription", "integer", "its number", True),),
            _members("ended integer"),
        ),
        Method(
            "events.ack",
            "Move a named cursor forward, durably: the events up to `seq` are done.",
            (
                Parameter("cursor", "string", "its name", True, low=1, high=64),
                Parameter("seq", "integer", "an event number", True, low=0),
            ),
            _members("cursor string", "seq integer"),
        ),
        Method(
            "events.list",
            "A page of events.",
            (Parameter("after", "integer", "an event number", default=0, low=0), _LIMIT, _KINDS),
            _members("events list", "last integer", "next integer"),
        ),
        Method("security.update", "Commit with fresh keys now.", (_UNIVERSE,), _members("epoch integer")),
        Method(
            "security.view",
            "Who is healed of a theft from when, who is stale, and twelve digits over roster and heads that two people "
            "can compare. At most eight send groups are named for a member; for one member all.",
            (
                _UNIVERSE,
                replace(_MEMBER, required=False, doc="only of this one, with every send group"),
            ),
            _members(
                "converged boolean",
                "digest string? the twelve digits, the same at all nodes that have converged on roster and heads",
                "digest_hex string? the whole digest",
                "diverged_since integer? since when somebody lacks what others have, where that was told",
                "members list",
            ),
        ),
        Method(
            "fork.list",
            "Of every send group the heads, the parents of several branches, who is where by its own reports, and what "
            "is kept of old epochs, why, and until when. At most three members are named in a list; for one group all.",
            (_UNIVERSE, replace(_MEMBER, required=False, doc="only this one's group")),
            _members("send_groups list"),
        ),
        Method(
            "evidence.list",
            "What proves to anybody that an owner committed twice: a text for each send group, with the epochs that it "
            "is about.",
            (_UNIVERSE,),
            _members("evidence list"),
        ),
        Method(
            "archiver.offer",
            "On an archiver's own node: make an offer, by which one universe may name it.",
            (),
            _members("offer string for somebody who may name archivers"),
        ),
        Method(
            "archiver.drop",
            "On an archiver's own node: forget a universe, with everything that is kept of it.",
            (_UNIVERSE,),
            _members("dropped string"),
        ),
        Method(
            "archiver.add",
            "Name an archiver: a node that is no member and keeps ciphertext for members who are away.",
            (_UNIVERSE, Parameter("offer", "string", "the offer's text", True, low=1, high=16384)),
            _members("archiver string its identity"),
        ),
        Method(
            "archiver.remove",
            "Take an archiver's name off the roster; it forgets what it keeps.",
            (
                _UNIVERSE,
                Parameter("archiver", "string", "its name, or beginning of its identity", True, high=64),
            ),
            _members("removed string its identity"),
        ),
        Method(
            "archiver.list",
            "The archivers of a universe: who named each, whether it is connected and full, whether this node has all "
            "that it has, and the other way round.",
            (_UNIVERSE,),
            _members("archivers list"),
        ),
        Method("peer.list", "The peers connected or known.", (), _members("connected list", "known list")),
    )
}
