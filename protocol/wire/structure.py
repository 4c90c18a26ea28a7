"""Structures and tagged unions whose codec is composed of their annotations."""

from __future__ import annotations

import dataclasses
import inspect
import struct
import types
import typing
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self, TypeAlias, TypeVar

from starling.protocol.errors import DecodeError, Unsupported, UsageError
from starling.protocol.wire.codecs import (
    Codec,
    Fixed,
    Opaque,
    Read,
    ReadAlike,
    Uint,
    optional,
    uint_vector,
    vector,
)
from starling.protocol.wire.reader import Reader, encode_opaque

T = TypeVar("T")


class When:
    """A field that is there only where an earlier field has one of these values, else None."""

    def __init__(self, field: str, *values: int, of: Any = None) -> None:
        self.field = field
        self.values = frozenset(values)
        self.of = of


uint8 = Annotated[int, Uint(1)]
uint16 = Annotated[int, Uint(2)]
uint32 = Annotated[int, Uint(4)]
uint64 = Annotated[int, Uint(8)]
opaque = Annotated[bytes, Opaque()]


class VectorMark:
    """Says that an annotated tuple is a variable-size vector."""


if typing.TYPE_CHECKING:
    Vector: TypeAlias = tuple[T, ...]  # for type checkers a vector is a tuple
else:

    class Vector:
        """`Vector[X]` is X<V>: a tuple, preceded by its length in bytes."""

        def __class_getitem__(cls, item: Any) -> Any:
            return Annotated[tuple[item, ...], VectorMark()]


class Select:
    """A tagged union: a tag, then the structure that belongs to it."""

    def __init__(
        self, tag_type: Any, table: Mapping[int, type[Struct]], *, tag: str, extensible: bool = True
    ) -> None:
        self._tag_codec = _codec_of(tag_type)
        self._table = dict(table)
        self._tag = tag
        self._extensible = extensible

    def register(self, alternative: type[Struct]) -> None:
        """Add a class; its class variable named by the tag is its wire value."""
        self._table[getattr(alternative, self._tag)] = alternative

    def codec(self) -> Codec:
        return Codec(self.write, self.read)

    def write(self, value: Any, out: bytearray) -> None:
        self._tag_codec.write(getattr(value, self._tag), out)
        value.write(out)

    def read(self, reader: Reader) -> Any:
        tag = self._tag_codec.read(reader)
        alternative = self._table.get(tag)
        if alternative is None:
            refusal = Unsupported if self._extensible else DecodeError
            raise refusal(f"{self._tag} {tag:#06x} is not known")
        return alternative.read(reader)

    def encode(self, value: Any) -> bytes:
        out = bytearray()
        self.write(value, out)
        return bytes(out)

    def decode(self, data: bytes) -> Any:
        reader = Reader(data)
        value = self.read(reader)
        reader.finish()
        return value


def _codec_of(annotation: Any) -> Codec:
    if typing.get_origin(annotation) is Annotated:
        base, *marks = typing.get_args(annotation)
        for mark in marks:
            if isinstance(mark, VectorMark):
                item = typing.get_args(base)[0]
                size = _uint_size(item)
                if size is not None:
                    return uint_vector(size)
                return vector(_codec_of(item))
            if isinstance(mark, Uint | Opaque | Fixed | Select):
                return mark.codec()
        return _codec_of(base)
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        inner = [arg for arg in typing.get_args(annotation) if arg is not type(None)]
        if len(inner) == 1 and len(typing.get_args(annotation)) == 2:
            return optional(_codec_of(inner[0]))
    if isinstance(annotation, type) and issubclass(annotation, Struct):
        if inspect.getattr_static(annotation, "read") is inspect.getattr_static(Struct, "read"):
            composed = _struct_codec(annotation)
            return Codec(_write_struct, composed.read, composed.read_alike)
        return Codec(_write_struct, annotation.read)
    raise TypeError(f"no wire form for {annotation!r}")


def _uint_size(annotation: Any) -> int | None:
    if typing.get_origin(annotation) is Annotated:
        for mark in typing.get_args(annotation)[1:]:
            if isinstance(mark, Uint):
                return mark.size
    return None


def _write_struct(value: Struct, out: bytearray) -> None:
    value.write(out)


def _struct_codec(cls: type[Struct]) -> Codec:
    """The codec of the fields as declared, composed once a class."""
    held = cls.__dict__.get("_codec")
    if held is None:
        held = cls._codec = _compose(cls)
    codec: Codec = held
    return codec


