"""Who is connected to whom: what the node's dialler brings about, and how far apart that puts two members."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Collection, Mapping

from starling.p2p.dialer import ALL, SUCCESSORS, TARGET

Graph = Mapping[bytes, Collection[bytes]]
Link = frozenset[bytes]


def dialled(peers: Collection[bytes]) -> set[Link]:
    """The links that nodes with these peer ids make: all in a small universe; else a ring in which each is linked
    with the next ones, filled up with others in each node's own order."""
    ring = sorted(peers)
    if len(ring) - 1 <= ALL:
        return {frozenset((a, b)) for a in ring for b in ring if a < b}
    linked: dict[bytes, set[bytes]] = {peer: set() for peer in ring}

    def link(a: bytes, b: bytes) -> None:
        linked[a].add(b)
        linked[b].add(a)

    for place, peer in enumerate(ring):
        for step in range(1, SUCCESSORS + 1):
            link(peer, ring[(place + step) % len(ring)])
    for peer in ring:
        others = [other for other in ring if other != peer and other not in linked[peer]]
        others.sort(key=lambda other: hashlib.sha256(peer + other).digest())
        for other in others[: max(0, TARGET - len(linked[peer]))]:
            link(peer, other)
    return {frozenset((a, b)) for a, others in linked.items() for b in others}


def diameter(graph: Graph) -> int:
    """The greatest number of links between two peers of a connected graph."""
    return max(_eccentricity(graph, peer) for peer in graph)


def _eccentricity(graph: Graph, start: bytes) -> int:
    distance = {start: 0}
    waiting = deque([start])
    while waiting:
        peer = waiting.popleft()
        for other in graph[peer]:
            if other not in distance:
                distance[other] = distance[peer] + 1
                waiting.append(other)
    if len(distance) < len(graph):
        raise ValueError("the graph is not connected")
    return max(distance.values())
