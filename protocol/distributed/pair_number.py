"""Twelve digits that two people compare, to be sure that each has the other's identity key and nobody stands between.

They are a hash over both identity keys alone: the same at both nodes, in every universe, for as long as both live.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from starling.protocol.distributed import labels
from starling.protocol.errors import UsageError
from starling.protocol.wire import Struct, opaque

DIGITS = 12

_COST = 2**16
_BLOCK = 8
_MEMORY = 2**27


@dataclass(frozen=True, slots=True)
class _Pair(Struct):
    lower: opaque
    higher: opaque


def pair_number(one: bytes, other: bytes) -> str:
    """The twelve digits of two different identity keys, 32 bytes each, in any order.

    It takes a quarter of a second and 64 MiB, and is made slow because the number is short: who wants to stand between
    two people looks for two keys, one for each side, that give the same number, and finds them after about 10^6 tries
    a side; another key with a given number after 10^12.
    """
    if one == other:
        raise UsageError("a pair is two people")
    pair = _Pair(min(one, other), max(one, other)).encode()
    stretched = hashlib.scrypt(
        pair, salt=labels.PAIR_NUMBER.encode(), n=_COST, r=_BLOCK, p=1, maxmem=_MEMORY, dklen=16
    )
    return f"{int.from_bytes(stretched) % 10**DIGITS:0{DIGITS}}"
