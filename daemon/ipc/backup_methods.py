"""The methods about backups."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import trio

from starling.daemon import backup
from starling.daemon.ipc.connection import Connection
from starling.daemon.ipc.errors import refused
from starling.daemon.loop import Loop

MADE = "backup"
"""The note of when the last backup was made, in milliseconds."""


class BackupMethods:
    """The methods `backup.*`."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._under_way = trio.Lock()

    async def backup_export(self, _: Connection, params: dict[str, Any]) -> Any:
        path = Path(params["path"])
        if not path.is_absolute():
            raise refused("the path of a backup is absolute", "path")
        engine: Any = self._loop.engine
        if not hasattr(engine, "account"):
            raise refused(
                "an archiver has nothing to back up: where it is lost, name another one in its place", "role"
            )

        async def later() -> Any:
            # One at a time: each takes 64 MiB for its passphrase.
            async with self._under_way:
                of_account = await self._loop.view(lambda engine: engine.account())
                now = self._loop.now()
                snapshot = self._loop.store.snapshot()
                try:
                    made = await trio.to_thread.run_sync(
                        backup.export,
                        snapshot,
                        of_account,
                        path,
                        params["passphrase"],
                        os.urandom,
                        # The daemon does not wait for the rest where it is to end.
                        trio.from_thread.check_cancelled,
                    )
                finally:
                    snapshot.close()
                await self._loop.note(MADE, str(now).encode())
            return {"path": str(path), "time": now, **made}

        return later


def last_made(loop: Loop) -> int | None:
    """When the last backup of this node was made, in milliseconds."""
    noted = loop.store.note(MADE)
    return None if noted is None else int(noted)
