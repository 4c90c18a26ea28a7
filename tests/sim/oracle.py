"""Who must have received what, known from what the apps did and never from what an engine says it holds.

An app that was put back has forgotten: what it had received since its copy is not owed to it a second time, and may
come again once. What it had said since is owed to the others as before, if any of them has it: what never left the
node went with its disk.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.sim.violation import Violation


@dataclass(slots=True)
class SentMessage:
    """One message as its app gave it away. `owed` are apps of members certain to be leaves of its epoch."""

    message_id: bytes
    sender: bytes
    app: bytes
    number: int
    life: int | None
    """Of the app: its messages are in order among those of one life. None where it was said in two."""
    text: bytes
    owed: frozenset[bytes]
    after_removal_of: frozenset[bytes]
    to: bytes = b""
    """The one member that it is for, where it is direct."""
    reported: int | None = None
    forgotten: bool = False
    """Its sender's node does not know it any more."""
    excused: bool = False
    """Nothing is promised about it."""
    delivered: set[bytes] = field(default_factory=set)
    waived: set[bytes] = field(default_factory=set)
    """Apps that had it and forgot it: it may come again, and need not."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What one app knew when its node was copied."""

    delivered: frozenset[bytes]
    reported: frozenset[bytes]
    last: dict[tuple[bytes, bytes, int], int]


def member_of(app: bytes) -> bytes:
    """The member whose app this is: a clone's has the same identity and a name of its own."""
    return app[:32]


