"""The methods about events: subscriptions, named cursors, and pages of what happened."""

from __future__ import annotations

from typing import Any

from starling.daemon.event_log import StoredEvent
from starling.daemon.ipc.connection import Connection
from starling.daemon.ipc.errors import refused
from starling.daemon.ipc.limits import MAX_LINE
from starling.daemon.ipc.lookup import Lookup
from starling.daemon.loop import Loop

MAX_CURSORS = 1024
PAGE_BYTES = MAX_LINE - 64 * 1024


class EventMethods:
    """The methods `events.*`."""

    def __init__(self, loop: Loop, find: Lookup) -> None:
        self._loop = loop
        self._find = find

    async def events_subscribe(self, connection: Connection, params: dict[str, Any]) -> Any:
        hub, store = self._loop.hub, self._loop.store
        universe = None if params["universe"] is None else self._find.universe(params["universe"])
        start = hub.last_seq if params["from"] == "now" else min(params["from"] or 0, hub.last_seq)
        if params["cursor"] is None:
            if params["from"] is None:
                start = hub.last_seq
        else:
            kept = store.cursor(params["cursor"])
            if kept is not None:
                start = kept
            else:
                if store.cursor_count() >= MAX_CURSORS:
                    raise refused(f"there are {MAX_CURSORS} cursors already; use one of them", "too_many")
                # The place of a new cursor is kept from the beginning, so that nothing is lost to it.
                await self._loop.acknowledge(params["cursor"], start)
        kinds = params["kinds"]

        def wanted(event: StoredEvent) -> bool:
            return (kinds is None or event.kind in kinds) and universe in (None, event.universe_id)

        return {"subscription": connection.subscribe(start, wanted), "from": start, "last": hub.last_seq}

    async def events_unsubscribe(self, connection: Connection, params: dict[str, Any]) -> Any:
        connection.unsubscribe(params["subscription"])
        return {"ended": params["subscription"]}

    async def events_ack(self, _: Connection, params: dict[str, Any]) -> Any:
        name, seq = params["cursor"], params["seq"]
        store = self._loop.store
        if seq > self._loop.hub.last_seq:
            raise refused(
                f"there is no event {seq} yet; the last is {self._loop.hub.last_seq}", "unknown_event"
            )
        if store.cursor(name) is None and store.cursor_count() >= MAX_CURSORS:
            raise refused(f"there are {MAX_CURSORS} cursors already; use one of them", "too_many")

        async def later() -> Any:
            await self._loop.acknowledge(name, seq)
            return {"cursor": name, "seq": store.cursor(name)}

        return later

    async def events_list(self, _: Connection, params: dict[str, Any]) -> Any:
        seq = params["after"]
        shown: list[Any] = []
        size = 0
        for event in self._loop.store.events.after(seq, params["limit"]):
            size += len(event.json) + 1
            if size > PAGE_BYTES and shown:
                break
            seq = event.seq
            if params["kinds"] is None or event.kind in params["kinds"]:
                shown.append(event.shown)
        return {"events": shown, "next": seq, "last": self._loop.hub.last_seq}
