"""A plain blocking client of the socket."""

from __future__ import annotations

import json
import os
import socket
from argparse import Namespace
from typing import Any

from starling.daemon.errors import DaemonError, NotRunning
from starling.daemon.paths import Paths, private_directory

EXIT_OK, EXIT_ERROR, EXIT_USAGE, EXIT_NOT_RUNNING, EXIT_REFUSED, EXIT_TIMEOUT = range(6)

_INVALID_PARAMS = -32602
_REFUSED = -32000
_USAGE = frozenset({"bad_body", "suite", "usage"})
_TROUBLE = frozenset({"disk_full", "internal", "read_only", "stopping", "store", "too_many_clients"})
"""Words of errors that are the daemon's state, not its answer to what was asked."""

_SLACK_SECONDS = 15.0
_MAX_LINE = 2**20


class CallError(DaemonError):
    """The daemon answered with an error; `exit_code` is what the process ends with."""

    def __init__(self, error: dict[str, Any]) -> None:
        self.error = error
        super().__init__(str(error.get("message", "")), str((error.get("data") or {}).get("code", "error")))

    @property
    def exit_code(self) -> int:
        if self.error.get("code") == _INVALID_PARAMS or self.code in _USAGE:
            return EXIT_USAGE
        if self.error.get("code") == _REFUSED and self.code not in _TROUBLE:
            return EXIT_REFUSED
        return EXIT_ERROR


def about(args: Namespace) -> dict[str, Any]:
    """The parameters that say which universe a command is about, and which member where one is named."""
    named = {"universe": args.universe}
    if args.member is not None:
        named["member"] = args.member
    return named


class Client:
    """One connection: calls one after another, notifications kept for `next_notification`."""

    def __init__(self, paths: Paths) -> None:
        """Connect; NotRunning where no daemon listens."""
        self._path = paths.socket
        if os.path.lexists(paths.runtime):
            # Whoever may write there could put a socket of their own in its place.
            private_directory(paths.runtime, create=False)
        self._buffer = b""
        self._notifications: list[dict[str, Any]] = []
        self._last_id = 0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(_SLACK_SECONDS)
        try:
            self._socket.connect(os.fspath(self._path))
        except PermissionError:
            raise DaemonError(f"{self._path} belongs to another user; run as that user") from None
        except OSError:
            where = "" if paths.data.is_dir() else " (and 'starling init' before it)"
            raise NotRunning(
                f"no daemon is running for {paths.data}; start one with 'starling daemon'{where}, "
                "or name its directory with --home"
            ) from None

    def close(self) -> None:
        self._socket.close()

    def call(self, method: str, params: dict[str, Any], wait: float = 0.0) -> Any:
        """The result of a method; CallError for an error. `wait` are seconds that the daemon may take."""
        self._last_id += 1
        request = {"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": params}
        try:
            line = json.dumps(request, ensure_ascii=False, separators=(",", ":")).encode()
        except UnicodeEncodeError:
            raise DaemonError("names and texts are UTF-8; something else was given", "not_utf8") from None
        if len(line) > _MAX_LINE:
            raise DaemonError("this is too long for one message; a message has at most 512 KiB", "too_long")
        self._socket.settimeout(wait + _SLACK_SECONDS)
        try:
            self._socket.sendall(line + b"\n")
        except TimeoutError:
            raise DaemonError("the daemon does not answer; look at its log") from None
        except OSError:
            # The daemon may have answered and closed: its word is read below.
            pass
        while True:
            answer = self._receive()
            if "method" in answer:
                self._notifications.append(answer)
            elif "error" in answer:
                raise CallError(answer["error"])
            elif answer.get("id") == self._last_id:
                return answer.get("result")

    def next_notification(self, timeout: float | None) -> dict[str, Any] | None:
        """The next notification, None where none comes in time."""
        if self._notifications:
            return self._notifications.pop(0)
        self._socket.settimeout(timeout)
        try:
            return self._receive()
        except (TimeoutError, BlockingIOError):
            return None

    @property
    def has_more(self) -> bool:
        """Whether another whole line has been received already."""
        return bool(self._notifications) or b"\n" in self._buffer

    def _receive(self) -> dict[str, Any]:
        while b"\n" not in self._buffer:
            try:
                chunk = self._socket.recv(2**18)
            except ConnectionError:
                chunk = b""
            if not chunk:
                raise NotRunning("the daemon has ended; start it again with 'starling daemon'")
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise DaemonError(
                f"what answers at {self._path} is not a Starling daemon; choose another with --home"
            )
        return answer
