"""Which epochs a node is past, which are incomplete, and which secrets go (PROTOCOL K-14)."""

from __future__ import annotations

import pytest

from starling.protocol.decentralized.epoch_graph import (
    MAX_AHEAD,
    MAX_SUPERSEDED,
    RETENTION,
    EpochGraph,
    EpochInfo,
    Reported,
    has_past,
    has_reached,
    settled_epochs,
)


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
    info = EpochInfo(name(number, branch), number, parent, number, frozenset({b"a", b"b"}), True)
    graph.enter(info)
    held = graph.get(parent) if parent is not None else None
    if held is not None:
        held.application_count = max(held.application_count or 0, count)
        held.superseded_at = held.superseded_at if held.superseded_at is not None else number
    return info


def report(head: int, past: int | None, count: int = 0) -> Reported:
    return Reported(name(head), name(past) if past is not None else b"", count)


# holding messages


def test_generations_are_held_in_any_order() -> None:
    info = EpochInfo(b"e", 1, None, 0, frozenset(), True)
    for generation in (3, 0, 2):
        assert not info.holds(generation)
        info.hold(generation)
        assert info.holds(generation)
    assert info.missing == {1} and info.contiguous == 1 and not info.holds(1) and not info.holds(4)
    info.hold(1)
    assert not info.missing and info.contiguous == 4
    info.hold(1)
    assert info.contiguous == 4


def test_an_epoch_is_past_when_it_has_a_child_and_all_its_messages() -> None:
    graph = graph_of(1)
    info = graph[name(0)]
    assert not info.is_past, "no child"
    enter(graph, 1, name(0), count=2)
    assert not info.is_past, "two messages are missing"
    info.hold(0)
    assert not info.is_past
    info.hold(1)
    assert info.is_past


def test_of_several_children_the_highest_count_holds() -> None:
    graph = graph_of(1)
    enter(graph, 1, name(0), "x", count=1)
    enter(graph, 1, name(0), "y", count=3)
    info = graph[name(0)]
    info.hold(0)
    assert not info.is_past
    info.hold(1)
    info.hold(2)
    assert info.is_past


def test_what_was_given_up_is_past() -> None:
    graph = graph_of(2)
    info = graph[name(0)]
    info.application_count = 5
    assert graph.past() == b""
    info.given_up = True
    assert info.is_past and not info.is_whole
    assert graph.past() == name(0)


def test_past_stops_at_the_first_hole() -> None:
    graph = graph_of(5)
    assert graph.past() == name(3)
    enter(graph, 3, name(2), "x", count=1)
    assert graph.past() == name(1), "another child told of a message"
    assert [info.number for info in graph.incomplete()] == [2, 4]
    enter(graph, 1, name(0), "x", count=1)
    assert graph.past() == b""
    assert [info.number for info in graph.incomplete()] == [0, 2, 4]


# the head and its branches


def test_a_sibling_does_not_become_the_head() -> None:
    graph = graph_of(3)
    enter(graph, 2, name(1), "x")
    assert graph.head == name(2)
    assert graph[name(1)].children == (name(2), name(2, "x"))
    enter(graph, 3, name(2))
    assert graph.head == name(3)
    enter(graph, 3, name(2, "x"), "x")
    assert graph.head == name(3)


def test_descent_follows_branches() -> None:
    graph = graph_of(4)
    enter(graph, 2, name(1), "x")
    assert graph.is_at_or_after(name(3), name(3))
    assert graph.is_at_or_after(name(3), name(1))
    assert graph.is_at_or_after(name(2, "x"), name(1))
    assert not graph.is_at_or_after(name(2, "x"), name(2))
    assert not graph.is_at_or_after(name(3), name(2, "x"))
    assert not graph.is_at_or_after(name(1), name(3))
    assert not graph.is_at_or_after(b"unknown", name(1))
    assert not graph.is_at_or_after(name(3), b"unknown")


def test_a_dropped_epoch_makes_its_child_the_oldest() -> None:
    graph = graph_of(4)
    graph.drop(name(0))
    assert [info.number for info in graph.branch()] == [1, 2, 3]
    assert graph.past() == name(2)


