"""`starling forks`: what people read, within 80 columns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.daemon.command_line import always, starling
from tests.daemon.scripted_socket import scripted

NOON = 1_795_262_400_000


def member(name: str, number: int, **more: Any) -> dict[str, Any]:
    return {"identity": f"{number:02x}" * 32, "name": name, **more}


def head(epoch: int, here: int, *, counts: bool = True) -> dict[str, Any]:
    epochs = {"dmls_epoch": f"{epoch:02x}" * 32, "epoch": epoch}
    return {**epochs, "entered_at": NOON, "counts": counts, "here": here, "closed_by": None}


def kept(epoch: int, reason: str, count: int = 0, *names: str) -> dict[str, Any]:
    return {
        "dmls_epoch": f"{epoch:02x}" * 32,
        "epoch": epoch,
        "superseded_at": NOON,
        "until": NOON + 7 * 86_400_000,
        "reason": reason,
        "waits_for": [member(name, 9) for name in names],
        "waits_for_count": count,
    }


QUIET = {
    "owner": "01" * 32, "name": "Alice", "group_id": "a1" * 32, "is_own": True, "joined": True, "forked": False,
    "frozen": False, "stuck": [],
    "evidence": False, "members": 5, "heads": [head(17, 5)], "parents": [], "elsewhere": [], "elsewhere_count": 0,
    "kept": [], "frames": 3, "frame_bytes": 4096, "psks": 1,
}  # fmt: skip
FORKED = QUIET | {
    "owner": "02" * 32, "name": "Bob\x1b[2J", "is_own": False, "forked": True, "evidence": True,
    "frozen": True, "stuck": [member("Dave", 6)],
    "heads": [head(18, 2), head(19, 1, counts=False), head(20, 0, counts=False) | {"closed_by": "aa" * 32}],
    "parents": [{"dmls_epoch": "11" * 32, "epoch": 17, "children": ["12" * 32, "13" * 32]}],
    "elsewhere": [
        member("Carol", 3, dmls_epoch="11" * 32, epoch=17),
        member("D" * 64, 4, dmls_epoch="ff" * 32, epoch=None),
        member("", 5, dmls_epoch=None, epoch=None),
    ],
    "elsewhere_count": 7,
    "kept": [
        kept(15, "members", 5, "Carol", "Dave", "Eve"), kept(16, "messages"), kept(17, "unknown", 1, "Dave"),
        kept(18, "none"),
    ],
}  # fmt: skip
ABSENT = {
    "owner": "03" * 32, "name": "Carol", "group_id": "c1" * 32, "is_own": False, "joined": False, "frozen": False,
}  # fmt: skip
GIVEN_UP = ABSENT | {"is_own": True, "frozen": True}


def test_all_groups(tmp_path: Path) -> None:
    with scripted(tmp_path / "home", always({"send_groups": [QUIET, FORKED, ABSENT]})) as served:
        done = starling(tmp_path / "home", "forks", "lab")
    assert (done.returncode, done.stderr) == (0, "")
    assert served.calls("fork.list") == [{"universe": "lab"}]
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0] == "Alice (0101010101010101, this node)"
    assert lines[1].startswith("  head: epoch 17 (111111111111) since ")
    assert lines[2] == "    5 of 5 members are here"
    assert lines[3] == "  kept: 3 frames, 4096 bytes; 1 exported secrets"
    assert "Bob\\x1b[2J (0202020202020202, forked, runs twice: nothing is imported)" in lines
    assert "  epoch 17 (111111111111) led to 121212121212, 131313131313" in lines
    text = " ".join(done.stdout.split())
    assert "other head: epoch 19" in text and "closed head: epoch 20" in text
    assert "cannot follow and ask to be added again: Dave" in text
    assert f"elsewhere: Carol in epoch 17, {'D' * 64} in an epoch that is not known here" in text
    assert "0505050505050505 has reported nothing and 4 more" in text
    assert "keeps epoch 15 (0f0f0f0f0f0f): waits for Carol, Dave, Eve and 2 more; until 20" in text
    assert "keeps epoch 16 (101010101010): messages of it have not come; until" in text
    assert (
        "keeps epoch 17 (111111111111): an epoch that is not known here was reported by Dave; until" in text
    )
    assert "keeps epoch 18 (121212121212): goes in a moment; until" in text
    assert "evidence" in text
    assert lines[-1] == "Carol (0303030303030303, this node is not in this group yet)"


def test_the_group_of_who_starts_anew(tmp_path: Path) -> None:
    with scripted(tmp_path / "home", always({"send_groups": [GIVEN_UP]})):
        done = starling(tmp_path / "home", "forks", "lab")
    marks = "this node, given up, to start anew, runs twice: nothing is imported"
    assert done.stdout == f"Carol (0303030303030303, {marks})\n"


def test_one_group_and_json(tmp_path: Path) -> None:
    with scripted(tmp_path / "home", always({"send_groups": [FORKED]})) as served:
        done = starling(tmp_path / "home", "forks", "lab", "Bob", "--json")
        assert json.loads(done.stdout) == [FORKED]
    assert served.calls("fork.list") == [{"universe": "lab", "member": "Bob"}]


def test_who_is_no_member_is_told(tmp_path: Path) -> None:
    with scripted(tmp_path / "home", always({"send_groups": []})):
        assert "not a member" in starling(tmp_path / "home", "forks", "lab").stdout
