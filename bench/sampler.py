"""Where a process spends its CPU time: samples of its Python stacks, a signal every few milliseconds of CPU time.

A timer of CPU time and not a thread, since a thread gets the interpreter lock where others give it up, and so
sees those places too often.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections import Counter
from pathlib import Path
from types import FrameType

INTERVAL = 0.003
"""CPU seconds between two samples."""

DEPTH = 60

_IDLE = ("epoll", "wait", "acquire", "_wait_for_tstate_lock")


class Sampler:
    """Counts stacks, innermost frame first, as `file:function`."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._stacks: Counter[tuple[str, ...]] = Counter()

    def start(self, number: int, frame: FrameType | None) -> None:
        self._stacks.clear()
        signal.setitimer(signal.ITIMER_PROF, INTERVAL, INTERVAL)

    def stop(self, number: int, frame: FrameType | None) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        stacks = [[list(stack), count] for stack, count in self._stacks.items()]
        part = self._target.with_suffix(".part")
        part.write_text(json.dumps(stacks))
        part.rename(self._target)

    def sample(self, number: int, frame: FrameType | None) -> None:
        stack = _stack(frame)
        if stack and stack[0].endswith("_io_epoll.py:get_events"):
            # The main thread waits, so another one was busy.
            for thread, other in sys._current_frames().items():
                if thread != threading.main_thread().ident:
                    theirs = _stack(other)
                    if theirs and not theirs[0].endswith(tuple(f":{name}" for name in _IDLE)):
                        stack = theirs
                        break
        self._stacks[tuple(stack)] += 1


def _stack(frame: FrameType | None) -> list[str]:
    found: list[str] = []
    while frame is not None and len(found) < DEPTH:
        found.append(f"{frame.f_code.co_filename}:{frame.f_code.co_name}")
        frame = frame.f_back
    return found


def sample_on_signals(target: Path) -> None:
    """From SIGUSR1 on, until SIGUSR2 writes what was found to the file."""
    sampler = Sampler(target)
    signal.signal(signal.SIGUSR1, sampler.start)
    signal.signal(signal.SIGUSR2, sampler.stop)
    signal.signal(signal.SIGPROF, sampler.sample)
