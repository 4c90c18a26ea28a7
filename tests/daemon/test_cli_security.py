"""`starling security`: what people read, within 80 columns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.daemon.command_line import always, failed, starling
from tests.daemon.scripted_socket import refusal, scripted

HOUR = 3600 * 1000
NOON = 1_795_262_400_000


def member(name: str, number: int, **changes: Any) -> dict[str, Any]:
    shown = {
        "identity": f"{number:02x}" * 32, "name": name, "is_self": False, "joined": True,
        "last_update": NOON, "stale": False, "imported_in": 8, "importers": 8, "healed_in": 9, "groups": 9,
        "healed_everywhere": NOON, "lagging": [], "unknown": [],
    }  # fmt: skip
    return shown | changes


def owner(name: str, number: int) -> dict[str, Any]:
    return {"owner": f"{number:02x}" * 32, "name": name, "healed": NOON - HOUR}


VIEW: dict[str, Any] = {
    "converged": True,
    "digest": "482109375510",
    "digest_hex": "ab" * 32,
    "diverged_since": None,
    "members": [
        member("Alice", 1, is_self=True),
        member(
            "Bob", 2, stale=True, imported_in=6, healed_in=7, healed_everywhere=NOON - HOUR,
            lagging=[owner("Carol", 3), owner("D" * 64, 4)],
        ),
        member("Carol", 3, healed_in=0, healed_everywhere=None, lagging=[owner(f"m{n}", n) for n in range(8)]),
        member("Eve\x1b[2J", 5, last_update=None, healed_everywhere=None),
    ],
}  # fmt: skip


def test_all_members(tmp_path: Path) -> None:
    with scripted(tmp_path / "home", always(VIEW)) as served:
        done = starling(tmp_path / "home", "security", "lab")
    assert (done.returncode, done.stderr) == (0, "")
    assert served.calls("security.view") == [{"universe": "lab"}]
    lines = done.stdout.splitlines()
    assert lines[0] == "digest  4821 0937 5510  (converged)"
    assert max(map(len, lines)) <= 80
    assert "Alice (0101010101010101, this node)" in lines
    assert "Bob (0202020202020202, stale)" in lines
    text = done.stdout
    assert "is healed in 9 of 9 groups" in text and "is healed in 7 of 9 groups" in text
    assert text.count("is healed in all") == 1
    assert f"not yet in the groups of Carol, {'D' * 64}" in text.replace("\n  ", " ")
    assert "m7, ..." in text, "not all are named"
    assert "Eve\\x1b[2J (0505050505050505)" in lines and "  nothing is known of its keys yet" in lines
    assert "\x1b" not in text


def test_one_member(tmp_path: Path) -> None:
    bob = VIEW["members"][1] | {"imported_by": [owner("Alice", 1)]}
    with scripted(tmp_path / "home", always(VIEW | {"members": [bob]})) as served:
        done = starling(tmp_path / "home", "security", "lab", "Bob")
        assert done.returncode == 0 and "  imported by Alice" in done.stdout.splitlines()
    assert served.calls("security.view") == [{"universe": "lab", "member": "Bob"}]


def test_a_universe_that_has_come_apart(tmp_path: Path) -> None:
    apart = VIEW | {"converged": False, "diverged_since": NOON}
    with scripted(tmp_path / "home", always(apart)):
        done = starling(tmp_path / "home", "security", "lab")
    assert "(diverged since " in done.stdout.splitlines()[0]
    with scripted(tmp_path / "other", always(VIEW | {"converged": False})):
        done = starling(tmp_path / "other", "security", "lab")
    assert done.stdout.splitlines()[0].endswith("(not converged now)")


def test_it_is_json_for_programs(tmp_path: Path) -> None:
    with scripted(tmp_path / "home", always(VIEW)):
        assert json.loads(starling(tmp_path / "home", "security", "lab", "--json").stdout) == VIEW


def test_who_is_no_member_is_told(tmp_path: Path) -> None:
    nothing = VIEW | {"digest": None, "digest_hex": None, "members": []}
    with scripted(tmp_path / "home", always(nothing)):
        done = starling(tmp_path / "home", "security", "lab")
    assert done.returncode == 0 and "not a member" in done.stdout


def test_a_universe_that_is_not_there(tmp_path: Path) -> None:
    with scripted(
        tmp_path / "home", lambda request: [refusal(request, "universe.unknown", "no universe 'x'")]
    ):
        failed(starling(tmp_path / "home", "security", "x"), 4, "no universe")
