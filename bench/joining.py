"""From the ticket to the first message: how long joining takes."""

from __future__ import annotations

import statistics
import time
from typing import Any

import trio
from node_process import Node, NodeError

from bench.client import connect
from bench.cluster import NAMES, UNIVERSE, node_socket, nodes
from bench.options import Options

LONGEST = 60.0


def run(options: Options) -> dict[str, Any]:
    """Nodes join one after the other, so each finds one member more than the one before."""
    joins = min(options.joins, len(NAMES) - 1)
    with nodes(joins + 1) as made:
        made[0].starling("universe", "create", UNIVERSE)
        taken = [trio.run(_join, made[0], node) for node in made[1:]]
    return {
        "joins": [join | {"members_before": at} for at, join in enumerate(taken, 1)],
        "first_message_s": round(statistics.median(join["first_message_s"] for join in taken), 3),
        "slowest_s": max(join["first_message_s"] for join in taken),
    }


async def _join(founder: Node, joiner: Node) -> dict[str, float]:
    """Seconds from the call with the ticket until joined, until the first message came, until the own one arrived."""
    (invite,) = founder.starling("invite", "create", UNIVERSE)
    first: dict[str, float] = {}
    events = {"first": trio.Event(), "answer": trio.Event()}

    def at_joiner(event: dict[str, Any]) -> None:
        if event["kind"] == "message.received" and not events["first"].is_set():
            first["first_message_s"] = time.monotonic() - began
            events["first"].set()

    def at_founder(event: dict[str, Any]) -> None:
        if event["kind"] == "message.received" and event["body"]["body"] == joiner.name:
            first["own_message_arrived_s"] = time.monotonic() - began
            events["answer"].set()

    async with trio.open_nursery() as nursery:
        joining = await connect(nursery, node_socket(joiner), at_joiner)
        founding = await connect(nursery, node_socket(founder), at_founder)
        for client in (joining, founding):
            await client.call("events.subscribe", **{"from": "now"})

        async def talk() -> None:
            # The founder speaks on; the newcomer reads from its admission on.
            while True:
                await founding.call("message.send", universe=UNIVERSE, body="hello")
                await trio.sleep(0.05)

        nursery.start_soon(talk)
        began = time.monotonic()
        with trio.move_on_after(LONGEST) as limit:
            await joining.call("universe.join", ticket=invite["ticket"], timeout=LONGEST)
            first["joined_s"] = time.monotonic() - began
            await joining.call("message.send", universe=UNIVERSE, body=joiner.name)
            for event in events.values():
                await event.wait()
        if limit.cancelled_caught:
            raise NodeError(f"{joiner.name} has no message {LONGEST:.0f} s after joining", joiner)
        nursery.cancel_scope.cancel()
    return {name: round(value, 3) for name, value in first.items()}


def rows(result: dict[str, Any]) -> list[tuple[str, str, str]]:
    figure = f"median {result['first_message_s']:.2f} s, slowest {result['slowest_s']:.2f} s"
    return [("join by ticket to first message received", figure, "< 3 s")]
