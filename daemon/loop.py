"""The one loop: inputs to the engine, its Steps to the disk in one transaction, and only then to the world.

Two tasks in a row. `_handle_inputs` gives every waiting input to the engine and gathers what comes out;
`_commit_rounds` saves that in a worker thread and then answers, tells and sends. While a batch is being saved
the next is handled, so a slow disk makes larger batches. Nothing of a Step leaves before its commit (invariant
I1): not even a view, which waits until what it shows is saved.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import trio

from starling.daemon.errors import DaemonError, StoreError
from starling.daemon.event_hub import EventHub
from starling.daemon.history import OwnMessage
from starling.daemon.outbound import Outbound
from starling.daemon.store import Batch, Store
from starling.p2p import interface as p2p
from starling.protocol.engine import inputs
from starling.protocol.engine.step import Send, Step
from starling.protocol.errors import UsageError

log = logging.getLogger("starling.loop")

MAX_WAITING = 512
"""Inputs that wait for the engine; then the network and the clients are held back."""

MAX_BATCH = 256
_BATCH_SECONDS = 0.05
_YIELD_SECONDS = 0.005


class EngineLike(Protocol):
    """What the loop needs of `starling.protocol.engine.engine.Engine`; the views are for the methods."""

    def handle(self, what: Any, now: int) -> Step: ...


class Reply:
    """The coming answer to a command: its result once saved, or the error."""

    def __init__(self) -> None:
        self._done = trio.Event()
        self._result: Any = None
        self._error: Exception | None = None

    def set(self, result: Any, error: Exception | None = None) -> None:
        if not self._done.is_set():
            self._result, self._error = result, error
            self._done.set()

    async def wait(self) -> Any:
        await self._done.wait()
        if self._error is not None:
            raise self._error
        return self._result


@dataclass(slots=True)
class _Item:
    """One thing for the loop: an input of the engine, the move of a cursor, or a note of the daemon's."""

    what: Any = None
    cursor: tuple[str, int] | None = None
    note: tuple[str, bytes] | None = None
    reply: Reply | None = None
    message: Callable[[Any], OwnMessage] | None = None


@dataclass(slots=True)
class _Round:
    """What one round of handling gave: what to save, and what to do after it."""

    number: int
    batch: Batch
    sends: list[Send] = field(default_factory=list)
    answers: list[tuple[Reply, Any, Exception | None]] = field(default_factory=list)


def first_error(group: BaseExceptionGroup[BaseException]) -> Exception | None:
    """The first error in a group of a nursery that is not the cancellation of its tasks."""
    for error in group.exceptions:
        found = first_error(error) if isinstance(error, BaseExceptionGroup) else error
        if isinstance(found, Exception):
            return found
    return None


def _stopping() -> DaemonError:
    return DaemonError("the daemon is stopping; start it again with 'starling daemon'", "stopping")


def _failed(what: Any, error: Exception) -> DaemonError:
    """The end of the daemon by a fault of engine or store: its details are for the log alone."""
    name = type(what).__name__
    log.error("the daemon failed at a %s", name, exc_info=error)
    return DaemonError(
        f"internal error ({type(error).__name__} at a {name}); what was answered is saved, start the daemon "
        "again; the log says where it failed, please report it",
        "internal",
    )


MOST_APART = 60 * 1_000_000_000
"""How far the wall clock may be set before that counts as a jump, in nanoseconds."""


