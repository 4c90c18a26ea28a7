"""How long and how often to measure."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """All times in seconds."""

    sizes: tuple[int, ...] = (3, 5)
    repeats: int = 2
    quiet_seconds: float = 15.0
    probe_seconds: float = 5.0
    sustain_seconds: float = 30.0
    joins: int = 4
    stored_messages: int = 10_000
    restarts: int = 3
    idle_seconds: float = 20.0
    wire_seconds: float = 15.0
    profile_rate: int = 100
    profile_seconds: float = 15.0
    group_sizes: tuple[int, ...] = (2, 10, 100, 1000)
    mls_repeats: int = 3
    universe_sizes: tuple[int, ...] = (5, 20)
    membership_sizes: tuple[int, ...] = (5, 20, 50)
    heals: int = 5
    talked_messages: int = 1_000
    scripted_size: int = 1_000

    def say(self, text: str) -> None:
        """Progress, which is no result, goes to standard error."""
        print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


QUICK = Options(
    sizes=(3,),
    repeats=1,
    quiet_seconds=6.0,
    probe_seconds=4.0,
    sustain_seconds=8.0,
    joins=2,
    stored_messages=1_000,
    restarts=1,
    idle_seconds=8.0,
    wire_seconds=6.0,
    profile_seconds=8.0,
    group_sizes=(2, 10, 100),
    mls_repeats=1,
    universe_sizes=(5,),
    membership_sizes=(5,),
    heals=1,
    talked_messages=500,
)
