"""Epoch graphs for the tests."""

from __future__ import annotations

from starling.protocol.decentralized.epoch_graph import EpochGraph, EpochInfo
from starling.protocol.decentralized.settling import (
    LINGER,
    Reported,
)

LONG_AFTER = 10 + LINGER


def name(number: int, branch: str = "") -> bytes:
    return f"{number}{branch}".encode()


def graph_of(length: int, *, first: int = 0) -> EpochGraph:
    """Epochs in a row, each whole, each superseded at its successor's number in milliseconds."""
    graph = EpochGraph()
    for number in range(first, first + length):
        enter(graph, number, name(number - 1) if number > first else None)
    return graph


def enter(
    graph: EpochGraph, number: int, parent: bytes | None, branch: str = "", count: int = 0
) -> EpochInfo:
    members = frozenset({b"a", b"b", b"c"})
    info = EpochInfo(name(number, branch), number, parent, number, members, True, parent_count=count)
    graph.enter(info)
    held = graph.get(parent) if parent is not None else None
    if held is not None:
        held.superseded_at = held.superseded_at if held.superseded_at is not None else number
    return info


def report(head: int, past: int | None, count: int = 0) -> Reported:
    return Reported(name(head), name(past) if past is not None else b"", count)
