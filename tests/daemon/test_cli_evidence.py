"""Evidence on the command line: saved from a daemon, checked without one."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tests.daemon.command_line import HEAVY, always, failed, starling
from tests.daemon.scripted_socket import scripted
from tests.distributed.test_evidence import DENIED, VALID

from starling.protocol.distributed.evidence import MAX_TEXT, PREFIX

IDENTITY = VALID.identity.hex()
HELD = [
    {
        "owner": IDENTITY,
        "name": "alice",
        "group_id": "ab" * 32,
        "detected_at": 1_000,
        "epochs": [12],
        "denials": 0,
        "evidence": VALID.text(),
    },
    {"owner": "cd" * 32, "name": "eve", "group_id": "ef" * 32, "detected_at": 2_000, "epochs": [3, 4], "denials": 1,
     "evidence": "x"},
]  # fmt: skip


def saved(folder: Path, text: str) -> str:
    path = folder / "evidence"
    path.write_text(text)
    return str(path)


def verified(folder: Path, text: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Without a daemon, and with a home that does not exist."""
    done = starling(folder / "nowhere", "evidence", "verify", saved(folder, text), *options)
    assert not (folder / "nowhere").exists()
    assert "Traceback" not in done.stderr
    return done


def test_valid_evidence_is_told_with_what_it_leaves_open(tmp_path: Path) -> None:
    done = verified(tmp_path, VALID.text() + "\n")
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.startswith("VALID: ")
    assert IDENTITY in done.stdout and "on epoch 12" in done.stdout
    assert all(statement.commit_hash.hex() in done.stdout for statement in VALID.statements)
    assert "look alike" in done.stdout.replace("\n", " ")
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_two_nodes_that_answered_each_other_are_told_as_such(tmp_path: Path) -> None:
    done = verified(tmp_path, DENIED.text())
    assert done.returncode == 0 and done.stdout.startswith("VALID: two nodes act as one owner")
    said = " ".join(done.stdout.split())
    assert "answered each other" in said and "look alike" not in said and "more commits than one" not in said
    told = json.loads(verified(tmp_path, DENIED.text(), "--json").stdout)
    (denial,) = told["denials"]
    assert denial["heads"] == [head.hex() for head in DENIED.denials[0].sighting.heads]
    both = replace(VALID, denials=DENIED.denials)
    said = " ".join(verified(tmp_path, both.text()).stdout.split())
    assert "answered each other" in said and "look alike" in said


def test_invalid_evidence_says_what_does_not_hold(tmp_path: Path) -> None:
    first, second = VALID.statements
    forged = replace(VALID, statements=(first, replace(second, commit_hash=b"\xff" * 32)))
    done = verified(tmp_path, forged.text())
    assert done.returncode == 4
    assert done.stdout.startswith("INVALID: ")
    assert "statement 2 is not signed by the key" in done.stdout
    assert "proves" not in done.stdout


@pytest.mark.parametrize("text", ["", "hello", PREFIX + "AAAA", VALID.text()[:-4], "é", "x" * (MAX_TEXT + 1)])
def test_what_is_no_evidence_is_one_line_and_a_code(tmp_path: Path, text: str) -> None:
    done = verified(tmp_path, text)
    assert done.stdout == "NOT EVIDENCE\n"
    failed(done, 1, "holds no evidence")


def test_a_verdict_for_programs(tmp_path: Path) -> None:
    told = json.loads(verified(tmp_path, VALID.text(), "--json").stdout)
    assert told["verdict"] == "valid" and told["faults"] == []
    assert told["identity"] == IDENTITY and told["group_id"] == VALID.statements[0].group_id.hex()
    assert [statement["epoch"] for statement in told["statements"]] == [12, 12]
    forged = replace(VALID, identity=b"i" * 32)
    told = json.loads(verified(tmp_path, forged.text(), "--json").stdout)
    assert told["verdict"] == "invalid" and len(told["faults"]) == 1
    assert json.loads(verified(tmp_path, "x", "--json").stdout)["verdict"] == "not evidence"


def test_it_can_be_checked_against_an_identity(tmp_path: Path) -> None:
    assert verified(tmp_path, VALID.text(), "--identity", IDENTITY[:16].upper()).returncode == 0
    done = verified(tmp_path, VALID.text(), "--identity", "00" * 32)
    assert done.returncode == 4 and "another identity" in done.stdout
    assert verified(tmp_path, VALID.text(), "--identity", "").returncode == 2


def test_evidence_on_standard_input(tmp_path: Path) -> None:
    done = starling(tmp_path / "nowhere", "evidence", "verify", "-", stdin=VALID.text().encode())
    assert done.returncode == 0


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    failed(starling(tmp_path, "evidence", "verify", str(tmp_path / "none")), 1, "cannot read")


def test_verifying_loads_no_network_and_no_store(tmp_path: Path) -> None:
    program = (
        "import sys; from starling.daemon.cli.main import main\n"
        f"main(['evidence', 'verify', {saved(tmp_path, VALID.text())!r}])\n"
        f"print(sorted({HEAVY!r} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "['cryptography', 'msgpack']"


def test_evidence_of_a_universe_is_listed_and_exported(tmp_path: Path) -> None:
    with scripted(tmp_path / "home", always({"evidence": HELD})) as served:
        listed = starling(tmp_path / "home", "evidence", "list", "lab")
        assert listed.returncode == 0 and "alice" in listed.stdout and "3, 4" in listed.stdout
        for member in ("alice", IDENTITY[:8], "abab"):
            done = starling(tmp_path / "home", "evidence", "export", "lab", member)
            assert (done.returncode, done.stdout) == (0, VALID.text() + "\n")
        failed(starling(tmp_path / "home", "evidence", "export", "lab"), 4, "2 send groups", "evidence list")
        failed(starling(tmp_path / "home", "evidence", "export", "lab", "bob"), 4, "no evidence against bob")
        told = json.loads(starling(tmp_path / "home", "evidence", "export", "lab", "eve", "--json").stdout)
        assert told == HELD[1]
    assert served.calls("evidence.list") == [{"universe": "lab"}] * 7


def test_where_nobody_committed_twice(tmp_path: Path) -> None:
    with scripted(tmp_path / "home", always({"evidence": []})):
        assert "no evidence" in starling(tmp_path / "home", "evidence", "list", "lab").stdout
        failed(
            starling(tmp_path / "home", "evidence", "export", "lab"),
            4,
            "there is no evidence in this universe",
        )
