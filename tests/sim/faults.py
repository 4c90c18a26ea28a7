"""How bad a simulated network is, and the names under which faults are counted."""

from __future__ import annotations

from dataclasses import dataclass

GOSSIP_LOST = "gossip lost"
GOSSIP_REPEATED = "gossip repeated"
GOSSIP_REORDERED = "gossip reordered"
STREAM_LOST = "stream message lost"
STREAM_REPEATED = "stream message repeated"
STREAM_BROKEN = "connection broken"
DIAL_FAILED = "dial failed"
PARTITIONED = "partitioned"
HEALED = "healed"
CRASHED_BEFORE_SAVED = "crashed before saved"
CRASHED_BEFORE_SENT = "crashed between saved and sent"
CRASHED_IDLE = "crashed between two steps"
RESTARTED = "restarted"
DISPLACED = "connection displaced"
PUT_BACK = "put back"
CLONED = "cloned"

EVERY_FAULT = frozenset(
    {
        GOSSIP_LOST, GOSSIP_REPEATED, GOSSIP_REORDERED, STREAM_LOST, STREAM_REPEATED,
        STREAM_BROKEN, DIAL_FAILED, PARTITIONED, HEALED, CRASHED_BEFORE_SAVED, CRASHED_BEFORE_SENT,
        CRASHED_IDLE, RESTARTED,
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Faults:
    """Probabilities per message and delays in milliseconds.

    `commit_delay` is how long steps wait for a common transaction, during which a crash loses them all.
    """

    gossip_loss: float = 0.0
    gossip_repeat: float = 0.0
    gossip_slow: float = 0.0
    stream_break: float = 0.0
    stream_loss: float = 0.0
    stream_repeat: float = 0.0
    most_delay: int = 80
    commit_delay: int = 0


CALM = Faults()
HEALTHY = Faults(gossip_loss=0.02, gossip_repeat=0.02, gossip_slow=0.02, commit_delay=3)
LOSSY = Faults(0.2, 0.1, 0.2, 0.005, 0.01, 0.01, 300, 20)
TERRIBLE = Faults(0.5, 0.3, 0.4, 0.02, 0.05, 0.05, 800, 50)
GOSSIP_DEAD = Faults(gossip_loss=1.0, stream_break=0.01, most_delay=200)
LEVELS = (CALM, HEALTHY, LOSSY, TERRIBLE, GOSSIP_DEAD)
