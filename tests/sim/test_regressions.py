"""Histories in which something was once wrong: none of it is wrong again."""

from __future__ import annotations

import pytest
from tests.sim.found import closed_branches, membership, started_anew
from tests.sim.history import play

from starling.protocol.engine.engine import Engine

FOUND = closed_branches.FOUND | membership.FOUND | started_anew.FOUND


@pytest.mark.parametrize("what", FOUND)
def test_what_was_once_wrong(what: str) -> None:
    play(FOUND[what], Engine)