def _compose(cls: type[Struct]) -> Codec:
    hints = typing.get_type_hints(cls, include_extras=True)
    names = [item.name for item in dataclasses.fields(cls)]
    codecs: list[Codec] = []
    conditions: list[tuple[int, frozenset[int]] | None] = []
    for name in names:
        annotation = hints[name]
        condition = None
        if typing.get_origin(annotation) is Annotated:
            base, *marks = typing.get_args(annotation)
            when = next((mark for mark in marks if isinstance(mark, When)), None)
            if when is not None:
                condition = (names.index(when.field), when.values)
                annotation = when.of or next(a for a in typing.get_args(base) if a is not type(None))
        codecs.append(_codec_of(annotation))
        conditions.append(condition)
    steps = tuple(zip(names, codecs, conditions, strict=True))
    reads = tuple(codec.read for codec in codecs)
    writes = tuple((name, codec.write, condition) for name, codec, condition in steps)

    def write(value: Struct, out: bytearray) -> None:
        name = ""
        try:
            for name, write_field, condition in writes:
                field = getattr(value, name)
                if condition is None or getattr(value, names[condition[0]]) in condition[1]:
                    write_field(field, out)
                elif field is not None:
                    raise UsageError(f"{cls.__name__}.{name} does not go with {names[condition[0]]}")
        except (OverflowError, AttributeError, TypeError, struct.error) as error:
            raise UsageError(f"{cls.__name__}.{name} has no wire form") from error

    read_all = _read_fields(cls, reads, conditions)
    if not reads or any(conditions) or any(read is not Reader.opaque for read in reads):
        return Codec(write, read_all)
    return Codec(write, read_all, _read_alike(cls, len(reads)))


def _read_fields(
    cls: type[Struct], reads: tuple[Read, ...], conditions: list[tuple[int, frozenset[int]] | None]
) -> Read:
    """Reads one field after the other without a loop, as one would write it by hand:

    cls((field_0 := read_0(reader)), (field_1 := read_1(reader) if field_0 in values_1 else None), ...)
    """
    names: dict[str, Any] = {"cls": cls}
    arguments = []
    for index, (read, condition) in enumerate(zip(reads, conditions, strict=True)):
        names[f"read_{index}"] = read
        argument = f"read_{index}(reader)"
        if condition is not None:
            names[f"values_{index}"] = condition[1]
            argument += f" if field_{condition[0]} in values_{index} else None"
        arguments.append(f"(field_{index} := {argument})")
    read_all: Read = eval(f"lambda reader: cls({', '.join(arguments)})", names)
    return read_all


def _read_alike(cls: type[Struct], count: int) -> ReadAlike:
    """Reads the body of a vector of structures of `count` opaque fields where all are short and as long as in
    the first structure, as in the thousand ciphertexts of an update path: whether the lengths stand in the
    same places all over takes one comparison a field. Gives None for any other body."""

    def read(body: bytes) -> tuple[Any, ...] | None:
        borders = [0]
        for _ in range(count):
            border = borders[-1]
            if border >= len(body) or body[border] >= 0x40:
                return None
            borders.append(border + 1 + body[border])
        stride = borders.pop()
        items, rest = divmod(len(body), stride)
        if rest or any(body[border::stride] != body[border : border + 1] * items for border in borders):
            return None
        places = range(0, len(body), stride)
        ends = [*borders[1:], stride]
        fields = [
            [body[place + border + 1 : place + end] for place in places]
            for border, end in zip(borders, ends, strict=True)
        ]
        return tuple(map(cls, *fields))

    return read


class Struct:
    """The base of wire structures; subclasses are frozen dataclasses."""

    __slots__ = ()
    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]
    _codec: ClassVar[Codec]

    def write(self, out: bytearray) -> None:
        """Append the wire form."""
        _struct_codec(type(self)).write(self, out)

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Read one from where the reader stands. After an error the reader is of no more use."""
        value: Self = _struct_codec(cls).read(reader)
        return value

    def encode(self) -> bytes:
        """The wire form."""
        out = bytearray()
        self.write(out)
        return bytes(out)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """The structure that `data` is, whole; raises `DecodeError` (or `Unsupported` for an unknown tag)."""
        reader = Reader(data)
        value = cls.read(reader)
        reader.finish()
        return value


class Remembered(Struct):
    """A structure that keeps its wire form once that is known: the bytes that it was read from, or that were
    written first. Decoding is strict, so both are the same."""

    __slots__ = ("_wire_form",)
    _wire_form: bytes

    def encode(self) -> bytes:
        try:
            return self._wire_form
        except AttributeError:
            out = bytearray()
            _struct_codec(type(self)).write(self, out)
            return self._remember(bytes(out))

    def write(self, out: bytearray) -> None:
        out += self.encode()

    @classmethod
    def read(cls, reader: Reader) -> Self:
        start = reader.position
        value: Self = _struct_codec(cls).read(reader)
        object.__setattr__(value, "_wire_form", reader.data[start : reader.position])
        return value

    def _remember(self, wire_form: bytes) -> bytes:
        object.__setattr__(self, "_wire_form", wire_form)
        return wire_form


class Signed(Remembered):
    """A structure whose last field is its signature."""

    __slots__ = ()
    signature: bytes

    def before_signature(self) -> bytes:
        """The wire form without the signature: what is signed starts with it."""
        encoded = self.encode()
        return encoded[: len(encoded) - len(encode_opaque(self.signature))]

    def with_signature(self, signature: bytes) -> Self:
        """The structure with another signature."""
        changed = {"signature": signature}
        signed = dataclasses.replace(self, **changed)
        signed._remember(self.before_signature() + encode_opaque(signature))
        return signed
