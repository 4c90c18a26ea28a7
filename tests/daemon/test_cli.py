"""The command line as a process: what it asks, prints and returns, how fast, and what it must not load."""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.daemon.scripted_socket import Answer, event, refusal, result, scripted

from starling.daemon.cli.main import _parser
from starling.daemon.ipc.schema import METHODS

MAIN = [sys.executable, "-m", "starling.daemon.cli.main"]
HEAVY = {"trio", "libp2p", "cryptography", "msgpack", "sqlite3", "asyncio"}


def starling(
    home: Path, *arguments: str, stdin: bytes = b"", timeout: float = 30
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*MAIN, "--home", str(home), *arguments],
        input=stdin,
        capture_output=True,
        timeout=timeout,
        check=False,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def always(value: Any) -> Answer:
    return lambda request: [result(request, value)]


def failed(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """It failed with this code and one line that holds these words."""
    assert done.returncode == code, done
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("starling: ")
    assert done.stderr.count("\n") == 1
    for word in words:
        assert word in done.stderr


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
    if code == 4:
        assert json.loads(done.stdout)["error"] == {"code": word, "message": message + " second line"}


# send


def test_send_text(tmp_path: Path) -> None:
    with scripted(
        tmp_path / "home", always({"state": "sent", "recipients": 2, "epoch": 3, "id": "ab" * 16})
    ) as served:
        done = starling(tmp_path / "home", "send", "lab", "héllo", "--id", "AB" * 16)
    assert done.returncode == 0
    assert done.stdout == f"sent {'ab' * 16} to 2 in epoch 3\n"
    (params,) = served.calls("message.send")
    assert params == {
        "universe": "lab",
        "id": "ab" * 16,
        "type": "text",
        "wait": True,
        "body": "héllo",
        "encoding": "utf8",
    }


def test_send_takes_its_options_anywhere(tmp_path: Path) -> None:
    with scripted(
        tmp_path / "home", always({"state": "sent", "recipients": 2, "epoch": 3, "id": "ab" * 16})
    ) as served:
        done = starling(tmp_path / "home", "send", "lab", "--id", "ab" * 16, "once", "more")
        wrong = starling(tmp_path / "home", "members", "lab", "once")
    assert done.returncode == 0
    assert served.calls("message.send")[0]["body"] == "once more"
    assert wrong.returncode == 2
    assert "unrecognized arguments: once" in wrong.stderr


def test_send_to_one_member(tmp_path: Path) -> None:
    told = {"state": "sent", "recipients": 1, "epoch": 3, "id": "ab" * 16}
    with scripted(tmp_path / "home", always(told)) as served:
        done = starling(tmp_path / "home", "send", "lab", "--to", "Ben", "once", "more")
    assert done.stdout == f"sent {'ab' * 16} to Ben alone in epoch 3\n"
    (params,) = served.calls("message.send")
    assert (params["to"], params["body"]) == ("Ben", "once more")
    with scripted(tmp_path / "gone", always({"state": "undelivered", "id": "ab" * 16})):
        done = starling(tmp_path / "gone", "send", "lab", "--to", "Ben", "too late")
    assert (done.returncode, done.stdout) == (
        4,
        f"not sent {'ab' * 16}: Ben was removed or blocked before it could be\n",
    )
    with scripted(
        tmp_path / "nobody",
        lambda request: [refusal(request, "member.unknown", "there is nobody called 'Dan'")],
    ):
        failed(starling(tmp_path / "nobody", "send", "lab", "--to", "Dan", "hi"), 4, "nobody called 'Dan'")


def test_direct_messages_are_marked(tmp_path: Path) -> None:
    to_us = event(1, sender_name="ben", body="psst", encoding="utf8", to="ab" * 32, to_name="ann")
    with scripted(tmp_path / "listen", listening(to_us)):
        done = starling(tmp_path / "listen", "listen", "--count", "1")
    assert done.stdout.endswith(" ben (to you): psst\n")
    own = {**MESSAGE, "own": True, "to": "cd" * 32, "to_name": "b\nen"}
    shown = [
        {**MESSAGE, "own": False, "to": "ab" * 32, "to_name": "ann"},
        {**own, "state": "sent"},
        {**own, "state": "queued"},
        {**own, "state": "undelivered", "reason": "removed"},
        {**MESSAGE, "own": True, "to": None, "state": "sent"},
    ]
    with scripted(tmp_path / "history", always({"messages": shown, "more": False})):
        done = starling(tmp_path / "history", "history", "lab")
    ends = [line.split(" bob", 1)[1] for line in done.stdout.splitlines()]
    assert ends == [
        " (to you): x",
        " (to b en): x",
        " (to b en): x (queued)",
        " (to b en): x (not sent)",
        ": x",
    ]


def test_send_standard_input_and_bytes_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"\xff\x00")
    with scripted(tmp_path / "home", always({"state": "queued", "id": "ab" * 16})) as served:
        assert starling(tmp_path / "home", "send", "lab", "-", stdin=b"two\nlines").returncode == 0
        assert starling(tmp_path / "home", "send", "lab", "--file", str(tmp_path / "file")).returncode == 0
    first, second = served.calls("message.send")
    assert (first["body"], first["encoding"]) == ("two\nlines", "utf8")
    assert (second["body"], second["encoding"]) == ("/wA=", "base64")
    assert (first["type"], second["type"]) == ("text", "binary")


