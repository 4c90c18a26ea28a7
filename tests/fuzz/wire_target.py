"""Every wire structure: what encodes decodes to itself, what decodes encodes to itself, the rest is refused."""

from __future__ import annotations

import functools
import random
import tracemalloc
from collections.abc import Callable
from typing import Any

from tests.fuzz import values
from tests.fuzz.findings import Finding, bounded, refused
from tests.fuzz.kinds import PROPOSALS, Structure, structures
from tests.fuzz.pieces import changed, pieces, written
from tests.fuzz.uses import USES

from starling.protocol.errors import UsageError
from starling.protocol.mls import proposal

MUTANTS = 12
MEMORY = 256 * 1024
MEMORY_PER_BYTE = 400
MEASURED = 0.01
"""The share of the inputs whose memory is measured, which is slow."""

Decode = Callable[[bytes], Any]


@functools.cache
def targets() -> dict[str, tuple[type[Any] | None, Decode, Callable[[Any], bytes]]]:
    """By name: the structure (None for the union of proposals), and its two directions."""
    found: dict[str, tuple[type[Any] | None, Decode, Callable[[Any], bytes]]] = {
        cls.__name__: (cls, cls.decode, cls.encode) for cls in structures()
    }
    found["Proposal"] = (None, proposal.PROPOSALS.decode, proposal.PROPOSALS.encode)
    return found


def check(name: str, data: bytes, rng: random.Random) -> bool:
    """Feed one input to one structure; whether it was accepted. Raises `Finding`."""
    _, decode, encode = targets()[name]
    try:
        with bounded(len(data), name):
            held, refusal = refused(lambda: decode(data))
            if refusal is not None:
                return False
            if encode(held) != data:
                raise Finding("what was decoded encodes to something else")
            if decode(encode(held)) != held:
                raise Finding("what was encoded decodes to something else")
            hash(held), repr(held)
            uses = USES.get(name)
            for use in uses(rng, held) if uses is not None else ():
                refused(use)
    except Finding as finding:
        raise Finding(f"{name}: {finding.what}", structure=name, data=data) from finding
    except Exception as error:
        raise Finding(f"{name}: {type(error).__name__}: {error}", structure=name, data=data) from error
    return True


def check_memory(name: str, data: bytes) -> None:
    """What decoding takes is in proportion to the input."""
    decode = targets()[name][1]
    tracemalloc.start()
    try:
        refused(lambda: decode(data))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    if peak > MEMORY + MEMORY_PER_BYTE * len(data):
        raise Finding(f"{name}: {peak} bytes of memory for {len(data)}", structure=name, data=data)


def run(rng: random.Random) -> int:
    """One value and its mutants; how many inputs that was."""
    name = rng.choice(sorted(targets()))
    return run_structure(name, rng)[0]


def run_structure(name: str, rng: random.Random) -> tuple[int, int]:
    """How many inputs were tried, and how many accepted."""
    cls, decode, encode = targets()[name]
    kind = PROPOSALS if cls is None else Structure(cls)
    held = values.value(rng, kind)
    data = encode(held)
    if written(pieces(kind, held)) != data:
        raise Finding(f"{name}: two encoders differ", structure=name, data=data)
    accepted: int = check(name, data, rng)
    if accepted and decode(data) != held:
        raise Finding(f"{name}: a value comes back as another", structure=name, data=data)
    inputs = 1
    for _ in range(MUTANTS):
        data = _mutant(rng, kind, held, encode)
        accepted += check(name, data, rng)
        inputs += 1
        if rng.random() < MEASURED:
            check_memory(name, data)
    return inputs, accepted


def _mutant(rng: random.Random, kind: Any, held: Any, encode: Callable[[Any], bytes]) -> bytes:
    way = rng.random()
    if way < 0.5:
        for _ in range(rng.choice((1, 1, 2, 3))):
            held = values.change(rng, kind, held)
        try:
            return encode(held)
        except UsageError:
            return written(pieces(kind, held))  # it has lost its wire form, but not every one
    if way < 0.9:
        return changed(rng, pieces(kind, held))
    return values.change_bytes(rng, encode(held))