def _since_boot() -> int:
    """Nanoseconds since the machine started, sleep included where the system can tell."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime_ns(clock)


class Clock:
    """Milliseconds since the epoch that never go backwards and never stand still.

    Where the wall clock is set back, time goes on from where it was, at the pace of the monotonic clock: the
    engine's timers hang on it. `monotonic` counts sleep too, so that only setting the clock sets the two apart.
    """

    def __init__(
        self, wall: Callable[[], int] = time.time_ns, monotonic: Callable[[], int] = _since_boot
    ) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._ahead = self._apart = wall() - monotonic()

    def __call__(self) -> int:
        monotonic = self._monotonic()
        self._ahead = max(self._ahead, self._wall() - monotonic)
        return (monotonic + self._ahead) // 1_000_000

    def jumped(self) -> bool:
        """Whether the wall clock was set far off since this was last asked, as when a machine is put back to a
        snapshot of it."""
        apart = self._wall() - self._monotonic()
        before, self._apart = self._apart, apart
        return abs(apart - before) > MOST_APART


class Loop:
    """Runs one engine on one store and one network, until cancelled or the store fails."""

    def __init__(self, engine: EngineLike, store: Store, network: p2p.Network, *, clock: Clock) -> None:
        self.engine = engine
        self.store = store
        self.hub = EventHub(store.events)
        self.addresses: tuple[str, ...] = ()
        self.commits = 0
        self._network = network
        self._outbound = Outbound(network, store)
        self._clock = clock
        self._give, self._take = trio.open_memory_channel[_Item](MAX_WAITING)
        self._rounds_in, self._rounds_out = trio.open_memory_channel[_Round](0)
        self._wake_at: int | None = None
        self._handled = 0
        self._saved = 0
        self._saving = trio.lowlevel.ParkingLot()
        self._failure: Exception | None = None

    def now(self) -> int:
        """The time that the engine is given, in milliseconds."""
        return self._clock()

    async def submit(self, command: Any, message: Callable[[Any], OwnMessage] | None = None) -> Reply:
        """Queue a command, in the order of the calls; `message` makes the history row from its result."""
        return await self._queue(_Item(what=command, reply=Reply(), message=message))

    async def command(self, command: Any) -> Any:
        """Do a command and wait until it is saved; raises UsageError as the engine does."""
        return await (await self.submit(command)).wait()

    async def acknowledge(self, cursor: str, seq: int) -> None:
        """Move a named cursor forward, durably."""
        await (await self._queue(_Item(cursor=(cursor, seq), reply=Reply()))).wait()

    async def note(self, name: str, value: bytes) -> None:
        """Keep a small public value of the daemon's own, durably."""
        await (await self._queue(_Item(note=(name, value), reply=Reply()))).wait()

    async def view(self, look: Callable[[Any], Any]) -> Any:
        """What `look(engine)` returns, once everything that it can show is saved."""
        seen = look(self.engine)
        number = self._handled
        while self._saved < number:
            self._refuse_after_failure()
            await self._saving.park()
        return seen

    async def _queue(self, item: _Item) -> Reply:
        assert item.reply is not None
        self._refuse_after_failure()
        await self._give.send(item)
        if self._failure is not None:
            item.reply.set(None, self._failure)
        return item.reply

    def _refuse_after_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    async def run(self, addresses: tuple[str, ...]) -> None:
        """Run until cancelled. Raises StoreError where the store fails: nothing leaves this node then."""
        self.addresses = addresses
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._listen)
                nursery.start_soon(self._commit_rounds)
                await self._give.send(_Item(what=inputs.OwnAddresses(addresses)))
                await self._give.send(_Item(what=inputs.Wake()))
                await self._handle_inputs()
        except BaseExceptionGroup as group:
            failure = first_error(group)
            if failure is None:
                raise
            self._failure = failure
            raise failure from None
        finally:
            self._fail(_stopping())

    def _fail(self, error: Exception) -> None:
        """Answer everyone who waits, now and from now on, with the error."""
        if self._failure is None:
            self._failure = error
        while True:
            try:
                item = self._take.receive_nowait()
            except (trio.WouldBlock, trio.EndOfChannel, trio.ClosedResourceError):
                break
            if item.reply is not None:
                item.reply.set(None, self._failure)
        self._saving.unpark_all()

    async def _listen(self) -> None:
        """Pass on what happens on the network; waits where the engine does not keep up."""
        async for event in self._network.events:
            for what in self._translate(event):
                await self._give.send(_Item(what=what))

    def _translate(self, event: p2p.NetworkEvent) -> list[Any]:
        match event:
            case p2p.Frame():
                return [inputs.FrameReceived(event.peer_id, event.frame)]
            case p2p.Message():
                return [inputs.MessageFromPeer(event.peer_id, event.data)]
            case p2p.PeerConnected():
                log.info("connected to %s", p2p.peer_id_text(event.peer_id))
                return [inputs.PeerConnected(event.peer_id)]
            case p2p.PeerDisconnected():
                log.info("connection to %s ended", p2p.peer_id_text(event.peer_id))
                return [inputs.PeerDisconnected(event.peer_id)]
            case p2p.DialFailed():
                return [inputs.DialFailed(event.peer_id)]
            case p2p.Listening():
                if event.addresses == self.addresses:
                    return []
                self.addresses = event.addresses
                return [inputs.OwnAddresses(event.addresses)]
            case p2p.Discovered():
                self._outbound.discovered(event.peer_id, event.addresses)
                return []

    async def _handle_inputs(self) -> None:
        while True:
            items = await self._next_items()
            self._handled += 1
            work = _Round(self._handled, Batch(self._clock()))
            try:
                await self._handle_round(items, work)
                await self._rounds_in.send(work)
            except BaseException as error:
                # The round will never be saved, so what it did never happened: whoever waits is told so.
                failure = self._failure or (error if isinstance(error, Exception) else _stopping())
                for reply, _, _ in work.answers:
                    reply.set(None, failure)
                raise

    async def _handle_round(self, items: list[_Item], work: _Round) -> None:
        """Give these inputs to the engine, and what has come meanwhile, for a bounded time."""
        started = yielded = time.perf_counter()
        handled = 0
        while items:
            self._handle(items.pop(), work)
            handled += 1
            present = time.perf_counter()
            if present - yielded > _YIELD_SECONDS:
                await trio.lowlevel.checkpoint()
                yielded = time.perf_counter()
            if not items and handled < MAX_BATCH and present - started < _BATCH_SECONDS:
                items = self._waiting(1)

    async def _next_items(self) -> list[_Item]:
        """The next waiting input, or Wake when it is time for it."""
        items = self._waiting(1)
        if items:
            await trio.lowlevel.checkpoint()
        else:
            seconds = float("inf") if self._wake_at is None else max(0, self._wake_at - self._clock()) / 1000
            with trio.move_on_after(seconds):
                items = [await self._take.receive()]
        if not items or (self._wake_at is not None and self._clock() >= self._wake_at):
            self._wake_at = None
            items.append(_Item(what=inputs.Wake()))
        if self._clock.jumped():
            items.append(_Item(what=inputs.ClockJumped()))  # the last is handled first
        return items

    def _waiting(self, limit: int) -> list[_Item]:
        items: list[_Item] = []
        while len(items) < limit:
            try:
                items.append(self._take.receive_nowait())
            except trio.WouldBlock:
                break
        return items

    def _handle(self, item: _Item, work: _Round) -> None:
        if item.cursor is not None or item.note is not None:
            if item.cursor is not None:
                name, seq = item.cursor
                work.batch.cursors[name] = max(seq, work.batch.cursors.get(name, 0))
            if item.note is not None:
                name, value = item.note
                work.batch.notes[name] = value
            assert item.reply is not None
            work.answers.append((item.reply, None, None))
            return
        try:
            step = self.engine.handle(item.what, self._clock())
        except UsageError as error:
            if item.reply is None:
                raise _failed(item.what, error) from error
            # Raised before anything changed: memory is still what is, or will be, on the disk.
            work.answers.append((item.reply, None, error))
            return
        except Exception as error:
            # Part of the step may be done in memory and will never be on the disk: going on from there would
            # send what no restart knows. Ending here loses nothing that was answered.
            failure = _failed(item.what, error)
            if item.reply is not None:
                work.answers.append((item.reply, None, failure))
            raise failure from error
        work.batch.writes += step.writes
        work.batch.events += step.events
        work.sends += step.sends
        self._wake_at = step.wake_at
        if item.message is not None:
            work.batch.messages.append(item.message(step.result))
        if item.reply is not None:
            work.answers.append((item.reply, step.result, None))

    async def _commit_rounds(self) -> None:
        async for work in self._rounds_out:
            events = []
            if work.batch:
                try:
                    # Not abandoned by a cancellation: the thread must be done before the store is closed.
                    events = await trio.to_thread.run_sync(self.store.commit, work.batch)
                except Exception as error:
                    failure = error if isinstance(error, StoreError) else _failed(work.batch, error)
                    self._failure = failure
                    for reply, _, _ in work.answers:
                        reply.set(None, failure)
                    raise failure from None
                self.commits += 1
            self._saved = work.number
            self._saving.unpark_all()
            self.hub.publish(events)
            for event in work.batch.events:
                if event.kind == "archive.full":
                    log.warning("the quota for universe %s is used up", event.universe_id.hex()[:12])
            for reply, result, refused in work.answers:
                reply.set(result, refused)
            self._outbound.send_all(work.sends)
