"""Fixtures of these tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from starling.daemon.passphrase import SALT_SIZE, PassphraseKey


@pytest.fixture
def cheap_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """What keys cost stands in the file; here it is next to nothing."""

    def generate(random: Callable[[int], bytes]) -> PassphraseKey:
        return PassphraseKey(random(SALT_SIZE), 1, 64, 1)

    monkeypatch.setattr(PassphraseKey, "generate", generate)
