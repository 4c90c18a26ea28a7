"""How single fields, vectors and optional values are written and read."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from starling.protocol.errors import DecodeError, UsageError
from starling.protocol.wire.reader import Reader, encode_length

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


def uint_vector(size: int) -> Codec:
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


def vector(item: Codec) -> Codec:
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


def optional(item: Codec) -> Codec:
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


_MANY = 1000
"""From so many bytes on, looking whether the structures of a vector are alike is worth its time."""
