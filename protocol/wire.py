"""The presentation language of TLS and MLS (RFC 9420 §2.1, RFC 8446 §3) as annotated fields.

A structure is a frozen dataclass under `Struct`; the codec comes from the annotations, composed once a class:

    @dataclass(frozen=True, slots=True)
    class Example(Struct):
        version: uint16                       # uint8 uint16 uint32 uint64
        name: opaque                          # opaque<V>
        tag: Annotated[bytes, Fixed(4)]       # opaque[4]
        ids: Vector[uint32]                   # uint32<V>, a tuple
        parent: Other | None                  # optional<Other>
        inner: Other                          # a nested struct
        source: uint8
        lifetime: Annotated[Lifetime | None, When("source", 1)]        # where source == 1, else None
        hash: Annotated[bytes | None, When("source", 3, of=opaque)]    # `of` where it is no Struct

    Example(...).encode() -> bytes
    Example.decode(data) -> Example           # strict: DecodeError for a cut, trailing bytes or a bad length

A select over classes is a table:

    Proposal = Select(uint16, {1: Add, 2: Update, ...}, tag="proposal_type")

where every class has the class variable named by `tag`. Use `Annotated[Add | Update, Proposal]` as a field
type, or `Proposal.encode(value)` and `Proposal.decode(data)` alone. A tag that is not in the table is
`Unsupported`, since its body has no known length, or `DecodeError` with `extensible=False`.
`Select.register` adds an alternative.

A structure whose wire form is hashed, signed or passed on derives from `Remembered`: what was decoded is not
encoded again.

A class with an unusual layout overrides `write(self, out)` and `read(cls, reader)`.
"""

from __future__ import annotations

import dataclasses
import struct
import types
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Self, TypeAlias, TypeVar

from starling.protocol.errors import DecodeError, Unsupported, UsageError

T = TypeVar("T")


class Reader:
    """A cursor over bytes; every read checks the bounds and raises `DecodeError`."""

    __slots__ = ("data", "end", "position")

    def __init__(self, data: bytes, position: int = 0, end: int | None = None) -> None:
        self.data = data
        self.position = position
        self.end = len(data) if end is None else end

    def take(self, size: int) -> bytes:
        start = self.position
        stop = start + size
        if stop > self.end:
            raise DecodeError("cut short")
        self.position = stop
        return self.data[start:stop]

    def uint(self, size: int) -> int:
        return int.from_bytes(self.take(size))

    def uint8(self) -> int:
        position = self.position
        if position >= self.end:
            raise DecodeError("cut short")
        self.position = position + 1
        return self.data[position]

    def length(self) -> int:
        """A variable-size length header, minimal (RFC 9420 §2.1.2), and no longer than what is left."""
        position = self.position
        if position >= self.end:
            raise DecodeError("cut short")
        first = self.data[position]
        prefix = first >> 6
        if prefix == 0:
            self.position = position + 1
            value = first
        elif prefix == 1:
            value = self.uint(2) & 0x3FFF
            if value < 0x40:
                raise DecodeError("a length is not minimal")
        elif prefix == 2:
            value = self.uint(4) & 0x3FFFFFFF
            if value < 0x4000:
                raise DecodeError("a length is not minimal")
        else:
            raise DecodeError("a length header is invalid")
        if value > self.end - self.position:
            raise DecodeError("a length is beyond the end")
        return value

    def opaque(self) -> bytes:
        data, start = self.data, self.position + 1
        if start <= self.end:  # a length of one byte, in line since nearly all fields are short
            size = data[start - 1]
            if size < 0x40:
                stop = start + size
                if stop > self.end:
                    raise DecodeError("a length is beyond the end")
                self.position = stop
                return data[start:stop]
        return self.take(self.length())

    @property
    def left(self) -> int:
        return self.end - self.position

    def rest(self) -> bytes:
        return self.take(self.left)

    def finish(self) -> None:
        if self.position != self.end:
            raise DecodeError("trailing bytes")


def encode_length(length: int) -> bytes:
    """The minimal header of a variable-size vector of this many bytes (RFC 9420 §2.1.2)."""
    if length < 0x40:
        return length.to_bytes(1)
    if length < 0x4000:
        return (length | 0x4000).to_bytes(2)
    if length < 0x40000000:
        return (length | 0x80000000).to_bytes(4)
    raise UsageError("a vector is longer than 2^30 - 1 bytes")


def encode_opaque(value: bytes) -> bytes:
    """opaque<V>: V(x) of the protocol texts."""
    size = len(value)
    return (_SHORT_LENGTHS[size] if size < 0x40 else encode_length(size)) + value


_SHORT_LENGTHS = tuple(bytes((size,)) for size in range(0x40))


Write = Callable[[Any, bytearray], None]
Read = Callable[[Reader], Any]
ReadAlike = Callable[[bytes], tuple[Any, ...] | None]


class Codec:
    """How one field type is written and read; `read_alike` is a quick way to read a vector of them."""

    __slots__ = ("read", "read_alike", "write")

    def __init__(self, write: Write, read: Read, read_alike: ReadAlike | None = None) -> None:
        self.write = write
        self.read = read
        self.read_alike = read_alike


