"""Members on the command line: who is in a universe, who asks to start anew, and what they may."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.daemon.command_line import MEMBERS, always, failed, starling
from tests.daemon.scripted_socket import result, scripted


def test_members_says_how_many_owners_have_followed(tmp_path: Path) -> None:
    former = [
        {"identity": digits * 32, "name": name, "removed_by": by, "groups": 3}
        for digits, name, by in (("ae", "carol", 2), ("af", "dave", 3))
    ]
    erin = {"identity": "b0" * 32, "name": "erin", "removed_by": 1, "groups": 3}
    former.append(erin | {"reason": "admission", "by": "af" * 32, "by_name": "dave"})
    with scripted(tmp_path / "home", always({"members": MEMBERS[:1], "former_members": former})):
        shown = starling(tmp_path / "home", "members", "lab").stdout
    why = "admitted by right of dave, who has it no more"
    assert f"erin, {why}: removed by 1 of 3 senders" in shown.replace("\n", " ")
    shown = shown.replace(why, "")
    assert "2 of 3" in shown and "carol: removed by 2 of 3 senders" in shown and "dave" not in shown


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
    with scripted(tmp_path / "other", always({"removed": "x", "fell": ["y", "z"]})) as served:
        done = starling(tmp_path / "other", "remove", "lab", "bob", "--disown")
    assert done.stdout == "removed x, and 2 who came by it alone\n"
    assert served.calls("member.remove") == [{"universe": "lab", "member": "bob", "disown": True}]


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
        assert starling(tmp_path / "home", "readmit", "lab", "bob", *number).stdout == (
            "bob is admitted anew; the others add it again\n"
        )
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


def test_members_says_who_runs_twice(tmp_path: Path) -> None:
    shown = {"members": [{**MEMBERS[0], "runs_twice": True, "asks_again": [ASKS]}], "former_members": []}
    with scripted(tmp_path / "home", always(shown)):
        said = " ".join(starling(tmp_path / "home", "members", "lab").stdout.split())
        assert "Two nodes act as bob: nothing is imported from it until" in said
        failed(starling(tmp_path / "home", "readmit", "lab", "bob"), 4, "two nodes act as it")


@pytest.mark.parametrize(("state", "word"), [("asking", "1234 5678 9012"), ("active", "started anew")])
def test_recover_says_what_to_do(tmp_path: Path, state: str, word: str) -> None:
    with scripted(tmp_path / "home", always({"state": state, "verification": ASKS})) as served:
        done = starling(tmp_path / "home", "recover", "lab")
    assert done.returncode == 0 and word in done.stdout
    assert served.calls("universe.recover") == [{"universe": "lab"}]
