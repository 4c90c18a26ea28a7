"""The oracle can fail: with one safeguard taken out of the engine or the loop, it complains."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from tests.sim.history import Action, History, histories, play
from tests.sim.node import Crash, Node
from tests.sim.universes import saved_universe
from tests.sim.violation import Violation

from starling.protocol.engine import exchanging, received_messages, receiving
from starling.protocol.engine.delivered import Delivered
from starling.protocol.engine.engine import Engine
from starling.protocol.engine.outbox import Outbox

WITHIN = 25
"""Histories in which a missing safeguard must show."""


def rewritten(module: ModuleType, name: str, *changes: tuple[str, str]) -> Any:
    """A function of the product with some of its text changed; the text must be there."""
    source = inspect.getsource(getattr(module, name))
    for old, new in changes:
        assert source.count(old) == 1, old
        source = source.replace(old, new)
    names = dict(vars(module))
    exec(compile(source, f"<rewritten {name}>", "exec"), names)
    return names[name]


def _crashing_commits() -> st.SearchStrategy[History]:
    """Histories in which nodes die over their own commits."""
    place = st.tuples(st.integers(0, 6), st.sampled_from([200, 3_000, 8_000]))
    return st.builds(
        lambda seed, places: History(
            seed,
            3,
            0,
            tuple(
                action
                for who, pause in places
                for action in (
                    Action("send", who, 0, pause),
                    Action("crash before saved", who),
                    Action("update", who, 0, pause),
                )
            ),
        ),
        st.integers(0, 2**32 - 1),
        st.lists(place, min_size=6, max_size=10),
    )


def violations(
    patch: Callable[[pytest.MonkeyPatch], None],
    monkeypatch: pytest.MonkeyPatch,
    strategy: st.SearchStrategy[History] | None = None,
) -> set[str]:
    """Play until the oracle complains: the kinds of its complaints. The whole engine made the disks."""
    saved_universe(Engine, 3)
    saved_universe(Engine, 4)
    patch(monkeypatch)
    found: set[str] = set()

    @seed(7)
    @settings(
        max_examples=WITHIN,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy if strategy is not None else histories(sizes=(3, 4), steps=(25, 40)))
    def run(history: History) -> None:
        if not found:
            try:
                play(history, Engine)
            except Violation as violation:
                found.add(violation.kind)

    run()
    return found


def test_without_the_dedupe_messages_are_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids are looked at on both sides: the sender's when an app repeats itself, the receiver's always."""

    def patch(patches: pytest.MonkeyPatch) -> None:
        patches.setattr(Outbox, "find", lambda self, message_id: None)
        patches.setattr(Delivered, "is_new", lambda self, ctx, sender, message_id: True)

    assert violations(patch, monkeypatch) & {"repeated", "order"}


def test_without_waiting_for_dependencies_the_order_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A message is shown as soon as it can be opened, whatever comes before it."""
    mutated = rewritten(
        received_messages,
        "receive_message",
        ("if state.graph.hole(info.dmls_epoch) is not None:", "if False:"),
        ("if generation != info.next_generation and not info.given_up:", "if False:"),
    )

    def patch(patches: pytest.MonkeyPatch) -> None:
        patches.setattr(receiving, "receive_message", mutated)

    assert violations(patch, monkeypatch) & {"order"}


def test_without_serving_kept_frames_messages_are_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    def patch(patches: pytest.MonkeyPatch) -> None:
        patches.setattr(exchanging, "answer_want", lambda *arguments: None)

    assert violations(patch, monkeypatch) & {"lost", "apart"}


def test_without_saving_before_sending_a_crash_breaks_the_universe(monkeypatch: pytest.MonkeyPatch) -> None:
    """I1: what was sent was forgotten, so the node goes on from a state that the others have left."""
    original: Any = Node._die

    def die_after_sending(node: Node, kind: Crash) -> None:
        if kind is Crash.BEFORE_SAVED:
            for step, _ in list(node._unsaved):
                for send in step.sends:
                    node._perform(send)
        original(node, kind)

    def patch(patches: pytest.MonkeyPatch) -> None:
        patches.setattr(Node, "_die", die_after_sending)

    assert violations(patch, monkeypatch, _crashing_commits()) & {"alarm", "apart"}


def test_with_all_safeguards_nothing_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: the same histories, and nothing taken out."""
    assert violations(lambda patches: None, monkeypatch, _crashing_commits()) == set()
