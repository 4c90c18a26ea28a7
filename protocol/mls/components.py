"""The app data dictionary: data of components by id (extensions draft §4.2, §4.6)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from starling.protocol.errors import Invalid
from starling.protocol.mls.extension import APP_DATA_DICTIONARY, Extension, find_extension, with_extension
from starling.protocol.mls.rules import Rule
from starling.protocol.wire import Struct, Vector, opaque, uint16

APP_COMPONENTS = 0x0001
SAFE_AAD = 0x0002
CONTENT_MEDIA_TYPES = 0x0003
LAST_RESORT_KEY_PACKAGE = 0x0004
APP_ACK = 0x0005


@dataclass(frozen=True, slots=True)
class ComponentData(Struct):
    """The data may be a secret of the group (P-5)."""

    component_id: uint16
    data: opaque = field(repr=False)


@dataclass(frozen=True, slots=True)
class AppDataDictionary(Struct):
    """Component data in ascending order of component id, each id once."""

    component_data: Vector[ComponentData] = ()

    @classmethod
    def of(cls, components: dict[int, bytes]) -> AppDataDictionary:
        return cls(tuple(ComponentData(key, components[key]) for key in sorted(components)))

    def check(self) -> None:
        """Raises `Invalid` unless the ids strictly ascend."""
        ids = [component.component_id for component in self.component_data]
        if any(first >= second for first, second in pairwise(ids)):
            raise Invalid(Rule.DICTIONARY_ORDER)

    def get(self, component_id: int) -> bytes | None:
        for component in self.component_data:
            if component.component_id == component_id:
                return component.data
        return None

    def with_component(self, component_id: int, data: bytes | None) -> AppDataDictionary:
        """The dictionary with this component replaced or added, or removed where `data` is None."""
        components = {component.component_id: component.data for component in self.component_data}
        if data is None:
            components.pop(component_id, None)
        else:
            components[component_id] = data
        return AppDataDictionary.of(components)


@dataclass(frozen=True, slots=True)
class ComponentsList(Struct):
    """The data of the components app_components and safe_aad (extensions draft §4.3, §4.9)."""

    component_ids: Vector[uint16] = ()


def read_dictionary(extensions: Iterable[Extension]) -> AppDataDictionary | None:
    """The checked dictionary among the extensions, None where there is none."""
    data = find_extension(extensions, APP_DATA_DICTIONARY)
    if data is None:
        return None
    dictionary = AppDataDictionary.decode(data)
    dictionary.check()
    return dictionary


def read_component(extensions: Iterable[Extension], component_id: int) -> bytes | None:
    """The data of one component among the extensions."""
    dictionary = read_dictionary(extensions)
    return dictionary.get(component_id) if dictionary is not None else None


def with_dictionary(extensions: Iterable[Extension], dictionary: AppDataDictionary) -> tuple[Extension, ...]:
    return with_extension(tuple(extensions), APP_DATA_DICTIONARY, dictionary.encode())
