"""Messages on a stream: each decodes to itself, and to nothing else (PROTOCOL 6, 7)."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from starling.protocol.errors import DecodeError
from starling.protocol.exchange import messages
from starling.protocol.exchange.member_messages import Frames, Want
from starling.protocol.exchange.message import Message
from starling.protocol.exchange.messages import attach, decode_message
from starling.protocol.packed import Blob, Either, Many, Text, Uint, pack, unpack

KINDS = sorted(messages._KINDS.values(), key=lambda kind: kind.kind)


def values(pattern: Any) -> st.SearchStrategy[Any]:
    """Whatever fits a pattern, small."""
    match pattern:
        case Blob(most, least):
            return st.binary(min_size=least, max_size=min(most, least + 40))
        case Text(most, least):
            return st.text(min_size=least, max_size=min(most, 8))
        case Uint(most):
            return st.integers(0, most)
        case Many(item, most, least):
            return st.lists(values(item), min_size=least, max_size=min(most, 3)).map(tuple)
        case tuple():
            return st.tuples(*map(values, pattern))
    if isinstance(pattern, Either):
        return st.one_of(*map(values, pattern.patterns))
    if pattern is None:
        return st.none()
    assert pattern is bool
    return st.booleans()


MESSAGES = st.one_of(*(st.builds(kind, *map(values, kind.patterns)) for kind in KINDS))


def test_every_message_has_a_pattern_for_each_field() -> None:
    assert len({kind.kind for kind in KINDS}) == len(KINDS) == 24
    for kind in KINDS:
        assert len(fields(kind)) == len(kind.patterns), kind


@given(MESSAGES, st.lists(st.binary(min_size=1, max_size=10), max_size=3))
def test_what_is_encoded_is_decoded(message: Message, frames: list[bytes]) -> None:
    assert decode_message(attach(message.encode(), frames)) == (message, tuple(frames))


@given(MESSAGES, st.data())
@settings(max_examples=300)
def test_one_wrong_byte_is_refused_or_says_something_else(message: Message, data: st.DataObject) -> None:
    encoded = bytearray(attach(message.encode(), []))
    place = data.draw(st.integers(0, len(encoded) - 1))
    encoded[place] ^= data.draw(st.integers(1, 255))
    try:
        assert decode_message(bytes(encoded)) != (message, ())
    except DecodeError:
        return


@given(MESSAGES, st.sampled_from([None, -1, 2**64 - 1, "", b"", b"x" * 9000, [], [[]], {}, True]), st.data())
@settings(max_examples=300)
def test_a_field_of_another_shape_is_refused(message: Message, wrong: object, data: st.DataObject) -> None:
    version, kind, content = unpack(message.encode(), max_bytes=2**20)
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] = wrong
    try:
        decoded, _ = decode_message(attach(pack([version, kind, content]), []))
    except DecodeError:
        return
    name = fields(decoded)[place].name
    assert list(getattr(decoded, name)) == [] if wrong == [] else getattr(decoded, name) == wrong


@given(st.binary(max_size=300))
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    try:
        message, frames = decode_message(data)
    except DecodeError:
        return
    assert attach(message.encode(), list(frames)) == data


@pytest.mark.parametrize(
    "body",
    [
        [2, 5, [b"u" * 32]],
        [1, 77, [b"u" * 32]],
        [1, 5, [b"u" * 31]],
        [1, 5, [1]],
        [1, 5, []],
        [1, 5, [b"u" * 32, None]],
        [1, 4, [b"u" * 32, [[b"g", [[b"e", 0, False]] * 17]]]],
        [1, 20, [b"u" * 32, "ticket.used", 1]],
        [1, 3, [b"u" * 32, b"d" * 32, [[b"g", b"e", 0, 0, True]] * 1025, False]],
        [1, 20, [b"u" * 32, "", True]],
        [1, 20, [b"u" * 32, "x" * 65, True]],
    ],
)
def test_what_is_off_is_refused(body: list[Any]) -> None:
    with pytest.raises(DecodeError):
        decode_message(attach(pack(body), []))


def test_too_many_frames_and_empty_ones_are_refused() -> None:
    body = Frames(b"u" * 32).encode()
    assert len(decode_message(attach(body, [b"f"] * 256))[1]) == 256
    for frames in ([b"f"] * 257, [b""], [b"f" * (1024 * 1024 + 1)]):
        with pytest.raises(DecodeError):
            decode_message(attach(body, frames))


def test_a_want_of_many_numbers_is_refused_before_they_are_looked_at() -> None:
    epochs = ((b"e" * 32, 0, ()),) * 16
    fits = Want(b"u" * 32, ((b"g" * 32, epochs),) * 256)
    assert decode_message(attach(fits.encode(), []))[0] == fits
    with pytest.raises(DecodeError, match="at most"):
        decode_message(attach(Want(b"u" * 32, ((b"g" * 32, epochs),) * 1024).encode(), []))
