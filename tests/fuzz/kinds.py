"""The wire structures of the protocol as a grammar, read from the annotations that make the codec.

A structure of unusual layout (one that overrides `write`) has its fields described here.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import pkgutil
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import starling.protocol
from starling.protocol.mls import message, proposal
from starling.protocol.mls.credential import BASIC, X509, Certificate, Credential
from starling.protocol.mls.framing import AuthenticatedContent, FramedContent, FramedContentAuthData
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.public_message import PublicMessage
from starling.protocol.wire import Fixed, Select, Struct, codecs, structure


@dataclass(frozen=True)
class Number:
    size: int
    values: tuple[int, ...] = ()
    """Those that mean something in this place."""


@dataclass(frozen=True)
class Opaque:
    size: int | None = None
    """Of a fixed size where it has one."""


@dataclass(frozen=True)
class Many:
    item: Kind


@dataclass(frozen=True)
class Optional:
    item: Kind


@dataclass(frozen=True)
class Choice:
    """A tagged union: the structures by tag."""

    tag: Number
    table: tuple[tuple[int, Structure], ...]

    def tag_of(self, value: Any) -> int:
        return next(tag for tag, structure in self.table if structure.cls is type(value))


@dataclass(frozen=True)
class Structure:
    cls: type[Any]


Kind = Number | Opaque | Many | Optional | Choice | Structure


@dataclass(frozen=True)
class Field:
    """A field on the wire; `when` is the field that decides whether it is there, with its values."""

    name: str
    kind: Kind
    when: tuple[str, frozenset[int]] | None = None


_VALUES: dict[str, tuple[int, ...]] = {
    "version": (1,),
    "cipher_suite": (1, 2, 3, 4, 5, 6, 7, 83),
    "content_type": (1, 2, 3),
    "sender_type": (1, 2, 3, 4),
    "credential_type": (1, 2),
    "extension_type": (1, 2, 3, 4, 5, 6, 7, 8),
    "leaf_node_source": (1, 2, 3),
    "op": (1, 2),
    "psktype": (1, 2, 3),
    "usage": (1, 2, 3),
    "type": (1, 2),
    "kind": (1, 2, 4, 5, 6, 7),
    "wire_format": (1, 2),
    "retained": (0, 1),
}
"""Meaningful values by the name of the field."""


def kind_of(annotation: Any, name: str = "") -> Kind:
    """The grammar of one field type, by the rules of the codec."""
    if typing.get_origin(annotation) is Annotated:
        base, *marks = typing.get_args(annotation)
        for mark in marks:
            match mark:
                case structure.VectorMark():
                    return Many(kind_of(typing.get_args(base)[0]))
                case codecs.Uint():
                    return Number(mark.size, _VALUES.get(name, ()))
                case codecs.Opaque():
                    return Opaque()
                case Fixed():
                    return Opaque(mark.size)
                case Select():
                    return choice_of(mark)
        return kind_of(base, name)
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        (inner,) = (arg for arg in typing.get_args(annotation) if arg is not type(None))
        return Optional(kind_of(inner))
    if isinstance(annotation, type) and issubclass(annotation, Struct):
        return Structure(annotation)
    raise TypeError(f"no grammar for {annotation!r}")


def choice_of(select: Select) -> Choice:
    table = tuple((tag, Structure(cls)) for tag, cls in sorted(select._table.items()))
    tag = bytearray()
    select._tag_codec.write(0, tag)
    return Choice(Number(len(tag), tuple(tag for tag, _ in table)), table)


@functools.cache
def annotated_fields(cls: Any) -> tuple[Field, ...]:
    hints = typing.get_type_hints(cls, include_extras=True)
    found = []
    for item in dataclasses.fields(cls):
        annotation = hints[item.name]
        condition = None
        if typing.get_origin(annotation) is Annotated:
            base, *marks = typing.get_args(annotation)
            when = next((mark for mark in marks if isinstance(mark, structure.When)), None)
            if when is not None:
                condition = (when.field, when.values)
                annotation = when.of or next(a for a in typing.get_args(base) if a is not type(None))
        found.append(Field(item.name, kind_of(annotation, item.name), condition))
    return tuple(found)


_OPAQUE = Opaque()


def _credential(value: Credential) -> tuple[Field, ...]:
    kinds: dict[int, tuple[str, Kind]] = {
        BASIC: ("identity", _OPAQUE),
        X509: ("certificates", Many(Structure(Certificate))),
    }
    name, kind = kinds.get(value.credential_type, ("opaque_data", _OPAQUE))
    return Field("credential_type", Number(2, _VALUES["credential_type"])), Field(name, kind)


def _auth(value: FramedContentAuthData) -> tuple[Field, ...]:
    tag = (Field("confirmation_tag", _OPAQUE),) if value.confirmation_tag is not None else ()
    return Field("signature", _OPAQUE), *tag


def _authenticated(value: AuthenticatedContent) -> tuple[Field, ...]:
    return (
        Field("wire_format", Number(2, _VALUES["wire_format"])),
        Field("content", Structure(FramedContent)),
        Field("auth", Structure(FramedContentAuthData)),
    )


def _public(value: PublicMessage) -> tuple[Field, ...]:
    tag = (Field("membership_tag", _OPAQUE),) if value.membership_tag is not None else ()
    return Field("content", Structure(FramedContent)), Field("auth", Structure(FramedContentAuthData)), *tag


def _message(value: MLSMessage) -> tuple[Field, ...]:
    return Field("wire_format", Number(2)), Field("body", Structure(type(value.body)))


UNUSUAL: dict[type[Any], Callable[[Any], tuple[Field, ...]]] = {
    Credential: _credential,
    FramedContentAuthData: _auth,
    AuthenticatedContent: _authenticated,
    PublicMessage: _public,
    MLSMessage: _message,
}
"""The fields of a value whose class has an unusual layout."""

for _module in pkgutil.walk_packages(starling.protocol.__path__, "starling.protocol."):
    importlib.import_module(_module.name)  # all structures are defined, and all private proposals registered

BODIES = tuple(message._BODIES.values())
PROPOSALS = choice_of(proposal.PROPOSALS)


def fields_of(value: Any) -> tuple[Field, ...]:
    """The fields that may be on the wire of this value, in their order."""
    unusual = UNUSUAL.get(type(value))
    cls: Any = type(value)
    return unusual(value) if unusual is not None else annotated_fields(cls)


def present(value: Any, field: Field) -> bool:
    """Whether this value has that field on the wire."""
    return field.when is None or getattr(value, field.when[0]) in field.when[1]


def structures() -> tuple[type[Any], ...]:
    """Every structure of the protocol that stands for itself, in order of name."""
    found: set[type[Any]] = set()
    waiting: list[type[Any]] = [Struct]
    while waiting:
        below = waiting.pop().__subclasses__()
        waiting += below
        # `slots=True` makes a class anew; the first one, which is no dataclass, goes on being listed.
        found.update(cls for cls in below if _is_whole(cls))
    return tuple(sorted(found, key=lambda cls: (cls.__module__, cls.__qualname__)))


def _is_whole(cls: type[Any]) -> bool:
    module = (
        importlib.import_module(cls.__module__) if cls.__module__.startswith("starling.protocol") else None
    )
    return module is not None and getattr(module, cls.__name__, None) is cls and dataclasses.is_dataclass(cls)
