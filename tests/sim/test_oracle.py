"""The simulator itself: an honest engine passes, and one that does a thing wrong is caught by name."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from tests.sim.faults import EVERY_FAULT
from tests.sim.history import Action, History, histories, play
from tests.sim.toy import ToyEngine, flawed
from tests.sim.violation import Violation


def test_an_honest_engine_passes_under_every_fault() -> None:
    counts: Counter[str] = Counter()

    @seed(1)
    @settings(max_examples=40, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(histories(sizes=(2, 4, 6), steps=(20, 40)))
    def run(history: History) -> None:
        counts.update(play(history, ToyEngine))

    run()
    assert set(counts) >= EVERY_FAULT


def test_the_same_seed_gives_the_same_history() -> None:
    actions = tuple(Action("burst", who, who * 7, 300) for who in range(20))
    history = History(5, 4, 3, actions)
    assert play(history, ToyEngine) == play(history, ToyEngine)


@pytest.mark.parametrize(
    ("flaw", "kinds"),
    [
        ("drops", {"lost"}),
        ("serves nothing", {"lost", "apart"}),
        ("garbles", {"garbled"}),
        ("misattributes", {"misattributed"}),
        ("shows twice", {"repeated"}),
        ("forgets ids", {"recipients", "repeated", "order"}),
        ("forgets what it showed", {"repeated", "invented"}),
        ("does not wait", {"order", "lost"}),
        ("miscounts", {"lost", "recipients"}),
        ("tells all", {"leaked"}),
        ("one nonce", {"nonce"}),
    ],
)
def test_a_flawed_engine_is_caught(flaw: str, kinds: set[str]) -> None:
    caught: set[str] = set()

    @seed(2)
    @settings(
        max_examples=30,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(histories(sizes=(3, 4), steps=(20, 40)))
    def run(history: History) -> None:
        if not caught:
            try:
                play(history, flawed(flaw))
            except Violation as violation:
                caught.add(violation.kind)

    run()
    assert caught <= kinds
    assert caught
