"""The methods about members: who they are, what they may, what this node calls them, and whom it keeps out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import trio

from starling.daemon import render
from starling.daemon.ipc.connection import Connection
from starling.daemon.ipc.errors import refused
from starling.daemon.ipc.lookup import Lookup
from starling.daemon.loop import Loop
from starling.protocol.distributed.identity import Identity
from starling.protocol.distributed.pair_number import pair_number
from starling.protocol.engine import inputs


class MemberMethods:
    """The methods `member.*`."""

    def __init__(self, loop: Loop, identity: Identity, find: Lookup) -> None:
        self._loop = loop
        self._identity = identity
        self._find = find

    async def member_list(self, _: Connection, params: dict[str, Any]) -> Any:
        universe = self._find.universe(params["universe"])
        member = params["member"] and self._find.member(universe, params["member"])

        def look(engine: Any) -> dict[str, Any]:
            shown = {"members": engine.members(universe), "former_members": engine.former_members(universe)}
            return {
                part: [row for row in rows if member in (None, row["identity"])]
                for part, rows in shown.items()
            }

        return render.plain(await self._loop.view(look))

    async def member_remove(self, _: Connection, params: dict[str, Any]) -> Any:
        universe = self._find.universe(params["universe"])
        identity = self._find.member(universe, params["member"])
        reply = await self._loop.submit(inputs.RemoveMember(universe, identity, params["disown"]))

        async def done() -> Any:
            first, *fell = (await reply.wait())["gone"]
            return {"removed": first.hex(), "fell": [other.hex() for other in fell]}

        return done

    async def member_role(self, _: Connection, params: dict[str, Any]) -> Any:
        universe = self._find.universe(params["universe"])
        identity = self._find.member(universe, params["member"])
        reply = await self._loop.submit(inputs.SetRole(universe, identity, params["role"]))
        return when_done(reply.wait, {"identity": identity.hex(), "role": params["role"]})

    async def member_block(self, _: Connection, params: dict[str, Any]) -> Any:
        universe = self._find.universe(params["universe"])
        identity = self._find.member(universe, params["member"])
        reply = await self._loop.submit(inputs.BlockMember(universe, identity))
        return when_done(reply.wait, {"blocked": identity.hex()})

    async def member_unblock(self, _: Connection, params: dict[str, Any]) -> Any:
        universe = self._find.universe(params["universe"])
        identity = self._find.member(universe, params["member"])
        reply = await self._loop.submit(inputs.UnblockMember(universe, identity))
        return when_done(reply.wait, {"unblocked": identity.hex()})

    async def member_readmit(self, _: Connection, params: dict[str, Any]) -> Any:
        universe = self._find.universe(params["universe"])
        identity = self._find.member(universe, params["member"])
        digits = "".join(params["verification"].split())
        reply = await self._loop.submit(inputs.ReadmitMember(universe, identity, digits))
        return when_done(reply.wait, {"readmitted": identity.hex()})

    async def member_name(self, _: Connection, params: dict[str, Any]) -> Any:
        universe = self._find.universe(params["universe"])
        identity = self._find.member(universe, params["member"], members_only=False)
        reply = await self._loop.submit(inputs.NameMember(universe, identity, params["petname"] or ""))

        async def later() -> Any:
            await reply.wait()
            return render.plain(self._person(universe, identity))

        return later

    async def member_verify(self, _: Connection, params: dict[str, Any]) -> Any:
        universe = self._find.universe(params["universe"])
        identity = self._find.member(universe, params["member"], members_only=False)
        own = self._identity.identity_public_key
        if identity == own:
            raise refused("this is you; choose somebody else", "member.self")
        if params["verified"] is not None:
            await self._loop.command(inputs.MarkVerified(universe, identity, params["verified"]))
        number = await trio.to_thread.run_sync(pair_number, own, identity)
        return render.plain({**self._person(universe, identity), "verification": number})

    def _person(self, universe: bytes, identity: bytes) -> dict[str, Any]:
        person = next(one for one in self._find.people(universe) if one["identity"] == identity)
        return {name: person[name] for name in ("identity", "name", "petname", "display_name", "verified_at")}


def when_done(wait: Callable[[], Any], answer: dict[str, Any]) -> Callable[[], Any]:
    async def later() -> Any:
        await wait()
        return answer

    return later