def test_a_warning_of_the_daemon_goes_to_standard_error(tmp_path: Path) -> None:
    told = {"state": "sent", "recipients": 2, "epoch": 3, "id": "ab" * 16, "warning": "put back"}
    with scripted(tmp_path / "home", always(told)):
        done = starling(tmp_path / "home", "send", "lab", "hello")
    assert (done.returncode, done.stderr) == (0, "starling: put back\n")
    with scripted(tmp_path / "other", always({"name": "ann", "rollback_suspected": ["cd" * 32]})):
        done = starling(tmp_path / "other", "status")
    assert done.returncode == 0
    assert "cd" * 6 in done.stderr
    assert "old state" in done.stderr


def test_send_of_what_cannot_be_sent(tmp_path: Path) -> None:
    with scripted(tmp_path / "home", always({})) as served:
        assert "--file" in starling(tmp_path / "home", "send", "lab").stderr
        failed(starling(tmp_path / "home", "send", "lab", "--file", str(tmp_path / "none")), 1, "cannot read")
        failed(starling(tmp_path / "home", "send", "lab", "-", stdin=bytes(512 * 1024 + 1)), 2, "524288")
        failed(starling(tmp_path / "home", "send", "lab", "-", stdin=b""), 2, "empty")
    assert served.requests == []


# listen


def listening(*told: dict[str, Any]) -> Answer:
    def answer(request: dict[str, Any]) -> list[dict[str, Any] | bytes]:
        return [
            result(request, {"subscription": 1}),
            *(told if request["method"] == "events.subscribe" else ()),
        ]

    return answer


def test_listen_prints_and_acknowledges_what_it_printed(tmp_path: Path) -> None:
    told = [event(seq, sender_name="bob", body=f"m{seq}", encoding="utf8") for seq in (5, 6, 7)]
    with scripted(tmp_path / "home", listening(*told)) as served:
        done = starling(tmp_path / "home", "--json", "listen", "--cursor", "app", "--count", "2")
    assert done.returncode == 0
    assert [json.loads(line)["seq"] for line in done.stdout.splitlines()] == [5, 6]
    assert served.calls("events.subscribe") == [{"cursor": "app", "kinds": ["message.received"]}]
    # The third event was sent too, but nobody saw it.
    assert served.calls("events.ack")[-1] == {"cursor": "app", "seq": 6}


def test_listen_without_a_cursor_begins_now_and_acknowledges_nothing(tmp_path: Path) -> None:
    with scripted(
        tmp_path / "home", listening(event(1, sender_name="bob", body="hi", encoding="utf8"))
    ) as served:
        done = starling(tmp_path / "home", "listen", "lab", "--count", "1", "--type", "message.received")
    assert done.stdout.endswith("bob: hi\n")
    assert served.calls("events.subscribe") == [{"universe": "lab", "kinds": ["message.received"]}]
    assert served.calls("events.ack") == []


