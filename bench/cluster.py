"""Starling daemons in a universe, loaded through their sockets by clients that stay connected."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import trio
from node_process import Node, NodeError

from bench.client import Client, connect
from bench.processes import Meter
from bench.trial import SIZE, Trial

UNIVERSE = "bench"
NAMES = ("Alice", "Bob", "Carol", "Dave", "Erin", "Frank", "Grace")
GROUPS_SECONDS = 60.0
SAMPLE = 0.25
DRAIN = 20.0
_ACK_EVERY = 100


@contextmanager
def nodes(count: int, **options: Any) -> Iterator[list[Node]]:
    """Daemons that run, not yet in a universe; ended on every way out."""
    with tempfile.TemporaryDirectory(prefix="starling-bench-") as folder:
        made = [Node(name, Path(folder), **options) for name in NAMES[:count]]
        try:
            for node in made:
                node.init()
                node.launch()
            for node in made:
                node.wait_ready()
            yield made
        finally:
            for node in made:
                node.stop()


def found_and_join(made: list[Node]) -> None:
    """The first founds, the others join by ticket; waits until all are in all groups."""
    made[0].starling("universe", "create", UNIVERSE)
    for node in made[1:]:
        (invite,) = made[0].starling("invite", "create", UNIVERSE)
        node.starling("join", invite["ticket"])
    until = time.monotonic() + GROUPS_SECONDS
    for node in made:
        while not _is_in_all_groups(node, len(made)):
            if time.monotonic() > until:
                raise NodeError(f"{node.name} is not in all groups", node)
            time.sleep(0.2)


def _is_in_all_groups(node: Node, count: int) -> bool:
    members = node.starling("members", UNIVERSE)
    return len(members) == count and all(m["joined"] and m["in_groups"] == count for m in members)


class Starling:
    """A `System`: one client for each daemon, which sends and listens."""

    def __init__(self, made: list[Node]) -> None:
        self.name = "starling"
        self.nodes = made
        self.pids = [node.pid for node in made]
        self.clients: list[Client] = []
        self._number = int.from_bytes(os.urandom(3))
        self._take: Callable[[dict[str, Any]], None] = lambda event: None
        self._since_ack = [0] * len(made)

    async def open(self, nursery: trio.Nursery) -> None:
        """Connect and subscribe; the readers run in the nursery."""
        for index, node in enumerate(self.nodes):
            client = await connect(nursery, node_socket(node), self._event(index))
            self.clients.append(client)
            await client.call(
                "events.subscribe", **{"cursor": "bench", "from": "now", "kinds": ["message.received"]}
            )
            nursery.start_soon(self._acknowledge, index)

    def _event(self, index: int) -> Callable[[dict[str, Any]], None]:
        def take(event: dict[str, Any]) -> None:
            self._since_ack[index] = event["seq"]
            self._take(event)

        return take

    async def _acknowledge(self, index: int) -> None:
        # As an app does: a few times a second, not for each event.
        last = 0
        while True:
            await trio.sleep(0.3)
            if self._since_ack[index] > last:
                last = self._since_ack[index]
                await self.clients[index].call("events.ack", cursor="bench", seq=last)

    async def trial(self, rate: float, seconds: float) -> Trial:
        run = _Run(self, rate, seconds, self._number)
        self._number += 1
        self._take = run.take
        meter = Meter(self.pids)
        try:
            await run.run()
        finally:
            self._take = lambda event: None
        return run.result(*meter.read())


class _Run:
    """One trial."""

    def __init__(self, system: Starling, rate: float, seconds: float, number: int) -> None:
        self.system = system
        self.rate = rate
        self.seconds = seconds
        self.mark = f"{number:08x}"
        self.count = len(system.clients)
        self.total = int(rate * seconds)
        self.received = 0
        self.last_at = 0.0
        self.latencies: list[float] = []
        self.backlog: list[int] = []
        self.failures: list[str] = []
        self.sent = 0
        self.all_here = trio.Event()

    def take(self, event: dict[str, Any]) -> None:
        mark, at, _ = event["body"]["body"].split(".", 2)
        if mark != self.mark:
            return
        now = time.monotonic()
        self.latencies.append(1000 * (now - int(at) / 1e9))
        self.received += 1
        self.last_at = now
        if self.received >= self.total * (self.count - 1):
            self.all_here.set()

    async def run(self) -> None:
        self.start = time.monotonic() + 0.05
        with trio.CancelScope() as sampling:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._sample)
                async with trio.open_nursery() as senders:
                    for index, client in enumerate(self.system.clients):
                        senders.start_soon(self._send, index, client)
                with trio.move_on_after(DRAIN + self.seconds):
                    await self.all_here.wait()
                sampling.cancel()

    async def _sample(self) -> None:
        while True:
            await trio.sleep(SAMPLE)
            elapsed = time.monotonic() - self.start
            if 0 < elapsed < self.seconds:
                self.backlog.append(int(elapsed * self.rate) * (self.count - 1) - self.received)

    async def _send(self, index: int, client: Client) -> None:
        # Message k of this client is due at (k * count + index) / rate.
        due = index
        while due < self.total:
            at = self.start + due / self.rate
            await trio.sleep(max(0.0, at - time.monotonic()))
            now = time.monotonic()
            lines = []
            while due < self.total and self.start + due / self.rate <= now:
                body = f"{self.mark}.{time.monotonic_ns()}.".ljust(SIZE, "x")
                params = {"universe": UNIVERSE, "body": body}
                lines.append(client.request("message.send", params, self._answered))
                due += self.count
            await client.write(b"".join(lines))

    def _answered(self, answer: dict[str, Any]) -> None:
        if "error" in answer:
            self.failures.append(answer["error"]["message"])
        elif answer["result"]["state"] == "sent":
            self.sent += 1

    def result(self, cpu: float, others: float) -> Trial:
        if self.failures:
            raise NodeError(f"{len(self.failures)} sends failed: {self.failures[0]}", self.system.nodes[0])
        last_send = self.start + (self.total - 1) / self.rate
        after = max(0.0, self.last_at - last_send) if self.last_at else float("inf")
        expected = self.total * (self.count - 1)
        return Trial(
            self.rate,
            self.seconds,
            self.total,
            expected,
            self.received,
            after,
            self.latencies,
            self.backlog,
            cpu,
            others,
        )


def node_socket(node: Node) -> str:
    """Where a node's socket is, from its ready line."""
    return str(json.loads(node.ready_line)["socket"])
