"""Token buckets and the numbers that bound what one peer can cost."""

from __future__ import annotations

from dataclasses import dataclass, field

import trio

MAX_CONNECTIONS = 96
"""Connections in all, members and strangers."""

MAX_STRANGERS = 16
"""Connected peers that are neither members nor guests; a stranger beyond them is closed at once."""

STRANGER_IDLE = 60.0
"""Seconds without a message after which a stranger is closed."""

MEMBER_MESSAGES = (200.0, 1000.0)
"""Messages a second and burst, by stream, of one member."""

MEMBER_BYTES = (32 * 2**20, 64 * 2**20)
"""Bytes a second and burst, by stream, of one member; also by gossip."""

STRANGER_MESSAGES = (5.0, 20.0)
"""Messages a second and burst of a peer that is not a member."""

STRANGER_BYTES = (64 * 1024, 256 * 1024)
"""Bytes a second and burst of a peer that is not a member."""

MEMBER_BUFFER, STRANGER_BUFFER = 64 * 2**20, 4 * 2**20
"""Bytes sent by one peer and not read yet; the windows of its streams keep an honest one far below."""

MEMBER_GOSSIP = (400.0, 1200.0)
"""Gossip messages (bundles) a second and burst of one forwarder; what exceeds them is dropped and counted."""

MAX_OFFENCES = 5
"""Undecodable things from one peer within `OFFENCE_MEMORY`, after which it is disconnected."""

OFFENCE_MEMORY = 60.0
"""Seconds after which an offence is forgotten."""

BAN = 60.0
"""Seconds for which an offender's connections are refused."""


@dataclass(slots=True)
class TokenBucket:
    """`rate` tokens a second up to `burst`. Times are seconds of any monotonic clock."""

    rate: float
    burst: float
    _tokens: float = field(init=False)
    _at: float | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._tokens = self.burst

    def _fill(self, now: float) -> None:
        if self._at is not None and now > self._at:
            self._tokens = min(self.burst, self._tokens + (now - self._at) * self.rate)
        self._at = now

    def take(self, now: float, amount: float = 1.0) -> bool:
        """Take `amount` tokens if they are there."""
        self._fill(now)
        if self._tokens < amount:
            return False
        self._tokens -= amount
        return True

    def spend(self, now: float, amount: float = 1.0) -> float:
        """Take `amount` tokens, into debt if need be; the seconds to wait until the debt is paid."""
        self._fill(now)
        self._tokens -= amount
        return max(0.0, -self._tokens / self.rate)

    def wait(self, now: float, amount: float = 1.0) -> float:
        """The seconds until `amount` tokens are there."""
        self._fill(now)
        return max(0.0, (min(amount, self.burst) - self._tokens) / self.rate)


@dataclass(slots=True)
class Offences:
    """Counts what peers did wrong lately and says when it is enough; bounded in memory."""

    limit: int = MAX_OFFENCES
    memory: float = OFFENCE_MEMORY
    ban: float = BAN
    _times: dict[bytes, list[float]] = field(default_factory=dict)
    _banned_until: dict[bytes, float] = field(default_factory=dict)

    def record(self, peer_id: bytes, now: float) -> bool:
        """Count one offence; True where the peer is to be disconnected."""
        if len(self._times) >= 1024:
            self._times = {p: t for p, t in self._times.items() if now - t[-1] < self.memory}
            if len(self._times) >= 1024:
                self._times.pop(next(iter(self._times)))
        times = [t for t in self._times.get(peer_id, ()) if now - t < self.memory]
        times.append(now)
        self._times[peer_id] = times
        if len(times) < self.limit:
            return False
        del self._times[peer_id]
        self._banned_until = {p: t for p, t in self._banned_until.items() if t > now}
        if len(self._banned_until) >= 1024:
            self._banned_until.pop(next(iter(self._banned_until)))
        self._banned_until[peer_id] = now + self.ban
        return True

    def is_banned(self, peer_id: bytes, now: float) -> bool:
        """Whether the peer's connections are refused for now."""
        return self._banned_until.get(peer_id, now) > now


def shielded(seconds: float) -> trio.CancelScope:
    """A scope for cleaning up: cancelled only by its own time."""
    scope = trio.move_on_after(seconds)
    scope.shield = True
    return scope
