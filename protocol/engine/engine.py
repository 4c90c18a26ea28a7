"""The whole node without IO: `handle(input, now) -> Step` (DESIGN, One way in, one way out).

The engine owns all state. It never blocks, reads a clock, or sends: the loop gives it what happened, saves what
comes out, and only then sends it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from starling.protocol.distributed.identity import Identity
from starling.protocol.engine import (
    boot,
    commands,
    departing,
    joining,
    timers,
)
from starling.protocol.engine.bad_inputs import BadInputs
from starling.protocol.engine.context import Context
from starling.protocol.engine.exchanging import greet
from starling.protocol.engine.inputs import (
    ClockJumped,
    DialFailed,
    FrameReceived,
    Input,
    MessageFromPeer,
    OwnAddresses,
    PeerConnected,
    PeerDisconnected,
    Wake,
)
from starling.protocol.engine.node import Node
from starling.protocol.engine.peer_messages import handle_message
from starling.protocol.engine.people import named
from starling.protocol.engine.profile_exchange import profiles_of
from starling.protocol.engine.queries import Queries
from starling.protocol.engine.receiving import group_of_frame, receive
from starling.protocol.engine.step import Event, Step
from starling.protocol.engine.told_network import ToldNetwork
from starling.protocol.engine.universe import Universe
from starling.protocol.errors import (
    DecodeError,
    InternalError,
    Pending,
    ProtocolError,
    Unsupported,
    UsageError,
)
from starling.protocol.exchange.messages import decode_message

MOST_BACKWARDS = 10_000
"""How far time may go back, in milliseconds, before that counts as a new run (B2)."""

TRY_AGAIN = 1000
"""After how long what failed by itself is tried again, in milliseconds."""


class Engine(Queries):
    """One node. `records` are all stored rows `(table, key, value)` but those of the table `frame`.

    With `readmits_automatically` a member that asks to start anew is admitted without a person's word.
    """

    def __init__(
        self,
        identity: Identity,
        records: Iterable[tuple[str, bytes, bytes]],
        *,
        now: int,
        random: Callable[[int], bytes],
        readmits_automatically: bool = False,
    ) -> None:
        self._random = random
        self._now = now
        self._node = Node(identity, records, now=now, readmits_automatically=readmits_automatically)
        self._told = ToldNetwork()
        self._bad_inputs = BadInputs()
        self._wakes: dict[bytes, int | None] = {}
        """When each universe wants to be woken; one that is not here was not looked at yet."""

    @property
    def identity(self) -> Identity:
        return self._node.identity

    # the one way in

    def handle(self, item: Input, now: int) -> Step:
        """Take one input; raises `UsageError` for a command that cannot be done, before anything changes."""
        ctx = Context(now, self._random)
        self._node.touched = set()
        if now < self._now - MOST_BACKWARDS:
            self._new_run(ctx)
            self._node.touch_all()
        self._now = now
        try:
            result = self._dispatch(ctx, item)
        except UsageError as error:
            if ctx.has_changes:
                raise InternalError("a command was refused after it had begun") from error
            raise
        try:
            for universe in self._to_tick(item, now):
                self._node.touched.add(universe.universe_id)
                self._wakes[universe.universe_id] = self._tick(ctx, universe)
        except UsageError as error:
            raise InternalError("what was due could not be done") from error
        self._told.tell(ctx, self._node)
        ctx.name_people(self._named_event)
        for universe_id in self._wakes.keys() - self._node.universes.keys():
            del self._wakes[universe_id]
        wake_at = min((wake for wake in self._wakes.values() if wake is not None), default=None)
        return ctx.step(wake_at, result)

    def _to_tick(self, item: Input, now: int) -> list[Universe]:
        """The universes that the input is about, or in which something is due: what happens in one is nothing to the
        others, or a node would do in each what comes from all."""
        found = [
            universe
            for universe_id, universe in self._node.universes.items()
            if universe_id in self._node.touched or _is_due(self._wakes.get(universe_id, now), now)
        ]
        if isinstance(item, Wake) and not found:
            # It came at another moment than was asked for, so each is looked at.
            found = [u for u in self._node.universes.values() if _is_due(timers.next_wake(u), now)]
        return found

    def _tick(self, ctx: Context, universe: Universe) -> int | None:
        """Do what is due in one universe; when it wants to be woken is given back."""
        try:
            if not timers.tick(ctx, universe):
                del self._node.universes[universe.universe_id]
                return None
        except (ProtocolError, Unsupported) as refusal:
            # What was done before stays done, in memory and on disk alike; the rest is tried again.
            universe.refuse(type(refusal).__name__)
            return max(timers.next_wake(universe) or 0, ctx.now + TRY_AGAIN)
        return timers.next_wake(universe)

    def _dispatch(self, ctx: Context, item: Input) -> Any:
        match item:
            case FrameReceived(peer_id, frame):
                self._frame(ctx, peer_id, frame)
            case MessageFromPeer(peer_id, data):
                self._message(ctx, peer_id, data)
            case PeerConnected(peer_id):
                self._connected_peer(ctx, peer_id)
            case PeerDisconnected(peer_id):
                self._disconnected_peer(peer_id)
            case DialFailed(peer_id):
                for universe in self._node.universes.values():
                    if not universe.boot.done:
                        universe.boot.failed.add(peer_id)
                        self._node.touched.add(universe.universe_id)
            case OwnAddresses(addresses):
                self._own_addresses(ctx, addresses)
            case ClockJumped():
                self._new_run(ctx)
                self._node.touch_all()
            case Wake():
                pass
            case _:
                return commands.run(ctx, self._node, item)
        return None

    def _new_run(self, ctx: Context) -> None:
        """B2: a machine that was put back runs on as if nothing had been, with keys that were used since."""
        for universe in self._node.universes.values():
            boot.new_run(ctx, universe)

    def _named_event(self, event: Event) -> Event:
        universe = self._node.universes.get(event.universe_id)
        return event if universe is None else replace(event, body=named(universe, event.body))

    # the network

    def _connected_peer(self, ctx: Context, peer_id: bytes) -> None:
        self._node.connected.add(peer_id)
        self._node.touch_all()
        for universe in self._node.universes.values():
            universe.boot.failed.discard(peer_id)
            if universe.joining is not None:
                joining.knock(ctx, universe, peer_id)
            elif universe.leaves_word:
                departing.say(ctx, universe, peer_id)
            elif universe.is_active and universe.member_of_peer(peer_id) is not None:
                greet(ctx, universe, peer_id)

    def _disconnected_peer(self, peer_id: bytes) -> None:
        self._node.connected.discard(peer_id)
        self._bad_inputs.forget(peer_id)
        self._node.touch_all()
        for universe in self._node.universes.values():
            universe.links.pop(peer_id, None)
            if universe.joining is not None:
                universe.joining.nonces.pop(peer_id, None)

    def _frame(self, ctx: Context, peer_id: bytes, frame: bytes) -> None:
        """A gossiped frame belongs to the universe that knows its group, else to one that its forwarder is in."""
        shared = [
            universe
            for universe in self._node.universes.values()
            if universe.is_active and universe.may_forward(peer_id)
        ]
        if len(shared) > 1:
            group_id = group_of_frame(frame)
            shared.sort(key=lambda universe: group_id is None or not universe.knows_group(group_id))
        if shared:
            self._node.touched.add(shared[0].universe_id)
            if not receive(ctx, shared[0], peer_id, frame):
                self._bad_inputs.note(ctx, peer_id)

    def _message(self, ctx: Context, peer_id: bytes, data: bytes) -> None:
        try:
            message, frames = decode_message(data)
        except DecodeError:
            self._bad_inputs.note(ctx, peer_id)
            return
        universe = self._node.universes.get(getattr(message, "universe_id", b""))
        if universe is None:
            return
        self._node.touched.add(universe.universe_id)
        if universe.removed and universe.joining is None:
            departing.take_message(ctx, universe, peer_id, message)
            return
        try:
            decodable = handle_message(ctx, universe, peer_id, message, frames)
        except (ProtocolError, Unsupported, Pending) as refusal:
            universe.refuse(type(refusal).__name__)
            decodable = not isinstance(refusal, DecodeError)
        if not decodable:
            self._bad_inputs.note(ctx, peer_id)
        gone = universe.joining is None and not universe.removed and not universe.groups
        if gone and universe.universe_id in self._node.universes:
            del self._node.universes[universe.universe_id]

    def _own_addresses(self, ctx: Context, addresses: tuple[str, ...]) -> None:
        self._node.addresses = addresses[:8]
        self._node.touch_all()
        for universe in self._node.universes.values():
            self._node.sign_address(ctx, universe)
            for peer_id in universe.links:
                ctx.send(peer_id, profiles_of(universe, [universe.me]))


def _is_due(time: int | None, now: int) -> bool:
    return time is not None and time <= now
