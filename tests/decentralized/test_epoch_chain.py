"""Which epochs a node is past, which are incomplete, and which secrets go (PROTOCOL K-14)."""

from __future__ import annotations

import pytest

from starling.protocol.decentralized.epoch_chain import (
    MAX_AHEAD,
    MAX_SUPERSEDED,
    RETENTION,
    EpochChain,
    EpochInfo,
    Reported,
    has_past,
    has_reached,
    settled_epochs,
)


def name(number: int, branch: str = "") -> bytes:
    return f"{number}{branch}".encode()


def chain_of(length: int, *, first: int = 0) -> EpochChain:
    """Epochs in a row, each whole, each superseded at its successor's number in milliseconds."""
    chain = EpochChain()
    for number in range(first, first + length):
        enter(chain, number, name(number - 1) if number > first else None)
    return chain


def enter(
    chain: EpochChain, number: int, parent: bytes | None, branch: str = "", count: int = 0
) -> EpochInfo:
    info = EpochInfo(name(number, branch), number, parent, number, frozenset({b"a", b"b"}), True)
    chain.enter(info)
    held = chain.get(parent) if parent is not None else None
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
    chain = chain_of(1)
    info = chain[name(0)]
    assert not info.is_past, "no child"
    enter(chain, 1, name(0), count=2)
    assert not info.is_past, "two messages are missing"
    info.hold(0)
    assert not info.is_past
    info.hold(1)
    assert info.is_past


def test_of_several_children_the_highest_count_holds() -> None:
    chain = chain_of(1)
    enter(chain, 1, name(0), "x", count=1)
    enter(chain, 1, name(0), "y", count=3)
    info = chain[name(0)]
    info.hold(0)
    assert not info.is_past
    info.hold(1)
    info.hold(2)
    assert info.is_past


def test_what_was_given_up_is_past() -> None:
    chain = chain_of(2)
    info = chain[name(0)]
    info.application_count = 5
    assert chain.past() == b""
    info.given_up = True
    assert info.is_past and not info.is_whole
    assert chain.past() == name(0)


def test_past_stops_at_the_first_hole() -> None:
    chain = chain_of(5)
    assert chain.past() == name(3)
    enter(chain, 3, name(2), "x", count=1)
    assert chain.past() == name(1), "another child told of a message"
    assert [info.number for info in chain.incomplete()] == [2, 4]
    enter(chain, 1, name(0), "x", count=1)
    assert chain.past() == b""
    assert [info.number for info in chain.incomplete()] == [0, 2, 4]


# the head and its branches


def test_a_sibling_does_not_become_the_head() -> None:
    chain = chain_of(3)
    enter(chain, 2, name(1), "x")
    assert chain.head == name(2)
    assert chain[name(1)].children == (name(2), name(2, "x"))
    enter(chain, 3, name(2))
    assert chain.head == name(3)
    enter(chain, 3, name(2, "x"), "x")
    assert chain.head == name(3)


def test_descent_follows_branches() -> None:
    chain = chain_of(4)
    enter(chain, 2, name(1), "x")
    assert chain.is_at_or_after(name(3), name(3))
    assert chain.is_at_or_after(name(3), name(1))
    assert chain.is_at_or_after(name(2, "x"), name(1))
    assert not chain.is_at_or_after(name(2, "x"), name(2))
    assert not chain.is_at_or_after(name(3), name(2, "x"))
    assert not chain.is_at_or_after(name(1), name(3))
    assert not chain.is_at_or_after(b"unknown", name(1))
    assert not chain.is_at_or_after(name(3), b"unknown")


def test_a_dropped_epoch_makes_its_child_the_oldest() -> None:
    chain = chain_of(4)
    chain.drop(name(0))
    assert [info.number for info in chain.branch()] == [1, 2, 3]
    assert chain.past() == name(2)


