"""The twelve digits of two people."""

from __future__ import annotations

import pytest

from starling.protocol.distributed.pair_number import pair_number
from starling.protocol.errors import UsageError

ALICE, BOB, EVE = (bytes([number]) * 32 for number in (1, 2, 3))


def test_both_see_the_same_and_every_pair_another() -> None:
    number = pair_number(ALICE, BOB)
    assert number == pair_number(BOB, ALICE)
    assert len(number) == 12 and number.isdecimal()
    assert len({number, pair_number(ALICE, EVE), pair_number(BOB, EVE)}) == 3


def test_it_stays_what_it_was() -> None:
    """People may have written it down."""
    assert pair_number(ALICE, BOB) == "330478689400"


def test_one_is_no_pair() -> None:
    with pytest.raises(UsageError):
        pair_number(ALICE, ALICE)
