"""Strict msgpack: what is packed comes back, everything else is DecodeError."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from starling.protocol.errors import DecodeError, UsageError
from starling.protocol.packed import Blob, Either, Many, Text, Uint, pack, shape, unpack

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.text(max_size=20)
    | st.binary(max_size=40)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
)


@given(VALUES)
def test_round_trip(value: Any) -> None:
    assert unpack(pack(value), max_bytes=100_000, max_depth=32) == value


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_canonical(data: bytes) -> None:
    try:
        value = unpack(data, max_bytes=1000)
    except DecodeError:
        return
    assert pack(value) == data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x01\x01",  # something follows
        b"\xcc\x01",  # one in two bytes
        b"\xcb" + bytes(8),  # a float
        b"\xca" + bytes(4),
        b"\xd6\xff" + bytes(4),  # a timestamp
        b"\xd4\x05\x00",  # an extension type
        b"\xc1",  # never used
        b"\xa1\xff",  # no UTF-8
        b"\x81\x01\x02",  # a key that is no text
        b"\x82\xa1a\x01\xa1a\x02",  # a key twice
        b"\x81\xc4\x01a\x02",  # a key of bytes
        b"\xdd\x7f\xff\xff\xff",  # a length beyond the end
        b"\xc6\x7f\xff\xff\xff",
        b"\x91" * 17 + b"\x01",  # too deep
        b"\x91" * 5000 + b"\x01",
        b"\x92\x01",  # cut short
    ],
)
def test_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        unpack(data, max_bytes=10_000)


def test_too_large() -> None:
    data = pack(b"x" * 100)
    assert unpack(data, max_bytes=len(data)) == b"x" * 100
    with pytest.raises(DecodeError):
        unpack(data, max_bytes=len(data) - 1)


@pytest.mark.parametrize("value", [1.5, 2**64, -(2**63) - 1, {1: 2}, {b"a": 1}, object(), {1, 2}, "\ud800"])
def test_cannot_be_packed(value: Any) -> None:
    with pytest.raises(UsageError):
        pack(value)


def test_too_deep_to_pack() -> None:
    value: Any = 1
    for _ in range(17):
        value = [value]
    with pytest.raises(UsageError):
        pack(value)


def test_a_tuple_is_a_list() -> None:
    assert msgpack.unpackb(pack((1, "a"))) == [1, "a"]


@pytest.mark.parametrize(
    ("value", "pattern"),
    [
        (1, int),
        (True, bool),
        (None, None),
        ("a", str),
        (["a", b"b", [1, 2]], (str, bytes, [int])),
        ({"a": 1, "b": []}, {"a": int, "b": [object]}),
        (b"abc", Blob(3)),
        (b"abc", Blob.of(3)),
        ("abc", Text(3, 1)),
        (7, Uint(7)),
        ([1], Many(int, 1)),
        (None, Either(None, bytes)),
        ("text", "text"),
        (["heads", 1], ("heads", int)),
    ],
)
def test_shape_fits(value: Any, pattern: Any) -> None:
    assert shape(value, pattern) is value


@pytest.mark.parametrize(
    ("value", "pattern"),
    [
        (True, int),
        (1, bool),
        (0, None),
        (["a"], (str, str)),
        (["a", "b", "c"], (str, str)),
        ("ab", (str, str)),
        ({"a": 1}, {"a": int, "b": int}),
        ({"a": 1, "b": 1}, {"a": int}),
        (b"abcd", Blob(3)),
        (b"ab", Blob.of(3)),
        ("abcd", Text(3)),
        ("", Text(3, 1)),
        (8, Uint(7)),
        (-1, Uint()),
        (True, Uint()),
        ([1, 2], Many(int, 1)),
        ([], Many(int, 1, 1)),
        ([1, "a"], [int]),
        ("x", Either(None, bytes)),
        ("other", "text"),
    ],
)
def test_shape_does_not_fit(value: Any, pattern: Any) -> None:
    with pytest.raises(DecodeError):
        shape(value, pattern)