def test_listen_ends_by_its_timeout(tmp_path: Path) -> None:
    with scripted(tmp_path / "home", listening()):
        assert starling(tmp_path / "home", "listen", "--timeout", "0.05").returncode == 0
        assert starling(tmp_path / "home", "listen", "--timeout", "0.05", "--count", "1").returncode == 5


def test_listen_says_what_was_lost(tmp_path: Path) -> None:
    lost = {"jsonrpc": "2.0", "method": "events.lost", "params": {"subscription": 1, "from": 3, "to": 9}}
    with scripted(tmp_path / "home", listening(lost, event(10, sender_name="b", body="x", encoding="utf8"))):
        done = starling(tmp_path / "home", "listen", "--cursor", "app", "--count", "1")
    assert "3 to 9" in done.stderr
    assert done.stdout.endswith("b: x\n")


def test_what_others_write_cannot_steer_the_terminal(tmp_path: Path) -> None:
    told = event(1, sender_name="e\x1b[31mve", body="\x1b]0;gone\x07", encoding="utf8")
    with scripted(tmp_path / "home", listening(told)):
        done = starling(tmp_path / "home", "listen", "--count", "1")
    assert "\x1b" not in done.stdout
    assert "\x07" not in done.stdout
    assert "\\x1b[31m" in done.stdout


def test_other_events_are_one_line_of_names_and_values(tmp_path: Path) -> None:
    told = event(1, "epoch.started", owner="ab", path=True, removed=["cd", "e\x1bf"])
    with scripted(tmp_path / "home", listening(told)):
        done = starling(tmp_path / "home", "listen", "--type", "all", "--count", "1")
    assert done.stdout.endswith(" epoch.started owner=ab path=True removed=cd,e\\x1bf\n")


def test_the_moments_of_an_event_are_told_as_such(tmp_path: Path) -> None:
    told = event(1, "member.healed", identity="ab", before=1_795_262_400_000, groups=9)
    with scripted(tmp_path / "home", listening(told)):
        done = starling(tmp_path / "home", "listen", "--type", "all", "--count", "1")
    assert re.search(r" member.healed identity=ab before=2026-11-2\dT\d\d:\d\d:\d\d groups=9\n$", done.stdout)


def test_a_message_cannot_pass_for_another_line(tmp_path: Path) -> None:
    forged = event(1, sender_name="e\nve", body="fine\n2026-11-21 09:40:00 bob: agreed", encoding="utf8")
    with scripted(tmp_path / "home", listening(forged)):
        done = starling(tmp_path / "home", "listen", "--count", "1")
    first, second = done.stdout.splitlines()
    assert first.endswith("e ve: fine")
    assert second == "    2026-11-21 09:40:00 bob: agreed"


def test_listen_says_where_a_new_cursor_begins(tmp_path: Path) -> None:
    shown = " ".join(starling(tmp_path, "listen", "--help").stdout.split())
    assert "a new name begins at the oldest kept event, or where --from says (without a cursor: now)" in shown


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
        (parser.prog, action.dest): action.default for parser, action in _actions(_parser()) if action.dest
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


# the rest


MEMBERS = [
    {"identity": digits * 32, "name": name, "in_groups": 2, "groups": 3}
    for digits, name in (("ab", "bob"), ("ac", "eve"), ("ad", "eve"))
]
INVITE = {
    "invite_id": "aa" * 32, "role": "member", "uses": 2, "spent": 1, "spent_by": MEMBERS[:1],
    "inviter": {"identity": "ae" * 32, "name": "alice"}, "expires_at": 1, "revoked": False,
    "overspent": False, "state": "open",
}  # fmt: skip
LISTED = {"members": MEMBERS, "former_members": []}
MESSAGE = {"number": 1, "time": 1_000, "body": "x", "encoding": "utf8", "sender": "ab", "sender_name": "bob"}


def test_an_invite_prints_only_its_ticket(tmp_path: Path) -> None:
    with scripted(tmp_path / "home", always({"ticket": "STARLING1", "invite_id": "00"})) as served:
        done = starling(tmp_path / "home", "invite", "create", "lab", "--uses", "3", "--expires", "2h")
    assert done.stdout == "STARLING1\n"
    assert served.calls("invite.create") == [
        {"universe": "lab", "uses": 3, "expires_in": 7_200.0, "role": "member"}
    ]