class Uint:
    """An unsigned integer of `size` bytes, big-endian."""

    def __init__(self, size: int) -> None:
        self.size = size

    def codec(self) -> Codec:
        size = self.size

        def write(value: int, out: bytearray) -> None:
            out += value.to_bytes(size)

        def read(reader: Reader) -> int:
            start = reader.position
            stop = start + size
            if stop > reader.end:
                raise DecodeError("cut short")
            reader.position = stop
            return int.from_bytes(reader.data[start:stop])

        return Codec(write, read)


class Opaque:
    """opaque<V>."""

    def codec(self) -> Codec:
        def write(value: bytes, out: bytearray) -> None:
            out += encode_length(len(value))
            out += value

        return Codec(write, Reader.opaque)


class Fixed:
    """opaque[size]."""

    def __init__(self, size: int) -> None:
        self.size = size

    def codec(self) -> Codec:
        size = self.size

        def write(value: bytes, out: bytearray) -> None:
            if len(value) != size:
                raise UsageError(f"a field has {size} bytes")
            out += value

        return Codec(write, lambda reader: reader.take(size))


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


class _VectorMark:
    pass


if typing.TYPE_CHECKING:
    Vector: TypeAlias = tuple[T, ...]  # for type checkers a vector is a tuple
else:

    class Vector:
        """`Vector[X]` is X<V>: a tuple, preceded by its length in bytes."""

        def __class_getitem__(cls, item: Any) -> Any:
            return Annotated[tuple[item, ...], _VectorMark()]


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
            if isinstance(mark, _VectorMark):
                item = typing.get_args(base)[0]
                size = _uint_size(item)
                if size is not None:
                    return _uint_vector(size)
                return _vector(_codec_of(item))
            if isinstance(mark, Uint | Opaque | Fixed | Select):
                return mark.codec()
        return _codec_of(base)
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        inner = [arg for arg in typing.get_args(annotation) if arg is not type(None)]
        if len(inner) == 1 and len(typing.get_args(annotation)) == 2:
            return _optional(_codec_of(inner[0]))
    if isinstance(annotation, type) and issubclass(annotation, Struct):
        if annotation.read.__func__ is Struct.read.__func__:  # type: ignore[attr-defined]  # typed as a callable; it is a class method
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


def _uint_vector(size: int) -> Codec:
    letter = {1: "B", 2: "H", 4: "I", 8: "Q"}[size]
    unpack = struct.Struct(f">{letter}").iter_unpack

    def write(values: tuple[int, ...], out: bytearray) -> None:
        out += encode_length(size * len(values))
        out += struct.pack(f">{len(values)}{letter}", *values)

    def read(reader: Reader) -> tuple[int, ...]:
        body = reader.opaque()
        if len(body) % size:
            raise DecodeError("cut short")
        return tuple([item for (item,) in unpack(body)])  # a list is twice as quick here

    return Codec(write, read)


def _vector(item: Codec) -> Codec:
    write_item, read_item, read_alike = item.write, item.read, item.read_alike

    def write(values: tuple[Any, ...], out: bytearray) -> None:
        body = bytearray()
        for value in values:
            write_item(value, body)
        out += encode_length(len(body))
        out += body

    def read(reader: Reader) -> tuple[Any, ...]:
        length = reader.length()
        end, stop = reader.end, reader.position + length
        if read_alike is not None and length > _MANY:
            alike = read_alike(reader.data[reader.position : stop])
            if alike is not None:
                reader.position = stop
                return alike
        reader.end = stop
        values = []
        while (before := reader.position) < stop:
            values.append(read_item(reader))
            if reader.position == before:
                raise DecodeError("a vector of empty items")
        reader.end = end
        return tuple(values)

    return Codec(write, read)


def _optional(item: Codec) -> Codec:
    write_item, read_item = item.write, item.read

    def write(value: Any, out: bytearray) -> None:
        if value is None:
            out.append(0)
        else:
            out.append(1)
            write_item(value, out)

    def read(reader: Reader) -> Any:
        present = reader.uint8()
        if present == 0:
            return None
        if present == 1:
            return read_item(reader)
        raise DecodeError("an optional is neither present nor absent")

    return Codec(write, read)


def _struct_codec(cls: type[Struct]) -> Codec:
    """The codec of the fields as declared, composed once a class."""
    held = cls.__dict__.get("_codec")
    if held is None:
        held = cls._codec = _compose(cls)
    codec: Codec = held
    return codec


def _compose(cls: type[Struct]) -> Codec:
    hints = typing.get_type_hints(cls, include_extras=True)
    names = [item.name for item in dataclasses.fields(cls)]  # type: ignore[arg-type]  # subclasses are dataclasses
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


_MANY = 1000
"""From so many bytes on, looking whether the structures of a vector are alike is worth its time."""


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
        signed: Self = dataclasses.replace(self, **changed)  # type: ignore[type-var]  # subclasses are dataclasses
        signed._remember(self.before_signature() + encode_opaque(signature))
        return signed
