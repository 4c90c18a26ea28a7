"""The command line as a process: what it asks, prints and returns, how fast, and what it must not load."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.daemon.command_line import HEAVY, INVITE, MAIN, MEMBERS, MESSAGE, always, failed, starling
from tests.daemon.scripted_socket import refusal, scripted

from starling.daemon.cli.arguments import parser as command_line
from starling.daemon.ipc.schema import METHODS

# what it loads, and how fast


def test_a_client_command_loads_nothing_heavy(tmp_path: Path) -> None:
    program = (
        "import sys; from starling.daemon.cli.main import main\n"
        f"code = main(['--home', {str(tmp_path / 'home')!r}, 'send', 'lab', 'hello'])\n"
        f"print(code, sorted({HEAVY!r} & sys.modules.keys()))"
    )
    with scripted(tmp_path / "home", always({"state": "sent", "recipients": 2, "epoch": 1, "id": "00" * 16})):
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 []"


def test_a_call_takes_less_than_150_ms(tmp_path: Path) -> None:
    """Of processor time: the time on the wall also tells how busy the machine is with other things."""

    def used() -> float:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return children.ru_utime + children.ru_stime

    with scripted(tmp_path / "home", always({"name": "alice"})):
        taken = []
        for _ in range(5):
            before = used()
            assert starling(tmp_path / "home", "status").returncode == 0
            taken.append(used() - before)
    assert min(taken) < 0.150, taken


# no daemon


def test_no_daemon(tmp_path: Path) -> None:
    failed(starling(tmp_path, "status"), 3, "no daemon is running", "starling daemon")


def test_a_socket_that_a_dead_daemon_left(tmp_path: Path) -> None:
    with scripted(tmp_path / "home", always({})):
        pass
    assert (tmp_path / "home" / "run" / "socket").exists()
    failed(starling(tmp_path / "home", "status"), 3, "no daemon is running", "starling daemon")


def test_a_runtime_directory_that_others_can_write(tmp_path: Path) -> None:
    with scripted(tmp_path / "home", always({})) as served:
        os.chmod(tmp_path / "home" / "run", 0o777)
        failed(starling(tmp_path / "home", "status"), 1, "chmod 700")
        assert served.requests == []


def test_a_daemon_that_ends_under_the_question(tmp_path: Path) -> None:
    with scripted(tmp_path / "home", lambda request: []):
        failed(starling(tmp_path / "home", "status"), 3, "ended")


def test_something_else_at_the_socket(tmp_path: Path) -> None:
    with scripted(tmp_path / "home", lambda request: [b"HTTP/1.1 400 Bad Request\r\n"]):
        failed(starling(tmp_path / "home", "status"), 1, "not a Starling daemon")


# what a daemon refuses


@pytest.mark.parametrize(
    ("word", "message", "code"),
    [
        ("universe.unknown", "no such universe on this node", 4),
        ("ticket.bad", "that is no ticket", 4),
        ("ticket.expired", "the ticket has expired; ask for a new one", 4),
        ("disk_full", "the disk is full; free some space", 1),
        ("usage", "a name has 1 to 64 printable characters", 2),
    ],
)
def test_a_refusal_is_one_line_and_a_code(tmp_path: Path, word: str, message: str, code: int) -> None:
    with scripted(tmp_path / "home", lambda request: [refusal(request, word, message + "\nsecond line")]):
        failed(starling(tmp_path / "home", "join", "ticket"), code, message)
        done = starling(tmp_path / "home", "--json", "join", "ticket")
    assert json.loads(done.stdout)["error"] == {"code": word, "message": message + " second line"}


def _actions(parser: argparse.ArgumentParser) -> Iterator[tuple[argparse.ArgumentParser, argparse.Action]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)
        else:
            yield parser, action


def test_defaults_of_the_command_line_are_those_of_the_socket() -> None:
    """Stated twice, for the command line does not load the schema; so they are held together here."""
    options = {
        (parser.prog, action.dest): action.default
        for parser, action in _actions(command_line())
        if action.dest
    }
    for command, option, method, parameter, per_unit in [
        ("universe create", "suite", "universe.create", "cipher_suite", 1),
        ("join", "suite", "universe.join", "cipher_suite", 1),
        ("invite create", "uses", "invite.create", "uses", 1),
        ("invite create", "expires", "invite.create", "expires_in", 3600),
    ]:
        (known,) = [found for found in METHODS[method].params if found.name == parameter]
        given = str(options[f"starling {command}", option])
        assert float(given.rstrip("h")) * per_unit == known.default, (command, option)


def test_closed_standard_streams_are_as_good_as_empty_ones(tmp_path: Path) -> None:
    told = {"state": "sent", "recipients": 2, "epoch": 3, "id": "ab" * 16}
    with scripted(tmp_path / "home", always(told)) as served:
        for closed, code in ((">&-", 0), ("<&-", 2), ("<&- >&- 2>&-", 2)):
            # Nothing comes from a closed input, which is refused as an empty message.
            words = "hello" if "<" not in closed else "-"
            command = f"{' '.join(MAIN)} --home {tmp_path / 'home'} send lab {words} {closed}"
            done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=30)
            assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    assert [params["body"] for params in served.calls("message.send")] == ["hello"]


# what each command asks


@pytest.mark.parametrize(
    ("arguments", "method", "answer"),
    [
        (("universe", "create", "lab"), "universe.create", {"universe_id": "ab" * 32}),
        (("universe", "list"), "universe.list", {"universes": [{"universe_id": "ab" * 32, "name": "lab"}]}),
        (("universe", "show", "lab"), "universe.get", {"name": "lab", "members": [], "former_members": []}),
        (
            ("name", "lab", "bob", "Robert"),
            "member.name",
            {"identity": "ab" * 32, "name": "bob", "petname": "Robert", "display_name": "Robert"},
        ),
        (
            ("verify", "lab", "bob", "--confirm"),
            "member.verify",
            {"identity": "ab" * 32, "name": "bob", "verification": "1" * 12, "verified_at": 1_000},
        ),
        (("invite", "list", "lab"), "invite.list", {"invites": [INVITE]}),
        (("invite", "revoke", "lab", "aa"), "invite.revoke", {"revoked": "aa"}),
        (
            ("history", "lab"),
            "message.history",
            {"messages": [MESSAGE]},
        ),
        (("members", "lab"), "member.list", {"members": MEMBERS, "former_members": []}),
        (("update", "lab"), "security.update", {"epoch": 3}),
        (("role", "lab", "bob", "admin"), "member.role", {"identity": "ab" * 32, "role": "admin"}),
        (("policy", "lab"), "universe.policy", {"invite": "member", "remove": "admin"}),
        (("block", "lab", "bob"), "member.block", {"blocked": "ab" * 32}),
        (("unblock", "lab", "bob"), "member.unblock", {"unblocked": "ab" * 32}),
        (("rejoin", "lab"), "universe.rejoin", {"groups": 2}),
        (("leave", "lab"), "universe.leave", {"told": 2}),
        (("leave", "lab", "--force"), "universe.leave", {"told": 0}),
        (("status",), "daemon.status", {"name": "alice"}),
        (
            ("peers",),
            "peer.list",
            {"connected": [{"peer_id": "12D3"}], "known": [{"peer_id": "12D3", "members": []}]},
        ),
    ],
)
def test_each_command_asks_its_method(
    tmp_path: Path, arguments: tuple[str, ...], method: str, answer: dict[str, Any]
) -> None:
    with scripted(tmp_path / "home", always(answer)) as served:
        plain = starling(tmp_path / "home", *arguments)
        as_json = starling(tmp_path / "home", *arguments, "--json")
    assert plain.returncode == as_json.returncode == 0, plain.stderr + as_json.stderr
    assert plain.stdout
    assert [request["method"] for request in served.requests] == [method, method]
    for line in as_json.stdout.splitlines():
        json.loads(line)


# help, and what goes wrong


@pytest.mark.parametrize(
    "command",
    [
        "init", "daemon", "universe", "universe create", "universe list", "universe show", "invite",
        "invite create", "invite inspect", "invite list", "invite revoke", "join", "send", "listen",
        "history", "members", "update", "remove", "status", "peers",
    ],
)  # fmt: skip
def test_every_command_has_help_with_the_exit_codes(tmp_path: Path, command: str) -> None:
    done = starling(tmp_path, *command.split(), "--help")
    assert done.returncode == 0
    assert "exit codes:" in done.stdout
    assert "--json" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("nothing",),
        ("send", "lab", "x", "--id", "12"),
        ("invite", "create", "lab", "--expires", "soon"),
        ("join", "x", "--timeout", "nan"),
        ("listen", "--timeout", "inf"),
        ("listen", "--timeout", "-1"),
        ("listen", "--count", "0"),
        (),
    ],
)
def test_a_wrong_command_line_is_code_2(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = starling(tmp_path, *arguments)
    assert done.returncode == 2 and not done.stdout
    assert "Traceback" not in done.stderr and done.stderr.startswith("usage: starling")
    told = starling(tmp_path, *arguments, "--json")
    assert (told.returncode, json.loads(told.stdout)["error"]["code"]) == (2, "usage")
    assert json.loads(told.stdout)["error"]["message"] in told.stderr


@pytest.mark.parametrize(
    ("arguments", "answer", "code", "word"),
    [
        (("status",), None, 3, "not_running"),
        (("send", "lab", ""), {}, 2, "empty"),
        (("listen", "--count", "2", "--timeout", "0.05"), {"subscription": 1}, 5, "events.late"),
        (
            ("readmit", "lab", "bob"),
            {"members": [{"identity": "ab" * 32, "name": "bob"}]},
            4,
            "readmit.number",
        ),
        (("evidence", "export", "lab"), {"evidence": []}, 4, "evidence.unclear"),
        (("invite", "inspect", "starling1x"), None, 4, "ticket.bad"),
        (("evidence", "verify", "no such file"), None, 1, "error"),
    ],
)
def test_every_failure_is_an_object_for_programs(
    tmp_path: Path, arguments: tuple[str, ...], answer: dict[str, Any] | None, code: int, word: str
) -> None:
    home = tmp_path / "home"
    with contextlib.nullcontext() if answer is None else scripted(home, always(answer)):
        done = starling(home, "--json", *arguments)
        failed(done, code)
        failed(starling(home, *arguments), code)
    told = json.loads(done.stdout)["error"]
    assert (told["code"], f"starling: {told['message']}\n") == (word, done.stderr)


def test_a_name_that_is_no_text_is_not_sent(tmp_path: Path) -> None:
    with scripted(tmp_path / "home", always({})) as served:
        failed(starling(tmp_path / "home", "name", "lab", "Bob", os.fsdecode(b"a\xff")), 2, "UTF-8")
    assert not served.calls("member.name")
