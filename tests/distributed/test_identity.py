"""Long-term keys, names and peer ids."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.distributed.people import ALICE, random_from

from starling.protocol.distributed.identity import (
    Identity,
    check_name,
    peer_id_of,
    peer_public_key,
    verify,
)
from starling.protocol.errors import DecodeError, UsageError, VerificationFailed


def test_peer_id_contains_the_key() -> None:
    assert ALICE.peer_id.hex().startswith("002408011220")
    assert len(ALICE.peer_id) == 38
    assert peer_id_of(peer_public_key(ALICE.peer_id)) == ALICE.peer_id


@pytest.mark.parametrize(
    "peer_id", [b"", ALICE.peer_id[:-1], ALICE.peer_id + b"\x00", b"\x12" + ALICE.peer_id[1:]]
)
def test_foreign_peer_ids(peer_id: bytes) -> None:
    with pytest.raises(DecodeError):
        peer_public_key(peer_id)


def test_the_two_keys_differ_and_sign_by_label() -> None:
    peer_key = peer_public_key(ALICE.peer_id)
    by_identity, by_peer = ALICE.sign("Starling x", b"content"), ALICE.sign_as_peer("Starling x", b"content")
    verify(ALICE.identity_public_key, "Starling x", b"content", by_identity)
    verify(peer_key, "Starling x", b"content", by_peer)
    for key, label, signature in (
        (peer_key, "Starling x", by_identity),
        (ALICE.identity_public_key, "Starling y", by_identity),
        (ALICE.identity_public_key, "Starling x", by_peer),
        (ALICE.identity_public_key, "Starling x", b""),
        (b"short", "Starling x", by_identity),
    ):
        with pytest.raises(VerificationFailed):
            verify(key, label, b"content", signature)


def test_no_secret_is_shown() -> None:
    identity = Identity("Eve", b"i" * 32, b"p" * 32)
    assert "iiii" not in repr(identity)
    assert "pppp" not in repr(identity)


def test_save_and_load() -> None:
    assert Identity.load(ALICE.save()) == ALICE
    for data in (b"", ALICE.save()[:-1], ALICE.save() + b"\x00", b"\x94\x02" + ALICE.save()[2:]):
        with pytest.raises(DecodeError):
            Identity.load(data)


@given(st.binary(max_size=100))
def test_load_of_any_bytes(data: bytes) -> None:
    with pytest.raises(DecodeError):
        Identity.load(data)


@pytest.mark.parametrize("name", ["", " a", "a ", "a\nb", "x" * 65, "a\x00"])
def test_bad_names(name: str) -> None:
    with pytest.raises(UsageError):
        check_name(name)
    with pytest.raises(UsageError):
        Identity.generate(name, random_from("x"))


@pytest.mark.parametrize("name", ["A", "Åsa Öst", "x" * 64, "名前"])
def test_good_names(name: str) -> None:
    assert check_name(name) == name


def test_bad_keys() -> None:
    with pytest.raises(UsageError):
        Identity("Eve", b"i" * 31, b"p" * 32)
