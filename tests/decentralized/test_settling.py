"""When an epoch settles: by what all members report, by the limits, and with several children (K-14)."""

from __future__ import annotations

import pytest
from tests.decentralized.graphs import LONG_AFTER, enter, graph_of, name, report

from starling.protocol.decentralized.epoch_graph import EpochGraph
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
    lacks_of_head,
    lingers_until,
    settled_epochs,
    settled_heads,
)

# what settles


def test_reports_tell_what_a_member_has_reached_and_is_past() -> None:
    graph = graph_of(4)
    assert has_past(graph, b"b", report(3, 2), name(2)) and has_past(graph, b"b", report(3, 2), name(0))
    assert not has_past(graph, b"b", report(3, 1), name(2))
    assert not has_past(graph, b"b", report(3, None), name(0)) and not has_past(graph, b"b", None, name(0))
    assert has_reached(graph, report(2, 0), name(2)) and not has_reached(graph, report(2, 0), name(3))
    assert not has_reached(graph, None, name(0))


def test_who_still_asks_for_a_branch_has_not_reached_it() -> None:
    graph = forked()
    lacking = Reported(name(3, "x"), b"", 0)
    assert not has_reached(graph, both(report(3, 2), lacking), name(2, "x"))
    assert has_reached(graph, both(report(3, 2), lacking), name(2))
    assert has_reached(graph, both(report(3, 2), dead(0)), name(2, "x"))


def test_what_is_past_on_a_branch_that_is_not_known_here_may_be_less() -> None:
    graph = graph_of(4)
    elsewhere = Reported(b"unknown", name(1), 0)
    assert not has_past(graph, b"b", elsewhere, name(1))
    assert held_generations(graph, elsewhere, graph[name(1)]) == 0
    assert has_past(graph, b"b", Reported(name(2), name(1), 0, (elsewhere,)), name(1))


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
        reports = {**whole, b"c": lagging}
        assert settled_heads(graph, reports, LONG_AFTER) == []
        has_heard = lagging not in (None, report(2, 1))
        limit = 5 + (GIVE_UP if has_heard else RETENTION)
        assert settled_heads(graph, reports, limit) == []
        assert settled_heads(graph, reports, limit + 1) == [name(3, "x")], "what is lacking is given up"


def test_what_is_lacking_of_a_closed_branch_can_be_told() -> None:
    graph = forked()
    assert not lacks_of_head(graph, name(3, "x"), {b"b": both(report(3, 2), dead(1)), b"c": None})
    assert lacks_of_head(graph, name(3, "x"), {b"b": both(report(3, 2), dead(2))})
    graph = graph_of(4)
    enter(graph, 2, name(1), "x", count=2)
    assert lacks_of_head(graph, name(2, "x"), {}), "one of two messages before it never came"


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


@pytest.mark.parametrize("is_closed_first", [False, True])
def test_a_closed_head_lingers_from_when_both_it_and_the_word_are_here(is_closed_first: bool) -> None:
    """Messages of it may be under way, whichever of the two came last."""
    graph = graph_of(2)
    if is_closed_first:
        graph.close(name(2, "x"), name(2), 2)
    enter(graph, 2, name(1), "x")
    enter(graph, 2, name(1))
    graph.follow(name(2))
    if not is_closed_first:
        graph.close(name(2, "x"), name(2), 2)
    whole = {b"b": report(2, 1)}
    assert settled_heads(graph, whole, 1 + LINGER) == []
    assert settled_heads(graph, whole, 2 + LINGER) == [name(2, "x")]


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
