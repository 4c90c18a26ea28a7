"""Strict msgpack for what is not an MLS structure (PROTOCOL 7): bounded, canonical, and plain values only.

Canonical means that packing the decoded value again gives the same bytes: there is one encoding of a
value, so nobody can give one record two ids, and repeated map keys are refused with the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgpack

from starling.protocol.errors import DecodeError, UsageError

MAX_DEPTH = 16

_LEAST_INT = -(2**63)
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
        if kind is int and not _LEAST_INT <= value <= _MOST_INT:
            raise UsageError("integer of more than 64 bits")
    elif depth == 0:
        raise UsageError("value is nested too deeply")
    elif kind is dict:
        for key, item in value.items():
            if type(key) is not str:
                raise UsageError("map keys are text")
            _check_packable(item, depth - 1)
    elif kind is list or kind is tuple:
        for item in value:
            _check_packable(item, depth - 1)
    else:
        raise UsageError(f"{kind.__name__} cannot be packed")


_SCALARS = frozenset({bool, int, str, bytes, type(None)})


def _check_decoded(value: Any, depth: int) -> None:
    kind = type(value)
    if kind in _SCALARS:
        return
    if depth == 0:
        raise DecodeError("msgpack is nested too deeply")
    if kind is dict:
        items: Iterator[Any] = iter(value.values())
        if not all(type(key) is str for key in value):
            raise DecodeError("map keys are text")
    elif kind is list:
        items = iter(value)
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
    if isinstance(pattern, type):
        return pattern is object or type(value) is pattern
    if pattern is None:
        return value is None
    match pattern:
        case Blob(most, least):
            return type(value) is bytes and least <= len(value) <= most
        case Text(most, least):
            return type(value) is str and least <= len(value) <= most
        case Uint(most):
            return type(value) is int and 0 <= value <= most
        case Many(item, most, least):
            return type(value) is list and least <= len(value) <= most and all(_fits(x, item) for x in value)
        case Either():
            return any(_fits(value, choice) for choice in pattern.patterns)
        case str():
            return type(value) is str and value == pattern
        case [item] if isinstance(pattern, list):
            return type(value) is list and all(_fits(x, item) for x in value)
        case tuple():
            return (
                type(value) is list
                and len(value) == len(pattern)
                and all(_fits(x, p) for x, p in zip(value, pattern, strict=True))
            )
        case dict():
            return (
                type(value) is dict
                and value.keys() == pattern.keys()
                and all(_fits(value[key], p) for key, p in pattern.items())
            )
    raise UsageError("unknown pattern")
