"""How much memory an engine holds: its whole object graph, walked without knowing it."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Mapping
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

_NOT_HELD = (type, ModuleType, FunctionType, MethodType, BuiltinFunctionType)


def _fields(item: Any) -> Iterable[Any]:
    if isinstance(item, Mapping):
        yield from item.keys()
        yield from item.values()
    elif isinstance(item, list | tuple | set | frozenset | deque):
        yield from item
    yield from getattr(item, "__dict__", {}).values()
    for cls in type(item).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__"):
                value = getattr(item, name, None)
                if value is not None:
                    yield value


def memory_size(root: Any) -> int:
    """Bytes of everything reachable from `root` but code."""
    seen: set[int] = set()
    waiting: deque[Any] = deque([root])
    total = 0
    while waiting:
        item = waiting.pop()
        if id(item) in seen or isinstance(item, _NOT_HELD):
            continue
        seen.add(id(item))
        total += sys.getsizeof(item, 64)
        waiting.extend(_fields(item))
    return total
