"""Real daemons on loopback: two members who are never online together talk through an archiver."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.daemon.command_line import MAIN

CONFIG = '[network]\nlisten = ["/ip4/127.0.0.1/tcp/0"]\nmdns = false\n'
PATIENCE = 60.0


class Daemon:
    """A node in its own home, running or not."""

    def __init__(self, home: Path, name: str, *options: str) -> None:
        self.home = home
        self.options = options
        self._process: subprocess.Popen[str] | None = None
        assert self.run("init", "--name", name).returncode == 0
        (home / "starling.toml").write_text(CONFIG)

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*MAIN, "--home", str(self.home), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def ask(self, *arguments: str) -> Any:
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done
        return json.loads(done.stdout)

    def refused(self, *arguments: str) -> str:
        """The one line by which a command is refused."""
        done = self.run(*arguments)
        assert done.returncode in (1, 2, 4), done
        lines = [line for line in done.stderr.splitlines() if "loading the network layer" not in line]
        assert len(lines) == 1, done
        assert lines[0].startswith("starling: ")
        return lines[0]

    def start(self) -> None:
        with open(self.home / "log", "a") as log:
            self._process = subprocess.Popen(
                [*MAIN, "--home", str(self.home), "daemon", *self.options],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._process.stdout is not None
        assert self._process.stdout.readline().startswith("ready "), (self.home / "log").read_text()

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(PATIENCE) == 0
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process = None
        assert "Traceback" not in (self.home / "log").read_text()

    def texts(self) -> list[str]:
        done = self.run("history", "lab", "--json")
        return [json.loads(line)["body"] for line in done.stdout.splitlines()]


def until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it does not come to this"
        time.sleep(0.2)


@pytest.fixture
def homes(tmp_path: Path) -> Path:
    return tmp_path


def test_two_who_are_never_online_together_talk(homes: Path) -> None:
    with ExitStack() as stack:
        alice, bob = (Daemon(homes / name, name) for name in ("alice", "bob"))
        vault = Daemon(homes / "vault", "Vault", "--role", "archiver")
        for node in (alice, bob, vault):
            stack.callback(node.stop)
        for node in (vault, alice):
            node.start()
        alice.ask("universe", "create", "lab")
        assert alice.ask("archiver", "list", "lab") == []
        offer = vault.ask("archiver", "offer")["offer"]
        _refusals(alice, vault, offer)
        named = alice.ask("archiver", "add", "lab", offer)["archiver"]
        assert vault.ask("status")["identity"] == named
        bob.start()
        bob.ask("join", alice.ask("invite", "create", "lab")["ticket"])
        until(lambda: alice.ask("universe", "show", "lab")["converged"])
        until(lambda: vault.ask("status")["archives"][0]["members"] == 2)
        until(lambda: all(node.ask("archiver", "list", "lab")[0]["connected"] for node in (alice, bob)))

        _no_admin(bob)
        _shown_on_the_archiver(vault)

        bob.stop()
        alice.run("send", "lab", "are you there?")
        _until_kept(alice)
        kept = vault.ask("status")["archives"][0]
        assert kept["opened"] > 0
        assert not kept["full"]
        assert vault.ask("peers")["known"][0]["members"][0][2] == "alice"
        alice.stop()

        bob.start()
        until(lambda: "are you there?" in bob.texts())
        bob.run("send", "lab", "now I am")
        _until_kept(bob)
        bob.stop()

        vault.stop()
        vault.start()
        alice.start()
        until(lambda: "now I am" in alice.texts())

        assert vault.refused("send", "lab", "I am no member").count("archiver")
        alice.ask("archiver", "remove", "lab", "Vault")
        until(lambda: vault.ask("status")["archives"] == [])


def _until_kept(node: Daemon) -> None:
    """Until the archiver has all that a member keeps for others."""
    until(lambda: node.ask("archiver", "list", "lab")[0]["has_all"])


def _no_admin(bob: Daemon) -> None:
    refused = bob.run("archiver", "remove", "lab", "Vault")
    assert (refused.returncode, refused.stderr) == (4, "starling: only admins name and remove archivers\n")
    assert len(bob.ask("archiver", "list", "lab")) == 1


def _shown_on_the_archiver(vault: Daemon) -> None:
    """Who the members are it knows, and not how far they have come, nor the policy."""
    for command in (("members", "lab"), ("universe", "show", "lab")):
        shown = vault.run(*command)
        assert (shown.returncode, shown.stderr) == (0, ""), shown
        alice = [line.split() for line in shown.stdout.splitlines() if line.startswith("alice")]
        assert [row[2:] for row in alice] == [["admin", "yes"]]
    assert "no member" in vault.refused("policy", "lab")


def _refusals(alice: Daemon, vault: Daemon, offer: str) -> None:
    """A clear line for each, and nothing changed."""
    assert "begins with starlingarchiver1" in alice.refused("archiver", "add", "lab", "starling1abc")
    assert alice.run("archiver", "add", "lab", "starling1abc").returncode == 4
    assert "typo" in alice.refused("archiver", "add", "lab", offer[:-4])
    assert "no universe" in alice.refused("archiver", "add", "nowhere", offer)
    assert "no archiver called" in alice.refused("archiver", "remove", "lab", "Vault")
    assert "--role archiver" in alice.refused("archiver", "offer")
    assert "--role archiver" in alice.refused("archiver", "drop", "lab")
    assert "no universe" in vault.refused("archiver", "drop", "lab")
    assert "archiver" in vault.refused("universe", "create", "lab")
    assert alice.ask("archiver", "list", "lab") == []
    assert alice.run("daemon", "--role", "nothing").returncode == 2


def test_a_store_is_a_members_or_an_archivers(homes: Path) -> None:
    with ExitStack() as stack:
        alice = Daemon(homes / "alice", "alice")
        vault = Daemon(homes / "vault", "Vault", "--role", "archiver")
        for node in (alice, vault):
            stack.callback(node.stop)
            node.start()
        alice.ask("universe", "create", "lab")
        vault.ask("archiver", "offer")
        for node in (alice, vault):
            node.stop()
        assert "as a member" in alice.refused("daemon", "--role", "archiver")
        assert "--role archiver" in vault.refused("daemon")
        alice.start()
        assert alice.ask("universe", "list")[0]["name"] == "lab"
