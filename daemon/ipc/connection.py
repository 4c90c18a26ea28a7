"""One client: requests in their order, answers as they come, subscriptions fed from the log.

A request is taken in two parts: what must keep the order of the client (giving a command to the loop) is
done while reading; what only waits goes on beside the next requests. Everything is bounded: requests
under way, subscriptions, bytes waiting to be written. A client that does not read is read from no further.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any

import trio

from starling.daemon.event_hub import EventHub
from starling.daemon.event_log import StoredEvent
from starling.daemon.ipc.errors import INVALID_REQUEST, PARSE_ERROR, RpcError, as_rpc_error, refused
from starling.daemon.ipc.lines import read_lines
from starling.daemon.ipc.outbox import Outbox
from starling.daemon.ipc.schema import MAX_BATCH, MAX_LINE, MAX_SUBSCRIPTIONS, find_method, validate
from starling.daemon.render import encode_json

log = logging.getLogger("starling.ipc")

MAX_UNDER_WAY = 64
LAG_SECONDS = 10.0
"""How long a full queue is waited for before a subscription is ended as lagging."""

STALL_SECONDS = 120.0
"""How long one write may take before the connection is closed."""

Later = Callable[[], Awaitable[Any]]
"""The part of a method that only waits."""

Handler = Callable[["Connection", dict[str, Any]], Awaitable[Any]]


class Connection:
    """Serves one stream until the client closes it."""

    def __init__(self, stream: trio.SocketStream, handlers: dict[str, Handler], hub: EventHub) -> None:
        self._stream = stream
        self._handlers = handlers
        self._hub = hub
        self._outbox = Outbox()
        self._under_way = trio.Semaphore(MAX_UNDER_WAY)
        self._subscriptions: dict[int, trio.CancelScope] = {}
        self._next_subscription = 1
        self._nursery: trio.Nursery | None = None
        self.after_answer: Callable[[], None] | None = None
        """Called once everything answered so far has been written."""

    async def run(self) -> None:
        """Serve; returns when the client has gone."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write, nursery.cancel_scope)
            try:
                async with trio.open_nursery() as self._nursery:
                    await self._read()
                    for scope in self._subscriptions.values():
                        scope.cancel()
            finally:
                self._outbox.close()

    async def _read(self) -> None:
        async with aclosing(read_lines(self._stream)) as lines:
            async for line in lines:
                await self._take_line(line)

    async def _take_line(self, line: bytes | None) -> None:
        if line is None:
            await self._answer_error(
                RpcError(INVALID_REQUEST, f"a line has at most {MAX_LINE} bytes", "line_too_long")
            )
            return
        if not line.strip():
            return
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            await self._answer_error(RpcError(PARSE_ERROR, "this line is not JSON", "parse_error"))
            return
        if isinstance(request, list):
            await self._start_batch(request)
        else:
            await self._start(request)

    async def _start(self, request: Any) -> None:
        await self._under_way.acquire()
        later = await self._take(request)
        assert self._nursery is not None
        self._nursery.start_soon(self._finish, [later], False)

    async def _start_batch(self, requests: list[Any]) -> None:
        if not 0 < len(requests) <= MAX_BATCH:
            await self._answer_error(
                RpcError(INVALID_REQUEST, f"a batch holds 1 to {MAX_BATCH} requests", "bad_batch")
            )
            return
        await self._under_way.acquire()
        laters = [await self._take(request) for request in requests]
        assert self._nursery is not None
        self._nursery.start_soon(self._finish, laters, True)

    async def _take(self, request: Any) -> Later:
        """The part of a request that keeps the order; what it returns gives the answer, None for none."""
        identifier: Any = None
        silent = False
        result: Any = None
        error: Exception | None = None
        try:
            identifier, silent, name, params = _envelope(request)
            method = find_method(name)
            result = await self._handlers[name](self, validate(method, params))
        except Exception as caught:
            error = caught

        async def later() -> bytes | None:
            nonlocal result, error
            if error is None and callable(result):
                try:
                    result = await result()
                except Exception as caught:
                    error = caught
            if silent:
                return None
            if error is not None:
                return _error_object(identifier, error)
            answer = encode_json({"jsonrpc": "2.0", "id": identifier, "result": result})
            if len(answer) > MAX_LINE:
                return _error_object(identifier, refused("the answer is too long; ask for less", "too_long"))
            return answer

        return later

    async def _finish(self, laters: list[Later], batch: bool) -> None:
        try:
            answers = [answer for later in laters if (answer := await later()) is not None]
            if batch and answers:
                while sum(map(len, answers)) + len(answers) > MAX_LINE:
                    longest = max(range(len(answers)), key=lambda at: len(answers[at]))
                    identifier = json.loads(answers[longest])["id"]
                    answers[longest] = _error_object(
                        identifier, refused("the answers are too long together; ask one by one", "too_long")
                    )
                await self._outbox.put(b"[" + b",".join(answers) + b"]\n")
            elif answers:
                await self._outbox.put(answers[0] + b"\n")
        finally:
            self._under_way.release()

    async def _answer_error(self, error: RpcError) -> None:
        await self._outbox.put(_error_object(None, error) + b"\n")

    async def _write(self, connection: trio.CancelScope) -> None:
        while data := await self._outbox.take():
            with trio.move_on_after(STALL_SECONDS) as stalled:
                try:
                    await self._stream.send_all(data)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    connection.cancel()
                    return
            if stalled.cancelled_caught:
                log.warning("closed the connection of a client that does not read")
                connection.cancel()
                return
            if self.after_answer is not None:
                self.after_answer()

    def subscribe(self, start: int, wanted: Callable[[StoredEvent], bool]) -> int:
        """Feed every wanted event after `start`; returns the number of the subscription."""
        if len(self._subscriptions) >= MAX_SUBSCRIPTIONS:
            raise refused(f"a connection has at most {MAX_SUBSCRIPTIONS} subscriptions", "too_many")
        number = self._next_subscription
        self._next_subscription += 1
        self._subscriptions[number] = trio.CancelScope()
        assert self._nursery is not None
        self._nursery.start_soon(self._feed, number, start, wanted)
        return number

    def unsubscribe(self, number: int) -> None:
        """End a subscription."""
        if number not in self._subscriptions:
            raise refused(f"there is no subscription {number} on this connection", "unknown_subscription")
        self._subscriptions[number].cancel()

    async def _feed(self, number: int, start: int, wanted: Callable[[StoredEvent], bool]) -> None:
        head = b'{"jsonrpc":"2.0","method":"events.event","params":{"subscription":%d,"event":' % number
        try:
            with self._subscriptions[number]:
                seq = start
                while True:
                    events = await self._hub.wait(seq)
                    if events[0].seq > seq + 1:
                        lost = {"subscription": number, "from": seq + 1, "to": events[0].seq - 1}
                        self._notify("events.lost", lost)
                    for event in events:
                        if wanted(event):
                            with trio.move_on_after(LAG_SECONDS) as lag:
                                await self._outbox.put(head + event.json + b"}}\n")
                            if lag.cancelled_caught:
                                self._notify("events.lagged", {"subscription": number, "seq": seq})
                                return
                        seq = event.seq
        finally:
            del self._subscriptions[number]

    def _notify(self, method: str, params: dict[str, Any]) -> None:
        self._outbox.put_now(encode_json({"jsonrpc": "2.0", "method": method, "params": params}) + b"\n")


