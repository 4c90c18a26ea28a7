"""The command line as a process, and what a scripted daemon answers it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.daemon.scripted_socket import Answer, result

MAIN = [sys.executable, "-m", "starling.daemon.cli.main"]

HEAVY = {"trio", "libp2p", "cryptography", "msgpack", "sqlite3", "asyncio"}
"""What takes long to load."""


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


MEMBERS = [
    {"identity": digits * 32, "name": name, "in_groups": 2, "groups": 3}
    for digits, name in (("ab", "bob"), ("ac", "eve"), ("ad", "eve"))
]

INVITE = {
    "invite_id": "aa" * 32, "role": "member", "uses": 2, "spent": 1, "spent_by": MEMBERS[:1],
    "inviter": {"identity": "ae" * 32, "name": "alice"}, "expires_at": 1, "revoked": False,
    "overspent": False, "state": "open",
}  # fmt: skip

MESSAGE = {"number": 1, "time": 1_000, "body": "x", "encoding": "utf8", "sender": "ab", "sender_name": "bob"}
