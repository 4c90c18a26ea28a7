"""Tickets on the command line: text, link, QR code, and what they say without a daemon."""

from __future__ import annotations

import json
import os
import pty
import random
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from tests.daemon import qr_reader
from tests.daemon.command_line import INVITE, MAIN, always, failed, starling
from tests.daemon.scripted_socket import scripted
from tests.distributed.test_ticket import issue, text_of

from starling.daemon.cli import qr
from starling.protocol.distributed.ticket import Ticket, TicketMember, ticket_link
from starling.protocol.packed import pack

HOUR = 3600 * 1000


def ticket(expires_in: int = HOUR, members: int = 1) -> Ticket:
    held = issue().members[0]
    return issue(
        expires_at=time.time_ns() // 1_000_000 + expires_in,
        members=(TicketMember(held.peer_id, held.addresses),) * members,
    )


TICKET = ticket()
MADE = {"ticket": TICKET.text(), "link": ticket_link(TICKET.text()), "invite_id": "ab", "uses": 1}


def modules(lines: list[str], *, light: str) -> qr_reader.Matrix:
    """The modules of a drawn code, without its quiet zone, which has to be there."""
    rows: qr_reader.Matrix = []
    for line in lines:
        upper = [character in "▀█" for character in line]
        lower = [character in "▄█" for character in line]
        rows += [upper, lower]
    if light == "█":
        rows = [[not module for module in row] for row in rows]
    width, border = len(rows[0]), qr.BORDER
    assert not any(map(any, rows[:border])) and not any(map(any, rows[width - border :]))
    assert not any(row[at] for row in rows for at in (*range(border), *range(width - border, width)))
    return [row[border : width - border] for row in rows[border : width - border]]


@pytest.mark.parametrize("length", [40, 140, 300, 480, 900, 2000, 2600, 4000])
@pytest.mark.parametrize("colours", [True, False])
def test_a_code_says_what_it_was_made_of(length: int, colours: bool) -> None:
    source = random.Random(length)
    text = "".join(source.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567:/") for _ in range(length))
    lines = qr.draw(text, colours=colours)
    if colours:
        assert all(line.startswith("\x1b[30;107m") and line.endswith("\x1b[0m") for line in lines)
        lines = [line.removeprefix("\x1b[30;107m").removesuffix("\x1b[0m") for line in lines]
    assert qr_reader.read(modules(lines, light=" " if colours else "█")) == text


def test_small_letters_take_more_room() -> None:
    link = MADE["link"]
    assert isinstance(link, str)
    assert len(qr.draw(link.upper(), colours=True)) < len(qr.draw(link, colours=True))
    assert qr_reader.read(modules(qr.draw(link, colours=False), light="█")) == link


def test_a_ticket_of_one_member_fits_an_ordinary_terminal() -> None:
    assert len(qr.draw(ticket_link(TICKET.text()).upper(), colours=False)[0]) <= 80


def test_a_ticket_as_text_link_and_code(tmp_path: Path) -> None:
    with scripted(tmp_path / "home", always(MADE)) as served:
        assert starling(tmp_path / "home", "invite", "create", "lab").stdout == f"{MADE['ticket']}\n"
        assert starling(tmp_path / "home", "invite", "create", "lab", "--link").stdout == f"{MADE['link']}\n"
        text, *code = starling(tmp_path / "home", "invite", "create", "lab", "--qr").stdout.splitlines()
        assert (
            json.loads(starling(tmp_path / "home", "invite", "create", "lab", "--qr", "--json").stdout)
            == MADE
        )
        assert starling(tmp_path / "home", "invite", "create", "lab", "--qr", "--link").returncode == 2
    assert text == MADE["ticket"]
    assert Ticket.parse(qr_reader.read(modules(code, light="█"))) == TICKET
    assert len(served.calls("invite.create")) == 4


@pytest.mark.parametrize(("columns", "fits"), [(200, True), (40, False)])
def test_a_code_is_black_on_white_in_a_terminal_that_has_room_for_it(
    tmp_path: Path, columns: int, fits: bool
) -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (200, columns))
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    with scripted(tmp_path / "home", always(MADE)):
        done = subprocess.Popen(
            [*MAIN, "--home", str(tmp_path / "home"), "invite", "create", "lab", "--qr"],
            stdout=theirs,
            stderr=subprocess.PIPE,
            env=environment,
        )
        os.close(theirs)
        shown = b""
        while chunk := _read(ours):
            shown += chunk
        _, warning = done.communicate(timeout=60)
    os.close(ours)
    first, *code = shown.decode().splitlines()
    assert first == MADE["ticket"] and done.returncode == 0
    if not fits:
        assert code == [] and b"columns" in warning
        return
    lines = [line.removeprefix("\x1b[30;107m").removesuffix("\x1b[0m") for line in code]
    assert Ticket.parse(qr_reader.read(modules(lines, light=" "))) == TICKET


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:
        return b""