def test_what_is_past_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = graph_of(1000)
    assert [info.number for info in graph.incomplete()] == [999]
    looked = []
    is_past = EpochInfo.is_past.fget
    monkeypatch.setattr(EpochInfo, "is_past", property(lambda info: looked.append(info) or is_past(info)))
    enter(graph, 1000, graph.head)
    for _ in range(10):
        assert [info.number for info in graph.incomplete()] == [1000]
        assert graph.past() == name(999)
        assert graph.is_at_or_after(name(999), name(1))
    assert len(looked) < 20


# limits


def test_a_commit_waits_that_is_too_far_beyond_a_hole() -> None:
    graph = graph_of(MAX_AHEAD + 1)
    assert not graph.is_too_far_ahead(graph.head)
    enter(graph, 2, name(1), "x", count=1)
    assert not graph.is_too_far_ahead(name(MAX_AHEAD))
    enter(graph, 1, name(0), "x", count=1)
    assert graph.is_too_far_ahead(name(MAX_AHEAD))
    graph[name(0)].given_up = True
    assert not graph.is_too_far_ahead(name(MAX_AHEAD))
    assert not graph.is_too_far_ahead(b"unknown")


# what settles


def test_reports_tell_what_a_member_has_reached_and_is_past() -> None:
    graph = graph_of(4)
    assert has_past(graph, report(3, 2), name(2)) and has_past(graph, report(3, 2), name(0))
    assert not has_past(graph, report(3, 1), name(2))
    assert not has_past(graph, report(3, None), name(0)) and not has_past(graph, None, name(0))
    assert has_reached(graph, report(2, 0), name(2)) and not has_reached(graph, report(2, 0), name(3))
    assert not has_reached(graph, None, name(0))


def test_an_epoch_settles_when_all_report_to_be_past_it() -> None:
    graph = graph_of(4)
    reports = {b"b": report(3, 2), b"c": report(3, 0)}
    assert settled_epochs(graph, graph.epochs, reports, 10) == [name(0)]
    assert settled_epochs(graph, graph.epochs, {**reports, b"c": report(3, 2)}, 10) == [
        name(0),
        name(1),
        name(2),
    ]


def test_the_head_never_settles() -> None:
    graph = graph_of(1)
    assert settled_epochs(graph, graph.epochs, {}, 10 * RETENTION) == []


@pytest.mark.parametrize("other", [None, Reported(b"unknown", name(2), 0)])
def test_nothing_settles_while_a_report_is_missing_or_names_an_unknown_head(other: Reported | None) -> None:
    graph = graph_of(4)
    assert settled_epochs(graph, graph.epochs, {b"b": report(3, 2), b"c": other}, 10) == []


def test_what_this_node_is_not_past_does_not_settle_by_reports() -> None:
    graph = graph_of(4)
    graph[name(1)].application_count = 1
    assert settled_epochs(graph, graph.epochs, {b"b": report(3, 2)}, 10) == [name(0), name(2)]


def test_secrets_go_after_seven_days_whatever_is_reported() -> None:
    graph = graph_of(4)
    graph[name(1)].application_count = 1
    reports = {b"b": None, b"c": Reported(b"unknown", b"", 0)}
    superseded_at = 1
    assert settled_epochs(graph, graph.epochs, reports, superseded_at + RETENTION) == []
    assert settled_epochs(graph, graph.epochs, reports, superseded_at + RETENTION + 1) == [name(0)]
    assert settled_epochs(graph, graph.epochs, reports, 3 + RETENTION + 1) == [name(0), name(1), name(2)]


def test_at_most_eight_superseded_epochs_are_kept_that_this_node_is_past() -> None:
    graph = graph_of(MAX_SUPERSEDED + 4)
    reports: dict[bytes, Reported | None] = {b"b": None}
    assert settled_epochs(graph, graph.epochs, reports, 20) == [name(0), name(1), name(2)]
    graph[name(1)].application_count = 1
    assert settled_epochs(graph, graph.epochs, reports, 20) == [name(0), name(2)], (
        "what is incomplete does not count"
    )
