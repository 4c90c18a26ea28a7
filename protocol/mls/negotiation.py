"""What a GroupContext requires of every member beyond RFC 9420's required_capabilities (extensions draft §5)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from starling.protocol.errors import Invalid
from starling.protocol.mls.components import (
    APP_COMPONENTS,
    CONTENT_MEDIA_TYPES,
    SAFE_AAD,
    AppDataDictionary,
    ComponentsList,
    read_dictionary,
)
from starling.protocol.mls.content_media_types import MediaType, MediaTypeList, read_media_types
from starling.protocol.mls.extension import (
    APP_DATA_DICTIONARY,
    REQUIRED_WIRE_FORMATS,
    SUPPORTED_WIRE_FORMATS,
    Extension,
    find_extension,
)
from starling.protocol.mls.rules import Rule
from starling.protocol.mls.wire_format import DEFAULT_WIRE_FORMATS
from starling.protocol.wire import Struct, Vector, uint16


@dataclass(frozen=True, slots=True)
class WireFormats(Struct):
    """The data of supported_wire_formats (leaf) and required_wire_formats (GroupContext): non-default ones."""

    wire_formats: Vector[uint16] = ()


@dataclass(frozen=True, slots=True)
class Negotiated:
    """What a leaf supports, or what a GroupContext requires. Unknown values do no harm (§5.1)."""

    wire_formats: frozenset[int]
    app_components: frozenset[int]
    safe_aad: frozenset[int]
    media_types: tuple[MediaType, ...]

    @classmethod
    def read(cls, extensions: Iterable[Extension], wire_formats_type: int) -> Negotiated:
        """Raises `DecodeError`, or `Invalid` for a dictionary out of order."""
        extensions = tuple(extensions)
        data = find_extension(extensions, wire_formats_type)
        dictionary = read_dictionary(extensions)
        lists = {
            component_id: dictionary.get(component_id) if dictionary is not None else None
            for component_id in (APP_COMPONENTS, SAFE_AAD)
        }
        return cls(
            frozenset(WireFormats.decode(data).wire_formats if data is not None else ()),
            _component_ids(lists[APP_COMPONENTS]),
            _component_ids(lists[SAFE_AAD]),
            read_media_types(extensions) if dictionary is not None else (),
        )

    @classmethod
    def required(cls, context_extensions: Sequence[Extension]) -> Negotiated:
        """What the GroupContext with these extensions requires."""
        if not context_extensions:
            return NOTHING_REQUIRED
        return cls.read(context_extensions, REQUIRED_WIRE_FORMATS)

    @property
    def is_empty(self) -> bool:
        return not (self.wire_formats or self.app_components or self.safe_aad or self.media_types)

    def check_supported(self, leaf_extensions: Iterable[Extension]) -> None:
        """Raises `Invalid` unless the leaf with these extensions supports all that is required here."""
        if self.is_empty:
            return
        leaf = Negotiated.read(leaf_extensions, SUPPORTED_WIRE_FORMATS)
        if not self.wire_formats <= leaf.wire_formats | DEFAULT_WIRE_FORMATS:
            raise Invalid(Rule.WIRE_FORMATS_SUPPORT)
        if not self.app_components <= leaf.app_components:
            raise Invalid(Rule.APP_COMPONENTS_SUPPORT)
        if not self.safe_aad <= leaf.safe_aad:
            raise Invalid(Rule.SAFE_AAD_SUPPORT)
        for required in self.media_types:
            if not any(supported.accepts(required) for supported in leaf.media_types):
                raise Invalid(Rule.MEDIA_TYPES_SUPPORT)


NOTHING_REQUIRED = Negotiated(frozenset(), frozenset(), frozenset(), ())
"""Of a GroupContext without extensions."""


def supported_extensions(
    *,
    app_components: Iterable[int] = (),
    safe_aad: Iterable[int] = (),
    media_types: Sequence[MediaType] = (),
    wire_formats: Sequence[int] = (),
    data: Mapping[int, bytes] = MappingProxyType({}),
) -> tuple[Extension, ...]:
    """The extensions of a leaf that supports these components, those of the draft besides; `data` is further
    data of components. Their types belong in the leaf's capabilities (§5)."""
    defined = {APP_COMPONENTS, SAFE_AAD, *((CONTENT_MEDIA_TYPES,) if media_types else ())}
    lists = {APP_COMPONENTS: _list({*app_components, *defined}), SAFE_AAD: _list(safe_aad)}
    return _extensions(lists, media_types, data, SUPPORTED_WIRE_FORMATS, wire_formats)


def required_extensions(
    *,
    app_components: Iterable[int] = (),
    safe_aad: Iterable[int] | None = None,
    media_types: Sequence[MediaType] = (),
    wire_formats: Sequence[int] = (),
    data: Mapping[int, bytes] = MappingProxyType({}),
) -> tuple[Extension, ...]:
    """The extensions of a GroupContext that requires these of every member; `data` is further data of
    components. The group uses SafeAAD where `safe_aad` is given, even empty (§4.9)."""
    lists = {APP_COMPONENTS: _list(app_components)}
    if safe_aad is not None:
        lists[SAFE_AAD] = _list(safe_aad)
    return _extensions(lists, media_types, data, REQUIRED_WIRE_FORMATS, wire_formats)


def check_wire_format(context_extensions: Iterable[Extension], wire_format: int) -> None:
    """Raises `Invalid` for a non-default wire format that the group does not require (C-2)."""
    if wire_format not in DEFAULT_WIRE_FORMATS:
        data = find_extension(context_extensions, REQUIRED_WIRE_FORMATS)
        if data is None or wire_format not in WireFormats.decode(data).wire_formats:
            raise Invalid(Rule.WIRE_FORMAT)


def _list(component_ids: Iterable[int]) -> bytes:
    return ComponentsList(tuple(sorted(set(component_ids)))).encode()


def _extensions(
    components: Mapping[int, bytes],
    media_types: Sequence[MediaType],
    data: Mapping[int, bytes],
    wire_formats_type: int,
    wire_formats: Sequence[int],
) -> tuple[Extension, ...]:
    listed = {CONTENT_MEDIA_TYPES: MediaTypeList(tuple(media_types)).encode()} if media_types else {}
    dictionary = AppDataDictionary.of({**data, **components, **listed})
    extensions = [Extension(APP_DATA_DICTIONARY, dictionary.encode())]
    if wire_formats:
        extensions.append(Extension(wire_formats_type, WireFormats(tuple(wire_formats)).encode()))
    return tuple(extensions)


def _component_ids(data: bytes | None) -> frozenset[int]:
    return frozenset(ComponentsList.decode(data).component_ids if data is not None else ())
