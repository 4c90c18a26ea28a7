"""A secret prints nothing, is not copied, and is gone after `wipe`."""

from __future__ import annotations

import copy
import pickle

import pytest

from starling.protocol.crypto.secret import Secret
from starling.protocol.errors import UsageError


def test_it_gives_its_value_until_it_is_wiped() -> None:
    secret = Secret(b"hunter2")
    assert bytes(secret) == b"hunter2"
    inside = secret._value
    secret.wipe()
    secret.wipe()
    assert inside is not None
    assert bytes(inside) == bytes(7)
    assert secret.is_wiped
    with pytest.raises(UsageError, match="wiped"):
        bytes(secret)


def test_it_prints_nothing() -> None:
    assert "hunter2" not in f"{Secret(b'hunter2')!r} {Secret(b'hunter2')}"


def test_it_is_neither_copied_nor_pickled() -> None:
    secret = Secret(b"hunter2")
    for action in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            action(secret)
