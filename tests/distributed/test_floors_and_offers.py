"""Floors that members sign for archivers, and the text by which an archiver is named."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.distributed.people import ALICE, BOB

from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.distributed.archiver_offer import ArchiverOffer, OfferError
from starling.protocol.distributed.floor import MAX_FLOORS, MAX_PLACES, Floors, Place
from starling.protocol.errors import Invalid, VerificationFailed

UNIVERSE = b"\x07" * 32


def floors(**places: int) -> Floors:
    named = {name.encode(): epoch for name, epoch in places.items()}
    return Floors.sign(ALICE, universe_id=UNIVERSE, serial=5, floors=named)


def test_floors_are_the_members_word() -> None:
    stated = Floors.decode(floors(b=2, a=1).encode())
    stated.verify(UNIVERSE)
    assert stated.places == (Place(b"a", 1), Place(b"b", 2))
    for changed in (
        replace(stated, serial=6),
        replace(stated, member=BOB.identity_public_key),
        replace(stated, places=(Place(b"a", 2), Place(b"b", 2))),
    ):
        with pytest.raises(VerificationFailed):
            changed.verify(UNIVERSE)


@pytest.mark.parametrize(
    "changed",
    [
        replace(floors(a=1), places=(Place(b"b", 1), Place(b"a", 1))),
        replace(floors(a=1), places=(Place(b"a", 1), Place(b"a", 2))),
        replace(floors(a=1), places=tuple(Place(n.to_bytes(4), 1) for n in range(MAX_PLACES + 1))),
        replace(floors(a=1), member=b"short"),
    ],
)
def test_malformed_floors(changed: Floors) -> None:
    with pytest.raises(Invalid):
        changed.verify(UNIVERSE)


def test_floors_of_another_universe() -> None:
    with pytest.raises(Invalid):
        floors(a=1).verify(b"\x08" * 32)


def test_the_largest_floors_fit() -> None:
    many = {n.to_bytes(32): 2**40 for n in range(MAX_PLACES + 5)}
    stated = Floors.sign(ALICE, universe_id=UNIVERSE, serial=2**50, floors=many)
    assert len(stated.encode()) <= MAX_FLOORS
    stated.verify(UNIVERSE)


def offer() -> ArchiverOffer:
    _, public_key = cipher_suite(1).hpke_generate(lambda length: b"\x05" * length)
    return ArchiverOffer(
        ALICE.identity_public_key, "Alice", ALICE.peer_id, public_key, b"\x06" * 32, ("/ip4/127.0.0.1/tcp/1",)
    )


def test_an_offer_survives_its_text() -> None:
    text = offer().text(ALICE)
    assert ArchiverOffer.parse(text) == offer()
    assert ArchiverOffer.parse(f" {text[:40]}\n{text[40:].upper()} ") == offer()


@pytest.mark.parametrize(
    "text",
    ["", "starling1abc", "starlingarchiver1", "starlingarchiver1abc", "x" * 20_000],
)
def test_what_is_no_offer(text: str) -> None:
    with pytest.raises(OfferError):
        ArchiverOffer.parse(text)


def test_an_offer_with_a_typo_or_another_signer() -> None:
    text = offer().text(ALICE)
    swapped = text[:60] + ("a" if text[60] != "a" else "b") + text[61:]
    for bad in (swapped, text[:-3], offer().text(BOB), replace(offer(), name="  ").text(ALICE)):
        with pytest.raises(OfferError):
            ArchiverOffer.parse(bad)
