"""The command line against a real daemon: its answers, and one clear line for each thing that is refused."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.daemon.command_line import MAIN
from tests.daemon.node import check_answer

from starling.daemon.ipc.schema import METHODS

CONFIG = '[network]\nlisten = ["/ip4/127.0.0.1/tcp/{port}"]\nmdns = false\n'


def starling(home: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*MAIN, "--home", str(home), *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def made(home: Path, name: str, port: int = 0) -> Path:
    assert starling(home, "init", "--name", name).returncode == 0
    (home / "starling.toml").write_text(CONFIG.format(port=port))
    return home


@pytest.fixture(scope="module")
def alice(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A running daemon with the universe `lab`; its home."""
    home = made(tmp_path_factory.mktemp("cli") / "alice", "Alice")
    with open(home / "log", "w") as log:
        daemon = subprocess.Popen(
            [*MAIN, "--home", str(home), "daemon"], stdout=subprocess.PIPE, stderr=log, text=True
        )
    assert daemon.stdout is not None
    line = daemon.stdout.readline()
    try:
        assert line.startswith(f"ready socket={home}/run/socket addresses=/ip4/127.0.0.1/tcp/"), line
        assert starling(home, "universe", "create", "lab").returncode == 0
        yield home
    finally:
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(20) == 0
        assert daemon.stdout.read() == ""
        daemon.stdout.close()
    logged = (home / "log").read_text()
    assert "Traceback" not in logged
    for secret in ("a text for nobody else", (home / "node.key").read_text().strip()):
        assert secret not in logged


