"""One node of the systems that Starling is compared with: `python -m bench.gossip_node raw|bundled`.

`raw` is py-libp2p's pubsub as it is; `bundled` is Starling's own network layer without anything above it. Each
process reads one JSON command a line from standard input and answers on standard output. Times are those of
`time.monotonic`, which is one clock for all processes of a machine.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import trio

from bench.trial import SIZE

TOPIC = "bench"

SETTINGS = {
    "protocols": "/meshsub/1.1.0 alone (has no default; the quickest)",
    "degree, low, high": "6, 4, 12 (have no default; those of the GossipSub text)",
    "heartbeat_interval": "1 (default 120: no mesh forms in time)",
    "spam_protection_enabled": "False (default: 10 messages a second of each forwarder, then silence)",
    "subscription": "read by a task that does nothing else (default buffer of 32, then silent loss)",
}
"""What raw pubsub needed other than its defaults, and why."""

Publish = Callable[[bytes], Awaitable[None]]


class Counted:
    """What this node sent and received in the current run."""

    def __init__(self) -> None:
        self.mark = b""
        self.sent = 0
        self.latencies: list[float] = []
        self.times: list[float] = []

    def begin(self, mark: bytes) -> None:
        self.mark, self.sent, self.latencies, self.times = mark, 0, [], []

    def take(self, data: bytes) -> None:
        mark, at, _ = data.split(b".", 2)
        if mark == self.mark:
            now = time.monotonic()
            self.latencies.append(round(1000 * (now - int(at) / 1e9), 3))
            self.times.append(now)


async def raw(commands: AsyncIterator[dict[str, Any]], counted: Counted) -> None:
    """py-libp2p as it is."""
    from libp2p import new_host
    from libp2p.custom_types import TProtocol
    from libp2p.peer.peerinfo import info_from_p2p_addr
    from libp2p.pubsub.gossipsub import GossipSub
    from libp2p.pubsub.pubsub import Pubsub
    from libp2p.tools.anyio_service import background_trio_service
    from multiaddr import Multiaddr

    logging.disable(logging.CRITICAL)
    host = new_host()
    router = GossipSub(
        [TProtocol("/meshsub/1.1.0")],
        degree=6,
        degree_low=4,
        degree_high=12,
        heartbeat_interval=1,
        spam_protection_enabled=False,
    )
    pubsub = Pubsub(host, router)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(host.run(listen_addrs=[]))
        await stack.enter_async_context(background_trio_service(pubsub))
        await stack.enter_async_context(background_trio_service(router))
        await pubsub.wait_until_ready()
        subscription = await pubsub.subscribe(TOPIC)
        await host.get_network().listen(Multiaddr("/ip4/127.0.0.1/tcp/0"))
        nursery = await stack.enter_async_context(trio.open_nursery())

        async def receive() -> None:
            own = host.get_id().to_bytes()
            while True:
                message = await subscription.get()
                if message.from_id != own:
                    counted.take(message.data)

        async def publish(data: bytes) -> None:
            await pubsub.publish(TOPIC, data)

        async def join(peers: list[str]) -> None:
            for peer in peers:
                await host.connect(info_from_p2p_addr(Multiaddr(peer)))

        def meshed() -> int:
            return len(router.mesh.get(TOPIC, ()))

        nursery.start_soon(receive)
        # A host gives its addresses with its peer id already.
        tell({"address": str(host.get_addrs()[0])})
        await serve(commands, counted, publish, join, meshed)
        nursery.cancel_scope.cancel()


async def bundled(commands: AsyncIterator[dict[str, Any]], counted: Counted) -> None:
    """Starling's network layer: the same bundling, the same cures, no messaging above it."""
    from starling.p2p.interface import Frame, NetworkOptions, open_network, peer_id_from_text, peer_id_text

    network = open_network(NetworkOptions(os.urandom(32), ("/ip4/127.0.0.1/tcp/0",)))
    async with trio.open_nursery() as nursery:
        network.set_topics(frozenset({TOPIC}))
        (address,) = await nursery.start(network.run)

        async def receive() -> None:
            async for event in network.events:
                if isinstance(event, Frame):
                    counted.take(event.frame)

        async def publish(data: bytes) -> None:
            network.publish(TOPIC, data)

        async def join(peers: list[str]) -> None:
            members = {}
            for peer in peers:
                where, _, who = peer.partition("/p2p/")
                members[peer_id_from_text(who)] = (where,)
            network.set_known_peers(members, {})

        def meshed() -> int:
            return len(network.connected())

        nursery.start_soon(receive)
        tell({"address": f"{address}/p2p/{peer_id_text(network.peer_id)}"})
        await serve(commands, counted, publish, join, meshed)
        nursery.cancel_scope.cancel()


async def serve(
    commands: AsyncIterator[dict[str, Any]],
    counted: Counted,
    publish: Publish,
    join: Callable[[list[str]], Awaitable[None]],
    meshed: Callable[[], int],
) -> None:
    """Obey until standard input ends."""
    async with trio.open_nursery() as nursery:
        async for command in commands:
            match command["do"]:
                case "join":
                    await join(command["peers"])
                    tell({})
                case "meshed":
                    tell({"meshed": meshed()})
                case "run":
                    counted.begin(command["mark"].encode())
                    nursery.start_soon(send, command, counted, publish)
                    tell({})
                case "count":
                    tell({"sent": counted.sent, "received": len(counted.times)})
                case "report":
                    tell({"latencies": counted.latencies, "times": counted.times})
        nursery.cancel_scope.cancel()


async def send(command: dict[str, Any], counted: Counted, publish: Publish) -> None:
    """Publish this node's share of the load: message k is due at start + (k * nodes + index) / rate."""
    start, rate, total = command["start"], command["rate"], command["total"]
    due = command["index"]
    while due < total:
        await trio.sleep(max(0.0, start + due / rate - time.monotonic()))
        data = f"{command['mark']}.{time.monotonic_ns()}.".ljust(SIZE, "x").encode()
        await publish(data)
        counted.sent += 1
        due += command["nodes"]


def tell(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


async def read_commands() -> AsyncIterator[dict[str, Any]]:
    buffer = b""
    stream = trio.lowlevel.FdStream(os.dup(0))
    while chunk := await stream.receive_some(65536):
        buffer += chunk
        *lines, buffer = buffer.split(b"\n")
        for line in lines:
            yield json.loads(line)


if __name__ == "__main__":
    trio.run({"raw": raw, "bundled": bundled}[sys.argv[1]], read_commands(), Counted())
