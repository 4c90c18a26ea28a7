"""Extensions draft §4: the app data dictionary, components and SafeAAD."""

from __future__ import annotations

import pytest

from starling.protocol.errors import DecodeError, Invalid
from starling.protocol.mls.components import (
    SAFE_AAD,
    AppDataDictionary,
    ComponentData,
    ComponentsList,
    read_component,
    read_dictionary,
    with_dictionary,
)
from starling.protocol.mls.extension import APP_DATA_DICTIONARY, Extension
from starling.protocol.mls.rules import Rule
from starling.protocol.mls.safe_aad import EMPTY, SafeAAD, SafeAADItem, read_safe_aad, uses_safe_aad

DICTIONARY = AppDataDictionary.of({5: b"five", 1: b"", 0x8D01: b"own"})


def test_a_dictionary_is_sorted_whatever_it_is_made_from() -> None:
    assert [component.component_id for component in DICTIONARY.component_data] == [1, 5, 0x8D01]
    DICTIONARY.check()
    assert AppDataDictionary.decode(DICTIONARY.encode()) == DICTIONARY
    assert DICTIONARY.encode() == bytes.fromhex("10000100000504666976658d01036f776e")


def test_components_are_read_replaced_and_removed() -> None:
    assert DICTIONARY.get(5) == b"five"
    assert DICTIONARY.get(1) == b""
    assert DICTIONARY.get(2) is None
    assert DICTIONARY.with_component(5, b"new").get(5) == b"new"
    assert DICTIONARY.with_component(3, b"three").component_data[1] == ComponentData(3, b"three")
    assert DICTIONARY.with_component(5, None).get(5) is None
    assert DICTIONARY.with_component(2, None) == DICTIONARY


@pytest.mark.parametrize("ids", [(2, 1), (1, 1), (1, 2, 2)])
def test_ids_strictly_ascend(ids: tuple[int, ...]) -> None:
    dictionary = AppDataDictionary(tuple(ComponentData(number, b"") for number in ids))
    with pytest.raises(Invalid) as caught:
        read_dictionary((Extension(APP_DATA_DICTIONARY, dictionary.encode()),))
    assert caught.value.rule is Rule.DICTIONARY_ORDER


def test_the_dictionary_among_extensions() -> None:
    extensions = with_dictionary((Extension(3, b"other"),), DICTIONARY)
    assert read_dictionary(extensions) == DICTIONARY
    assert read_component(extensions, 0x8D01) == b"own"
    assert read_component((), 1) is None
    with pytest.raises(DecodeError):
        read_dictionary((Extension(APP_DATA_DICTIONARY, b"\1"),))


def test_safe_aad_without_items_is_one_zero_byte() -> None:
    assert EMPTY == b"\0"
    assert read_safe_aad(EMPTY) == SafeAAD()


def test_safe_aad_items() -> None:
    safe_aad = SafeAAD.of({9: b"nine", 2: b""})
    assert [item.component_id for item in safe_aad.aad_items] == [2, 9]
    assert read_safe_aad(safe_aad.encode()) == safe_aad
    assert (safe_aad.get(9), safe_aad.get(2), safe_aad.get(3)) == (b"nine", b"", None)


@pytest.mark.parametrize("ids", [(2, 1), (1, 1)])
def test_safe_aad_items_strictly_ascend(ids: tuple[int, ...]) -> None:
    data = SafeAAD(tuple(SafeAADItem(number, b"") for number in ids)).encode()
    with pytest.raises(Invalid) as caught:
        read_safe_aad(data)
    assert caught.value.rule is Rule.SAFE_AAD_ORDER


@pytest.mark.parametrize("data", [b"", b"\0\0", b"free text", SafeAAD.of({1: b"x"}).encode() + b"\0"])
def test_nothing_else_stands_in_the_authenticated_data(data: bytes) -> None:
    with pytest.raises(Invalid) as caught:
        read_safe_aad(data)
    assert caught.value.rule is Rule.SAFE_AAD_FORM


def test_a_group_uses_it_iff_its_dictionary_has_the_component_even_empty() -> None:
    empty_list = ComponentsList().encode()
    assert uses_safe_aad(with_dictionary((), AppDataDictionary.of({SAFE_AAD: empty_list})))
    assert not uses_safe_aad(with_dictionary((), DICTIONARY))
    assert not uses_safe_aad(())
