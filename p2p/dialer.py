"""Whom to dial, and when: keeps the members connected in one graph without everyone dialling everyone.

Members stand in a ring, ordered by peer id. A node always wants its next reachable successors in the ring,
so that the graph is connected whatever else is full, and fills up to `TARGET` connections with others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from random import Random

import trio

INTERVAL = 2.0
"""Seconds between two rounds and between two dials of a peer, with a quarter of jitter."""

MAX_INTERVAL = 30.0
"""Seconds between two dials of a peer that has been away for long."""

PATIENCE = 5
"""Failed dials of a peer before the pause between them grows."""

ALL = 8
"""With at most this many other members every one of them is wanted."""

TARGET = 6
"""Connections to members up to which others than the successors are dialled."""

SUCCESSORS = 2

MAX_GUESTS = 8

PARALLEL = 4
"""Dials at the same time."""

COURTESY = 0.4
"""Seconds for which the greater of two peer ids waits before its first dial, since both begin at once."""


@dataclass(slots=True)
class _Peer:
    addresses: tuple[str, ...]
    next_at: float
    failures: int = 0
    dialling: bool = False


class Dialer:
    """Runs `dial(peer_id, addresses)` for the wanted peers; a dial returns whether it succeeded."""

    def __init__(
        self,
        own_id: bytes,
        dial: Callable[[bytes, tuple[str, ...]], Awaitable[bool]],
        is_connected: Callable[[bytes], bool],
        on_failed: Callable[[bytes], None],
        random: Random,
    ) -> None:
        self._own_id = own_id
        self._dial = dial
        self._is_connected = is_connected
        self._on_failed = on_failed
        self._random = random
        self._peers: dict[bytes, _Peer] = {}
        self._members: tuple[bytes, ...] = ()
        self._guests: tuple[bytes, ...] = ()
        self._changed = trio.Event()

    def set_known_peers(
        self, members: Mapping[bytes, tuple[str, ...]], guests: Mapping[bytes, tuple[str, ...]]
    ) -> None:
        """Replace the known peers; new addresses are tried without waiting."""
        known = {p: a for p, a in {**guests, **members}.items() if p != self._own_id}
        for peer_id in [p for p in self._peers if p not in known]:
            del self._peers[peer_id]
        for peer_id, addresses in known.items():
            peer = self._peers.get(peer_id)
            if peer is None or set(peer.addresses) != set(addresses):
                polite = peer_id in members and peer_id < self._own_id
                at = trio.current_time() + (COURTESY if polite else 0)
                dialling = peer is not None and peer.dialling
                self._peers[peer_id] = _Peer(tuple(addresses), at, dialling=dialling)
        ring = sorted(p for p in members if p != self._own_id)
        after = sum(1 for p in ring if p < self._own_id)
        self._members = (*ring[after:], *ring[:after])
        self._guests = tuple(p for p in guests if p not in members)[:MAX_GUESTS]
        self._changed.set()

    def lost(self, peer_id: bytes) -> None:
        """A connection ended: dial again soon, but not at the very moment at which the other side does."""
        if peer := self._peers.get(peer_id):
            peer.next_at = trio.current_time() + self._jitter(INTERVAL / 4)
            self._changed.set()

    def postpone(self, peer_id: bytes, seconds: float) -> None:
        """Do not dial a peer for some seconds: it was disconnected on purpose."""
        if peer := self._peers.get(peer_id):
            peer.next_at = trio.current_time() + seconds

    def wanted(self) -> list[bytes]:
        """The peers to be connected now, connected ones left out."""
        missing = [p for p in self._members if not self._is_connected(p) and self._peers[p].addresses]
        guests = [p for p in self._guests if not self._is_connected(p) and self._peers[p].addresses]
        if len(self._members) <= ALL:
            return guests + missing
        chosen: list[bytes] = []
        connected = len(self._members) - sum(1 for p in self._members if not self._is_connected(p))
        reachable = 0
        for peer_id in self._members:
            if reachable == SUCCESSORS:
                break
            if self._is_connected(peer_id):
                reachable += 1
            elif self._peers[peer_id].addresses:
                chosen.append(peer_id)
                # One that has been failing is tried further on, but does not stand for a successor.
                reachable += self._peers[peer_id].failures == 0
        promising = sum(1 for p in chosen if self._peers[p].failures == 0)
        others = sorted(
            (p for p in missing if p not in chosen),
            key=lambda p: (self._peers[p].failures > 0, hashlib.sha256(self._own_id + p).digest()),
        )
        chosen += others[: max(0, TARGET - connected - promising)]
        return guests + chosen

    async def run(self) -> None:
        """Dial until cancelled."""
        limit = trio.CapacityLimiter(PARALLEL)
        async with trio.open_nursery() as nursery:
            while True:
                now = trio.current_time()
                self._changed = trio.Event()
                pause = INTERVAL
                for peer_id in self.wanted():
                    peer = self._peers[peer_id]
                    if peer.dialling:
                        continue
                    if peer.next_at <= now:
                        peer.dialling = True
                        nursery.start_soon(self._try, peer_id, limit)
                    else:
                        pause = min(pause, peer.next_at - now)
                with trio.move_on_after(self._jitter(pause) if pause == INTERVAL else pause):
                    await self._changed.wait()

    async def _try(self, peer_id: bytes, limit: trio.CapacityLimiter) -> None:
        succeeded = True
        async with limit:
            peer = self._peers.get(peer_id)
            if peer is not None and not self._is_connected(peer_id):
                succeeded = await self._dial(peer_id, peer.addresses)
        peer = self._peers.get(peer_id)
        if peer is None:
            return
        peer.dialling = False
        peer.failures = 0 if succeeded else peer.failures + 1
        pause = min(MAX_INTERVAL, INTERVAL * 2.0 ** min(8, max(0, peer.failures - PATIENCE)))
        peer.next_at = trio.current_time() + self._jitter(pause)
        if not succeeded:
            self._on_failed(peer_id)
        self._changed.set()

    def _jitter(self, seconds: float) -> float:
        return seconds * (0.75 + 0.5 * self._random.random())
