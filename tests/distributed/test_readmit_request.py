"""What a member signs that asks to start anew, and the number that two people compare (PROTOCOL 5.6 B7)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.distributed.people import ALICE, BOB

from starling.protocol.distributed.readmit_request import ReadmitRequestTBS
from starling.protocol.errors import VerificationFailed

REQUEST = ReadmitRequestTBS(
    universe_id=b"u" * 32,
    identity=BOB.identity_public_key,
    send_group_id=b"g" * 32,
    incarnation=7,
    name=b"Bob",
    cipher_suite=1,
    key_packages=(b"first", b"second"),
)
CHANGES: dict[str, Any] = {
    "universe_id": b"v" * 32,
    "identity": ALICE.identity_public_key,
    "send_group_id": b"h" * 32,
    "incarnation": 8,
    "name": b"Rob",
    "cipher_suite": 3,
    "key_packages": (b"firstsecond", b""),
}


@pytest.mark.parametrize("field", CHANGES)
def test_all_of_it_is_signed_and_in_the_number(field: str) -> None:
    signature = REQUEST.sign(BOB)
    REQUEST.verify(signature)
    changed = replace(REQUEST, **{field: CHANGES[field]})
    with pytest.raises(VerificationFailed):
        changed.verify(signature)
    assert changed.verification() != REQUEST.verification()


def test_the_number_has_twelve_digits_and_stays() -> None:
    """Both sides work it out for themselves, perhaps by different versions."""
    assert REQUEST.verification() == "905894500217"
