"""What is kept of a universe that this node has left: its word, and who may still have to hear it."""

from __future__ import annotations

from dataclasses import dataclass, field

from starling.protocol.distributed.peer_address import MAX_ADDRESS_LENGTH, MAX_ADDRESSES
from starling.protocol.distributed.roster_entry import MAX_ENTRY
from starling.protocol.packed import Blob, Many, Text, Uint, pack, shape, unpack

MAX_ENTRIES = 256
MAX_PEERS = 256
"""So many are told; the others hear it of them. Rosters that grew apart may have more members than one may admit."""

_PEER = (Blob(64), Many(Text(MAX_ADDRESS_LENGTH), MAX_ADDRESSES))
_ROW = (Many(Blob(MAX_ENTRY, 1), MAX_ENTRIES), Many(_PEER, MAX_PEERS), Uint())


@dataclass(slots=True)
class Leaving:
    """The entries by which others see that this node has left, the peers to tell with their addresses, until when,
    and the next try. Without peers there is nothing left to tell."""

    entries: tuple[bytes, ...] = field(repr=False)
    peers: dict[bytes, tuple[str, ...]]
    until: int
    next_try: int = 0

    def encode(self) -> bytes:
        peers = [[peer_id, list(addresses)] for peer_id, addresses in self.peers.items()][:MAX_PEERS]
        return pack([list(self.entries), peers, self.until])

    @classmethod
    def decode(cls, row: bytes) -> Leaving:
        """A stored row; raises `DecodeError`."""
        entries, peers, until = shape(unpack(row, max_bytes=8 * 2**20), _ROW)
        return cls(tuple(entries), {peer_id: tuple(addresses) for peer_id, addresses in peers}, until)