def _envelope(request: Any) -> tuple[Any, bool, str, Any]:
    """The id, whether no answer is wanted, the method and the parameters of a request (JSON-RPC 2.0 §4)."""
    if not isinstance(request, dict):
        raise RpcError(INVALID_REQUEST, "a request is an object", "bad_request")
    identifier = request.get("id")
    well = isinstance(identifier, (str, int, float, type(None))) and not isinstance(identifier, bool)
    if request.get("jsonrpc") != "2.0" or not isinstance(request.get("method"), str) or not well:
        raise _Malformed(identifier if well else None)
    params = request.get("params", {})
    if not isinstance(params, (dict, list)):
        raise _Malformed(identifier)
    return identifier, "id" not in request, request["method"], params


class _Malformed(RpcError):
    """A request that lacks something, but whose id can be told."""

    def __init__(self, identifier: Any) -> None:
        super().__init__(
            INVALID_REQUEST,
            'a request has "jsonrpc":"2.0", "method", "id", and "params" as an object',
            "bad_request",
        )
        self.identifier = identifier


def _error_object(identifier: Any, error: Exception) -> bytes:
    told = as_rpc_error(error)
    if told is not error and told.data["code"] == "internal":
        log.error("a request failed", exc_info=error)
    if isinstance(told, _Malformed):
        identifier = told.identifier
    return encode_json({"jsonrpc": "2.0", "id": identifier, "error": told.object()})
