"""A refused command changed nothing: where something changed already, it is a fault and no refusal."""

from __future__ import annotations

import pytest
from tests.engine.small_network import settled

from starling.protocol.engine import sending, timers
from starling.protocol.engine.inputs import SendMessage, Wake
from starling.protocol.errors import InternalError, UsageError


def refuse(*_: object) -> None:
    raise UsageError("no")


def test_a_refusal_after_the_first_change_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    _, universe, (alice, _) = settled("alice", "bob")
    with pytest.raises(UsageError):
        alice.engine.handle(SendMessage(universe, b"short", b"hi"), alice.network.now)
    monkeypatch.setattr(sending, "flush", refuse)
    with pytest.raises(InternalError, match="begun"):
        alice.engine.handle(SendMessage(universe, b"i" * 16, b"hi"), alice.network.now)


def test_what_is_done_by_the_timer_cannot_be_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    _, _, (alice, _) = settled("alice", "bob")
    monkeypatch.setattr(timers, "tick", refuse)
    assert alice.wake is not None
    with pytest.raises(InternalError):
        alice.engine.handle(Wake(), alice.wake)
