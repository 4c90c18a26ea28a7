"""What a joiner tells of itself, and what a member vouches for to it (PROTOCOL 6, P-4, P-12)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.distributed.people import ALICE, BOB, group_of

from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.distributed.joiner import MAX_SIZE, SIZE_CLASS, Joiner
from starling.protocol.distributed.rules import Rule
from starling.protocol.distributed.vouched_info import VouchedInfo
from starling.protocol.errors import Invalid, VerificationFailed
from starling.protocol.extensions.private_external_info import (
    ExternalEncryptionBundle,
    ExternalEncryptionInfo,
)

UNIVERSE = b"\x11" * 32
GROUP = group_of(ALICE, UNIVERSE)


@pytest.mark.parametrize("length", range(0, 1200, 7))
def test_every_address_is_filled_to_a_size_class(length: int) -> None:
    joiner = Joiner.padded("somebody", 1, bytes(length))
    assert len(joiner.encode()) % SIZE_CLASS == 0
    assert len(joiner.encode()) - length <= 2 * SIZE_CLASS
    assert Joiner.decode(joiner.encode()) == joiner and joiner.check() == "somebody"


@pytest.mark.parametrize(
    "joiner",
    [
        replace(Joiner.padded("name", 1, b""), padding=b""),
        replace(Joiner.padded("name", 1, b""), padding=b"\x01" * 502),
        Joiner.padded("name", 1, bytes(MAX_SIZE)),
        Joiner.padded("n" * 65, 1, b""),
        Joiner.padded("new\nline", 1, b""),
        replace(Joiner.padded("name", 1, b""), name=b"\xff\xfe\xfd\xfc"),
    ],
)
def test_a_joiner_that_is_none(joiner: Joiner) -> None:
    with pytest.raises(Invalid) as caught:
        joiner.check()
    assert caught.value.rule is Rule.JOINER


def bundle(suite_id: int = 1, group_id: bytes = GROUP) -> ExternalEncryptionBundle:
    suite = cipher_suite(suite_id)
    root, root_public = suite.signature_generate(lambda length: b"r" * length)
    _, public_key = suite.hpke_derive_key_pair(b"k" * 32)
    unsigned = ExternalEncryptionInfo(suite_id, public_key, root_public, b"")
    signature = suite.sign_with_label(root, "ExternalEncryptionInfoTBS", unsigned._to_be_signed(group_id, 7))
    info = replace(unsigned, external_encryption_signature=signature)
    return ExternalEncryptionBundle(1, group_id, 7, b"e" * 32, info)


def test_what_a_member_vouches_for() -> None:
    vouched = VouchedInfo.decode(VouchedInfo.sign(ALICE, UNIVERSE, bundle()).encode())
    assert vouched.verify(UNIVERSE, ALICE.peer_id) is cipher_suite(1)
    assert VouchedInfo.sign(ALICE, UNIVERSE, bundle(3)).verify(UNIVERSE, ALICE.peer_id) is cipher_suite(3)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda vouched: replace(
            vouched,
            identity=BOB.identity_public_key,
            bundle=replace(vouched.bundle, group_id=group_of(BOB, UNIVERSE)),
        ),
        lambda vouched: replace(vouched, bundle=replace(vouched.bundle, epoch=8)),
        lambda vouched: replace(
            vouched, bundle=replace(vouched.bundle, group_id=group_of(ALICE, UNIVERSE, b"other"))
        ),
        lambda vouched: replace(vouched, bundle=replace(vouched.bundle, dmls_epoch=b"f" * 32)),
        lambda vouched: replace(vouched, bundle=replace(vouched.bundle, version=2)),
        lambda vouched: replace(vouched, signature=bytes(64)),
    ],
)
def test_every_field_is_signed(wrong: Callable[[VouchedInfo], VouchedInfo]) -> None:
    vouched = VouchedInfo.sign(ALICE, UNIVERSE, bundle())
    with pytest.raises(VerificationFailed):
        wrong(vouched).verify(UNIVERSE, ALICE.peer_id)
    with pytest.raises(VerificationFailed):
        vouched.verify(UNIVERSE, BOB.peer_id)


def test_groups_that_are_no_send_groups() -> None:
    for other in (bundle(2), bundle(group_id=b"short"), bundle(group_id=group_of(BOB, UNIVERSE))):
        with pytest.raises(Invalid) as caught:
            VouchedInfo.sign(ALICE, UNIVERSE, other).verify(UNIVERSE, ALICE.peer_id)
        assert caught.value.rule is Rule.VOUCHED_INFO
    vouched = VouchedInfo.sign(ALICE, UNIVERSE, bundle())
    for wrong, universe in (
        (replace(vouched, identity=b"short"), UNIVERSE),
        (replace(vouched, identity=BOB.identity_public_key), UNIVERSE),
        (vouched, b"\x12" * 32),
    ):
        with pytest.raises(Invalid):
            wrong.verify(universe, ALICE.peer_id)
