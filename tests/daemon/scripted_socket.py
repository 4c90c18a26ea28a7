"""A daemon's socket that answers by a script, for tests of the command line."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Answer = Callable[[dict[str, Any]], list[dict[str, Any] | bytes]]


def result(request: dict[str, Any], value: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request["id"], "result": value}


def refusal(request: dict[str, Any], word: str, message: str) -> dict[str, Any]:
    return {
        "jsonrpc": "2.0",
        "id": request["id"],
        "error": {"code": -32000, "message": message, "data": {"code": word}},
    }


def event(seq: int, kind: str = "message.received", **body: Any) -> dict[str, Any]:
    told = {"seq": seq, "time": 1_000, "kind": kind, "universe_id": "aa" * 32, "body": body}
    return {"jsonrpc": "2.0", "method": "events.event", "params": {"subscription": 1, "event": told}}


class ScriptedSocket:
    """Holds every request; `answer` gives the lines for each, and None of them ends the connection."""

    def __init__(self, path: Path, answer: Answer) -> None:
        self.requests: list[dict[str, Any]] = []
        self._answer = answer
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(8)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._listener.close()

    def calls(self, method: str) -> list[dict[str, Any]]:
        """The parameters of every call of a method."""
        return [request["params"] for request in self.requests if request["method"] == method]

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client, client.makefile("rb") as lines:
                for line in lines:
                    request = json.loads(line)
                    self.requests.append(request)
                    told = self._answer(request)
                    if not told:
                        break
                    for item in told:
                        client.sendall(item if isinstance(item, bytes) else json.dumps(item).encode() + b"\n")


@contextmanager
def scripted(home: Path, answer: Answer) -> Iterator[ScriptedSocket]:
    """A socket at its place below a home directory."""
    run = home / "run"
    run.mkdir(parents=True)
    os.chmod(home, 0o700)
    os.chmod(run, 0o700)
    served = ScriptedSocket(run / "socket", answer)
    try:
        yield served
    finally:
        served.close()
