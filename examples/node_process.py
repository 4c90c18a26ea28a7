"""One Starling node as a process, driven through its socket by the command line; and an app that listens to it."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

STARLING = (str(Path(sys.executable).with_name("starling")),)
LOOPBACK = '[network]\nlisten = ["/ip4/127.0.0.1/tcp/0"]\nmdns = false\n'
READY_SECONDS = 40.0
STOP_SECONDS = 8.0


class NodeError(Exception):
    """A node or one of its commands failed; `log_tail` is the end of what that node's daemon logged."""

    def __init__(self, message: str, node: Node | None = None, code: int | None = None) -> None:
        super().__init__(message)
        self.node = node
        self.code = code
        # Read now: who tells it may do so when the folder is gone.
        self.log_tail = node.log_tail() if node is not None else []


class Node:
    """A home directory, and the daemon that runs on it while it is started.

    `launcher` is the command that stands for `starling daemon` in a measurement; `environment` is added
    to the daemon's, and `options` to its arguments.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        launcher: Sequence[str] = STARLING,
        environment: dict[str, str] | None = None,
        options: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.home = folder / name.lower()
        self.log = folder / f"{name.lower()}.log"
        self.ready_line = ""
        self._launcher = launcher
        self._options = options
        self.environment = dict(os.environ) | (environment or {})
        self._daemon: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._daemon is not None
        return self._daemon.pid

    @property
    def is_running(self) -> bool:
        return self._daemon is not None and self._daemon.poll() is None

    def init(self) -> None:
        """Make the identity, and a configuration for the loopback interface alone."""
        self.starling("init", "--name", self.name)
        (self.home / "starling.toml").write_text(LOOPBACK)

    def launch(self) -> None:
        """Start the daemon; `wait_ready` waits for it."""
        with self.log.open("ab") as log:
            # A session of its own: Ctrl-C is for the one who started the nodes, who then ends them in order.
            self._daemon = subprocess.Popen(
                [*self._launcher, "--home", str(self.home), "--json", "daemon", *self._options],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env=self.environment,
                start_new_session=True,
            )
        # However its starter ends, interrupted in the middle of anything: no daemon outlives it.
        atexit.register(_end_at_exit, self._daemon)

    def wait_ready(self, seconds: float = READY_SECONDS) -> float:
        """Wait for the ready line; returns when it came (of `time.monotonic`)."""
        daemon = self._daemon
        assert daemon is not None and daemon.stdout is not None
        lines: queue.SimpleQueue[tuple[bytes, float]] = queue.SimpleQueue()
        stdout = daemon.stdout

        def read() -> None:
            with stdout:
                lines.put((stdout.readline(), time.monotonic()))
                # Whatever follows is of no interest, but must not fill the pipe.
                while stdout.read(4096):
                    pass

        threading.Thread(target=read, daemon=True).start()
        try:
            line, at = lines.get(timeout=seconds)
        except queue.Empty:
            raise NodeError(f"{self.name}'s daemon is not ready after {seconds:.0f} s", self) from None
        if not line:
            raise NodeError(f"{self.name}'s daemon ended with code {daemon.wait()} before it was ready", self)
        self.ready_line = line.decode().strip()
        return at

    def start(self) -> None:
        self.launch()
        self.wait_ready()

    def kill(self) -> None:
        """End the process as a power cut would (SIGKILL)."""
        if self._daemon is not None:
            self._daemon.kill()
            self._daemon.wait()

    def stop(self) -> int | None:
        """End it with SIGTERM; its exit code, None where it did not run or had to be killed."""
        if not self.is_running or self._daemon is None:
            return None
        self._daemon.terminate()
        try:
            return self._daemon.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            return None

    def copy_to(self, folder: Path) -> None:
        """Copy the whole data directory, as a backup does; the daemon is stopped."""
        subprocess.run(["cp", "-a", str(self.home), str(folder)], check=True)

    def put_back(self, folder: Path) -> None:
        """Put a copy in the place of the data directory; the daemon is stopped."""
        subprocess.run(["rm", "-rf", str(self.home)], check=True)
        subprocess.run(["cp", "-a", str(folder), str(self.home)], check=True)

    def starling(self, *arguments: str, stdin: bytes = b"", timeout: float = 60) -> list[dict[str, Any]]:
        """Run one `starling` command; the objects that it printed. Raises NodeError with its one line."""
        try:
            done = subprocess.run(
                [*STARLING, "--home", str(self.home), "--json", *arguments],
                input=stdin,
                capture_output=True,
                timeout=timeout,
                check=False,
                start_new_session=True,
            )
        except subprocess.TimeoutExpired:
            raise NodeError(
                f"{self.name}: 'starling {arguments[0]}' took over {timeout:.0f} s", self
            ) from None
        if done.returncode != 0:
            said = done.stderr.decode("utf-8", "replace").strip() or f"exit code {done.returncode}"
            raise NodeError(f"{self.name}: 'starling {arguments[0]}' failed: {said}", self, done.returncode)
        values = [json.loads(line) for line in done.stdout.splitlines()]
        return [row for value in values for row in (value if isinstance(value, list) else [value])]

    def log_tail(self, lines: int = 20) -> list[str]:
        """The end of what the daemon wrote to standard error."""
        with contextlib.suppress(OSError):
            return self.log.read_text("utf-8", "replace").splitlines()[-lines:]
        return []


def _end_at_exit(daemon: subprocess.Popen[bytes]) -> None:
    if daemon.poll() is None:
        daemon.kill()
        daemon.wait()


class Listener:
    """An app: `starling listen --cursor NAME` as a process; each event is handed to `take` from a thread."""

    def __init__(
        self,
        node: Node,
        universe: str,
        cursor: str,
        take: Callable[[dict[str, Any]], None],
        kinds: Sequence[str] = ("message.received",),
    ) -> None:
        types = [word for kind in kinds for word in ("--type", kind)]
        self._process = subprocess.Popen(
            [*STARLING, "--home", str(node.home), "--json", "listen", universe, "--cursor", cursor, *types],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, args=(take,), daemon=True)
        self._reader.start()

    def _read(self, take: Callable[[dict[str, Any]], None]) -> None:
        assert self._process.stdout is not None
        with self._process.stdout:
            for line in self._process.stdout:
                said = json.loads(line)
                if "kind" in said:  # else it says why it ends
                    take(said)

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def wait_end(self, seconds: float = STOP_SECONDS) -> str:
        """Wait until it has ended by itself and all that it printed is taken; what it said in the end."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(seconds)
        assert self._process.stderr is not None
        with self._process.stderr:
            return self._process.stderr.read().decode("utf-8", "replace").strip()

    def stop(self) -> None:
        """End it as Ctrl-C does; nothing where that is done already."""
        if self.is_running:
            self._process.send_signal(signal.SIGINT)
            self.wait_end()
