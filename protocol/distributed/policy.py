"""When a node updates, imports, reports and asks, and how much it keeps: the figures of PROTOCOL X-12, X-19, R1,
5.3, 5.4 and 5.6. Times are in milliseconds."""

from __future__ import annotations

from dataclasses import dataclass

SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

UPDATE_INTERVAL = DAY
UPDATE_MIN_GAP = 10 * MINUTE
IMPORT_BEFORE_SEND = 60 * SECOND
IMPORT_TIMER_LEAST = 60 * SECOND
IMPORT_TIMER_MOST = HOUR
FIRST_PATH_COMMIT = 60 * SECOND
BOOT_WAIT = 5 * SECOND
REPORT_QUIET = 400
REPORT_MIN_GAP = 2 * SECOND
REPORT_UNDER_LOAD = 60 * SECOND
REPORT_BUSY = 4
"""A report that follows the last one within so many gaps doubles the gap, up to that under load (R1)."""

PULSE_INTERVAL = 4 * SECOND
BEHIND_GRACE = 400
ASK_AGAIN = 2 * SECOND
ASK_SELDOM = 5 * MINUTE
JOIN_AGAIN = 2 * SECOND
JOIN_ELSEWHERE = 10 * SECOND
"""After how long without an answer a joiner asks another member of its ticket."""

JOIN_HURRIED = 3
"""How often in a row a joiner asks again at once because the sponsor's group has gone on meanwhile."""

JOIN_PEERS = 64
JOIN_HELLOS_OF_PEER = 16
JOIN_OPENED_OF_PEER = 4
JOIN_OPENED = 64
"""How many peers that want to join are answered in a minute, how often each, and how many sealed requests are opened,
of one and of all: each opening takes as long as some signatures (P-12)."""

JOIN_REMEMBERED = 1024
"""How many requests of one epoch are known again, and how many peers know its key."""

READMIT_AGAIN = 15 * SECOND
READMIT_MIN_GAP = MINUTE
"""How soon a member may make another request to start anew: each is costly to look at, and told."""

READMIT_WAIT = 20 * SECOND
"""How long another node with the keys of who starts anew has to deny it, before anybody is admitted without a person's
word."""

SIGHTING_MIN_GAP = 10 * SECOND
"""How soon another sighting of one member is passed on."""

READMIT_REQUESTS = 4
"""How many requests of one member may wait for a person, the newest: of copies that run each makes its own."""

FLOORS_INTERVAL = MINUTE
"""How often a member tells archivers what it wants no more, at most."""

WAITING_RETENTION = 5 * MINUTE
STALLED = DAY
"""After how long without anything new a group is told to be stalled that peers have more of (5.3)."""

LACK_FORGOTTEN = 3 * HOUR
"""After how long without a peer that says so a group is not lacking anything any more."""

RESOLVE_WAIT = 10 * MINUTE
"""How long an owner that has come back has to close the branches of a fork that is older than a day (R4)."""

WELCOME_WAIT = 5 * MINUTE
"""After how long in vain a group that peers have with this node in it counts as closed to it (R6)."""

BRANCH_WAIT = MINUTE
"""How long an owner may take to say that a branch is dead which this node cannot enter."""

DOUBT_WAIT = HOUR
"""How long nothing of a group settles because peers name heads, or send frames, that nothing known leads to (K-14)."""

GONE_WAIT = MINUTE
"""How long all connected peers have to say that frames of a former member are gone; of a member, without its own word,
a day."""

READD_DELAY = 2 * SECOND
"""After what is found to be stuck the incarnation is raised: it may be stuck in more groups at once."""

READDS_PER_DAY = 4
"""How often a day a node asks to be added again, and adds one member again by itself; one group is the reason for it
once a day. So neither a hostile owner nor a hostile member can have everybody do it endlessly."""

FRAME_RETENTION = 30 * DAY
KEY_PACKAGE_RETENTION = 7 * DAY
KEY_PACKAGE_FRESH = KEY_PACKAGE_RETENTION - DAY
"""How old a KeyPackage may be that takes the place of a leaf: who was away knows only old ones."""

SUSPENDED_AFTER = 30 * DAY
"""How long a member may be silent until each owner suspends it in its own group."""

ABSENCE_FIRST = MINUTE
ABSENCE_INTERVAL = HOUR
"""How soon after a start, and then how often, it is looked at who is silent."""

HEARD_SAVED = 6 * HOUR
"""How often it is saved when each member was last heard."""

LATELY = 7 * DAY
"""Who was heard since then may be worth dialling by a joiner; a node that heard nobody for longer was away itself."""

LEAVE_TOLD = 7 * DAY
LEAVE_AGAIN = 15 * SECOND
"""How long a node that has left looks for somebody to tell it to, and how often it says so to who is connected."""

TOPIC_TURN = 2 * SECOND
"""After somebody has left, how long each member waits for each more senior one to make a new gossip topic."""

MAX_MEMBERS = 150
"""How many members a sponsor admits (X-19): each keeps a group of all, and a path commit seals to all others."""

SWEEP_DELAY = SECOND
"""After how long what changed is looked at in a universe of up to 39 members (`sweep_delay`)."""

SWEEP_INTERVAL = HOUR
"""How often all groups are looked at for what time alone makes due; changed ones are at once."""

STALE = 3 * DAY
"""How old a member's keys may be until it is told to be stale: it renews them every day while it runs."""

DIVERGED = 10 * MINUTE
"""For how long somebody may lack what this node has, or the other way round, until that is told. Reports come within
a minute even under load."""

HEALED_INTERVAL = 5 * SECOND
"""How often it is looked at who is healed: in a universe of a hundred that takes thousands of steps."""

WATCH_INTERVAL = MINUTE
"""How often it is looked at who is stale and who lags."""

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class FrameQuota:
    """How much may be kept: frames, and bytes of them."""

    frames: int
    size: int

    def holds(self, frames: int, size: int) -> bool:
        """Whether that much is within it."""
        return frames <= self.frames and size <= self.size


FRAMES_OF_OWNER = FrameQuota(32_768, 64 * MIB)
"""What is kept of one owner while somebody has not acknowledged it: a thousand messages a day for a month. In
memory each takes about 600 bytes."""

OWN_FRAMES = FrameQuota(65_536, 256 * MIB)
"""What is kept of this node's own: more, since nobody else may hold it yet."""

FRAMES_OF_UNIVERSE = FrameQuota(131_072, 512 * MIB)
"""What is kept in one universe: less than all its owners may have each, so that a few who fill their quota do not
fill the disk."""


def sweep_delay(members: int) -> int:
    """How long after a change the groups that changed are looked at for what may go: longer in a large universe, where
    every report changes many groups and each look asks for what all members reported."""
    return SWEEP_DELAY * max(1, members // 20)


def update_message_limit(members: int) -> int:
    """After how many user messages an update is due: max(100, 20·N) (X-12)."""
    return max(100, 20 * members)
