"""Random histories in which data directories are copied, put back and cloned, as `python -m tests.sim` draws them.

`STARLING_SIM_SEED` draws other ones than the usual.
"""

from __future__ import annotations

import os
from collections import Counter

import pytest
from tests.sim.__main__ import history
from tests.sim.faults import CLONED, PUT_BACK
from tests.sim.history import play

from starling.protocol.engine.engine import Engine

_FIRST = 1_000 * int(os.environ.get("STARLING_SIM_SEED", "66"))
_BATCH = 8


@pytest.mark.parametrize("number", range(2))
def test_copies_in_a_calm_network(number: int) -> None:
    first = _FIRST + number * _BATCH
    counts = sum(
        (play(history(seed, 3, 0), Engine) for seed in range(first, first + _BATCH)), start=Counter()
    )
    assert counts[PUT_BACK] and counts[CLONED] and counts["histories"] == _BATCH
