"""Frames: one encoding each, refused where anything is off (DESIGN, Between nodes)."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from starling.protocol.errors import DecodeError
from starling.protocol.exchange.frame import (
    MAX_FRAME,
    Announcement,
    CommitFrame,
    Frame,
    MessageFrame,
    decode_frame,
    frame_id,
)
from starling.protocol.packed import pack

FRAMES: list[Frame] = [
    CommitFrame(b"commit", b"statement", b"welcome"),
    CommitFrame(b"commit", b"statement"),
    MessageFrame(b"message"),
    Announcement(((b"g", b"e" * 32, 0),)),
    Announcement(((b"g", b"e", 7),) * 64),
]


@pytest.mark.parametrize("frame", FRAMES, ids=repr)
def test_what_is_encoded_is_decoded(frame: Frame) -> None:
    assert decode_frame(frame.encode()) == frame
    assert frame_id(frame.encode()) == hashlib.sha256(frame.encode()).digest()


@pytest.mark.parametrize(
    "value",
    [
        [2, 2, [b"message"]],
        [1, 9, [b"message"]],
        [1, 2, [b""]],
        [1, 2, ["message"]],
        [1, 2, [b"message", b"more"]],
        [1, 2, []],
        [1, 2],
        [1, 2, [b"message"], None],
        [1, 1, [b"commit", b"statement"]],
        [1, 1, [b"commit", b"s" * 257, b""]],
        [1, 1, [b"commit", b"", b""]],
        [1, 3, [[]]],
        [1, 3, [[[b"g", b"e", 0]] * 65]],
        [1, 3, [[[b"g", b"e", 2**32]]]],
        [1, 3, [[[b"g", b"e", True]]]],
        [1, 3, [[[b"g" * 65, b"e", 0]]]],
        [True, 2, [b"message"]],
        {"version": 1},
        None,
    ],
    ids=repr,
)
def test_anything_off_is_refused(value: object) -> None:
    with pytest.raises(DecodeError):
        decode_frame(pack(value))


def test_a_frame_has_at_most_a_mebibyte() -> None:
    overhead = len(MessageFrame(b"m" * (MAX_FRAME - 100)).encode()) - (MAX_FRAME - 100)
    whole = MessageFrame(b"m" * (MAX_FRAME - overhead)).encode()
    assert len(whole) == MAX_FRAME and decode_frame(whole)
    with pytest.raises(DecodeError):
        decode_frame(MessageFrame(b"m" * (MAX_FRAME - overhead + 1)).encode())


@given(st.binary(max_size=200))
def test_any_bytes_are_a_frame_or_refused(data: bytes) -> None:
    try:
        frame = decode_frame(data)
    except DecodeError:
        return
    assert frame.encode() == data


@given(st.sampled_from(FRAMES), st.data())
def test_a_changed_frame_is_refused_or_another(frame: Frame, data: st.DataObject) -> None:
    """There is one encoding of each frame, so nobody gives one frame two ids."""
    encoded = bytearray(frame.encode())
    place = data.draw(st.integers(0, len(encoded) - 1))
    encoded[place] ^= data.draw(st.integers(1, 255))
    try:
        assert decode_frame(bytes(encoded)) != frame
    except DecodeError:
        return
