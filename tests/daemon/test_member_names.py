"""Who is meant by a text; whoever takes another's name, or a name that looks like it, is not taken for them."""

from __future__ import annotations

from typing import Any

import pytest

from starling.daemon.ipc.errors import RpcError
from starling.daemon.ipc.member_names import find_person

ALICE, BOB, BEN = (bytes([number]) * 32 for number in (0xAB, 0xCD, 0xCE))


def person(identity: bytes, name: str, petname: str | None = None, **more: Any) -> dict[str, Any]:
    shown = {"identity": identity, "name": name, "petname": petname, "display_name": petname or name}
    return shown | {"is_member": True} | more


PEOPLE = [person(ALICE, "Alice"), person(BOB, "Bob"), person(BEN, "Ben", "Benjamin")]


def refusal(people: list[dict[str, Any]], text: str, **options: bool) -> RpcError:
    with pytest.raises(RpcError) as refused:
        find_person(people, text, **options)
    return refused.value


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Alice", ALICE),
        ("Ben", BEN),
        ("Benjamin", BEN),
        ("abab", ALICE),
        ("ABABABAB", ALICE),
        ("cdcd", BOB),
        ((b"\xcd" * 32).hex(), BOB),
        ((b"\xcd" * 32).hex().upper(), BOB),
    ],
)
def test_by_name_petname_and_beginning_of_the_identity(text: str, found: bytes) -> None:
    assert find_person(PEOPLE, text) == found


@pytest.mark.parametrize("text", ["Zoe", "aba", "alic", "", "\x00", "g" * 64, "00" * 32, "abab" * 17])
def test_nobody(text: str) -> None:
    assert refusal(PEOPLE, text).data["code"] == "member.unknown"


def test_a_slip_is_helped() -> None:
    assert "did you mean 'Alice'?" in str(refusal(PEOPLE, "Alic"))


@pytest.mark.parametrize("rival", ["Alice", "AIice", "ALICE", "A1ice"])
def test_who_takes_a_name_that_looks_the_same_is_not_taken_for_the_other(rival: str) -> None:
    people = [*PEOPLE, person(b"\1" * 32, rival)]
    for text in {"Alice", rival}:
        refused = refusal(people, text)
        assert refused.data["code"] == "member.ambiguous"
        assert set(refused.data["candidates"]) == {ALICE.hex(), "01" * 32}
        assert "abababababababab" in str(refused) and "0101010101010101" in str(refused)
    assert find_person(people, "abab") == ALICE and find_person(people, "0101") == b"\1" * 32


def test_a_petname_wins_over_who_claims_it() -> None:
    people = [*PEOPLE, person(b"\1" * 32, "Benjamin", display_name="Benjamin (01010101)")]
    assert find_person(people, "Benjamin") == BEN
    assert find_person(people, "Benjamin (01010101)") == b"\1" * 32


@pytest.mark.parametrize("noted", [{"petname": "Zoe"}, {"name": "Zoe"}])
def test_the_name_of_somebody_who_is_not_here_is_no_name_for_a_stranger(noted: dict[str, str]) -> None:
    """A contact from elsewhere, or a former member."""
    absent = person(b"\2" * 32, "Somebody", is_member=False) | noted
    people = [*PEOPLE, person(b"\1" * 32, "Zoe"), absent]
    code = "member.unknown" if "petname" in noted else "member.ambiguous"
    assert refusal(people, "Zoe").data["code"] == code
    assert find_person(people, "0101") == b"\1" * 32


def test_a_name_that_is_the_beginning_of_another_ones_identity() -> None:
    assert refusal([*PEOPLE, person(b"\1" * 32, "abab")], "abab").data["code"] == "member.ambiguous"


def test_a_beginning_that_two_have() -> None:
    people = [*PEOPLE, person(ALICE[:31] + b"\1", "Ada")]
    refused = refusal(people, "abababab")
    assert refused.data["code"] == "member.ambiguous" and len(refused.data["candidates"]) == 2


def test_former_members_can_be_named_only_where_that_makes_sense() -> None:
    people = [*PEOPLE, person(b"\2" * 32, "Zoe", is_member=False)]
    for text in ("Zoe", "02" * 32):
        assert "is no member" in str(refusal(people, text))
        assert find_person(people, text, members_only=False) == b"\2" * 32
    assert refusal(people, "0202").data["code"] == "member.unknown"
    assert find_person(people, "0202", members_only=False) == b"\2" * 32


def test_not_all_of_many_are_listed() -> None:
    people = [person(bytes([number]) * 32, "Zoe") for number in range(100)]
    refused = refusal(people, "Zoe")
    assert str(refused).startswith("100 people") and len(refused.data["candidates"]) == 8
    assert len(str(refused)) < 1000
