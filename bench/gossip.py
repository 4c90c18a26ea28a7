"""The systems that Starling is compared with: one process a node, every node connected to every other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import trio

from bench.cluster import DRAIN, SAMPLE
from bench.processes import Meter
from bench.trial import Trial

MESH_SECONDS = 30.0


class GossipError(Exception):
    """A node of a compared system failed."""


class Gossip:
    """A `System` of `raw` or `bundled` nodes."""

    def __init__(self, kind: str, processes: list[subprocess.Popen[bytes]]) -> None:
        self.name = kind
        self.pids = [process.pid for process in processes]
        self._processes = processes

    def start(self) -> None:
        """Connect all with all, and wait for the mesh."""
        addresses = [self._answer(process)["address"] for process in self._processes]
        for index, process in enumerate(self._processes):
            # Raw nodes are dialled once a pair; Starling's own layer is told of everyone, and takes turns itself.
            peers = addresses[:index] if self.name == "raw" else addresses[:index] + addresses[index + 1 :]
            self._ask(process, do="join", peers=peers)
        until = time.monotonic() + MESH_SECONDS
        for process in self._processes:
            while self._ask(process, do="meshed")["meshed"] < len(self._processes) - 1:
                if time.monotonic() > until:
                    raise GossipError(f"no mesh of {self.name} nodes in {MESH_SECONDS:.0f} s")
                time.sleep(0.3)
        time.sleep(1.5)

    def _answer(self, process: subprocess.Popen[bytes]) -> dict[str, Any]:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise GossipError(f"a {self.name} node ended with code {process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _ask(self, process: subprocess.Popen[bytes], **command: Any) -> dict[str, Any]:
        assert process.stdin is not None
        process.stdin.write(json.dumps(command).encode() + b"\n")
        process.stdin.flush()
        return self._answer(process)

    async def trial(self, rate: float, seconds: float) -> Trial:
        return await trio.to_thread.run_sync(self._trial, rate, seconds)

    def _trial(self, rate: float, seconds: float) -> Trial:
        count = len(self._processes)
        total = int(rate * seconds)
        expected = total * (count - 1)
        meter = Meter(self.pids)
        start = time.monotonic() + 0.2
        run = {"do": "run", "mark": os.urandom(4).hex(), "rate": rate, "total": total, "start": start}
        for index, process in enumerate(self._processes):
            self._ask(process, **run, index=index, nodes=count)
        time.sleep(max(0.0, start + seconds - time.monotonic()))
        delivered, all_sent, until = -1, False, time.monotonic() + DRAIN
        while time.monotonic() < until:
            time.sleep(0.3)
            counts = [self._ask(process, do="count") for process in self._processes]
            now = sum(answer["received"] for answer in counts)
            if now >= expected or (now == delivered and all_sent):
                break
            # Lost messages do not come: the end is when everything is sent and nothing more arrives.
            all_sent = sum(answer["sent"] for answer in counts) >= total
            delivered = now
        used, others = meter.read()
        reports = [self._ask(process, do="report") for process in self._processes]
        times = sorted(at for report in reports for at in report["times"])
        last_send = start + (total - 1) / rate
        return Trial(
            rate,
            seconds,
            total,
            expected,
            len(times),
            max(0.0, times[-1] - last_send) if times else float("inf"),
            [latency for report in reports for latency in report["latencies"]],
            _backlog(times, start, rate, seconds, count),
            used,
            others,
        )


def _backlog(times: list[float], start: float, rate: float, seconds: float, count: int) -> list[int]:
    samples, arrived, at = [], 0, SAMPLE
    while at < seconds:
        while arrived < len(times) and times[arrived] <= start + at:
            arrived += 1
        samples.append(int(at * rate) * (count - 1) - arrived)
        at += SAMPLE
    return samples


@contextmanager
def gossip(kind: str, count: int) -> Iterator[Gossip]:
    """That many nodes of a kind, meshed; ended on every way out."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "bench.gossip_node", kind],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        for _ in range(count)
    ]
    try:
        system = Gossip(kind, processes)
        system.start()
        yield system
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
