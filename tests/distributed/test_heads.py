"""The control message `heads`: whole, and as what is different from the one before (PROTOCOL R1)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from starling.protocol.distributed.heads import (
    MAX_BRANCHES,
    MAX_COUNT,
    MAX_GROUPS,
    Head,
    HeadsMessage,
    HeadsReport,
    name_of,
)
from starling.protocol.errors import DecodeError
from starling.protocol.packed import pack

HEAD = Head(b"h" * 32, b"p" * 32, 3)
NAME = b"n" * 32
BASE = HeadsReport(b"r" * 32, {b"a": (HEAD,), b"b": (HEAD, Head(b"i" * 32, b"", 0)), b"c": (HEAD,)}, NAME)

_epochs = st.sampled_from([bytes([number]) * 32 for number in range(5)])
_heads = st.builds(Head, _epochs, st.one_of(st.just(b""), _epochs), st.integers(0, 300))
_branches = st.lists(_heads, min_size=1, max_size=3, unique_by=lambda head: head.head).map(tuple)
_reports = st.builds(
    HeadsReport,
    st.sampled_from([b"r" * 32, b"s" * 32]),
    st.dictionaries(st.sampled_from([bytes([number]) for number in range(6)]), _branches).map(
        lambda heads: dict(sorted(heads.items()))
    ),
    st.just(NAME),
)


def arrived(message: HeadsMessage, held: HeadsReport | None) -> HeadsReport | None:
    body = message.encode()
    return HeadsMessage.decode(body).report(held, name_of(body))


@given(_reports, _reports)
def test_who_holds_the_one_before_completes_a_report(base: HeadsReport, report: HeadsReport) -> None:
    message = HeadsMessage.telling(report, base)
    found = arrived(message, base)
    assert found == report and found is not None
    assert list(found.heads) == list(report.heads), "places in a report are the same for all"
    assert len(message.encode()) <= len(HeadsMessage.telling(report, None).encode()) + 32 + len(base.heads)


@given(_reports)
def test_a_report_whole_needs_nothing_before_it(report: HeadsReport) -> None:
    assert arrived(HeadsMessage.telling(report, None), None) == report
    assert arrived(HeadsMessage.telling(report, None), BASE) == report


def test_who_holds_another_one_cannot_complete_it() -> None:
    message = HeadsMessage.telling(BASE, BASE)
    assert arrived(message, None) is None
    assert arrived(message, replace(BASE, name=b"m" * 32)) is None


def test_reports_are_named_by_all_that_was_said_since_a_whole_one() -> None:
    """Two that differ anywhere before lead to different names, whatever their last message says."""
    first = [
        HeadsMessage.telling(replace(BASE, roster_digest=digest), None) for digest in (b"r" * 32, b"s" * 32)
    ]
    held = [arrived(message, None) for message in first]
    then = [HeadsMessage.telling(report, report) for report in held if report is not None]
    assert len({name_of(message.encode()) for message in then}) == 2


def test_counts_that_have_grown_take_a_byte_each() -> None:
    groups = {bytes([number]) * 32: (HEAD,) for number in range(100)}
    base = HeadsReport(b"r" * 32, groups, NAME)
    report = replace(base, heads={group_id: (replace(HEAD, count=5),) for group_id in groups})
    message = HeadsMessage.telling(report, base)
    assert len(message.encode()) < 150 < 10_000 < len(HeadsMessage.telling(report, None).encode())
    assert not message.rows and set(message.counts) == {2}


def test_the_next_epoch_names_the_one_before_as_past_by_its_place() -> None:
    head = Head(b"k" * 32, HEAD.head, 0)
    message = HeadsMessage.telling(replace(BASE, heads={**BASE.heads, b"c": (head,)}), BASE)
    assert message.rows == ((2, b"k" * 32, None, 0),) and message.counts == ()


def test_where_a_group_is_gone_all_is_told() -> None:
    message = HeadsMessage.telling(replace(BASE, heads={b"a": (HEAD,)}), BASE)
    assert not message.base


def test_it_says_whose_reports_are_wanted() -> None:
    wanted = (b"w" * 32, b"x" * 32)
    assert HeadsMessage.decode(HeadsMessage.telling(BASE, BASE, wanted).encode()).wanted == wanted


WHOLE = HeadsMessage.telling(BASE, None)
SINCE = HeadsMessage.telling(BASE, BASE)


@pytest.mark.parametrize(
    "message",
    [
        replace(WHOLE, roster_digest=b""),
        replace(WHOLE, counts=(1,)),
        replace(WHOLE, rows=((0, b"h", b"", 0),)),
        replace(WHOLE, rows=((b"a", b"h", None, 0),)),
        replace(WHOLE, rows=((b"a", b"h", b"", 0), (b"a", b"h", b"", 1))),
        replace(WHOLE, rows=tuple((b"a", bytes([row]), b"", 0) for row in range(MAX_BRANCHES + 1))),
        replace(SINCE, counts=(0, 0, 0, 1)),
        replace(SINCE, counts=(MAX_COUNT,)),
        replace(SINCE, rows=((3, b"h", b"", 0),)),
        replace(SINCE, rows=((b"a", b"h", b"", 0),)),
        replace(SINCE, rows=((b"d", b"h", None, 0),)),
        replace(SINCE, rows=tuple((number.to_bytes(2), b"h", b"", 0) for number in range(MAX_GROUPS))),
    ],
)
def test_what_does_not_fit_is_refused(message: HeadsMessage) -> None:
    with pytest.raises(DecodeError):
        arrived(message, BASE)


@pytest.mark.parametrize(
    "rows",
    [
        [[b"b", b"h", b"", 0], [b"a", b"h", b"", 0]],
        [[1, b"h", b"", 0], [0, b"h", b"", 0]],
        [[b"a", b"h", b"", 0], [0, b"h", b"", 0]],
        [[MAX_GROUPS, b"h", b"", 0]],
        [[b"", b"h", b"", 0]],
        [[b"a", b"h", b"", MAX_COUNT + 1]],
        [[b"a", b"h", b"", 0]] * (MAX_GROUPS + 1),
    ],
)
def test_rows_are_in_order_and_bounded(rows: list[list[object]]) -> None:
    with pytest.raises(DecodeError):
        HeadsMessage.decode(pack([NAME, b"", [], [], rows]))
