"""Content advertisement: which media types members can receive, and what a message carries (extensions draft
§6.2)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from starling.protocol.errors import DecodeError, Invalid
from starling.protocol.mls.components import CONTENT_MEDIA_TYPES, read_component
from starling.protocol.mls.extension import Extension
from starling.protocol.mls.rules import Rule
from starling.protocol.wire import Struct, Vector, opaque


@dataclass(frozen=True, slots=True)
class Parameter(Struct):
    """A parameter of a media type; its value without quotation marks and backslashes."""

    parameter_name: opaque
    parameter_value: opaque


@dataclass(frozen=True, slots=True)
class MediaType(Struct):
    """An IANA media type such as `text/plain`, with its parameters."""

    type: opaque
    parameters: Vector[Parameter] = ()

    def accepts(self, other: MediaType) -> bool:
        """Whether who receives this type receives the other: the same, or here without parameters."""
        same_type = self.type.lower() == other.type.lower()
        return same_type and self.parameters in ((), other.parameters)


@dataclass(frozen=True, slots=True)
class MediaTypeList(Struct):
    """The data of the component content_media_types; in a GroupContext what everybody must be able to receive."""

    media_type_list: Vector[MediaType]

    def check(self) -> None:
        """Raises `Invalid` for an empty list."""
        if not self.media_type_list:
            raise Invalid(Rule.MEDIA_TYPES_EMPTY)


@dataclass(frozen=True, slots=True)
class ApplicationFraming(Struct):
    """The application_data of a group with required media types; an empty type stands for the first of them."""

    media_type: MediaType
    inner_application_content: opaque = field(repr=False)


def read_media_types(extensions: Iterable[Extension]) -> tuple[MediaType, ...]:
    """The media types in the dictionary of a leaf or GroupContext, none where it lists none. Raises
    `DecodeError` or `Invalid`."""
    data = read_component(extensions, CONTENT_MEDIA_TYPES)
    if data is None:
        return ()
    listed = MediaTypeList.decode(data)
    listed.check()
    return listed.media_type_list


def read_application_framing(
    application_data: bytes, media_types: tuple[MediaType, ...]
) -> tuple[MediaType, bytes]:
    """The media type and content of a message, where the GroupContext has `media_types`. Raises `Invalid`
    for anything else but ApplicationFraming."""
    try:
        framing = ApplicationFraming.decode(application_data)
    except DecodeError:
        raise Invalid(Rule.APPLICATION_FRAMING) from None
    media_type = framing.media_type if framing.media_type.type else media_types[0]
    return media_type, framing.inner_application_content
