"""What counts as a finding: an error that is none of the core's, a broken promise, or an input that costs too much."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from starling.protocol.errors import Pending, ProtocolError, Unsupported

T = TypeVar("T")

REFUSALS = (ProtocolError, Unsupported, Pending)
"""What hostile input may be answered with. Neither the caller's fault nor that of the program is among them."""

SECONDS = 1.0
SECONDS_PER_BYTE = 50e-6


class Finding(Exception):
    """Something to be repaired. `structure` and `data` are the input where it is one."""

    def __init__(self, what: str, *, structure: str = "", data: bytes = b"") -> None:
        super().__init__(what)
        self.what = what
        self.structure = structure
        self.data = data


def refused(action: Callable[[], T]) -> tuple[T | None, Exception | None]:
    """What the action gave, or the refusal; anything else that it raises goes on."""
    try:
        return action(), None
    except REFUSALS as refusal:
        return None, refusal


@contextmanager
def bounded(size: int, what: str) -> Iterator[None]:
    """The processor time of one input of `size` bytes has a bound."""
    began = time.process_time()
    yield
    spent = time.process_time() - began
    if spent > SECONDS + SECONDS_PER_BYTE * size:
        raise Finding(f"{what}: {spent:.1f} s for {size} bytes")
