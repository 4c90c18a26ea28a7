"""One client: requests in their order, answers as they come, subscriptions fed from the log.

A request is taken in two parts: what must keep the order of the client (giving a command to the loop) is
done while reading; what only waits goes on beside the next requests. Everything is bounded: requests
under way, subscriptions, bytes waiting to be written. A client that does not read is read from no further.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import trio

from starling.daemon.event_hub import EventHub
from starling.daemon.event_log import StoredEvent
from starling.daemon.ipc.errors import INVALID_REQUEST, PARSE_ERROR, RpcError, as_rpc_error, refused
from starling.daemon.ipc.framing import FRAMINGS, LINE_SECONDS, FrameReader, TooLong, TooSlow
from starling.daemon.ipc.limits import MAX_BATCH, MAX_LINE, MAX_SUBSCRIPTIONS
from starling.daemon.ipc.outbox import Outbox
from starling.daemon.ipc.validation import find_method, validate

log = logging.getLogger("starling.ipc")

MAX_UNDER_WAY = 64
_BATCH_OVERHEAD = 8
LAG_SECONDS = 10.0
"""How long a full queue is waited for before a subscription is ended as lagging."""

STALL_SECONDS = 120.0
"""How long one write may take before the connection is closed."""

Handler = Callable[["Connection", dict[str, Any]], Awaitable[Any]]

Wanted = Callable[[StoredEvent], bool]


@dataclass(slots=True)
class _Taken:
    """A request whose ordered part is done: `answer` waits for the rest and gives the answer, None for none.

    `feeds` are the subscriptions that it made, (number, start, wanted): they begin after the answer.
    """

    answer: Callable[[], Awaitable[bytes | None]]
    feeds: list[tuple[int, int, Wanted]] = field(default_factory=list)


class Connection:
    """Serves one stream until the client closes it."""

    def __init__(self, stream: trio.abc.Stream, handlers: dict[str, Handler], hub: EventHub) -> None:
        self._stream = stream
        self._handlers = handlers
        self._hub = hub
        self._framing = FRAMINGS["json"]
        self._reader = FrameReader(stream, self._framing)
        self._outbox = Outbox()
        self._may_choose_framing = False
        self.framing_chosen = "json"
        self._feeds: list[tuple[int, int, Wanted]] = []
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
        self._may_choose_framing = True
        while True:
            try:
                data = await self._reader.next()
            except TooLong:
                await self._answer_error(
                    RpcError(INVALID_REQUEST, f"a line has at most {MAX_LINE} bytes", "line_too_long")
                )
                continue
            except TooSlow:
                await self._answer_error(
                    RpcError(
                        INVALID_REQUEST,
                        f"a line did not end within {LINE_SECONDS:.0f} s of its beginning; "
                        "the connection is closed",
                        "line_too_slow",
                    )
                )
                return
            if data is None:
                return
            await self._take_data(data)

    async def _take_data(self, data: bytes) -> None:
        if self.framing_chosen == "json" and not data.strip():
            return
        try:
            request = self._framing.decode(data)
        except (ValueError, RecursionError):
            name = "JSON" if self.framing_chosen == "json" else self.framing_chosen
            await self._answer_error(RpcError(PARSE_ERROR, f"this is not {name}", "parse_error"))
            return
        if isinstance(request, list):
            self._may_choose_framing = False
            await self._start_batch(request)
        else:
            await self._start(request)
            self._may_choose_framing = False

    async def _start(self, request: Any) -> None:
        await self._under_way.acquire()
        taken = await self._take(request)
        assert self._nursery is not None
        if FRAMINGS[self.framing_chosen] is self._framing:
            self._nursery.start_soon(self._finish, [taken], False)
            return
        # The answer still goes out in the old framing; nothing is read, and nothing else written, before it.
        await self._finish([taken], False)
        self._framing = self._reader.framing = FRAMINGS[self.framing_chosen]

    async def _start_batch(self, requests: list[Any]) -> None:
        if not 0 < len(requests) <= MAX_BATCH:
            await self._answer_error(
                RpcError(INVALID_REQUEST, f"a batch holds 1 to {MAX_BATCH} requests", "bad_batch")
            )
            return
        await self._under_way.acquire()
        taken = [await self._take(request) for request in requests]
        assert self._nursery is not None
        self._nursery.start_soon(self._finish, taken, True)

    async def _take(self, request: Any) -> _Taken:
        """Do the part of a request that keeps the order."""
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
        feeds, self._feeds = self._feeds, []

        async def answer() -> bytes | None:
            nonlocal result, error
            if error is None and callable(result):
                try:
                    result = await result()
                except Exception as caught:
                    error = caught
            if silent:
                return None
            if error is not None:
                return self._encode_error(identifier, error)
            encoded = self._framing.encode({"jsonrpc": "2.0", "id": identifier, "result": result})
            if len(encoded) > MAX_LINE:
                too_long = refused("the answer is too long; ask for less", "too_long")
                return self._encode_error(identifier, too_long)
            return encoded

        return _Taken(answer, feeds)

    async def _finish(self, requests: list[_Taken], batch: bool) -> None:
        try:
            answers = [answer for taken in requests if (answer := await taken.answer()) is not None]
            if batch and answers:
                while sum(map(len, answers)) + len(answers) + _BATCH_OVERHEAD > MAX_LINE:
                    longest = max(range(len(answers)), key=lambda at: len(answers[at]))
                    identifier = self._framing.decode(answers[longest])["id"]
                    answers[longest] = self._encode_error(
                        identifier, refused("the answers are too long together; ask one by one", "too_long")
                    )
                await self._outbox.put(self._framing.frame_batch(answers))
            elif answers:
                await self._outbox.put(self._framing.frame(answers[0]))
            assert self._nursery is not None
            for taken in requests:
                for feed in taken.feeds:
                    self._nursery.start_soon(self._feed, *feed)
        finally:
            self._under_way.release()

    async def _answer_error(self, error: RpcError) -> None:
        await self._outbox.put(self._framing.frame(self._encode_error(None, error)))

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

    def choose_framing(self, name: str) -> None:
        """Use a framing for all that follows the request that is being taken, and its answer."""
        if not self._may_choose_framing and name != self.framing_chosen:
            raise refused("the framing is chosen by the first request of a connection", "framing")
        self.framing_chosen = name

    def subscribe(self, start: int, wanted: Wanted) -> int:
        """Feed every wanted event after `start`, once the request is answered; the subscription's number."""
        if len(self._subscriptions) >= MAX_SUBSCRIPTIONS:
            raise refused(f"a connection has at most {MAX_SUBSCRIPTIONS} subscriptions", "too_many")
        number = self._next_subscription
        self._next_subscription += 1
        self._subscriptions[number] = trio.CancelScope()
        self._feeds.append((number, start, wanted))
        return number

    def unsubscribe(self, number: int) -> None:
        """End a subscription."""
        if number not in self._subscriptions:
            raise refused(f"there is no subscription {number} on this connection", "unknown_subscription")
        self._subscriptions[number].cancel()

    async def _feed(self, number: int, start: int, wanted: Wanted) -> None:
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
                                told = self._framing.encode_event(number, event)
                                await self._outbox.put(self._framing.frame(told))
                            if lag.cancelled_caught:
                                self._notify("events.lagged", {"subscription": number, "seq": seq})
                                return
                        seq = event.seq
        finally:
            del self._subscriptions[number]

    def _notify(self, method: str, params: dict[str, Any]) -> None:
        told = self._framing.encode({"jsonrpc": "2.0", "method": method, "params": params})
        self._outbox.put_now(self._framing.frame(told))

    def _encode_error(self, identifier: Any, error: Exception) -> bytes:
        told = as_rpc_error(error)
        if told is not error and told.data["code"] == "internal":
            log.error("a request failed", exc_info=error)
        if isinstance(told, _Malformed):
            identifier = told.identifier
        return self._framing.encode({"jsonrpc": "2.0", "id": identifier, "error": told.object()})


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
