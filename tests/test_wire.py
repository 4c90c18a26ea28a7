"""The presentation language: every field type round trips, and anything malformed is a DecodeError."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.vectors import load_vectors

from starling.protocol.errors import DecodeError, Unsupported, UsageError
from starling.protocol.wire import (
    Fixed,
    Reader,
    Remembered,
    Select,
    Struct,
    Vector,
    When,
    encode_length,
    encode_opaque,
    opaque,
    uint8,
    uint16,
    uint32,
    uint64,
)


@dataclass(frozen=True, slots=True)
class Inner(Struct):
    number: uint64


@dataclass(frozen=True, slots=True)
class Example(Struct):
    version: uint16
    name: opaque
    tag: Annotated[bytes, Fixed(4)]
    ids: Vector[uint32]
    names: Vector[opaque]
    parent: Inner | None
    inner: Inner
    source: uint8
    lifetime: Annotated[Inner | None, When("source", 1)]
    hash: Annotated[bytes | None, When("source", 2, 3, of=opaque)]


@dataclass(frozen=True, slots=True)
class Red(Struct):
    colour: ClassVar[int] = 1
    depth: uint8


@dataclass(frozen=True, slots=True)
class Blue(Struct):
    colour: ClassVar[int] = 2
    name: opaque


@dataclass(frozen=True, slots=True)
class Green(Struct):
    colour: ClassVar[int] = 3


@dataclass(frozen=True, slots=True)
class Empty(Struct):
    pass


@dataclass(frozen=True, slots=True)
class Empties(Struct):
    items: Vector[Empty]


COLOUR = Select(uint16, {1: Red, 2: Blue}, tag="colour")
CLOSED = Select(uint8, {1: Red, 2: Blue}, tag="colour", extensible=False)


@dataclass(frozen=True, slots=True)
class Painted(Struct):
    colours: Vector[Annotated[Red | Blue, COLOUR]]


def example(
    source: int = 0, lifetime: Inner | None = None, digest: bytes | None = None, name: bytes = b"starling"
) -> Example:
    return Example(
        1, name, b"four", (1, 2, 2**32 - 1), (b"", b"x"), Inner(5), Inner(6), source, lifetime, digest
    )


examples = st.builds(
    Example,
    st.integers(0, 2**16 - 1),
    st.binary(max_size=200),
    st.binary(min_size=4, max_size=4),
    st.lists(st.integers(0, 2**32 - 1)).map(tuple),
    st.lists(st.binary(max_size=80)).map(tuple),
    st.none() | st.builds(Inner, st.integers(0, 2**64 - 1)),
    st.builds(Inner, st.integers(0, 2**64 - 1)),
    st.just(0),
    st.none(),
    st.none(),
)


def test_the_exact_bytes() -> None:
    encoded = example(3, digest=b"hh").encode()
    assert encoded == bytes.fromhex(
        "0001"  # version
        "08737461726c696e67"  # name
        "666f7572"  # tag, no length
        "0c0000000100000002ffffffff"  # ids
        "03000178"  # names
        "010000000000000005"  # parent, present
        "0000000000000006"  # inner
        "03026868"  # source, hash
    )


@given(examples)
def test_round_trip(value: Example) -> None:
    assert Example.decode(value.encode()) == value


@pytest.mark.parametrize(
    "value", [example(), example(1, Inner(9)), example(2, digest=b""), example(3, digest=b"h")]
)
def test_a_field_is_there_where_its_selector_says_so(value: Example) -> None:
    assert Example.decode(value.encode()) == value


@given(examples, st.data())
def test_every_cut_and_every_surplus_is_refused(value: Example, data: st.DataObject) -> None:
    encoded = value.encode()
    cut = data.draw(st.integers(0, len(encoded) - 1))
    with pytest.raises(DecodeError):
        Example.decode(encoded[:cut])
    with pytest.raises(DecodeError):
        Example.decode(encoded + b"\0")


@given(st.binary(max_size=300))
def test_any_bytes_decode_or_raise_a_decode_error(data: bytes) -> None:
    try:
        value = Example.decode(data)
    except DecodeError:
        return
    assert value.encode() == data


def test_length_headers() -> None:
    """RFC 9420 §2.1.2: minimal, and 0b11 is invalid."""
    for vector in load_vectors("mls/deserialization.json"):
        header = bytes.fromhex(vector["vlbytes_header"])
        assert encode_length(vector["length"]) == header
        # The body is stood in for by an end far away: a header does not read it.
        assert Reader(header, 0, len(header) + vector["length"]).length() == vector["length"]


@pytest.mark.parametrize("header", ["4001", "403f", "80000001", "80003fff", "c000000000000000", "ff"])
def test_a_length_that_is_not_minimal_or_is_invalid_is_refused(header: str) -> None:
    with pytest.raises(DecodeError):
        Reader(bytes.fromhex(header) + bytes(0x4000)).length()


@pytest.mark.parametrize("size", [0, 1, 0x3F, 0x40, 0x3FFF, 0x4000])
def test_opaque_at_the_borders_of_the_header(size: int) -> None:
    value = example(name=bytes(size))
    assert Example.decode(value.encode()).name == bytes(size)
    assert encode_opaque(bytes(size)) == encode_length(size) + bytes(size)


def test_a_length_beyond_the_end_is_refused_before_anything_is_read() -> None:
    for data in ("05", "3f00", "7fff00", "bfffffff00"):
        with pytest.raises(DecodeError):
            Reader(bytes.fromhex(data)).opaque()


def test_a_vector_ends_where_its_length_says() -> None:
    # Six bytes are one and a half uint32; an item must not read past the vector into the next field.
    with pytest.raises(DecodeError):
        Reader(bytes.fromhex("0300000001")).take(6)
    body = bytearray(example().encode())
    at = body.index(0x0C)
    body[at] = 0x0A
    with pytest.raises(DecodeError):
        Example.decode(bytes(body))


def test_an_optional_is_0_or_1() -> None:
    data = example().encode().replace(b"\x01" + Inner(5).encode(), b"\x02" + Inner(5).encode())
    with pytest.raises(DecodeError):
        Example.decode(data)


def test_a_vector_of_empty_items_does_not_loop() -> None:
    with pytest.raises(DecodeError):
        Empties.decode(b"\x01\x00")


def test_a_select_writes_its_tag() -> None:
    painted = Painted((Red(7), Blue(b"sky")))
    assert painted.encode() == bytes.fromhex("09000107000203736b79")
    assert Painted.decode(painted.encode()) == painted
    assert COLOUR.decode(COLOUR.encode(Red(1))) == Red(1)


def test_an_unknown_tag() -> None:
    with pytest.raises(Unsupported):
        COLOUR.decode(b"\x00\x03")
    with pytest.raises(DecodeError):
        CLOSED.decode(b"\x03")
    with pytest.raises(DecodeError):
        COLOUR.decode(COLOUR.encode(Red(1)) + b"\0")


def test_an_alternative_can_be_registered() -> None:
    colours = Select(uint16, {1: Red}, tag="colour")
    colours.register(Green)
    assert colours.decode(colours.encode(Green())) == Green()


NO_NUMBER: Any = "one"
NO_BYTES: Any = None
"""What a caller without a type checker could hand over."""


@pytest.mark.parametrize(
    "value",
    [
        Inner(2**64),
        Inner(-1),
        Inner(NO_NUMBER),
        Example(1, b"", b"five5", (), (), None, Inner(1), 0, None, None),
        Example(1, b"", b"four", (2**32,), (), None, Inner(1), 0, None, None),
        example(0, Inner(1)),
        example(1, None),
    ],
)
def test_what_has_no_wire_form_is_the_callers_fault(value: Struct) -> None:
    with pytest.raises(UsageError):
        value.encode()


def test_an_annotation_without_a_wire_form_is_found_at_once() -> None:
    @dataclass(frozen=True, slots=True)
    class Odd(Struct):
        text: str

    with pytest.raises(TypeError):
        Odd.decode(b"")


@dataclass(frozen=True, slots=True)
class _Pair(Struct):
    first: opaque
    second: opaque


@dataclass(frozen=True, slots=True)
class _Pairs(Struct):
    pairs: Vector[_Pair]


@dataclass(frozen=True, slots=True)
class _RememberedPair(Remembered):
    first: opaque
    second: opaque


@given(st.lists(st.tuples(st.binary(max_size=70), st.binary(max_size=70)), max_size=5), st.booleans())
def test_a_vector_of_alike_structures_is_read_as_any_other(
    items: list[tuple[bytes, bytes]], alike: bool
) -> None:
    if alike and items:
        sizes = [len(field) for field in items[0]]
        items = [(a.ljust(sizes[0])[: sizes[0]], b.ljust(sizes[1])[: sizes[1]]) for a, b in items]
    value = _Pairs(40 * tuple(_Pair(*item) for item in items))
    assert _Pairs.decode(value.encode()) == value


@pytest.mark.parametrize("rest", ["0161", "016161", "03610162", "41", "80"])
def test_a_vector_of_alike_structures_is_not_cut(rest: str) -> None:
    whole = bytes.fromhex(300 * "01610162")
    assert _Pairs.decode(encode_opaque(whole)) == _Pairs(300 * (_Pair(b"a", b"b"),))
    with pytest.raises(DecodeError):
        _Pairs.decode(encode_opaque(whole + bytes.fromhex(rest)))


def test_a_structure_remembers_what_it_was_read_from() -> None:
    data = _RememberedPair(b"a", b"b").encode()
    read = _RememberedPair.decode(data)
    assert read == _RememberedPair(b"a", b"b")
    assert read.encode() is read.encode()
    assert read.encode() == data
    # A changed copy has nothing to remember.
    assert replace(read, second=b"c").encode() == bytes.fromhex("01610163")


def test_a_failed_encoding_is_not_remembered() -> None:
    wrong = _RememberedPair(b"a", NO_BYTES)
    for _ in range(2):
        with pytest.raises(UsageError):
            wrong.encode()
