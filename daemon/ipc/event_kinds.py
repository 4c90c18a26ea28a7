"""The kinds of events that apps can hear, as data: subscriptions are checked against it, the reference shows it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

EVENT_KINDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "message.received": (
        "a message for the app; `to` is this node's own identity where it is for it alone, else null",
        (
            "sender",
            "sender_name",
            "id",
            "to",
            "to_name",
            "type",
            "body",
            "encoding",
            "refs",
            "epoch",
            "dmls_epoch",
        ),
    ),
    "message.sent": (
        "an own message is encrypted; `recipients` is how many others can read it, `to` the one member that it is "
        "for, or null",
        ("id", "to", "to_name", "type", "body", "encoding", "recipients", "epoch", "dmls_epoch"),
    ),
    "message.undelivered": (
        "an own message to one member will not be sent: that was `removed` or `blocked` before it could be",
        ("id", "to", "to_name", "reason"),
    ),
    "messages.unavailable": (
        "messages of one owner will not come: of an ended epoch only the first `held` did (where this node was "
        "put back or restored from a backup, also of what follows until it was added again), and none of a branch"
        " that was closed by an epoch where `held` is 0; or, where it was added again, its owner has lost `count`"
        " of those that this node never got. The other one is null",
        ("owner", "epoch", "held", "count"),
    ),
    "group.stalled": (
        "peers have more of one member's group, and nothing of it has come for a day; `epoch` is how far it came",
        ("owner", "epoch", "since"),
    ),
    "frames.dropped": (
        "what this node kept for members that have not acknowledged it is gone; `reason` is `quota` or `age`",
        ("owner", "frames", "bytes", "reason"),
    ),
    "archive.begun": ("this node is an archiver, and a universe has named it", ("name",)),
    "archive.full": (
        "an archiver's quota for a universe is used up, or what one member may bring of it: nothing more is taken "
        "until there is room, which `archive.room` tells; nothing that is kept goes for it",
        ("frames", "bytes", "quota"),
    ),
    "archive.room": ("an archiver takes frames of a universe again", ("frames", "bytes", "quota")),
    "archive.dropped": ("what an archiver kept is gone; `reason` is `age`", ("frames", "bytes", "reason")),
    "archive.bad_commit": (
        "a commit that its owner signed does not open at this archiver, or breaks a rule there; told once a run of an "
        "owner. It is kept, as members may see it otherwise",
        ("owner", "epoch", "reason"),
    ),
    "archive.ended": (
        "an archiver has forgotten a universe with all that it kept of it; `reason` is `removed` where the roster "
        "names it no more, `dropped` where archiver.drop said so",
        ("reason",),
    ),
    "universe.created": ("founded here", ("name",)),
    "universe.joined": ("a join is done", ("name", "members")),
    "join.failed": ("a join was refused", ("reason",)),
    "universe.left": ("this node has left, and wiped what it had of the universe but the history", ()),
    "universe.converged": ("all members report the same, and nothing is missing", ("members",)),
    "universe.diverged": (
        "it had converged, and for ten minutes these members lack what the others have",
        ("since", "members"),
    ),
    "member.healed": (
        "a theft of this member's state before this time is healed in every send group",
        ("identity", "before", "groups"),
    ),
    "member.stale": ("a member has not renewed its keys for three days", ("identity", "last_update")),
    "member.joined": ("somebody is new in the roster", ("identity", "name", "sponsor")),
    "member.renamed": (
        "somebody, perhaps this node's user, calls itself something else now",
        ("identity", "name", "old_name"),
    ),
    "member.key_changed": (
        "a person has keys that may not be expected; told once, and nothing is held back. `reason` is `name` where its "
        "name looks like those of `others`, other people that this node knows (of whom `verified_at` says whether "
        "they were verified), or `keys` where it is the same person with a new signature key or node, as it started "
        "anew or came back",
        ("identity", "name", "reason", "peer_id", "verified_at", "others"),
    ),
    "member.asks_again": (
        "a member whose node was put back to an old state, or runs twice, asks to start anew; member.readmit "
        "admits it, once two people have compared `verification`, which its own node shows too",
        ("identity", "name", "verification"),
    ),
    "member.readmitted": (
        "a member starts anew, with a new send group; `sponsor` has admitted it",
        ("identity", "name", "sponsor"),
    ),
    "universe.recovering": (
        "this node starts anew, and asks to be admitted; what is sent is queued. `reason` is `command` where "
        "universe.recover said so; `verification` is what two people compare",
        ("reason", "verification"),
    ),
    "universe.recovered": ("this node is admitted anew, and sends what was queued", ()),
    "universe.superseded": (
        "another copy of this node was admitted anew, so this one sends nothing any more; universe.recover "
        "makes it the one that counts",
        (),
    ),
    "member.removed": (
        "somebody, perhaps this node, is no member any more. `reason` is `removed`, `left`, or `admission` where who "
        "admitted it, or made its ticket, had lost the right to; `by` is who removed it, or who lost that right",
        ("identity", "reason", "by"),
    ),
    "member.role": ("a member, perhaps this node, has another role", ("identity", "name", "role")),
    "policy.changed": (
        "the universe's policy: the weakest role that may invite, and the one that may remove",
        ("invite", "remove"),
    ),
    "member.admitted": (
        "every member's send group has this member now, perhaps this node, as far as is seen here",
        ("identity", "name", "groups"),
    ),
    "removal.done": (
        "no member's send group has this former member any more",
        ("identity", "name", "groups"),
    ),
    "member.excluded": (
        "this node was removed from one member's group; `absent` where the owner says that nothing was heard of it "
        "for long: universe.rejoin brings it back",
        ("owner", "epoch", "absent"),
    ),
    "member.suspended": (
        "nothing was heard of a member for a month, so this node has removed it from its own group until it comes "
        "back",
        ("identity", "last_heard"),
    ),
    "member.returned": ("a suspended member is back, and is added again", ("identity",)),
    "member.stuck": (
        "a member, perhaps this node, cannot follow another's group and asks to be added again; `reason` is `commit`, "
        "`welcome`, `psk` or `gone`",
        ("identity", "owner", "reason"),
    ),
    "group.entered": ("this node is now in one more member's group", ("owner", "name", "epoch")),
    "epoch.started": (
        "a commit of some member, also of this node; `path` tells whether its keys are fresh, `imports` how "
        "many others' secrets it mixed in, `removed` whom it removed",
        ("owner", "epoch", "dmls_epoch", "path", "imports", "removed"),
    ),
    "import.done": ("the own group has imported others' secrets", ("count",)),
    "fork.detected": (
        "an owner committed twice on one epoch; `evidence` is a text that anybody can check with `starling evidence "
        "verify`, empty where it proves nothing to others; `heads` are the newest epochs of all branches that are "
        "followed, first the one that counts here",
        ("owner", "parent", "epoch", "heads", "evidence"),
    ),
    "fork.resolved": (
        "an owner says which branch it goes on with: its epoch `head` follows no `closed` one; who lacks something of "
        "those still gets it",
        ("owner", "head", "closed"),
    ),
    "clone.detected": (
        "two nodes act as this owner, perhaps this node's own: nothing is imported from it until the roster says "
        "something new of it; `evidence` as with fork.detected",
        ("owner", "evidence"),
    ),
    "epoch.settled": (
        "nobody needs these epochs of an owner any more, and their secrets are gone; `closed` where they are of a "
        "branch that the owner gave up",
        ("owner", "epochs", "closed"),
    ),
    "rollback.suspected": (
        "a peer knows an epoch of the own group that this node does not: was it put back to an old state?",
        ("peer_id", "epoch", "head"),
    ),
    "rollback.detected": (
        "a commit in the own group that this node signed and does not know: it was put back to an old state, or "
        "runs twice",
        ("parent", "epoch", "evidence"),
    ),
}
"""Kind: (when it happens, the members of its body)."""


def check_kinds(kinds: Iterable[str]) -> None:
    """ValueError, with the nearest kind, for one that never happens."""
    for kind in kinds:
        if kind not in EVENT_KINDS:
            near = difflib.get_close_matches(kind[:64], EVENT_KINDS, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(EVENT_KINDS)}"
            raise ValueError(f"has {kind[:64]!r}, which is no kind of event; {hint}")
