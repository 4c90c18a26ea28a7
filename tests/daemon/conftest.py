"""Fixtures of these tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.daemon.stored import NODE_KEY

from starling.daemon.passphrase import SALT_SIZE, PassphraseKey
from starling.daemon.store import Store


@pytest.fixture
def cheap_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """What keys cost stands in the file; here it is next to nothing."""

    def generate(random: Callable[[int], bytes]) -> PassphraseKey:
        return PassphraseKey(random(SALT_SIZE), 1, 64, 1)

    monkeypatch.setattr(PassphraseKey, "generate", generate)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A directory with a new store."""
    Store.create(tmp_path, NODE_KEY, b"identity record", os.urandom)
    return tmp_path


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    opened = Store(home, NODE_KEY)
    yield opened
    opened.close()
