"""Which epochs a node is past, which are incomplete, and which secrets go (PROTOCOL K-14)."""

from __future__ import annotations

import pytest

from starling.protocol.decentralized.epoch_graph import MAX_AHEAD, MAX_CLOSED, EpochGraph, EpochInfo
from starling.protocol.decentralized.settling import (
    GIVE_UP,
    LINGER,
    MAX_SUPERSEDED,
    RETENTION,
    Reported,
    has_past,
    has_reached,
    held_generations,
    holders,
    is_out_of_reach,
    is_shared,
    lingers_until,
    settled_epochs,
    settled_heads,
)

LONG_AFTER = 10 + LINGER
"""When nothing lingers any more."""


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
    assert graph.open_heads == (name(2),) and not graph.is_forked
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


# what settles


def test_reports_tell_what_a_member_has_reached_and_is_past() -> None:
    graph = graph_of(4)
    assert has_past(graph, b"b", report(3, 2), name(2)) and has_past(graph, b"b", report(3, 2), name(0))
    assert not has_past(graph, b"b", report(3, 1), name(2))
    assert not has_past(graph, b"b", report(3, None), name(0)) and not has_past(graph, b"b", None, name(0))
    assert has_reached(graph, report(2, 0), name(2)) and not has_reached(graph, report(2, 0), name(3))
    assert not has_reached(graph, None, name(0))


def test_an_epoch_settles_when_all_report_to_be_past_it() -> None:
    graph = graph_of(4)
    reports = {b"b": report(3, 2), b"c": report(3, 0)}
    assert settled_epochs(graph, graph.epochs, reports, LONG_AFTER) == [name(0)]
    assert settled_epochs(graph, graph.epochs, {**reports, b"c": report(3, 2)}, LONG_AFTER) == [
        name(0),
        name(1),
        name(2),
    ]


def test_what_a_path_commit_ended_lingers_with_what_follows_and_what_another_ended_does_not() -> None:
    graph = graph_of(4)
    graph[name(2)].with_path = False
    reports = {b"b": report(3, 2)}
    assert settled_epochs(graph, graph.epochs, reports, LINGER) == []
    assert settled_epochs(graph, graph.epochs, reports, LINGER + 1) == [name(0), name(1)]
    assert [lingers_until(graph, graph[name(number)]) for number in range(4)] == [
        LINGER + 1,
        0,
        LINGER + 3,
        0,
    ]


def test_the_head_never_settles() -> None:
    graph = graph_of(1)
    assert settled_epochs(graph, graph.epochs, {}, 10 * RETENTION) == []


@pytest.mark.parametrize("other", [None, Reported(b"unknown", name(2), 0)])
def test_nothing_settles_while_a_report_is_missing_or_names_an_unknown_head(other: Reported | None) -> None:
    graph = graph_of(4)
    assert settled_epochs(graph, graph.epochs, {b"b": report(3, 2), b"c": other}, LONG_AFTER) == []


def test_nothing_settles_while_more_is_to_come_but_by_the_limits() -> None:
    graph = graph_of(4)
    reports = {b"b": report(3, 2)}
    assert settled_epochs(graph, graph.epochs, reports, LONG_AFTER, more_to_come=True) == []
    assert len(settled_epochs(graph, graph.epochs, reports, 3 + RETENTION + 1, more_to_come=True)) == 3


def test_what_this_node_is_not_past_does_not_settle_by_reports() -> None:
    graph = graph_of(4)
    graph[name(1)].application_count = 1
    assert settled_epochs(graph, graph.epochs, {b"b": report(3, 2)}, LONG_AFTER) == [name(0), name(2)]


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


# branches that settle


def forked() -> EpochGraph:
    """0 - 1 - 2 - 3, and 2x - 3x on 1, which says that 1 has two messages; 3 closes 3x."""
    graph = graph_of(4)
    enter(graph, 2, name(1), "x", count=2)
    enter(graph, 3, name(2, "x"), "x")
    graph[name(1)].hold(0)
    graph[name(1)].hold(1)
    graph[name(3, "x")].hold(0)
    graph.close(name(3, "x"), name(3), 5)
    return graph


def dead(count: int, past: bytes = b"2x") -> Reported:
    return Reported(name(3, "x"), past, count)


def both(living: Reported, dead: Reported) -> Reported:
    return Reported(living.head, living.past, living.count, (dead,))


def test_an_epoch_with_two_children_is_past_when_it_is_so_by_each() -> None:
    graph = forked()
    assert not has_past(graph, b"b", report(3, 2), name(1)), "it may lack what the other branch tells of"
    assert has_past(graph, b"b", both(report(3, 2), dead(1)), name(1))
    assert has_past(graph, b"d", report(3, 2), name(1)), "who is not on that branch need not follow it"
    assert has_past(graph, b"b", report(3, 2), name(0))
    assert held_generations(graph, report(3, 2), graph[name(1)]) == 0
    assert held_generations(graph, both(report(3, 2), dead(1)), graph[name(1)]) == 2
    assert held_generations(graph, Reported(name(1), b"", 1), graph[name(1)]) == 1


