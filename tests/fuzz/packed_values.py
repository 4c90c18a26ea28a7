"""Values of the patterns of packed structures: made at random, and changed in one place."""

from __future__ import annotations

import random
from typing import Any

from tests.fuzz.values import change_bytes

from starling.protocol.packed import Blob, Either, Many, Text, Uint

_NUMBERS = (0, 1, 2, 127, 128, 255, 256, 2**16, 2**31, 2**32 - 1, 2**53, 2**63, 2**64 - 1, -1, -(2**63))
_STRANGE: tuple[Any, ...] = (
    None, True, False, 0, -1, 2**64 - 1, b"", bytes(32), bytes(64), "", "x" * 70, "\u0000", "\U0010ffff", "member",
    [], [[]], [None] * 20, {}, {"a": 1},
)  # fmt: skip


def packed(rng: random.Random, pattern: Any) -> Any:
    """A value of this pattern; its bounds are met."""
    if isinstance(pattern, type):
        return {
            bool: rng.random() < 0.5,
            int: rng.choice(_NUMBERS),
            str: "text",
            bytes: rng.randbytes(8),
        }.get(pattern)
    if pattern is None or isinstance(pattern, str):
        return pattern
    match pattern:
        case Blob(most, least):
            return rng.randbytes(_size(rng, least, min(most, 600)))
        case Text(most, least):
            return "".join(rng.choices("abc XYZé\u4e2d/09", k=_size(rng, least, most)))
        case Uint(most):
            return min(most, rng.choice((0, 1, 2, 3, 1000, most)))
        case Many(item, most, least):
            return [packed(rng, item) for _ in range(_size(rng, least, min(most, 4)))]
        case Either():
            return packed(rng, rng.choice(pattern.patterns))
    return [packed(rng, item) for item in pattern]


def _size(rng: random.Random, least: int, most: int) -> int:
    return rng.choice((least, most, rng.randint(least, most)))


def change_packed(rng: random.Random, held: Any) -> Any:
    """The value with something changed in one place."""
    if rng.random() < 0.06:
        return rng.choice(_STRANGE)
    if isinstance(held, list) and held:
        items = list(held)
        at, other = rng.randrange(len(items)), rng.randrange(len(items))
        match rng.randrange(10):
            case 0:
                del items[at]
            case 1:
                items.insert(at, items[other])
            case 2:
                items[at], items[other] = items[other], items[at]
            case 3 if len(items) < 64:
                items = items * rng.choice((2, 50))
            case _:
                items[at] = change_packed(rng, items[at])
        return items
    if isinstance(held, bytes):
        return change_bytes(rng, held)
    if isinstance(held, bool):
        return rng.choice((not held, int(held), None))
    if isinstance(held, int):
        return rng.choice((*_NUMBERS, held + 1, held - 1))
    if isinstance(held, str):
        return rng.choice((held + " ", held[:-1], held * 3, held.upper(), held.encode(), "\u202e" + held))
    return rng.choice(_STRANGE)