def test_a_ticket_may_come_in_pieces(tmp_path: Path) -> None:
    with scripted(
        tmp_path / "home", always({"state": "joined", "name": "lab", "universe_id": "ab"})
    ) as served:
        assert starling(tmp_path / "home", "join", "-", stdin=b"STAR\r\n LING\n").returncode == 0
    assert served.calls("universe.join") == [{"ticket": "STARLING", "timeout": 30, "cipher_suite": 1}]


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
        (("members", "lab"), "member.list", LISTED),
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


def test_members_says_how_many_owners_have_followed(tmp_path: Path) -> None:
    former = [
        {"identity": digits * 32, "name": name, "removed_by": by, "groups": 3}
        for digits, name, by in (("ae", "carol", 2), ("af", "dave", 3))
    ]
    with scripted(tmp_path / "home", always({"members": MEMBERS[:1], "former_members": former})):
        shown = starling(tmp_path / "home", "members", "lab").stdout
    assert "2 of 3" in shown and "carol: removed by 2 of 3 senders" in shown and "dave" not in shown


def test_invite_list_says_who_came_by_whose_ticket(tmp_path: Path) -> None:
    with scripted(tmp_path / "home", always({"invites": [INVITE]})):
        shown = starling(tmp_path / "home", "invite", "list", "lab").stdout
    row = shown.splitlines()[1].split()
    assert row[:4] == ["aa" * 8, "member", "alice", "open"] and row[-4:] == ["1", "of", "2", "bob"]


def test_policy_speaks_of_members_and_admins(tmp_path: Path) -> None:
    with scripted(tmp_path / "home", always({"invite": "admin", "remove": "member"})) as served:
        done = starling(tmp_path / "home", "policy", "lab", "--invite", "admins", "--remove", "members")
        assert starling(tmp_path / "home", "policy", "lab", "--invite", "nobody").returncode == 2
    assert done.stdout == "admins may invite, members may remove\n"
    assert served.calls("universe.policy") == [{"universe": "lab", "invite": "admin", "remove": "member"}]


def test_remove_asks_for_whom_is_named(tmp_path: Path) -> None:
    with scripted(tmp_path / "home", always({"removed": "x"})) as served:
        assert starling(tmp_path / "home", "remove", "lab", "bob").stdout == "removed x\n"
    assert served.calls("member.remove") == [{"universe": "lab", "member": "bob"}]


ASKS = "123456789012"


def readmitting(request: dict[str, Any]) -> list[dict[str, Any] | bytes]:
    members = [{**MEMBERS[0], "asks_again": [ASKS, "0" * 12]}, {**MEMBERS[1], "asks_again": []}]
    meant = request["params"].get("member")
    listed = [member for member in members if meant in (None, member["name"])]
    shown = {"members": listed, "former_members": []}
    return [result(request, shown if request["method"] == "member.list" else {"readmitted": "x"})]


@pytest.mark.parametrize("number", [(ASKS,), ("1234", "5678", "9012")])
def test_readmit_by_the_number(tmp_path: Path, number: tuple[str, ...]) -> None:
    with scripted(tmp_path / "home", readmitting) as served:
        assert starling(tmp_path / "home", "readmit", "lab", "bob", *number).stdout == "readmitted x\n"
    assert served.calls("member.readmit") == [{"universe": "lab", "member": "bob", "verification": ASKS}]


def test_readmit_without_a_number_says_which_there_is(tmp_path: Path) -> None:
    with scripted(tmp_path / "home", readmitting) as served:
        failed(starling(tmp_path / "home", "readmit", "lab", "bob"), 4, "1234 5678 9012 or 0000", "lab bob N")
        failed(starling(tmp_path / "home", "readmit", "lab", "eve"), 4, "eve does not ask")
    assert served.calls("member.readmit") == []


def test_show_groups_the_number(tmp_path: Path) -> None:
    with scripted(tmp_path / "home", always({"name": "lab", "verification": ASKS, "members": []})):
        assert (
            "verification  1234 5678 9012\n" in starling(tmp_path / "home", "universe", "show", "lab").stdout
        )


