"""Who must have received what, known from what the apps did and never from what an engine says it holds."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.sim.violation import Violation


@dataclass(slots=True)
class SentMessage:
    """One message as its app gave it away. `owed` are members certain to be leaves of its epoch."""

    message_id: bytes
    sender: bytes
    number: int
    text: bytes
    owed: frozenset[bytes]
    after_removal_of: frozenset[bytes]
    reported: int | None = None
    delivered: set[bytes] = field(default_factory=set)


class Oracle:
    """One universe's ledger of messages. Members are named by their identity keys."""

    def __init__(self, certain: frozenset[bytes] = frozenset()) -> None:
        self.messages: dict[bytes, SentMessage] = {}
        self.certain = set(certain)
        """Members of everybody's send group, by construction."""
        self.removed: set[bytes] = set()
        self._counts: dict[bytes, int] = {}
        self._last: dict[tuple[bytes, bytes], int] = {}

    def sent(self, sender: bytes, message_id: bytes, text: bytes, knows_removed: frozenset[bytes]) -> None:
        """An app asks for this to be sent. `knows_removed`: whom this sender itself removed before."""
        number = self._counts[sender] = self._counts.get(sender, 0) + 1
        owed = frozenset(self.certain - self.removed - {sender})
        self.messages[message_id] = SentMessage(message_id, sender, number, text, owed, knows_removed)

    def remove(self, member: bytes) -> None:
        """A removal was asked for: from now on nothing is owed to this member or promised for it."""
        self.removed.add(member)
        self.certain.discard(member)

    def reported(self, message_id: bytes, recipients: int) -> None:
        """An engine told its app how many leaves the epoch of a message has."""
        message = self.messages.get(message_id)
        if message is None:
            raise Violation("invented", "a message was reported as sent that no app sent")
        if message.reported not in (None, recipients):
            raise Violation("recipients", f"reported {message.reported}, later {recipients}")
        message.reported = recipients

    def delivered(self, receiver: bytes, sender: bytes, message_id: bytes, text: bytes) -> None:
        """A new event told an app of a message."""
        message = self.messages.get(message_id)
        if message is None:
            raise Violation("invented", "a message was delivered that no app sent")
        if receiver == message.sender:
            raise Violation("echo", "a message was delivered to its sender")
        if sender != message.sender:
            raise Violation("misattributed", f"message {message.number} was shown as another's")
        if text != message.text:
            raise Violation("garbled", f"message {message.number} has another text than was sent")
        if receiver in message.delivered:
            raise Violation("repeated", f"message {message.number} was delivered twice to one app")
        if receiver in message.after_removal_of:
            raise Violation(
                "removed", f"message {message.number} reached a member that its sender had removed"
            )
        last = self._last.get((receiver, sender), 0)
        if message.number < last:
            raise Violation("order", f"message {message.number} was delivered after message {last}")
        self._last[receiver, sender] = message.number
        message.delivered.add(receiver)

    def missing(self) -> str | None:
        """The first promise that is not kept yet, or None."""
        for message in self.messages.values():
            if message.sender in self.removed:
                continue
            name = f"message {message.number} of {message.sender.hex()[:8]}"
            lost = message.owed - self.removed - message.delivered
            if lost:
                return f"{name} did not reach {len(lost)} of its members"
            if message.reported is None:
                return f"{name} was never reported as sent"
            present = len(message.delivered)
            if not present <= message.reported <= present + len(self.removed - message.delivered):
                return f"{name} was reported to go to {message.reported} members and reached {present}"
        return None

    def check_complete(self) -> None:
        problem = self.missing()
        if problem is not None:
            raise Violation("lost", problem)
