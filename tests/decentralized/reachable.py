"""What a thief finds: every byte string that can be reached in memory from an object, and the saved records."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from types import FunctionType, MethodType, ModuleType

_CODE = (type, ModuleType, FunctionType, MethodType)


def byte_strings(*roots: object) -> set[bytes]:
    """All bytes and bytearrays that hang together with these objects, but for what belongs to code. A number is
    none: the names of PPRF nodes are public."""
    seen: set[int] = set()
    found: set[bytes] = set()
    waiting = list(roots)
    while waiting:
        item = waiting.pop()
        if id(item) in seen or isinstance(item, _CODE):
            continue
        seen.add(id(item))
        if isinstance(item, (bytes, bytearray)):
            found.add(bytes(item))
        else:
            waiting.extend(gc.get_referents(item))
            # Simple values are no referents of an object whose class the collector does not follow.
            waiting.extend(_slots(item))
    return found


def _slots(item: object) -> Iterator[object]:
    for kind in type(item).__mro__:
        names: str | Iterable[str] = getattr(kind, "__slots__", ())
        for name in (names,) if isinstance(names, str) else names:
            if not name.startswith("__") and hasattr(item, name):
                yield getattr(item, name)


def windows(strings: Iterable[bytes], size: int) -> set[bytes]:
    """Every run of so many bytes in any of the strings: a secret may stand anywhere in a record."""
    return {
        string[start : start + size] for string in strings for start in range(max(0, len(string) - size + 1))
    }
