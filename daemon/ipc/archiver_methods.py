"""The methods about archivers: on a member's node those of its universes, on an archiver's its own offers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from starling.daemon import render
from starling.daemon.ipc.connection import Connection
from starling.daemon.ipc.errors import refused
from starling.daemon.loop import Loop
from starling.protocol.engine import inputs


class ArchiverMethods:
    """The methods `archiver.*`; `universe` finds the id of a universe that a text names."""

    def __init__(self, loop: Loop, universe: Callable[[str], bytes]) -> None:
        self._loop = loop
        self._universe = universe

    async def archiver_offer(self, _: Connection, params: dict[str, Any]) -> Any:
        reply = await self._loop.submit(inputs.OfferArchiver())

        async def later() -> Any:
            return render.plain(await reply.wait())

        return later

    async def archiver_drop(self, _: Connection, params: dict[str, Any]) -> Any:
        universe = self._universe(params["universe"])
        reply = await self._loop.submit(inputs.DropArchive(universe))

        async def later() -> Any:
            await reply.wait()
            return {"dropped": universe.hex()}

        return later

    async def archiver_add(self, _: Connection, params: dict[str, Any]) -> Any:
        universe = self._universe(params["universe"])
        reply = await self._loop.submit(inputs.NameArchiver(universe, params["offer"].strip()))

        async def later() -> Any:
            return {"archiver": (await reply.wait()).hex()}

        return later

    async def archiver_remove(self, _: Connection, params: dict[str, Any]) -> Any:
        universe = self._universe(params["universe"])
        identity = await self._archiver(universe, params["archiver"])
        reply = await self._loop.submit(inputs.RemoveArchiver(universe, identity))

        async def later() -> Any:
            await reply.wait()
            return {"removed": identity.hex()}

        return later

    async def archiver_list(self, _: Connection, params: dict[str, Any]) -> Any:
        universe = self._universe(params["universe"])
        return {"archivers": render.plain(await self._loop.view(lambda engine: engine.archivers(universe)))}

    async def _archiver(self, universe: bytes, text: str) -> bytes:
        """The one archiver that a name or the beginning of an identity means."""
        rows: list[Mapping[str, Any]] = await self._loop.view(lambda engine: engine.archivers(universe))
        found = [row["identity"] for row in rows if row["name"] == text]
        if not found and len(text) >= 4:
            found = [row["identity"] for row in rows if row["identity"].hex().startswith(text.lower())]
        if len(found) == 1:
            return bytes(found[0])
        what = "no archiver" if not found else f"{len(found)} archivers"
        raise refused(
            f"{what} called {text[:64]!r} in this universe; 'starling archiver list' shows all",
            "archiver.unknown" if not found else "ambiguous",
        )
