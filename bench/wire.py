"""Bytes on the wire for a message, counted by the loopback interface of a network namespace of its own."""

from __future__ import annotations

import fcntl
import json
import socket
import struct
import subprocess
import sys
from contextlib import ExitStack
from typing import Any

import trio

from bench.cluster import Starling, found_and_join, nodes
from bench.gossip import gossip
from bench.options import Options
from bench.processes import loopback_bytes
from bench.trial import SIZE, System

COUNT = 3
RATES = (20, 100)
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1


def run(options: Options) -> dict[str, Any]:
    """Measure in a namespace where that is allowed, else among whatever else uses the loopback interface."""
    for unshare in (["unshare", "--net"], ["unshare", "--map-root-user", "--net"]):
        try:
            if subprocess.run([*unshare, "true"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
                continue
        except FileNotFoundError:
            break
        command = [*unshare, sys.executable, "-m", "bench.wire", str(options.wire_seconds)]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found | {"namespace": True}
    return trio.run(_measure, options.wire_seconds) | {"namespace": False}


def _bring_up_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        name = struct.pack("16sH14x", b"lo", 0)
        flags = struct.unpack("16sH14x", fcntl.ioctl(sock, _SIOCGIFFLAGS, name))[1]
        fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | _IFF_UP))


async def _measure(seconds: float) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in ("starling", "raw", "bundled"):
        # One after the other: the interface counts for all.
        with ExitStack() as stack:
            system: System
            async with trio.open_nursery() as nursery:
                if name == "starling":
                    made = stack.enter_context(nodes(COUNT))
                    found_and_join(made)
                    system = starling = Starling(made)
                    await starling.open(nursery)
                else:
                    system = stack.enter_context(gossip(name, COUNT))
                await trio.sleep(4)
                found[name] = await _bytes_of(system, seconds)
                nursery.cancel_scope.cancel()
    return found


async def _bytes_of(system: System, seconds: float) -> dict[str, Any]:
    before = loopback_bytes()
    await trio.sleep(seconds)
    idle = (loopback_bytes() - before) / seconds
    result: dict[str, Any] = {"idle_bytes_s": round(idle), "nodes": COUNT, "body": SIZE}
    for rate in RATES:
        before, began = loopback_bytes(), trio.current_time()
        trial = await system.trial(rate, seconds)
        # Reports and exchanges that follow belong to the messages.
        await trio.sleep(3)
        carried = loopback_bytes() - before - idle * (trio.current_time() - began)
        result[f"bytes_at_{rate}"] = round(carried / trial.sent)
        result[f"bytes_per_delivery_at_{rate}"] = round(carried / trial.delivered)
    return result


def rows(result: dict[str, Any]) -> list[tuple[str, str, str]]:
    lines = []
    for name in ("starling", "raw", "bundled"):
        found = result[name]
        each = ", ".join(f"{found[f'bytes_per_delivery_at_{rate}']} B at {rate}/s" for rate in RATES)
        lines.append(
            (f"wire, {SIZE} B to one recipient, {name}", f"{each}; idle {found['idle_bytes_s']} B/s", "")
        )
    return lines


if __name__ == "__main__":
    _bring_up_loopback()
    print(json.dumps(trio.run(_measure, float(sys.argv[1]))))
