"""ts-mls as a peer: its packages are installed beside `peer.mjs` the first time, as the lock file pins them."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.interop.peer import Peer

FOLDER = Path(__file__).parent / "ts_mls"
SUITES = frozenset({1, 2, 3, 4, 5, 6, 7, 83, 84})
"""The suites of the peer: those of RFC 9420 and X-Wing."""

_NO_REGISTRY = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH")


def ts_mls_peer() -> Peer:
    """The running peer. Where it cannot run the test is skipped with the reason, or fails in CI."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        _without("Node and npm are not on the path")
    _install(str(npm))
    return Peer("ts-mls", [str(node), "peer.mjs"], FOLDER)


def _install(npm: str) -> None:
    wanted = hashlib.sha256((FOLDER / "package-lock.json").read_bytes()).hexdigest()
    stamp = FOLDER / "node_modules" / ".installed"
    with (FOLDER / "package-lock.json").open() as lock:
        # Several test processes may come here at once.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.exists() and stamp.read_text() == wanted:
            return
        result = subprocess.run(
            [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1"],
            cwd=FOLDER,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        if result.returncode == 0:
            stamp.write_text(wanted)
    if result.returncode != 0:
        if any(code in result.stderr for code in _NO_REGISTRY):
            _without("npm reaches no registry")
        pytest.fail(f"npm ci: {result.stderr}")


def _without(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(f"ts-mls cannot run in CI: {reason}")
    # Off a network, a developer's run goes on without it; in CI it is a failure.
    pytest.skip(f"no conversation with ts-mls: {reason}")