def test_a_closed_head_settles_when_all_hold_the_same_of_it_or_do_not_list_it() -> None:
    graph = forked()
    whole = {b"b": both(report(3, 2), dead(1)), b"c": report(3, 2)}
    assert settled_heads(graph, whole, LONG_AFTER) == [name(3, "x")]
    for lagging in (
        None,
        report(2, 1),
        both(report(3, 2), dead(0)),
        both(report(3, 2), dead(1, past=b"")),
        both(report(3, 2), Reported(name(2, "x"), name(1), 0)),
        both(report(3, 2), Reported(b"unknown", b"", 0)),
    ):
        assert settled_heads(graph, {**whole, b"c": lagging}, LONG_AFTER) == []
    assert settled_heads(graph, {**whole, b"c": None}, 5 + RETENTION + 1) == [name(3, "x")]


def test_what_only_a_closed_branch_counts_is_out_of_reach_when_nobody_holds_more_of_it() -> None:
    graph = forked()
    hole = graph[name(1)]
    hole.missing.add(1)
    whole = {b"b": report(3, 2), b"c": both(report(3, 2), Reported(name(3, "x"), b"", 0))}
    assert is_out_of_reach(graph, hole, whole)
    for reports in (
        {**whole, b"c": None},
        {**whole, b"c": report(2, 1)},  # has not heard of the resolve
        {**whole, b"c": both(report(3, 2), dead(1))},  # is past it on the closed branch
        {**whole, b"c": both(report(3, 2), Reported(name(1), name(0), 2))},
    ):
        assert not is_out_of_reach(graph, hole, reports)
    graph.closed.clear()
    assert not is_out_of_reach(graph, hole, whole), "the owner may still have it"
    hole.missing.clear()
    assert not is_out_of_reach(graph, hole, whole), "nothing is missing"


def test_who_holds_a_closed_head_is_known_when_all_know_that_it_is_closed() -> None:
    graph = graph_of(4)
    graph.close(b"lost", name(2), 0)
    awaits, holds = Reported(b"lost", b"", 0), Reported(b"lost", b"its parent", 3)
    assert holders(graph, b"lost", {b"b": report(3, 2), b"c": both(report(3, 2), awaits)}) == []
    assert holders(graph, b"lost", {b"b": report(2, 1), b"c": both(report(3, 2), holds)}) == [b"c"]
    assert holders(graph, b"lost", {b"b": None, b"c": both(report(3, 2), holds)}) is None
    assert holders(graph, b"lost", {b"b": report(1, 0)}) is None
    on_the_way = both(report(3, 2), Reported(b"before it", b"", 0))
    assert holders(graph, b"lost", {b"b": on_the_way}) is None
    assert holders(graph, b"lost", {b"b": both(report(3, 2), Reported(b"old", b"old", 5))}) == []


def test_an_epoch_waits_for_messages_that_no_commit_counts() -> None:
    """The owner was put back to before it sent them; it has sent three, its commit counts one."""
    graph = graph_of(2)
    graph[name(1)].parent_count = graph[name(0)].application_count = 1
    for generation in range(3):
        graph[name(0)].hold(generation)
    ended = [Reported(name(0), name(0), count) for count in range(5)]
    assert graph[name(0)].has_uncounted and ended[1].has_ended and not report(1, 0).has_ended
    for held, other in (
        (1, report(1, 0)),
        (2, both(report(1, 0), ended[2])),
        (4, both(report(1, 0), ended[4])),
    ):
        assert held_generations(graph, other, graph[name(0)]) == held
        assert not is_shared(graph, {b"b": other}, graph[name(0)])
        assert settled_epochs(graph, [name(0)], {b"b": other}, LONG_AFTER) == []
    assert is_shared(graph, {b"b": both(report(1, 0), ended[3]), b"d": report(1, 0)}, graph[name(0)])
    since: dict[bytes, int] = {}
    for now, settled in ((LONG_AFTER, []), (LONG_AFTER + GIVE_UP - 1, []), (LONG_AFTER + GIVE_UP, [name(0)])):
        assert settled_epochs(graph, [name(0)], {b"b": report(1, 0)}, now, unshared=since) == settled


def test_an_open_head_never_settles() -> None:
    graph = forked()
    graph.closed.clear()
    assert settled_heads(graph, {}, 10 * RETENTION) == []


def test_a_closed_head_that_lacks_messages_waits_for_them() -> None:
    graph = forked()
    graph[name(1)].missing.add(1)
    assert settled_heads(graph, {b"b": both(report(3, 2), dead(1))}, 10) == []


def test_reports_of_closed_heads_that_never_came_hold_up_nothing() -> None:
    graph = graph_of(4)
    unknown = both(report(3, 2), Reported(b"lost", b"", 0))
    assert settled_epochs(graph, graph.epochs, {b"b": unknown}, LONG_AFTER) == []
    graph.close(b"lost", name(3), 0)
    assert settled_epochs(graph, graph.epochs, {b"b": unknown}, LONG_AFTER) == [name(0), name(1), name(2)]
