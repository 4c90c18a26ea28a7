"""Names that a look does not tell apart, and names that it does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from starling.protocol.distributed.identity import is_name
from starling.protocol.distributed.look_alike import skeleton


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Bob", "bob"),
        ("Bob", "B\N{CYRILLIC SMALL LETTER O}b"),
        ("Bob", "B0b"),
        ("Bob", "\N{FULLWIDTH LATIN CAPITAL LETTER B}ob"),
        ("Bob", "B\N{GREEK SMALL LETTER OMICRON}b"),
        ("Bob", "Bob\N{HANGUL FILLER}"),
        ("Bob", "B o b"),
        ("Bob", "Bob."),
        ("Alice", "AIice"),
        ("Alice", "A1ice"),
        ("Alice", "A|ice"),
        ("Arnold", "Amold"),
        ("José", "Jose\N{COMBINING ACUTE ACCENT}"),
        ("José", "Jose"),
        ("Helen", "\N{GREEK CAPITAL LETTER ETA}elen"),
        ("Straße", "STRASSE"),
    ],
)
def test_these_look_alike(one: str, other: str) -> None:
    assert skeleton(one) == skeleton(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("Bob", "Rob"), ("Bob", "Bob 2"), ("Ann", "Anna"), ("...", "!!!"), ("山田", "山口"), ("राम", "रमा")],
)
def test_these_do_not(one: str, other: str) -> None:
    assert skeleton(one) != skeleton(other)


@given(st.text(min_size=1, max_size=64).filter(is_name))
def test_every_name_has_a_skeleton_in_which_nothing_is_left_to_take_away(name: str) -> None:
    bare = skeleton(name)
    assert bare
    assert skeleton(f" {name} ") == bare
