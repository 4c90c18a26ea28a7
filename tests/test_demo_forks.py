"""The demo of restored and cloned nodes: how it notices a reused nonce, and that a scene works."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from starling.protocol.crypto.cipher_suite import cipher_suite

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def test_a_pair_of_key_and_nonce_that_comes_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    from noted_daemon import noted_seals, reused

    suite = cipher_suite(1)
    notes = tmp_path / "seals"
    with noted_seals(notes):
        sealed = suite.seal(bytes(16), bytes(12), b"", b"hello")
        assert suite.open(bytes(16), bytes(12), b"", sealed) == b"hello"
        suite.seal(bytes(16), b"\1" * 12, b"", b"hello")
        suite.seal(b"\1" * 16, bytes(12), b"", b"hello")
        assert reused([notes]) == (3, 0)
        # As another process would that has lost the memory of the first.
        suite.seal(bytes(16), bytes(12), b"", b"other")
        assert reused([notes]) == (4, 1)
    suite.seal(bytes(16), bytes(12), b"", b"not noted")
    assert reused([notes]) == (4, 1)


def test_scenes_with_real_processes(tmp_path: Path) -> None:
    """A copy that is put back while a member is away, one that runs beside the original, and one that starts long after
    and falls silent."""
    scenes = [word for name in ("a", "clone", "clone-later") for word in ("--scene", name)]
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "demo_forks.py"), *scenes],
        capture_output=True,
        text=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout.splitlines()[-1])
    assert (outcome["lost"], outcome["duplicates"], outcome["nonce_reuse"]) == (0, 0, 0)
    assert outcome["converged"] is True and outcome["seals"] > 100
    for told in (
        "Bob: rollback.detected",
        "Dave: fork.resolved",
        "evidence against Bob is valid",
        "the copy is silent",
        "Bob: universe.superseded",
    ):
        assert told in done.stdout
    for name in ("Alice", "Carol", "Dave"):
        assert f"{name}: clone.detected" in done.stdout
    assert list(tmp_path.iterdir()) == []
