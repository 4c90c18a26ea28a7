"""Reading bytes with bounds, and the variable-size length headers (RFC 9420 §2.1.2)."""

from __future__ import annotations

from starling.protocol.errors import DecodeError, UsageError


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