@pytest.mark.parametrize("form", ["text", "link", "shouted", "broken"])
def test_inspect_says_all_without_a_daemon(tmp_path: Path, form: str) -> None:
    text = ticket(members=4).text()
    given = {
        "text": text,
        "link": ticket_link(text),
        "shouted": ticket_link(text).upper(),
        "broken": "\n".join(text[at : at + 60] for at in range(0, len(text), 60)),
    }[form]
    done = starling(tmp_path / "nowhere", "invite", "inspect", given)
    assert (done.returncode, done.stderr) == (0, "")
    for word in ("Home", "Alice", "expires at", "/ip4/192.0.2.1/tcp/4001"):
        assert word in done.stdout
    piped = starling(tmp_path / "nowhere", "invite", "inspect", "-", "--json", stdin=given.encode())
    shown = json.loads(piped.stdout)
    assert (shown["universe_name"], shown["expired"], len(shown["members"])) == ("Home", False, 4)
    assert not (tmp_path / "nowhere").exists()
    secret = Ticket.parse(text).secret.hex()
    assert secret not in done.stdout + piped.stdout


def test_inspect_says_that_a_ticket_has_expired(tmp_path: Path) -> None:
    done = starling(tmp_path, "invite", "inspect", ticket(-1).text())
    assert done.returncode == 4 and "Home" in done.stdout
    failed(done, 4, "has expired; ask for a new one")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (TICKET.text()[:-3], "typo, or a part of it is missing"),
        (TICKET.text().replace("c", "d"), "typo, or a part of it is missing"),
        ("starling1" + "a" * 20_000, "too long"),
        ("hello", "begins with starling1"),
        ("https://example.org/join/starling1abc", "begins with starling1"),
        (ticket_link(""), "begins with starling1"),
        (text_of(pack([9, "from the future"])), "another version"),
        ("", "begins with starling1"),
        ("\x1b[2J", "begins with starling1"),
    ],
)
def test_inspect_says_what_is_wrong(tmp_path: Path, text: str, words: str) -> None:
    done = starling(tmp_path, "invite", "inspect", text)
    failed(done, 4, words)
    assert done.stdout == ""
    told = json.loads(starling(tmp_path, "invite", "inspect", text, "--json").stdout)
    assert told["error"]["code"] == "ticket.bad"


def test_join_takes_a_link_as_well(tmp_path: Path) -> None:
    joined = {"state": "joined", "universe_id": "ab" * 32, "name": "lab"}
    with scripted(tmp_path / "home", always(joined)) as served:
        assert starling(tmp_path / "home", "join", str(MADE["link"])).returncode == 0
    assert served.calls("universe.join")[0]["ticket"] == MADE["link"]
    assert Ticket.parse(served.calls("universe.join")[0]["ticket"]) == TICKET


def test_only_who_wants_a_code_waits_for_its_library(tmp_path: Path) -> None:
    program = (
        "import sys; from starling.daemon.cli.main import main\n"
        f"code = main(['--home', {str(tmp_path / 'home')!r}, 'invite', 'create', 'lab'])\n"
        "print(code, 'segno' in sys.modules, 'cryptography' in sys.modules)"
    )
    with scripted(tmp_path / "home", always(MADE)):
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 False False"


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


def test_invite_list_says_who_came_by_whose_ticket(tmp_path: Path) -> None:
    with scripted(tmp_path / "home", always({"invites": [INVITE]})):
        shown = starling(tmp_path / "home", "invite", "list", "lab").stdout
    row = shown.splitlines()[1].split()
    assert row[:4] == ["aa" * 8, "member", "alice", "open"] and row[-4:] == ["1", "of", "2", "bob"]


def test_a_join_that_is_still_under_way(tmp_path: Path) -> None:
    with scripted(tmp_path / "home", always({"state": "joining", "universe_id": "ab"})):
        assert starling(tmp_path / "home", "join", "T").returncode == 5
