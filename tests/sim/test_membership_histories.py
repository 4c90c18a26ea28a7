"""Histories in which data directories are copied and put back while members join, leave, are removed and get other
roles, with an archiver beside them. By hand many more: `python -m tests.sim --members`."""

from __future__ import annotations

import pytest
from tests.sim.__main__ import history
from tests.sim.history import KINDS_OF_MEMBERS, play

from starling.protocol.engine.engine import Engine

SEEDS = range(1, 7)


def test_every_kind_is_drawn() -> None:
    drawn = {action.kind for seed in SEEDS for action in history(seed, 4, 1, KINDS_OF_MEMBERS).actions}
    assert {"invite by", "remove by", "leave", "role", "policy", "archiver", "put back", "clone"} <= drawn


@pytest.mark.parametrize("seed", SEEDS)
def test_membership_changes_and_old_copies(seed: int) -> None:
    play(history(seed, 4, 1, KINDS_OF_MEMBERS), Engine)
