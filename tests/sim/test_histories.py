"""Histories of whole universes under faults: at least 500, of which 200 with five nodes or more and fifty
actions or more. Every batch of large universes counts its faults and shows that each kind occurred.

`STARLING_SIM_SEED` draws other histories than the usual ones; `STARLING_SIM_TIMES` multiplies their number. A failing
history is printed as it was drawn; with `STARLING_SIM_SHRINK` it is made small first, which can take minutes.
"""

from __future__ import annotations

import os
from collections import Counter

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from tests.sim.faults import EVERY_FAULT
from tests.sim.history import History, histories, play

from starling.protocol.engine.engine import Engine

LARGE_BATCHES = 8
SMALL_BATCHES = 6
MIXED_BATCHES = 2
GROWN_BATCHES = 4
BATCH = 26

_SEED = int(os.environ.get("STARLING_SIM_SEED", "0"))
_PHASES = [Phase.explicit, Phase.generate, *([Phase.shrink] if "STARLING_SIM_SHRINK" in os.environ else [])]
_EXAMPLES = BATCH * int(os.environ.get("STARLING_SIM_TIMES", "1"))


def test_there_are_enough_histories() -> None:
    assert LARGE_BATCHES * BATCH >= 200
    assert (LARGE_BATCHES + SMALL_BATCHES + MIXED_BATCHES + GROWN_BATCHES) * BATCH >= 500


def play_batch(
    number: int, strategy: st.SearchStrategy[History], least_nodes: int, least_steps: int
) -> Counter[str]:
    counts: Counter[str] = Counter()

    @seed(_SEED * 1_000 + number)
    @settings(
        max_examples=_EXAMPLES,
        deadline=None,
        database=None,
        phases=_PHASES,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    @given(strategy)
    def run(history: History) -> None:
        assert history.size >= least_nodes
        assert len(history.actions) >= least_steps
        counts.update(play(history, Engine))

    run()
    assert counts["histories"] >= _EXAMPLES
    return counts


@pytest.mark.parametrize("number", range(LARGE_BATCHES))
def test_large_universes(number: int) -> None:
    counts = play_batch(number, histories(sizes=(5, 5, 5, 6, 7), steps=(50, 52)), 5, 50)
    assert set(counts) >= EVERY_FAULT


@pytest.mark.parametrize("number", range(100, 100 + SMALL_BATCHES))
def test_small_universes(number: int) -> None:
    play_batch(number, histories(sizes=(2, 3, 4), steps=(15, 40)), 2, 15)


@pytest.mark.parametrize("number", range(200, 200 + MIXED_BATCHES))
def test_universes_of_two_suites(number: int) -> None:
    """Owners of send groups use suites 1 and 3 in turn."""
    play_batch(number, histories(sizes=(3, 4), steps=(15, 30), suites=(1, 3)), 3, 15)


@pytest.mark.parametrize("number", range(300, 300 + GROWN_BATCHES))
def test_universes_from_nothing(number: int) -> None:
    """Founding, inviting and joining under faults too."""
    play_batch(number, histories(sizes=(2, 3, 4), steps=(15, 30), grown=True, suites=(1, 3)), 2, 15)
