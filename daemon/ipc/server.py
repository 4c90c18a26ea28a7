"""The Unix socket: who may connect, and how many."""

from __future__ import annotations

import logging
import os
import socket
import stat
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from starling.daemon.errors import DaemonError, LockedError, PlaceError
from starling.daemon.ipc.connection import Connection
from starling.daemon.ipc.errors import refused
from starling.daemon.ipc.limits import MAX_CLIENTS
from starling.daemon.paths import private_directory
from starling.daemon.render import encode_json

if TYPE_CHECKING:
    # The stubs that libp2p brings along hide trio's own annotations from type checkers.
    from trio_typing import TaskStatus

log = logging.getLogger("starling.ipc")


def bind(path: Path) -> trio.SocketListener:
    """Listen at `path`, mode 0600, in a directory of mode 0700; a stale socket of this user is replaced."""
    private_directory(path.parent, create=True)
    try:
        info = os.lstat(path)
    except FileNotFoundError:
        pass
    else:
        if not stat.S_ISSOCK(info.st_mode) or info.st_uid != os.geteuid():
            raise PlaceError(f"{path} is in the way and is no socket of this user; remove it")
        _refuse_live(path)
        path.unlink()
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        previous = os.umask(0o177)
        try:
            listening.bind(os.fspath(path))
        finally:
            os.umask(previous)
        listening.listen(MAX_CLIENTS)
    except OSError as error:
        listening.close()
        raise DaemonError(
            f"cannot listen on {path}: {error.strerror}; choose another place with --home"
        ) from None
    return trio.SocketListener(trio.socket.from_stdlib_socket(listening))


def _refuse_live(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(os.fspath(path))
        except OSError:
            return
    raise LockedError(f"another daemon listens on {path}; stop it first, or choose another place with --home")


def is_same_user(stream: trio.SocketStream) -> bool:
    """Whether the process at the other end runs as this user, by the system's word (Linux)."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        # Elsewhere the modes of directory and socket are what keeps others out.
        return True
    size = struct.calcsize("3i")
    credentials = stream.socket.getsockopt(socket.SOL_SOCKET, option, size)
    _, uid, _ = struct.unpack("3i", credentials)
    return bool(uid == os.geteuid())


async def serve(
    path: Path,
    connect: Callable[[trio.SocketStream], Connection],
    *,
    task_status: TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve clients until cancelled; the socket is removed at the end."""
    listener = bind(path)
    clients = 0

    async def serve_client(stream: trio.SocketStream) -> None:
        nonlocal clients
        if not is_same_user(stream):
            log.warning("refused a client of another user")
            return await stream.aclose()
        if clients >= MAX_CLIENTS:
            error = refused(
                f"{MAX_CLIENTS} clients are connected already; close one of them", "too_many_clients"
            )
            line = encode_json({"jsonrpc": "2.0", "id": None, "error": error.object()}) + b"\n"
            with trio.move_on_after(1):
                with suppress(trio.BrokenResourceError):
                    await stream.send_all(line)
            return await stream.aclose()
        clients += 1
        try:
            await connect(stream).run()
        except Exception as error:
            # A fault in serving one client is no reason to end the node under all the others.
            log.error("the connection of a client failed", exc_info=error)
        finally:
            clients -= 1
            with trio.CancelScope(shield=True):
                await stream.aclose()

    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, serve_client, [listener])
            task_status.started()
    finally:
        path.unlink(missing_ok=True)
