"""Peers that send what does not decode."""

from __future__ import annotations

from starling.protocol.engine.context import Context
from starling.protocol.engine.step import Disconnect

MAX_BAD_INPUTS = 16
"""By one connection; the next thing is its end."""

_MAX_PEERS = 4096


class BadInputs:
    """What each connected peer has sent in vain: only what does not decode counts against its forwarder (I7)."""

    def __init__(self) -> None:
        self._counts: dict[bytes, int] = {}

    def note(self, ctx: Context, peer_id: bytes) -> None:
        """Count one, and disconnect the peer where that is enough."""
        count = self._counts.get(peer_id, 0) + 1
        if len(self._counts) < _MAX_PEERS or peer_id in self._counts:
            self._counts[peer_id] = count
        if count >= MAX_BAD_INPUTS:
            self.forget(peer_id)
            ctx.add_send(Disconnect(peer_id, "undecodable"))

    def forget(self, peer_id: bytes) -> None:
        """The connection has ended."""
        self._counts.pop(peer_id, None)
