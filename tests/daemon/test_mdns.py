"""Finding each other on the local network: two daemons in two network namespaces, joined by a cable of their own.

All traffic stays inside the namespaces that the test makes, which needs root. tests/p2p/test_discovery.py tells the
same story everywhere, of two nodes of one process on the loopback interface.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.daemon.command_line import MAIN

ALICE, ALICE_LATER, BOB = "192.0.2.1", "192.0.2.3", "192.0.2.2"
PATIENCE = 60.0


def ip(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)


def why_not() -> str:
    """Why no network namespaces can be made here; empty where they can."""
    if sys.platform != "linux":
        return "network namespaces are of Linux"
    if os.geteuid() != 0:
        return "making network namespaces needs root"
    if shutil.which("ip") is None:
        return "'ip' is missing (Debian package iproute2)"
    name = f"starling-{os.getpid()}-try"
    made = ip("netns", "add", name)
    ip("netns", "del", name)
    return f"'ip netns add' fails here: {made.stderr.strip()}" if made.returncode else ""


@contextmanager
def two_machines() -> Iterator[tuple[str, str]]:
    """The names of two namespaces whose only way out is a cable to each other."""
    names = (f"starling-{os.getpid()}-a", f"starling-{os.getpid()}-b")
    try:
        for name in names:
            assert ip("netns", "add", name).returncode == 0
        # Both ends are made inside: not for a moment do they belong to the machine's own network.
        made = ip("-n", names[0], "link", "add", "cable", "type", "veth", "peer", "cable", "netns", names[1])
        assert made.returncode == 0, made.stderr
        for name, address in zip(names, (ALICE, BOB), strict=True):
            for command in (
                ("address", "add", f"{address}/24", "dev", "cable"),
                ("link", "set", "cable", "up"),
                ("link", "set", "lo", "up"),
                ("route", "add", "224.0.0.0/4", "dev", "cable"),
            ):
                done = ip("-n", name, *command)
                assert done.returncode == 0, done.stderr
        yield names
    finally:
        for name in names:
            ip("netns", "del", name)


class Machine:
    """A node whose daemon runs in a namespace; the command line reaches it through its socket."""

    def __init__(self, name: str, namespace: str, home: Path, listen: str) -> None:
        self.namespace = namespace
        self._base = [*MAIN, "--home", str(home)]
        self._log = home.with_suffix(".log")
        self._daemon: subprocess.Popen[str] | None = None
        subprocess.run([*self._base, "init", "--name", name], check=True, capture_output=True)
        (home / "starling.toml").write_text(f'[network]\nlisten = ["{listen}"]\n[log]\nlevel = "debug"\n')

    def start(self) -> None:
        with open(self._log, "a") as log:
            self._daemon = subprocess.Popen(
                ["ip", "netns", "exec", self.namespace, *self._base, "daemon"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._daemon.stdout is not None
        assert self._daemon.stdout.readline().startswith("ready "), self._log.read_text()

    def stop(self) -> None:
        if self._daemon is not None:
            self._daemon.terminate()
            self._daemon.wait(20)
            assert self._daemon.stdout is not None
            self._daemon.stdout.close()
            self._daemon = None

    def starling(self, *arguments: str) -> Any:
        done = subprocess.run(
            [*self._base, "--json", *arguments], capture_output=True, text=True, timeout=90, check=False
        )
        assert done.returncode == 0, (done, self._log.read_text()[-3000:])
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        return lines[0] if len(lines) == 1 else lines

    def addresses_of_peers(self) -> list[str]:
        """Where this node has dialled those that it is connected to."""
        return [peer["address"] for peer in self.starling("peers")["connected"] if peer["outbound"]]


def wait_for(condition: Any, what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


def test_a_node_is_found_again_after_its_address_changed(tmp_path: Path) -> None:
    """Bob can be dialled by nobody, so it is Bob who has to hear where Alice, who runs on, is now.

    He is restarted because his system takes half a minute to give up on a connection that is cut silently.
    """
    if reason := why_not():
        # Without root and `ip` there are no two machines; tests/p2p/test_discovery.py always runs, in one process.
        pytest.skip(reason)
    with two_machines() as (here, there):
        alice = Machine("Alice", here, tmp_path / "alice", "/ip4/0.0.0.0/tcp/4001")
        bob = Machine("Bob", there, tmp_path / "bob", "/ip4/127.0.0.1/tcp/0")
        try:
            alice.start()
            bob.start()
            alice.starling("universe", "create", "lab")
            ticket = alice.starling("invite", "create", "lab")["ticket"]
            assert bob.starling("join", ticket)["state"] == "joined"
            assert bob.addresses_of_peers() == [f"/ip4/{ALICE}/tcp/4001"]
            for command in (("del", ALICE), ("add", ALICE_LATER)):
                done = ip("-n", here, "address", command[0], f"{command[1]}/24", "dev", "cable")
                assert done.returncode == 0, done.stderr
            later = [f"/ip4/{ALICE_LATER}/tcp/4001"]
            wait_for(lambda: alice.starling("status")["addresses"] == later, "Alice does not notice")
            bob.stop()
            bob.start()
            wait_for(lambda: bob.addresses_of_peers() == later, "Bob does not find Alice")
            alice.starling("send", "lab", "moved")
            wait_for(
                lambda: "moved" in json.dumps(bob.starling("history", "lab")), "the message did not come"
            )
        finally:
            alice.stop()
            bob.stop()
