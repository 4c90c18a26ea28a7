"""Which epochs a node is past, which are incomplete, and which secrets go (PROTOCOL K-14)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.decentralized.graphs import enter, graph_of, name

from starling.protocol.decentralized.epoch_graph import MAX_AHEAD, MAX_CLOSED, EpochGraph, EpochInfo

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
    assert graph.incomplete() == [graph[name(2)], graph[name(3, "x")], graph[name(4)]]
    enter(graph, 1, name(0), "x", count=1)
    assert graph.past() == b"" and not graph.is_whole
    assert [info.number for info in graph.incomplete()] == [0, 1, 2, 3, 4]
    graph[name(0)].hold(0)
    assert graph.past() == name(1)
    graph[name(2)].given_up = True
    assert graph.past() == name(3) and graph.past(name(3, "x")) == name(2) and graph.is_whole


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
    looked: list[EpochInfo] = []
    is_past: Callable[[EpochInfo], bool] = vars(EpochInfo)["is_past"].fget

    def look(info: EpochInfo) -> bool:
        looked.append(info)
        return is_past(info)

    monkeypatch.setattr(EpochInfo, "is_past", property(look))
    enter(graph, 1000, graph.head)
    for _ in range(10):
        assert [info.number for info in graph.incomplete()] == [1000]
        assert graph.past() == name(999)
        assert graph.is_at_or_after(name(999), name(1))
    assert len(looked) < 20


# limits


def test_a_commit_waits_that_is_too_far_beyond_a_hole() -> None:
    graph = graph_of(1)
    enter(graph, 1, name(0), count=1)
    for number in range(2, MAX_AHEAD + 1):
        enter(graph, number, name(number - 1))
    assert not graph.is_too_far_ahead(name(MAX_AHEAD - 1))
    assert graph.is_too_far_ahead(name(MAX_AHEAD))
    graph[name(0)].given_up = True
    assert not graph.is_too_far_ahead(name(MAX_AHEAD))
    assert not graph.is_too_far_ahead(b"unknown")


def test_a_hole_of_another_branch_holds_up_nothing() -> None:
    graph = graph_of(MAX_AHEAD + 1)
    enter(graph, 1, name(0), "x", count=1)
    enter(graph, 2, name(1, "x"), "x")
    assert graph.hole(graph.head) is None and not graph.is_too_far_ahead(graph.head)
    assert graph.hole(name(2, "x")) is graph[name(0)]
    assert graph.hole(name(0)) is None
    graph[name(0)].hold(0)
    assert graph.hole(name(2, "x")) is None


# branches


def test_every_branch_has_a_head_and_one_of_them_counts() -> None:
    graph = graph_of(3)
    enter(graph, 2, name(1), "x")
    enter(graph, 3, name(2, "x"), "x")
    assert graph.heads == graph.open_heads == (name(2), name(3, "x"))
    assert graph.is_forked
    graph.close(name(3, "x"), name(2), 7)
    assert list(graph.open_heads) == [name(2)] and not graph.is_forked
    assert graph[name(3, "x")].superseded_at == 7
    enter(graph, 4, name(3, "x"), "x")
    assert graph.is_forked, "what was closed goes on"


def test_a_resolve_makes_another_branch_the_one_that_counts() -> None:
    graph = graph_of(3)
    enter(graph, 2, name(1), "x")
    enter(graph, 3, name(2, "x"), "x")
    graph.follow(name(2))
    assert graph.head == name(2)
    graph.follow(name(2, "x"))
    assert graph.head == name(3, "x"), "its newest epoch"
    assert graph.oldest_number == 0 and [info.number for info in graph.branch()] == [0, 1, 2, 3]
    enter(graph, 4, name(3, "x"), "x")
    assert graph.head == name(4, "x")


def test_a_branch_that_was_closed_before_it_came_does_not_count() -> None:
    graph = graph_of(2)
    enter(graph, 2, name(1), "x")
    graph.close(name(3), name(2, "x"), 7)
    graph.follow(name(2, "x"))
    assert not graph.leave_closed()
    # A resolve of the other branch comes late, and then the head that has been closed.
    enter(graph, 2, name(1))
    graph.close(name(2, "y"), name(2), 8)
    graph.follow(name(2))
    assert graph.head == name(2) and not graph.leave_closed()
    enter(graph, 3, name(2))
    assert graph.leave_closed() and graph.head == name(2, "x")


def test_a_fifth_child_takes_the_place_of_a_closed_one_or_of_one_without_anything() -> None:
    graph = graph_of(2)
    parent = graph[name(0)]
    for branch in ("x", "y", "z"):
        enter(graph, 1, name(0), branch)
        enter(graph, 2, name(1, branch), branch)
    assert graph.to_evict(parent, ()) is None, "all have descendants, and the first leads to the head"
    enter(graph, 1, name(0), "w")
    assert graph.to_evict(parent, ()) is graph[name(1, "w")]
    assert graph.to_evict(parent, {name(1, "w")}) is None, "a member has imported it"
    graph[name(1, "w")].hold(0)
    assert graph.to_evict(parent, ()) is None, "it has a message"
    graph.close(name(2, "y"), name(1), 0)
    assert graph.to_evict(parent, ()) is graph[name(1, "y")]
    assert graph.to_evict(parent, {name(2, "y")}) is None


def test_a_branch_that_is_dropped_leaves_nothing() -> None:
    graph = graph_of(2)
    enter(graph, 1, name(0), "x", count=3)
    enter(graph, 2, name(1, "x"), "x")
    assert graph[name(0)].application_count == 3 and not graph.is_whole
    alone = graph.alone(name(2, "x"))
    assert [info.dmls_epoch for info in alone] == [name(2, "x"), name(1, "x")]
    for info in alone:
        graph.drop(info.dmls_epoch)
    assert list(graph.epochs) == [name(0), name(1)] and graph.heads == (name(1),)
    assert graph[name(0)].application_count == 0 and graph.past() == name(0) and graph.is_whole


def test_it_is_the_same_after_loading() -> None:
    graph = graph_of(4)
    enter(graph, 2, name(1), "x", count=2)
    enter(graph, 3, name(2, "x"), "x")
    loaded = EpochGraph()
    fields = (
        "dmls_epoch",
        "number",
        "parent",
        "entered_at",
        "members",
        "with_path",
        "started_by",
        "parent_count",
    )
    for info in reversed(graph.epochs.values()):
        loaded.epochs[info.dmls_epoch] = EpochInfo(*(getattr(info, field) for field in fields))
    loaded.finish_loading(graph.head)
    assert set(loaded.heads) == set(graph.heads) and loaded.head == graph.head
    assert set(loaded[name(1)].children) == set(graph[name(1)].children)
    assert loaded.past() == graph.past() == name(0)
    assert loaded.is_at_or_after(name(3, "x"), name(1)) and not loaded.is_at_or_after(name(3, "x"), name(2))
    assert loaded.incomplete()[0] is loaded[name(1)] and list(loaded.roots) == [name(0)]


def test_closed_heads_are_remembered_within_a_bound() -> None:
    graph = graph_of(1)
    for number in range(MAX_CLOSED + 3):
        graph.close(b"dead %d" % number, name(0), 0)
    assert len(graph.closed) == MAX_CLOSED and b"dead 0" not in graph.closed


def test_a_head_that_is_held_stays_closed_whatever_is_closed_after_it() -> None:
    graph = graph_of(2)
    enter(graph, 1, name(0), "x")
    graph.close(name(1, "x"), name(1), 0)
    for number in range(MAX_CLOSED + 3):
        graph.close(b"dead %d" % number, name(1), 0)
    assert len(graph.closed) == MAX_CLOSED and name(1, "x") in graph.closed and not graph.is_forked
