"""A process that speaks the driver's line protocol, whichever implementation it is."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

DRIVER = Path(__file__).parent / "driver.py"


class Refused(Exception):
    """An answer that is not ok: `rule` names the broken clause, where the peer says so."""

    def __init__(self, answer: dict[str, Any]) -> None:
        super().__init__(answer["error"])
        self.rule: str | None = answer.get("rule")


class Peer:
    """Calls of a running driver. Used as a context manager, it ends with it."""

    def __init__(self, name: str, command: Sequence[str], folder: Path | None = None) -> None:
        self.name = name
        self._process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def raw(self, line: str) -> Any:
        """The answer to one line as it is."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        stdin.write(line + "\n")
        stdin.flush()
        answer = stdout.readline()
        assert answer, f"{self.name} ended"
        return json.loads(answer)

    def call(self, command: str, **arguments: Any) -> dict[str, Any]:
        """The answer; raises `Refused`."""
        answer: dict[str, Any] = self.raw(json.dumps({"cmd": command, **arguments}))
        if not answer.pop("ok"):
            raise Refused(answer)
        return answer

    def quit(self) -> int:
        """Ask it to end; its exit status."""
        if self._process.poll() is None:
            self.call("quit")
        return self._process.wait(timeout=10)

    def __enter__(self) -> Peer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._process.kill()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()
        self._process.wait(timeout=10)


def starling_peer(name: str = "starling") -> Peer:
    """Our own driver, as a process."""
    return Peer(name, [sys.executable, str(DRIVER)])