def refused(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    assert done.returncode == code, done
    assert done.stderr.startswith("starling: ")
    assert done.stderr.count("\n") == 1
    for word in words:
        assert word in done.stderr


def ticket(home: Path, *arguments: str) -> dict[str, str]:
    found: dict[str, str] = json.loads(starling(home, "invite", "create", "lab", "--json", *arguments).stdout)
    return found


def test_send_and_read_it_in_the_history(alice: Path) -> None:
    identifier = os.urandom(16).hex()
    for _ in range(2):
        done = starling(
            alice, "send", "lab", "-", "--id", identifier, "--json", stdin="a text for nobody else"
        )
        assert json.loads(done.stdout)["state"] == "sent", done
        assert json.loads(done.stdout)["recipients"] == 0
    shown = [json.loads(line) for line in starling(alice, "history", "lab", "--json").stdout.splitlines()]
    assert [message["body"] for message in shown if message["id"] == identifier] == ["a text for nobody else"]
    refused(starling(alice, "send", "lab", "another text", "--id", identifier), 4, "id")


def test_a_cursor_goes_on_where_it_stopped(alice: Path) -> None:
    def listened() -> list[int]:
        arguments = (
            "listen",
            "--cursor",
            "app",
            "--from",
            "0",
            "--type",
            "all",
            "--timeout",
            "2",
            "--json",
        )
        return [json.loads(line)["seq"] for line in starling(alice, *arguments).stdout.splitlines()]

    first = listened()
    assert first == sorted(set(first))
    assert first
    assert listened() == []
    assert starling(alice, "send", "lab", "one more").returncode == 0
    later = listened()
    assert later
    assert min(later) > max(first)


def test_status_members_universes_and_invites(alice: Path) -> None:
    assert json.loads(starling(alice, "status", "--json").stdout)["name"] == "Alice"
    (member,) = json.loads(starling(alice, "members", "lab", "--json").stdout)
    assert (member["name"], member["is_self"]) == ("Alice", True)
    (universe,) = json.loads(starling(alice, "universe", "list", "--json").stdout)
    by_prefix = starling(alice, "universe", "show", universe["universe_id"][:8], "--json")
    assert json.loads(by_prefix.stdout)["name"] == "lab"
    invite = ticket(alice, "--uses", "3")
    inspected = json.loads(starling(alice, "invite", "inspect", invite["ticket"], "--json").stdout)
    assert (inspected["universe_name"], inspected["inviter_name"]) == ("lab", "Alice")
    assert starling(alice, "invite", "revoke", "lab", invite["invite_id"]).returncode == 0
    listed = json.loads(starling(alice, "invite", "list", "lab", "--json").stdout)
    assert [row["revoked"] for row in listed if row["invite_id"] == invite["invite_id"]] == [True]


def test_what_is_unknown_or_not_allowed(alice: Path) -> None:
    refused(starling(alice, "send", "nowhere", "x"), 4, "nowhere", "universe list")
    refused(starling(alice, "members", "nowhere"), 4, "nowhere")
    refused(starling(alice, "remove", "lab", "Mallory"), 4, "Mallory", "starling members")
    refused(starling(alice, "invite", "revoke", "lab", "00" * 32), 4, "invite")
    refused(starling(alice, "universe", "create", "n" * 65), 2, "64")


def test_listening_for_what_never_happens(alice: Path) -> None:
    refused(starling(alice, "listen", "--type", "bogus"), 2, "bogus", "known are", "message.received")
    refused(starling(alice, "listen", "--type", "message.recieved"), 2, "did you mean 'message.received'?")


def test_a_name_that_is_taken(alice: Path) -> None:
    refused(starling(alice, "universe", "create", "lab"), 4, "'lab'", "choose another name")


def test_answers_are_what_the_schema_says(alice: Path) -> None:
    """Of the real engine, whose views the daemon hands on."""
    ticket_text = ticket(alice)["ticket"]
    (universe,) = json.loads(starling(alice, "universe", "list", "--json").stdout)
    lab = {"universe": "lab"}
    for method, params in [
        ("hello", {}),
        ("daemon.status", {}),
        ("universe.get", lab),
        ("universe.list", {}),
        ("invite.create", lab),
        ("invite.inspect", {"ticket": ticket_text}),
        ("message.send", lab | {"body": "x"}),
        ("message.history", lab),
        ("events.subscribe", {}),
        ("events.list", {}),
        ("security.update", lab),
        ("security.view", lab),
        ("fork.list", lab),
        ("evidence.list", lab),
        ("peer.list", {}),
        ("rpc.discover", {}),
    ]:
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        with socket.socket(socket.AF_UNIX) as client, client.makefile("rw") as lines:
            client.connect(str(alice / "run" / "socket"))
            lines.write(json.dumps(request) + "\n")
            lines.flush()
            check_answer(method, json.loads(lines.readline())["result"])
    named = [
        member for member in METHODS["universe.get"].result if not member.doc.startswith("of an archiver")
    ]
    assert {member.name for member in named} == {*universe, "members", "former_members"}


def test_the_sixty_fifth_client(alice: Path) -> None:
    clients = [socket.socket(socket.AF_UNIX) for _ in range(64)]
    try:
        for client in clients:
            client.connect(str(alice / "run" / "socket"))
            client.sendall(b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n')
            assert client.recv(1000)
        refused(starling(alice, "status"), 1, "64 clients are connected already")
    finally:
        for client in clients:
            client.close()


def test_tickets_that_do_not_work(alice: Path) -> None:
    good = ticket(alice)["ticket"]
    refused(starling(alice, "join", "no ticket at all"), 4, "icket")
    refused(starling(alice, "join", good[:-2] + ("aa" if good[-2:] != "aa" else "bb")), 4, "icket")
    refused(starling(alice, "invite", "inspect", good[: len(good) // 2]), 4, "icket")
    refused(starling(alice, "join", good), 4, "member of that universe already")
    short_lived = ticket(alice, "--expires", "1s")
    time.sleep(1.5)  # more than it lasts, whatever the time was when it was made
    refused(starling(alice, "join", short_lived["ticket"]), 4, "expired", "ask for a new one")


def test_a_second_daemon_on_the_same_directory(alice: Path) -> None:
    refused(starling(alice, "daemon"), 1, "another starling", str(alice), "--home")
    assert starling(alice, "status").returncode == 0


def test_a_port_in_use(alice: Path, tmp_path: Path) -> None:
    (address,) = json.loads(starling(alice, "status", "--json").stdout)["addresses"]
    home = made(tmp_path / "bob", "Bob", port=int(address.rsplit("/", 1)[1]))
    done = starling(home, "daemon")
    assert done.returncode == 1
    assert address in done.stderr.splitlines()[-1]
    assert "network.listen" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_directory_or_key_file_that_others_can_read(tmp_path: Path) -> None:
    home = made(tmp_path / "bob", "Bob")
    home.chmod(0o750)
    refused(starling(home, "daemon"), 1, "chmod 700", str(home))
    home.chmod(0o700)
    (home / "node.key").chmod(0o640)
    refused(starling(home, "daemon"), 1, "chmod 600", "node.key")
    (home / "node.key").unlink()
    refused(starling(home, "daemon"), 1, "node.key", "missing")
    refused(starling(tmp_path / "none", "daemon"), 1, "starling init")
