"""What the kernel says of a process."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pids: Iterable[int]) -> float:
    """CPU time used so far by these processes together, all threads, user and system."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / _TICK


def machine_seconds() -> float:
    """CPU time that the whole machine has been busy or was kept from running by its host."""
    user, nice, system, _, _, irq, softirq, steal = Path("/proc/stat").read_text().split()[1:9]
    return sum(map(int, (user, nice, system, irq, softirq, steal))) / _TICK


class Meter:
    """CPU seconds of some processes since the meter was made, and what share of a core everyone else had.

    This process is in neither.
    """

    def __init__(self, pids: Iterable[int]) -> None:
        self._pids = list(pids)
        self._at = time.monotonic()
        self._began = self._read()

    def _read(self) -> tuple[float, float]:
        theirs = cpu_seconds(self._pids)
        return theirs, machine_seconds() - theirs - time.process_time()

    def read(self) -> tuple[float, float]:
        theirs, others = self._read()
        elapsed = max(0.001, time.monotonic() - self._at)
        return theirs - self._began[0], max(0.0, others - self._began[1]) / elapsed


def memory_mb(pid: int) -> dict[str, float]:
    """Resident memory, and the share of it that is this process's own, in MB."""
    found: dict[str, float] = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name in ("Rss", "Pss", "Private_Dirty"):
            found[name.lower()] = round(int(rest.split()[0]) / 1024, 1)
    return found


def loopback_bytes() -> int:
    """Bytes that the loopback interface of this network namespace has carried, headers included."""
    for line in Path("/proc/net/dev").read_text().splitlines():
        name, _, counters = line.partition(":")
        if name.strip() == "lo":
            return int(counters.split()[8])
    raise OSError("there is no loopback interface")
