"""What a member's node knows of one archiver."""

from __future__ import annotations

from dataclasses import dataclass

from starling.protocol.distributed.peer_address import PeerAddress
from starling.protocol.exchange.feed import Feed


@dataclass(slots=True)
class ArchiverLink:
    """What was read of an archiver's list, and what it was last told.

    `saved` is the place in the list that is stored, `read` up to where the archiver has read this node's list, `told`
    the floors that it was told in this connection, `usable` how much the roster and the groups told when the list was
    last read: with more, what was put off may be of use.
    """

    feed: Feed
    saved: tuple[bytes, int] = (b"", 0)
    connected: bool = False
    pulse_at: int = 0
    full: bool = False
    read: int = 0
    floors_at: int = 0
    told: tuple[bytes, int, dict[bytes, int]] | None = None
    usable: tuple[int, int] = (0, 0)
    address: PeerAddress | None = None