class Oracle:
    """One universe's ledger of messages. Apps are named by the identity keys of their members, apps of clones
    by more than that."""

    def __init__(self, certain: frozenset[bytes] = frozenset()) -> None:
        self.messages: dict[bytes, SentMessage] = {}
        self.certain = set(certain)
        """Apps of members of everybody's send group, by construction."""
        self.removed: set[bytes] = set()
        self.cloned: set[bytes] = set()
        self.muted: set[bytes] = set()
        """Members who became readers: what they had said may be shown, or not."""
        self.reinstated: set[bytes] = set()
        self._counts: dict[bytes, int] = {}
        self._lives: dict[bytes, int] = {}
        self._last: dict[tuple[bytes, bytes, int], int] = {}

    def sent(
        self, app: bytes, message_id: bytes, text: bytes, knows_removed: frozenset[bytes], to: bytes = b""
    ) -> None:
        """An app asks for this to be sent, to all or to one member. `knows_removed`: whom this sender itself removed
        before."""
        sender = member_of(app)
        number = self._counts[app] = self._counts.get(app, 0) + 1
        owed = frozenset(
            other
            for other in self.certain
            if member_of(other) not in {*self.removed, sender} and to in (b"", member_of(other))
        )
        life = self._lives.get(app, 0)
        self.messages[message_id] = SentMessage(
            message_id, sender, app, number, life, text, owed, knows_removed, to
        )

    def undelivered(self, message_id: bytes) -> None:
        """An engine refused a direct message, or gave it up, for its recipient is no member any more."""
        message = self.messages[message_id]
        if message.to not in self.removed | self.reinstated:
            raise Violation("refused", f"message {message.number} is for a member and was not sent")
        message.forgotten = True

    def remove(self, member: bytes) -> None:
        """A removal was asked for: from now on nothing is owed to this member or promised for it."""
        self.removed.add(member)
        self.certain = {app for app in self.certain if member_of(app) != member}

    def reinstate(self, member: bytes) -> None:
        """A removal came to nothing. What was said by this member or to it so far is promised to nobody."""
        self.removed.discard(member)
        self.reinstated.add(member)
        for message in self.messages.values():
            message.owed = frozenset(app for app in message.owed if member_of(app) != member)
            message.waived.add(member)
            message.excused |= message.sender == member

    def mute(self, member: bytes) -> None:
        """This member is a reader from some time on, which not all learn at one time."""
        self.muted.add(member)

    # copies

    def memory(self, app: bytes) -> Memory:
        """What this app knows now."""
        return Memory(
            frozenset(key for key, message in self.messages.items() if app in message.delivered),
            frozenset(
                key for key, message in self.messages.items() if message.app == app and message.reported
            ),
            {key: number for key, number in self._last.items() if key[0] == app},
        )

    def put_back(self, app: bytes, memory: Memory) -> None:
        """This app and its node know again what they knew then, and nothing else."""
        self._lives[app] = self._lives.get(app, 0) + 1
        for message_id, message in self.messages.items():
            if app in message.delivered and message_id not in memory.delivered:
                message.delivered.discard(app)
                message.waived.add(app)
            if message.app == app and message_id not in memory.reported:
                message.forgotten, message.reported, message.life = True, None, None
        self._last = {key: number for key, number in self._last.items() if key[0] != app} | memory.last

    def clone(self, app: bytes, twin: bytes, memory: Memory) -> None:
        """Another app with the same identity goes on from this memory: nothing is owed to either of the two."""
        for message_id in memory.delivered:
            self.messages[message_id].delivered.add(twin)
        self._last |= {(twin, *key[1:]): number for key, number in memory.last.items()}
        self.certain.discard(app)
        self.cloned.add(member_of(app))
        for message in self.messages.values():
            message.owed -= {app}
            message.waived.add(app)

    def retire(self, app: bytes) -> None:
        """This app's node has ended for good: what it alone had is gone."""
        self.certain.discard(app)
        for message in self.messages.values():
            message.owed -= {app}
            message.waived.add(app)
            if message.app == app:
                message.forgotten = True

    def entered(self, app: bytes, owner: bytes) -> None:
        """This app's node is new in an owner's group: it goes by what only others have of what the owner forgot."""
        for message in self.messages.values():
            if message.sender == owner and message.forgotten:
                message.waived.add(app)

    def unavailable(self, app: bytes, owner: bytes) -> None:
        """This app is told that messages of an owner are held by nobody: those that the owner forgot may be among
        them."""
        for message in self.messages.values():
            if message.sender == owner and message.forgotten:
                message.waived.add(app)

    # what happens

    def reported(self, message_id: bytes, recipients: int) -> None:
        """An engine told its app how many leaves the epoch of a message has."""
        message = self.messages.get(message_id)
        if message is None:
            raise Violation("invented", "a message was reported as sent that no app sent")
        if message.reported not in (None, recipients):
            raise Violation("recipients", f"reported {message.reported}, later {recipients}")
        message.reported = recipients
        message.forgotten = False

    def delivered(
        self, receiver: bytes, sender: bytes, message_id: bytes, text: bytes, to: bytes = b""
    ) -> None:
        """A new event told an app of a message, and that it is for this one member, if so."""
        message = self.messages.get(message_id)
        if message is None:
            raise Violation("invented", "a message was delivered that no app sent")
        if member_of(receiver) == message.sender:
            raise Violation("echo", "a message was delivered to its sender")
        if sender != message.sender:
            raise Violation("misattributed", f"message {message.number} was shown as another's")
        if to != message.to or to not in (b"", member_of(receiver)):
            raise Violation("leaked", f"message {message.number} was shown to another than it is for")
        if text != message.text:
            raise Violation("garbled", f"message {message.number} has another text than was sent")
        if receiver in message.delivered:
            raise Violation("repeated", f"message {message.number} was delivered twice to one app")
        if member_of(receiver) in message.after_removal_of:
            raise Violation(
                "removed", f"message {message.number} reached a member that its sender had removed"
            )
        message.delivered.add(receiver)
        if message.life is None:
            return
        place = (receiver, message.app, message.life)
        last = self._last.get(place, 0)
        if message.number < last:
            raise Violation("order", f"message {message.number} was delivered after message {last}")
        self._last[place] = message.number

    def missing(self) -> str | None:
        """The first promise that is not kept yet, or None."""
        for message in self.messages.values():
            if message.excused or message.sender in self.removed | self.muted:
                continue
            if message.forgotten and not message.delivered:
                continue
            name = f"message {message.number} of {message.sender.hex()[:8]}"
            lost = {
                app
                for app in message.owed - message.delivered - message.waived
                if member_of(app) not in self.removed
            }
            if lost:
                return f"{name} did not reach {len(lost)} of its members"
            if message.forgotten:
                continue
            if message.reported is None:
                return f"{name} was never reported as sent"
            present = {member_of(app) for app in message.delivered}
            excused = self.removed | self.cloned | {member_of(app) for app in message.waived}
            if not len(present) <= message.reported <= len(present) + len(excused - present):
                return f"{name} was reported to go to {message.reported} members and reached {len(present)}"
        return None

    def check_complete(self) -> None:
        problem = self.missing()
        if problem is not None:
            raise Violation("lost", problem)
