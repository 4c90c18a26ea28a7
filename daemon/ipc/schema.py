"""The methods of the socket, as data: validation, the reference and the OpenRPC document come from here."""

from __future__ import annotations

from dataclasses import replace

from starling.daemon.ipc.limits import MAX_LINE
from starling.daemon.ipc.shapes import (
    KINDS,
    LIMIT,
    MEMBER,
    PERSON,
    PROFILE,
    STATUS,
    SUITE,
    TICKET,
    TIMEOUT,
    UNIVERSE,
    UNIVERSE_VIEW,
    WAIT,
    Method,
    Parameter,
    members,
)

API_VERSION = {"major": 1, "minor": 0}
FRAMINGS = ("json", "msgpack")
ROLES = ("reader", "member", "admin")
WHO_MAY = ("member", "admin")

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
            members(
                "server string",
                "version string",
                "api object",
                "features list",
                "framing string",
                "profile object",
            ),
        ),
        Method("ping", "Answer.", (), members("pong boolean")),
        Method(
            "rpc.discover",
            "This list, as an OpenRPC document.",
            (),
            members("openrpc string", "info object", "methods list", "x-events list"),
        ),
        Method("daemon.status", "How the node is.", (), STATUS),
        Method("daemon.shutdown", "End the daemon cleanly.", (), members("stopping boolean")),
        Method(
            "profile.get",
            "Who this node is.",
            (),
            PROFILE,
        ),
        Method(
            "profile.set",
            "Call oneself something else; the members of all universes are told.",
            (Parameter("name", "string", "what others are to read", True, low=1, high=64),),
            PROFILE,
        ),
        Method(
            "universe.create",
            "Found a universe.",
            (Parameter("name", "string", "for people", True, low=1, high=64), SUITE),
            members("universe_id string", "name string"),
        ),
        Method("universe.list", "The universes of this node.", (), members("universes list")),
        Method("universe.get", "One universe.", (UNIVERSE,), UNIVERSE_VIEW),
        Method(
            "universe.join",
            "Join by a ticket; by default waits until joined or refused.",
            (
                Parameter("ticket", "string", "its text or link", True, low=1, high=16384),
                SUITE,
                WAIT,
                TIMEOUT,
            ),
            members(
                "universe_id string", "state string joined or joining", "name string?", "members integer?"
            ),
        ),
        Method(
            "invite.create",
            "Make a ticket.",
            (
                UNIVERSE,
                Parameter("uses", "integer", "how many may join with it", default=1, low=1, high=1000),
                Parameter("expires_in", "number", "seconds", default=86400, low=1, high=366 * 86400),
                Parameter("role", "string", "what who joins becomes", default="member", values=ROLES),
            ),
            members(
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
            TICKET,
        ),
        Method(
            "invite.list",
            "The tickets of a universe: who made each, the role that it gives, how often it may be used, and who came "
            "by it; `state` is open, used, expired, revoked, or overspent where more came than it allows.",
            (UNIVERSE,),
            members("invites list"),
        ),
        Method(
            "invite.revoke",
            "Take a ticket back; who joined with it stays.",
            (
                UNIVERSE,
                Parameter("invite_id", "hex", "of the ticket, or a unique beginning", True, low=4, high=32),
            ),
            members("revoked string"),
        ),
        Method(
            "universe.recover",
            "Start anew, with a new send group that supersedes the old one: for a node that was put back to an old "
            "state, or for the one of two copies that is to stay. Somebody who may admit members confirms it.",
            (UNIVERSE,),
            members(
                "state string asking, or active where nobody has to confirm it",
                "verification string twelve digits to compare with who confirms it",
            ),
        ),
        Method(
            "member.list",
            "Who is in a universe, and who was; of each in how many of all `groups` it is (`in_groups`), or is not any "
            "more (`removed_by`), as the trees show here; why somebody is none any more (`reason`, `by`, `by_name` as "
            "of the event member.removed); whom this node has `blocked` or `suspended`, who has "
            "removed this node (`excludes_us`), and as whom two nodes act (`runs_twice`).",
            (UNIVERSE, replace(MEMBER, required=False, doc="only this one")),
            members("members list", "former_members list"),
        ),
        Method(
            "member.name",
            "Call a person something on this node, in all universes; nobody else hears of it.",
            (
                UNIVERSE,
                MEMBER,
                Parameter(
                    "petname", "string", "your own name for the person; without it cleared", low=1, high=64
                ),
            ),
            PERSON,
        ),
        Method(
            "member.verify",
            "Twelve digits of this node's user and another person, the same on both sides, for them to compare; and "
            "whether that was done.",
            (
                UNIVERSE,
                MEMBER,
                Parameter(
                    "verified", "boolean", "true: they were compared and are the same; false: take that back"
                ),
            ),
            (*PERSON, *members("verification string the twelve digits")),
        ),
        Method(
            "member.remove",
            "Remove a member, where the policy of the universe lets this node. With `disown` all that it did falls: "
            "who came by it alone is no member any more either, and whom it removed is one again. Only who is more "
            "senior may: the founder anybody's, others those of whom they gave rights to, and of who comes after.",
            (
                UNIVERSE,
                MEMBER,
                Parameter("disown", "boolean", "undo all that it did, too", default=False),
            ),
            members("removed string the identity", "fell list of identities: who went with it"),
        ),
        Method(
            "member.role",
            "Give a member another role: readers receive and cannot write, members write and admit, admins do all. "
            "Admins only.",
            (UNIVERSE, MEMBER, Parameter("role", "string", "the new one", True, values=ROLES)),
            members("identity string", "role string"),
        ),
        Method(
            "universe.policy",
            "Who may invite, and who may remove; without `invite` and `remove` only what holds. Only admins set it.",
            (
                UNIVERSE,
                Parameter("invite", "string", "who may invite members and readers", values=WHO_MAY),
                Parameter("remove", "string", "who may remove members and readers", values=WHO_MAY),
            ),
            members("invite string member or admin", "remove string member or admin"),
        ),
        Method(
            "member.block",
            "Keep a member out of this node's own send group, and show nothing that it says; a member it stays.",
            (UNIVERSE, MEMBER),
            members("blocked string"),
        ),
        Method(
            "member.unblock",
            "Take a blocked member into the own send group again; what it said meanwhile is not shown.",
            (UNIVERSE, MEMBER),
            members("unblocked string"),
        ),
        Method(
            "universe.leave",
            "Leave a universe for good, also with nobody connected: the others are told when somebody is, for a week. "
            "All but the history is wiped at once.",
            (
                UNIVERSE,
                Parameter("force", "boolean", "leave also as the last admin", default=False),
            ),
            members("told integer how many members were connected"),
        ),
        Method(
            "universe.rejoin",
            "Have all members add this node again who have removed it from their groups while it was away for long.",
            (UNIVERSE,),
            members("groups integer how many those are, as far as is known"),
        ),
        Method(
            "member.readmit",
            "Confirm that a member may start anew (admins only).",
            (
                UNIVERSE,
                MEMBER,
                Parameter(
                    "verification",
                    "string",
                    "the twelve digits of its request, compared with the person before",
                    True,
                    low=1,
                    high=32,
                ),
            ),
            members("readmitted string the identity"),
        ),
        Method(
            "message.send",
            "Send to everyone in a universe, or to one member: then the others see who writes to whom, when, and the "
            "size class, and cannot read it. Once for each id; by default waits until it is encrypted. A message to a "
            "member that is not in this node's group stays queued until it is.",
            (
                UNIVERSE,
                Parameter("body", "string", "text, or base64 as `encoding` says", True, high=MAX_LINE),
                Parameter("encoding", "string", "of the body", default="utf8", values=("utf8", "base64")),
                Parameter("type", "string", "of the message", default="text", low=1, high=64),
                Parameter("id", "id16", "drawn by the app, to make a repeat harmless"),
                Parameter("refs", "ids16", "messages that this one answers", high=16),
                replace(MEMBER, name="to", required=False, doc="the one member that it is for"),
                WAIT,
                TIMEOUT,
            ),
            members(
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
            (UNIVERSE, Parameter("before", "integer", "a message's number", low=0), LIMIT),
            members("messages list", "more boolean"),
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
                KINDS,
                Parameter("universe", "universe", "only events of this one"),
            ),
            members("subscription integer", "from integer", "last integer"),
        ),
        Method(
            "events.unsubscribe",
            "End a subscription of this connection.",
            (Parameter("subscription", "integer", "its number", True),),
            members("ended integer"),
        ),
        Method(
            "events.ack",
            "Move a named cursor forward, durably: the events up to `seq` are done.",
            (
                Parameter("cursor", "string", "its name", True, low=1, high=64),
                Parameter("seq", "integer", "an event number", True, low=0),
            ),
            members("cursor string", "seq integer"),
        ),
        Method(
            "events.list",
            "A page of events.",
            (Parameter("after", "integer", "an event number", default=0, low=0), LIMIT, KINDS),
            members("events list", "last integer", "next integer"),
        ),
        Method("security.update", "Commit with fresh keys now.", (UNIVERSE,), members("epoch integer")),
        Method(
            "security.view",
            "Who is healed of a theft from when, who is stale, and twelve digits over roster and heads that two people "
            "can compare. At most eight send groups are named for a member; for one member all.",
            (
                UNIVERSE,
                replace(MEMBER, required=False, doc="only of this one, with every send group"),
            ),
            members(
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
            (UNIVERSE, replace(MEMBER, required=False, doc="only this one's group")),
            members("send_groups list"),
        ),
        Method(
            "evidence.list",
            "What proves to anybody that an owner committed twice or runs twice: a text for each send group, with the "
            "epochs that it is about, and how often one of two nodes denied to be the other.",
            (UNIVERSE,),
            members("evidence list"),
        ),
        Method(
            "archiver.offer",
            "On an archiver's own node: make an offer, by which one universe may name it.",
            (),
            members("offer string for somebody who may name archivers"),
        ),
        Method(
            "archiver.drop",
            "On an archiver's own node: forget a universe, with everything that is kept of it.",
            (UNIVERSE,),
            members("dropped string"),
        ),
        Method(
            "archiver.add",
            "Name an archiver: a node that is no member and keeps ciphertext for members who are away.",
            (UNIVERSE, Parameter("offer", "string", "the offer's text", True, low=1, high=16384)),
            members("archiver string its identity"),
        ),
        Method(
            "archiver.remove",
            "Take an archiver's name off the roster; it forgets what it keeps.",
            (
                UNIVERSE,
                Parameter("archiver", "string", "its name, or beginning of its identity", True, high=64),
            ),
            members("removed string its identity"),
        ),
        Method(
            "archiver.list",
            "The archivers of a universe: who named each, whether it is connected and full, whether this node has all "
            "that it has, and the other way round.",
            (UNIVERSE,),
            members("archivers list"),
        ),
        Method(
            "backup.export",
            "Write a backup of this node to a new file of mode 0600: identity, universes, people and history, nothing "
            "of live groups. 'starling restore' makes a node of it.",
            (
                Parameter("path", "string", "absolute path of the file", True, low=1, high=4096),
                Parameter("passphrase", "string", "what opens it", True, low=8, high=1024),
            ),
            members("path string", "time integer", "messages integer how many", "bytes integer"),
        ),
        Method("peer.list", "The peers connected or known.", (), members("connected list", "known list")),
    )
}