def test_members_says_who_asks(tmp_path: Path) -> None:
    with scripted(tmp_path / "home", readmitting):
        done = starling(tmp_path / "home", "members", "lab")
    assert done.stdout.endswith("\nbob asks to start anew; 'starling readmit' tells what to do\n")


@pytest.mark.parametrize(("state", "word"), [("asking", "1234 5678 9012"), ("active", "started anew")])
def test_recover_says_what_to_do(tmp_path: Path, state: str, word: str) -> None:
    with scripted(tmp_path / "home", always({"state": state, "verification": ASKS})) as served:
        done = starling(tmp_path / "home", "recover", "lab")
    assert done.returncode == 0 and word in done.stdout
    assert served.calls("universe.recover") == [{"universe": "lab"}]


def test_a_join_that_is_still_under_way(tmp_path: Path) -> None:
    with scripted(tmp_path / "home", always({"state": "joining", "universe_id": "ab"})):
        assert starling(tmp_path / "home", "join", "T").returncode == 5


def test_listen_goes_on_where_the_daemon_gave_up_on_it(tmp_path: Path) -> None:
    told = [event(1, sender_name="b", body="x", encoding="utf8")]
    told += [{"jsonrpc": "2.0", "method": "events.lagged", "params": {"subscription": 1, "seq": 1}}]
    later = event(2, sender_name="b", body="y", encoding="utf8")
    later["params"]["subscription"] = 2

    def answer(request: dict[str, Any]) -> list[dict[str, Any] | bytes]:
        again = request["method"] == "events.subscribe" and request["params"].get("from") == 1
        first = request["method"] == "events.subscribe" and not again
        return [
            result(request, {"subscription": 2 if again else 1}),
            *(told if first else []),
            *([later] if again else []),
        ]

    with scripted(tmp_path / "home", answer) as served:
        done = starling(tmp_path / "home", "--json", "listen", "--cursor", "app", "--count", "2", timeout=10)
    assert [json.loads(line)["seq"] for line in done.stdout.splitlines()] == [1, 2]
    assert served.calls("events.ack")[-1]["seq"] == 2


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
    [("nothing",), ("send", "lab", "x", "--id", "12"), ("invite", "create", "lab", "--expires", "soon"), ()],
)
def test_a_wrong_command_line_is_code_2(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = starling(tmp_path, *arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


# init


def test_init_makes_a_private_node_once(tmp_path: Path) -> None:
    home = tmp_path / "home"
    done = starling(home, "init", "--name", "Alice", "--json")
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert made["name"] == "Alice"
    assert made["peer_id"].startswith("12D3")
    assert home.stat().st_mode & 0o777 == 0o700
    assert (home / "node.key").stat().st_mode & 0o777 == 0o600
    key = (home / "node.key").read_bytes()
    failed(starling(home, "init", "--name", "Eve"), 1, str(home), "--home")
    assert (home / "node.key").read_bytes() == key


def test_init_after_one_that_was_interrupted(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert starling(home, "init", "--name", "Alice").returncode == 0
    for left in home.glob("starling.db*"):
        left.unlink()
    assert starling(home, "init", "--name", "Alice").returncode == 0


def test_init_refuses_what_others_could_read(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    failed(starling(home, "init", "--name", "Alice"), 1, "chmod 700", str(home))
    failed(starling(tmp_path / "other", "init", "--name", " "), 2, "1 to 64")
    (tmp_path / "link").symlink_to(home)
    failed(starling(tmp_path / "link", "init", "--name", "Alice"), 1, "symbolic link")


def test_init_beside_another_process(tmp_path: Path) -> None:
    from starling.daemon.lock import single_writer

    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    with single_writer(home / "lock"):
        failed(starling(home, "init", "--name", "Alice"), 1, str(os.getpid()), "--home")


def test_a_config_typo_ends_the_daemon_at_once(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert starling(home, "init", "--name", "Alice").returncode == 0
    (home / "starling.toml").write_text("[network]\nlisen = []\n")
    failed(starling(home, "daemon"), 2, "starling.toml", "network.lisen", "network.listen")
    failed(starling(home, "daemon", "--config", str(tmp_path / "none")), 2, "none", "--config")
