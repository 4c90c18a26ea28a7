"""Pre-shared keys: the official vectors, the forms of their ids, and a missing one (RFC 9420 §8.4)."""

from __future__ import annotations

import pytest
from tests.mls.group_members import found
from tests.vectors import load_vectors

from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.errors import DecodeError, Pending
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.proposal import PreSharedKey
from starling.protocol.mls.psk import PreSharedKeyID, ResumptionPSKUsage, find_psk_secret, psk_secret


def test_psk_secret_vectors() -> None:
    for vector in load_vectors("mls/psk_secret.json"):
        psks = [
            (
                PreSharedKeyID.external(bytes.fromhex(psk["psk_id"]), bytes.fromhex(psk["psk_nonce"])),
                bytes.fromhex(psk["psk"]),
            )
            for psk in vector["psks"]
        ]
        suite = cipher_suite(vector["cipher_suite"])
        assert psk_secret(suite, psks).hex() == vector["psk_secret"]
        by_id = dict(psks)
        assert find_psk_secret(suite, [psk_id for psk_id, _ in psks], by_id.get).hex() == vector["psk_secret"]


def test_no_psk_gives_zeros() -> None:
    assert psk_secret(cipher_suite(1), []) == bytes(32)


def test_a_missing_psk_waits() -> None:
    with pytest.raises(Pending):
        find_psk_secret(cipher_suite(1), [PreSharedKeyID.external(b"x", bytes(32))], lambda psk_id: None)


@pytest.mark.parametrize(
    ("psk_id", "encoded"),
    [
        (PreSharedKeyID.external(b"id", b"nn"), "01026964026e6e"),
        (
            PreSharedKeyID.resumption(ResumptionPSKUsage.APPLICATION, b"g", 7, b"nn"),
            "020101670000000000000007026e6e",
        ),
        (PreSharedKeyID.application(0x8001, b"id", b"nn"), "038001026964026e6e"),
    ],
)
def test_forms_of_ids(psk_id: PreSharedKeyID, encoded: str) -> None:
    assert psk_id.encode().hex() == encoded
    assert PreSharedKeyID.decode(bytes.fromhex(encoded)) == psk_id


@pytest.mark.parametrize("encoded", ["", "00026964026e6e", "04026964026e6e"])
def test_unknown_types_do_not_decode(encoded: str) -> None:
    with pytest.raises(DecodeError):
        PreSharedKeyID.decode(bytes.fromhex(encoded))


def test_a_psk_of_a_component_is_mixed_in_under_its_name() -> None:
    """Extensions draft §4.5: the same value under another component or id gives another epoch."""
    party = found(2)
    asked: list[tuple[int | None, bytes | None]] = []

    def find(psk: PreSharedKeyID) -> bytes:
        asked.append((psk.component_id, psk.psk_id))
        return b"the same for all"

    nonce = b"n" * 32
    secrets = set()
    for component_id, psk_id in ((0x8001, b"id"), (0x8002, b"id"), (0x8001, b"other")):
        proposal = PreSharedKey(PreSharedKeyID.application(component_id, psk_id, nonce))
        made = party.groups[0].commit([proposal], psks=find, path=False, random=party.clients[0].random)
        staged = party.groups[1].stage(
            party.groups[1].open_handshake(MLSMessage.decode(made.message)), psks=find
        )
        assert staged.next is not None
        assert staged.next.secrets.epoch_authenticator == made.next.secrets.epoch_authenticator
        assert asked[-1] == (component_id, psk_id)
        secrets.add(psk_secret(party.groups[0].cipher_suite, [(proposal.psk, b"the same for all")]))
    assert len(secrets) == 3
