"""Strict msgpack for what is not an MLS structure (PROTOCOL 7): bounded, canonical, and plain values only.

Canonical means that packing the decoded value again gives the same bytes: there is one encoding of a
value, so nobody can give one record two ids, and repeated map keys are refused with the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import msgpack

from starling.protocol.errors import DecodeError, UsageError

MAX_DEPTH = 16

_MOST_INT = 2**64 - 1


def pack(value: Any) -> bytes:
    """Encode None, bool, int (64 bits), str, bytes, list, tuple and dict with str keys.

    Raises UsageError for anything else: floats and extension types have no place in a protocol.
    """
    _check_packable(value, MAX_DEPTH)
    try:
        packed: bytes = msgpack.packb(value, use_bin_type=True)
    except (ValueError, OverflowError, UnicodeEncodeError) as error:
        raise UsageError("value cannot be packed") from error
    return packed


def unpack(data: bytes, *, max_bytes: int, max_depth: int = MAX_DEPTH) -> Any:
    """Decode one value of at most `max_bytes` bytes, nested at most `max_depth` deep.

    Raises DecodeError for what is too large, too deep, not canonical, followed by other bytes, or holds
    floats, extension types or maps with keys other than str.
    """
    if len(data) > max_bytes:
        raise DecodeError(f"{len(data)} bytes where at most {max_bytes} are allowed")
    try:
        value = msgpack.unpackb(data, raw=False, use_list=True, strict_map_key=True, timestamp=0)
    except (ValueError, msgpack.exceptions.UnpackException, RecursionError) as error:
        # msgpack's own errors, broken UTF-8 and excessive nesting; some of them are ValueErrors only.
        raise DecodeError("malformed msgpack") from error
    _check_decoded(value, max_depth)
    if msgpack.packb(value, use_bin_type=True) != data:
        raise DecodeError("msgpack is not canonical")
    return value


def _check_packable(value: Any, depth: int) -> None:
    kind = type(value)
    if kind in _SCALARS:
        return
    if depth == 0:
        raise UsageError("value is nested too deeply")
    items: Iterable[Any] = value
    if kind is dict:
        if not all(type(key) is str for key in value):
            raise UsageError("map keys are text")
        items = value.values()
    elif kind is not list and kind is not tuple:
        raise UsageError(f"{kind.__name__} cannot be packed")
    for item in items:
        if type(item) not in _SCALARS:
            _check_packable(item, depth - 1)


_SCALARS = frozenset({bool, int, str, bytes, type(None)})


def _check_decoded(value: Any, depth: int) -> None:
    kind = type(value)
    if kind in _SCALARS:
        return
    if depth == 0:
        raise DecodeError("msgpack is nested too deeply")
    if kind is dict:
        items: Iterable[Any] = value.values()
        if not all(type(key) is str for key in value):
            raise DecodeError("map keys are text")
    elif kind is list:
        items = value
    else:
        raise DecodeError("msgpack holds a float, a time or an extension type")
    for item in items:
        if type(item) not in _SCALARS:
            _check_decoded(item, depth - 1)


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes of `least` to `most`."""

    most: int
    least: int = 0

    @classmethod
    def of(cls, length: int) -> Blob:
        """Bytes of exactly `length`."""
        return cls(length, length)


@dataclass(frozen=True, slots=True)
class Text:
    """Text of `least` to `most` characters."""

    most: int
    least: int = 0


@dataclass(frozen=True, slots=True)
class Uint:
    """An integer from 0 to `most`."""

    most: int = _MOST_INT


@dataclass(frozen=True, slots=True)
class Many:
    """A list of `least` to `most` items of one pattern."""

    item: Any
    most: int
    least: int = 0


@dataclass(frozen=True, slots=True, init=False)
class Either:
    """Any one of the patterns; the first that fits."""

    patterns: tuple[Any, ...]

    def __init__(self, *patterns: Any) -> None:
        object.__setattr__(self, "patterns", patterns)


def shape(value: Any, pattern: Any) -> Any:
    """Return `value` where it has the shape of `pattern`; else raise DecodeError.

    A pattern is a type (`int`, `str`, `bytes`, `bool`; `int` is no bool), None, `object` for anything, a
    literal str, `[p]` for a list of p, `(p, q)` for a list of exactly these, a dict for a map with exactly
    these keys, or one of Blob, Text, Uint, Many, Either.
    """
    if not _fits(value, pattern):
        raise DecodeError("value does not have the expected shape")
    return value


def _fits(value: Any, pattern: Any) -> bool:
    check = _CHECKS.get(type(pattern))
    if check is None:
        raise UsageError("unknown pattern")
    return check(value, pattern)


def _fits_type(value: Any, pattern: type) -> bool:
    return pattern is object or type(value) is pattern


def _fits_blob(value: Any, pattern: Blob) -> bool:
    return type(value) is bytes and pattern.least <= len(value) <= pattern.most


def _fits_text(value: Any, pattern: Text) -> bool:
    return type(value) is str and pattern.least <= len(value) <= pattern.most


def _fits_uint(value: Any, pattern: Uint) -> bool:
    return type(value) is int and 0 <= value <= pattern.most


def _fits_many(value: Any, pattern: Many) -> bool:
    if type(value) is not list or not pattern.least <= len(value) <= pattern.most:
        return False
    return all(_fits(item, pattern.item) for item in value)


def _fits_tuple(value: Any, pattern: tuple[Any, ...]) -> bool:
    if type(value) is not list or len(value) != len(pattern):
        return False
    return all(map(_fits, value, pattern))


def _fits_list(value: Any, pattern: list[Any]) -> bool:
    (item,) = pattern
    return type(value) is list and all(_fits(held, item) for held in value)


def _fits_dict(value: Any, pattern: dict[str, Any]) -> bool:
    if type(value) is not dict or value.keys() != pattern.keys():
        return False
    return all(_fits(value[key], item) for key, item in pattern.items())


_CHECKS: dict[type, Callable[[Any, Any], bool]] = {
    type: _fits_type,
    type(None): lambda value, pattern: value is None,
    str: lambda value, pattern: type(value) is str and value == pattern,
    Blob: _fits_blob,
    Text: _fits_text,
    Uint: _fits_uint,
    Many: _fits_many,
    Either: lambda value, pattern: any(_fits(value, choice) for choice in pattern.patterns),
    tuple: _fits_tuple,
    list: _fits_list,
    dict: _fits_dict,
}
"""By the kind of pattern: every message and row comes through here, and a chain of comparisons took twice as long."""
