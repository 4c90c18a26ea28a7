"""The libraries that are compared: where they are installed, and their running workers."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import venv
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "bench" / ".peers"
NAMES = ("starling", "mls-rs", "rfc9420", "ts-mls")
PYTHON_PEERS = {
    "rfc9420": ("rfc9420==1.3.0", "bench.mls.rfc9420_worker"),
    "mls-rs": ("agentvault-mls-rs-uniffi==0.1.1", "bench.mls.mls_rs_worker"),
}
TS_MLS_PACKAGES = tuple(
    ROOT / "tests" / "interop" / "ts_mls" / file for file in ("package.json", "package-lock.json")
)
"""The versions that the tests of interoperability pin too."""


class PeerError(Exception):
    """A library cannot be installed, or one of its operations failed."""


@dataclass
class Worker:
    """A running worker; every answer is a JSON object."""

    name: str
    process: subprocess.Popen[str]

    def ask(self, cmd: str, **arguments: Any) -> dict[str, Any]:
        """Raises `PeerError`."""
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps({"cmd": cmd, **arguments}) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except OSError as error:
            raise PeerError(f"{self.name} ended: {error}") from None
        if not line:
            raise PeerError(f"{self.name} ended")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise PeerError(f"{cmd}: {answer['error']}")
        return answer

    def close(self) -> None:
        assert self.process.stdin is not None
        with suppress(OSError):
            self.process.stdin.close()
        self.process.kill()
        self.process.wait()


def start(name: str) -> Worker:
    """The worker of a library, which is installed first where it is not. Raises `PeerError`."""
    if name == "starling":
        command = [sys.executable, "-m", "bench.mls.starling_worker"]
    elif name == "ts-mls":
        command = [_node(), str(_npm_peer() / "ts_mls_worker.mjs")]
    else:
        requirement, module = PYTHON_PEERS[name]
        command = [str(_python_peer(name, requirement)), "-m", module]
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    return Worker(name, process)


def _python_peer(name: str, requirement: str) -> Path:
    folder = FOLDER / name
    python, stamp = folder / "bin" / "python", folder / "installed"
    if not stamp.exists() or stamp.read_text() != requirement:
        venv.create(folder, with_pip=True, clear=True)
        _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", requirement])
        stamp.write_text(requirement)
    return python


def _npm_peer() -> Path:
    folder = FOLDER / "ts-mls"
    folder.mkdir(parents=True, exist_ok=True)
    for file in (*TS_MLS_PACKAGES, Path(__file__).with_name("ts_mls_worker.mjs")):
        shutil.copy(file, folder)
    wanted, stamp = TS_MLS_PACKAGES[1].read_text(), folder / "installed"
    if not stamp.exists() or stamp.read_text() != wanted:
        npm = shutil.which("npm")
        if npm is None:
            raise PeerError("npm is not on the path")
        _run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1"], folder)
        stamp.write_text(wanted)
    return folder


def _node() -> str:
    node = shutil.which("node")
    if node is None:
        raise PeerError("Node is not on the path")
    return node


def _run(command: list[str], folder: Path | None = None) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise PeerError(f"cannot be installed: {said[-1][:120] if said else command[0]}")
