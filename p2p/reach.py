"""Whom the origin of a gossip message sends it to itself, so that nobody forwards it for nothing.

Members dial each other, so most universes are full meshes, in which GossipSub forwards every message between all
pairs. Each message therefore begins with a hash of the peers among which it needs no forwarding: its origin and
the peers to which the origin sent it. Who has the same peers knows that all of them have it; who knows
somebody else forwards as ever. A message that got lost on its only way is brought by the exchange.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

REACH_SIZE = 8
"""Bytes."""

MAX_DIRECT = 64
"""Peers to which an origin sends a message itself; with more topic peers it leaves that to the mesh."""

UNTOLD = bytes(REACH_SIZE)
"""The reach of a message that is to be forwarded."""


def reach(own: bytes, topic_peers: Iterable[bytes]) -> bytes:
    """The hash of a node's topic peers and itself, `REACH_SIZE` bytes; `UNTOLD` where they are too many."""
    peers = sorted({own, *topic_peers})
    if len(peers) > MAX_DIRECT + 1:
        return UNTOLD
    digest = hashlib.sha256()
    for peer in peers:
        digest.update(len(peer).to_bytes(2) + peer)
    return digest.digest()[:REACH_SIZE]