def test_what_is_past_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = chain_of(1000)
    assert [info.number for info in chain.incomplete()] == [999]
    looked = []
    is_past = EpochInfo.is_past.fget
    monkeypatch.setattr(EpochInfo, "is_past", property(lambda info: looked.append(info) or is_past(info)))
    enter(chain, 1000, chain.head)
    for _ in range(10):
        assert [info.number for info in chain.incomplete()] == [1000]
        assert chain.past() == name(999)
        assert chain.is_at_or_after(name(999), name(1))
    assert len(looked) < 20


# limits


def test_a_commit_waits_that_is_too_far_beyond_a_hole() -> None:
    chain = chain_of(MAX_AHEAD + 1)
    assert not chain.is_too_far_ahead(chain.head)
    enter(chain, 2, name(1), "x", count=1)
    assert not chain.is_too_far_ahead(name(MAX_AHEAD))
    enter(chain, 1, name(0), "x", count=1)
    assert chain.is_too_far_ahead(name(MAX_AHEAD))
    chain[name(0)].given_up = True
    assert not chain.is_too_far_ahead(name(MAX_AHEAD))
    assert not chain.is_too_far_ahead(b"unknown")


# what settles


def test_reports_tell_what_a_member_has_reached_and_is_past() -> None:
    chain = chain_of(4)
    assert has_past(chain, report(3, 2), name(2)) and has_past(chain, report(3, 2), name(0))
    assert not has_past(chain, report(3, 1), name(2))
    assert not has_past(chain, report(3, None), name(0)) and not has_past(chain, None, name(0))
    assert has_reached(chain, report(2, 0), name(2)) and not has_reached(chain, report(2, 0), name(3))
    assert not has_reached(chain, None, name(0))


def test_an_epoch_settles_when_all_report_to_be_past_it() -> None:
    chain = chain_of(4)
    reports = {b"b": report(3, 2), b"c": report(3, 0)}
    assert settled_epochs(chain, chain.epochs, reports, 10) == [name(0)]
    assert settled_epochs(chain, chain.epochs, {**reports, b"c": report(3, 2)}, 10) == [
        name(0),
        name(1),
        name(2),
    ]


def test_the_head_never_settles() -> None:
    chain = chain_of(1)
    assert settled_epochs(chain, chain.epochs, {}, 10 * RETENTION) == []


@pytest.mark.parametrize("other", [None, Reported(b"unknown", name(2), 0)])
def test_nothing_settles_while_a_report_is_missing_or_names_an_unknown_head(other: Reported | None) -> None:
    chain = chain_of(4)
    assert settled_epochs(chain, chain.epochs, {b"b": report(3, 2), b"c": other}, 10) == []


def test_what_this_node_is_not_past_does_not_settle_by_reports() -> None:
    chain = chain_of(4)
    chain[name(1)].application_count = 1
    assert settled_epochs(chain, chain.epochs, {b"b": report(3, 2)}, 10) == [name(0), name(2)]


def test_secrets_go_after_seven_days_whatever_is_reported() -> None:
    chain = chain_of(4)
    chain[name(1)].application_count = 1
    reports = {b"b": None, b"c": Reported(b"unknown", b"", 0)}
    superseded_at = 1
    assert settled_epochs(chain, chain.epochs, reports, superseded_at + RETENTION) == []
    assert settled_epochs(chain, chain.epochs, reports, superseded_at + RETENTION + 1) == [name(0)]
    assert settled_epochs(chain, chain.epochs, reports, 3 + RETENTION + 1) == [name(0), name(1), name(2)]


def test_at_most_eight_superseded_epochs_are_kept_that_this_node_is_past() -> None:
    chain = chain_of(MAX_SUPERSEDED + 4)
    reports: dict[bytes, Reported | None] = {b"b": None}
    assert settled_epochs(chain, chain.epochs, reports, 20) == [name(0), name(1), name(2)]
    chain[name(1)].application_count = 1
    assert settled_epochs(chain, chain.epochs, reports, 20) == [name(0), name(2)], (
        "what is incomplete does not count"
    )
