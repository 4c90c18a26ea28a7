"""Safe additional authenticated data: several components share one field (extensions draft §4.9).

In a group whose GroupContext dictionary has the component `safe_aad`, even with an empty list, the whole
`authenticated_data` of every PublicMessage and PrivateMessage is one SafeAAD: a `Group` sends and accepts
nothing else there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from starling.protocol.errors import DecodeError, Invalid
from starling.protocol.mls.components import SAFE_AAD, read_component
from starling.protocol.mls.extension import Extension
from starling.protocol.mls.rules import Rule
from starling.protocol.wire import Struct, Vector, opaque, uint16


@dataclass(frozen=True, slots=True)
class SafeAADItem(Struct):
    component_id: uint16
    aad_item_data: opaque


@dataclass(frozen=True, slots=True)
class SafeAAD(Struct):
    """Items in strictly ascending order of component id; one zero byte where there are none."""

    aad_items: Vector[SafeAADItem] = ()

    @classmethod
    def of(cls, items: Mapping[int, bytes]) -> SafeAAD:
        return cls(tuple(SafeAADItem(key, items[key]) for key in sorted(items)))

    def get(self, component_id: int) -> bytes | None:
        for item in self.aad_items:
            if item.component_id == component_id:
                return item.aad_item_data
        return None


EMPTY = SafeAAD().encode()
"""The authenticated_data of a message without items in a SafeAAD group."""


def uses_safe_aad(group_context_extensions: Iterable[Extension]) -> bool:
    """Whether the group's authenticated_data is SafeAAD."""
    return read_component(group_context_extensions, SAFE_AAD) is not None


def read_safe_aad(authenticated_data: bytes) -> SafeAAD:
    """Raises `Invalid` for anything but one SafeAAD in order, with nothing behind it."""
    try:
        safe_aad = SafeAAD.decode(authenticated_data)
    except DecodeError:
        raise Invalid(Rule.SAFE_AAD_FORM) from None
    ids = [item.component_id for item in safe_aad.aad_items]
    if any(first >= second for first, second in pairwise(ids)):
        raise Invalid(Rule.SAFE_AAD_ORDER)
    return safe_aad
